"""The Terraform sources, read without Terraform."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hcl2
import pytest

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import DATASETS
from tests.infrastructure import sources
from tests.infrastructure.iam import listed, matches

FILES = sorted(path for path in sources.TERRAFORM.rglob("*.tf") if ".terraform" not in path.parts)
MODULES = sorted(path.parent for path in sources.TERRAFORM.glob("modules/*/main.tf"))
ROOTS = sorted(path.parent for path in sources.TERRAFORM.glob("environments/*/main.tf"))
POLICIES = sorted(sources.TERRAFORM.rglob("policies/*.json.tftpl"))
# What has no resource to name: AWS documents that this action takes "*" alone.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "redshift-data:DescribeStatement",  # of ones own statements: a condition says so
    "redshift-data:GetStatementResult",
    "ssm:UpdateInstanceInformation",
    *(f"ssmmessages:{verb}{what}Channel" for verb in ("Create", "Open") for what in ("Control", "Data")),
}


def bare(value: Any) -> Any:
    """A parsed block without the quotes that the parser keeps."""
    if isinstance(value, dict):
        return {bare(key): bare(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [bare(inner) for inner in value]
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


def parsed(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as stream:
        found: dict[str, Any] = bare(hcl2.load(stream))
    return found


def blocks(kind: str, folder: Path) -> dict[str, dict[str, Any]]:
    """All blocks of a kind in a folder, by name."""
    found = [block for path in sorted(folder.glob("*.tf")) for block in parsed(path).get(kind, [])]
    return {name: body for block in found for name, body in block.items()}


def in_repository(path: Path) -> str:
    return str(path.relative_to(sources.TERRAFORM))


@pytest.mark.parametrize("folder", [*MODULES, *ROOTS], ids=in_repository)
def test_every_variable_says_why_what_and_what_not(folder):
    for name, body in blocks("variable", folder).items():
        assert len(body.get("description", "")) > 20, f"{name} has no reason"
        assert body.get("type"), f"{name} has no type"
        assert body.get("validation"), f"{name} takes anything"
        for check in body["validation"]:
            assert f"var.{name}" in check["condition"], f"a validation of {name} looks elsewhere"
            assert len(check["error_message"]) > 10, f"{name} is refused without a word"


@pytest.mark.parametrize("folder", [*MODULES, *ROOTS], ids=in_repository)
def test_every_output_says_what_it_is_for(folder):
    assert all(body.get("description") for body in blocks("output", folder).values())


@pytest.mark.parametrize("folder", MODULES, ids=in_repository)
def test_every_module_has_tests_of_its_own(folder):
    (test,) = (folder / "tests").glob("*.tftest.hcl")
    text = test.read_text(encoding="utf-8")
    assert 'mock_provider "aws"' in text, "a test of a module reaches no account"
    assert "assert {" in text
    assert "expect_failures" in text, "something is refused"


def test_only_our_own_modules_and_one_provider_are_used():
    for folder in (*MODULES, *ROOTS):
        for body in blocks("module", folder).values():
            assert (folder / body["source"]).resolve().parent == sources.TERRAFORM / "modules"
    for path in sources.TERRAFORM.rglob("versions.tf"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r'source += "(.+)"', text) == ["hashicorp/aws"]
        assert re.findall(r'^ +version = "(~> 5\.\d+)"', text, re.MULTILINE)


def test_every_environment_locks_one_provider_for_every_platform_it_is_published_for():
    locks = [(folder / ".terraform.lock.hcl").read_text(encoding="utf-8") for folder in ROOTS]
    said = {
        (*re.findall(r'^  version += "(.+)"', lock, re.MULTILINE), *re.findall(r'"((?:h1|zh):.+)"', lock))
        for lock in locks
    }
    ((version, *hashes),) = said
    assert re.fullmatch(r"5\.\d+\.\d+", version)
    # h1 is of the unpacked provider, as a mirror holds it; zh of an archive in the publisher's signed list.
    assert [one[:3] for one in hashes].count("zh:") >= 14
    assert any(one.startswith("h1:") for one in hashes)
    for lock in locks:
        assert re.findall(r'^provider "(.+)"', lock, re.MULTILINE) == ["registry.terraform.io/hashicorp/aws"]


def test_dev_and_prod_are_asked_and_answer_the_same():
    dev, prod = (sources.TERRAFORM / "environments" / name for name in ("dev", "prod"))
    for name in ("variables.tf", "outputs.tf"):
        assert (dev / name).read_text() == (prod / name).read_text()
    (kept,) = blocks("module", prod).values()
    (tried,) = blocks("module", dev).values()
    assert (kept["force_destroy"], tried["force_destroy"]) in ((False, True), ("${false}", "${true}"))


def test_each_environment_has_its_own_locked_and_encrypted_state():
    keys = set()
    for folder in ROOTS:
        (block,) = parsed(folder / "versions.tf")["terraform"]
        (backend,) = block["backend"]
        state = backend["s3"]
        assert state["encrypt"] in (True, "${true}")
        assert state["use_lockfile"] in (True, "${true}")
        assert "bucket" not in state, "whose bucket it is, is said at init"
        keys.add(state["key"])
    assert keys == {f"{folder.name}/terraform.tfstate" for folder in ROOTS}


def filled_somehow(path):
    """A policy with anything in its places."""
    text = re.sub(r": \$\{\w+\}", ': ["arn:aws:x:::y"]', path.read_text(encoding="utf-8"))
    return json.loads(re.sub(r"\$\{\w+\}", "arn:aws:x:::y", text))


@pytest.mark.parametrize("path", POLICIES, ids=in_repository)
def test_no_policy_allows_everything_or_everywhere(path):
    document = filled_somehow(path)
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        assert statement["Sid"], "a statement without a name"
        if statement["Effect"] == "Deny":
            continue
        actions, resources = listed(statement["Action"]), listed(statement.get("Resource", "no"))
        assert not [action for action in actions if "*" in action]
        assert "*" not in resources or set(actions) <= WITHOUT_RESOURCE


def test_every_policy_is_used_and_every_policy_used_is_there():
    stages = {path.name.removesuffix(".json.tftpl") for path in sources.IDENTITY.glob("*.json.tftpl")}
    attached = {name for said in sources.roles().values() for name in said["policies"]}
    assert {name for name in stages if not name.startswith("trust_")} == attached


def test_policies_are_nowhere_written_into_resources():
    """But for who may take on a service's role: those have no resource, and need no test of calls."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert "aws_iam_policy_document" not in text
        for inline in re.finditer(r"^  policy += jsonencode\(\{\n(.*)", text, re.MULTILINE):
            assert inline[1].strip() == "rules = [", f"{path}: a policy that no test reads"


def test_no_group_lets_the_internet_in():
    for folder in MODULES:
        for kinds in blocks("resource", folder).items():
            kind, named = kinds
            if kind == "aws_vpc_security_group_ingress_rule":
                assert "0.0.0.0/0" not in json.dumps(named)
            if kind in ("aws_security_group", "aws_default_security_group"):
                assert not any("ingress" in body for body in named.values() if isinstance(body, dict))


def test_the_tables_partitions_are_the_keys_of_the_lake():
    text = (sources.TERRAFORM / "modules" / "catalogue" / "main.tf").read_text(encoding="utf-8")
    keys = lake_layout.open_payments.SliceKeys("D", 2024, "R", "7")
    folder = keys.part(1, 1).rpartition("/")[0]
    raw = re.search(r'raw += "\$\{local\.lake\}/(.+)"', text)
    company = re.search(r'"\$\{local\.raw\}/(company_id=.+?)/"', text)
    assert raw is not None
    assert company is not None
    template = f"{raw[1]}/{company[1]}"
    for name, value in {"dataset": "D", "year": "2024", "release": "R", "company_id": "7"}.items():
        template = template.replace(f"$${{{name}}}", value)
    assert template == folder
    run = re.search(r'"storage.location.template" = "\$\{local\.lake\}/(metadata/runs/.+)/"', text)
    assert run is not None
    assert run[1].replace("$${run_id}", "r") == lake_layout.runs.manifest("r").rpartition("/")[0]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda one: one.name)
def test_the_columns_of_a_dataset_s_tables_are_the_source_s_in_their_order(dataset):
    path = sources.TERRAFORM / "modules" / "catalogue" / "columns" / f"{dataset.name}.json"
    columns = json.loads(path.read_text())
    assert columns == [name.lower() for name in dataset.header]
    assert not {"dataset", "year", "release", "company_id"} & set(columns), "a column hides a partition"


def test_lake_and_identity_name_every_kind_of_key_that_is_written_once():
    denied = next(
        one for one in sources.bucket_policy("lake")["Statement"] if one["Sid"] == "FactsAreCreatedNeverReplaced"
    )
    facts = [
        lake_layout.open_payments.SliceKeys("D", 2024, "R", "7").part(1, 1),
        lake_layout.open_payments.SliceKeys("D", 2024, "R", "7").slice_audit(),
        lake_layout.open_payments.schema("D", 2024, "R"),
        lake_layout.runs.pointer(lake_layout.runs.selection("0" * 16, "d"), datetime.now(UTC), "r"),
        lake_layout.runs.pointer(lake_layout.open_payments.commits("D", 2024, "R"), datetime.now(UTC), "r"),
        lake_layout.runs.plan("r"),
        lake_layout.runs.manifest("r"),
        lake_layout.fan_out.plan("r", "packed"),
        lake_layout.fan_out.claim("r", "7", 1, 1),
        f"{lake_layout.lakehouse.published_files('dataset=D/year=2024', 1, 'companies')}/files.txt",
    ]
    for key in facts:
        assert any(matches(pattern, f"arn:aws:s3:::lake/{key}") for pattern in denied["Resource"]), key
