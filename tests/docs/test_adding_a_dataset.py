"""What a dataset of the family needs, derived from its value: docs/adding_a_dataset.md."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_pipeline.lakehouse.contract import Contract
from data_pipeline.open_payments.datasets import DATASETS, GENERAL, Dataset
from sandbox.open_payments.columns import columns
from sandbox.open_payments.datasets import DATASETS as IN_SANDBOX

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = Path("packages/data_pipeline/src/data_pipeline/open_payments/contract")
TABLES = Path("terraform/modules/catalogue/columns")
SANDBOX = Path("packages/sandbox/src/sandbox/open_payments/datasets.py")


def missing_steps(dataset: Dataset) -> list[str]:
    """What is still to be written for a dataset, a sentence each."""
    file = CONTRACTS / f"{dataset.name}.toml"
    if not (ROOT / file).is_file():
        return [f"write the contract of {dataset.name}, its columns and their rules, into {file}"]
    steps = []
    contract = Contract.from_toml(dataset.contract)
    if contract.name != dataset.table or contract.key != dataset.record_id_column:
        steps.append(f"{file} is of a table {contract.name!r} with the key {contract.key!r}")
    lacking = sorted(dataset.required_columns.difference(dataset.header))
    if lacking:
        steps.append(f"{file} lacks {', '.join(lacking)}, which {dataset.name} names")
    table = ROOT / TABLES / f"{dataset.name}.json"
    wanted = [title.lower() for title in dataset.header]
    if not table.is_file() or json.loads(table.read_text(encoding="utf-8")) != wanted:
        steps.append(f"write the columns of {dataset.name} in lower case, as a JSON list, into {TABLES / table.name}")
    rows = [one.name for one in IN_SANDBOX.values() if dataset.year_in(f"2024 {one.title} Data")]
    if not rows or tuple(one.title for one in columns(rows[0])) != dataset.header:
        steps.append(f"give the sandbox rows titled {dataset.title!r} under the same columns: {SANDBOX}")
    return steps


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda one: one.name)
def test_every_dataset_has_what_the_guide_asks_for(dataset):
    assert not missing_steps(dataset), "; ".join(missing_steps(dataset))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (replace(GENERAL, name="travel-payments"), ["contract/travel-payments.toml"]),
        (replace(GENERAL, payer_column="Payer"), ["lacks Payer"]),
        (replace(GENERAL, title="Travel Payment Data"), ["sandbox rows titled 'Travel Payment Data'"]),
    ],
    ids=["no columns", "other columns", "no rows"],
)
def test_a_missing_step_is_named_with_what_to_write(dataset, words):
    assert all(word in step for word, step in zip(words, missing_steps(dataset), strict=True))


def test_the_guide_names_every_place():
    guide = (ROOT / "docs" / "adding_a_dataset.md").read_text(encoding="utf-8")
    assert all(str(place) in guide for place in (CONTRACTS, TABLES, SANDBOX))
