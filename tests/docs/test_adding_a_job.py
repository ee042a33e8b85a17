"""The page on adding a job, followed step by step in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding_a_job.md").read_text(encoding="utf-8")
ARGPARSE_JOB, ARGPARSE_TEST, CLICK_JOB, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
JOBS = Path("packages/data_pipeline/src/data_pipeline/jobs")
TESTS = Path("packages/data_pipeline/tests/unit/jobs")


class Checkout:
    """A copy of what is committed or about to be, run with this environment's programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        sources = [str(path) for path in folder.glob("packages/*/src")]
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sources)}

    def write(self, path: Path, text: str) -> None:
        (self.folder / path).write_text(text, encoding="utf-8")

    def python(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return Checkout(tmp_path)


def test_the_plain_template_runs_alone(tmp_path: Path) -> None:
    (tmp_path / "my_job.py").write_text(ARGPARSE_JOB, encoding="utf-8")
    words = [sys.executable, "-c", "import my_job, sys; sys.exit(my_job.JOB[0](['--agency-id', '7']))"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, '{"job": "my_job", "agency_id": 7}\n')


@pytest.mark.long
def test_a_job_added_without_the_other_steps_fails_tests_that_say_what_to_write(checkout: Checkout) -> None:
    checkout.write(JOBS / "my_job.py", ARGPARSE_JOB.replace("Reads", "Looks at").replace("Writes", "Leaves"))
    done = checkout.python("-m", "pytest", "-q", str(TESTS / "test_contract.py"), "tests/tooling/test_generate.py")
    assert done.returncode != 0
    for message in (
        "write in the docstring of jobs/my_job.py what it Reads",
        "test_my_job.py: what the job does",
        "run `make generate`",
    ):
        assert message in done.stdout

    checkout.write(JOBS / "count_objects.py", CLICK_JOB.partition("KUBERNETES")[0])
    done = checkout.python("-m", "pytest", "-q", "tests/manifests/test_examples.py")
    assert done.returncode != 0
    assert "jobs/count_objects.py: its Kubernetes example does not run: Missing option '--prefix'." in done.stdout
    assert "Write KUBERNETES = {" in done.stdout


@pytest.mark.long
def test_both_templates_pass_the_checks_after_the_steps_of_the_page_and_after_make_job(checkout: Checkout) -> None:
    checkout.write(JOBS / "my_job.py", ARGPARSE_JOB)
    checkout.write(TESTS / "test_my_job.py", ARGPARSE_TEST)
    checkout.environment["NAME"] = "sum_sizes"
    made = checkout.python("tools/new_job.py")  # as `make job NAME=sum_sizes` does; it generates, too
    assert made.returncode == 0, made.stderr

    unit = checkout.python("-m", "pytest", "-q", str(TESTS), str(TESTS.parent / "test_registry.py"))
    assert unit.returncode == 0, unit.stdout
    gate = checkout.python("tools/gate.py", "lint", "format", "types", "contracts", "docs", "manifests")
    assert gate.returncode == 0, gate.stdout
    assert (checkout.folder / "k8s/examples/my-job.yaml").exists()
