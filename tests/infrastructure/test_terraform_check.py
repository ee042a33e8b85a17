"""tools/terraform_check.py: what cannot be checked is said, what fails fails."""

from tools import terraform_check
from tools.terraform_check import FailedError, SkippedError, Tools


def test_without_terraform_its_parts_are_skipped_aloud_and_listed(capsys):
    terraform_check.copy_source(terraform_check.SOURCE)

    parts = {name: terraform_check.PARTS[name] for name in ("format", "validate", "test", "apply")}
    failed = terraform_check.run_all(parts, Tools(terraform=None, mirror=None))

    said = capsys.readouterr().out
    assert failed == 0
    assert "0 passed, 0 failed, 4 skipped" in said
    assert said.rstrip().endswith("NOT PROVED HERE: format, validate, test, apply")


def test_a_part_that_finds_something_fails_the_check(capsys):
    def finds(_tools: Tools) -> str:
        raise FailedError("something")

    def lacks(_tools: Tools) -> str:
        raise SkippedError("no tool")

    parts = {"good": lambda _tools: "fine", "bad": finds, "absent": lacks}

    assert terraform_check.run_all(parts, Tools(None, None)) == 1
    assert "1 passed, 1 failed, 1 skipped" in capsys.readouterr().out


def test_nothing_of_the_caller_s_accounts_reaches_terraform():
    inside = terraform_check.neutral({"AWS_PROFILE": "mine", "TF_VAR_suffix": "mine", "PATH": "/bin"})

    assert inside["PATH"] == "/bin"
    assert "AWS_PROFILE" not in inside
    assert "TF_VAR_suffix" not in inside
    assert inside["AWS_ACCESS_KEY_ID"] == "test"


def test_every_suppression_of_the_scan_has_a_reason():
    terraform_check.copy_source(terraform_check.SOURCE)

    assert len(terraform_check.suppressions()) >= 10
