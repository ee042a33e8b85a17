"""What holds of the project's text, whatever the data."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics import PROJECT
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.open_payments.datasets import DATASETS

ROOT = Path(__file__).resolve().parents[4]
MODELS = {path.stem: path.read_text(encoding="utf-8") for path in PROJECT.glob("models/**/*.sql")}
# Not of payments alone: it says how they compare with CMS's own figures.
RECONCILIATION = ("mart_reconciliation", "mart_reconciliation_years")
MARTS = sorted(name for name in MODELS if name.startswith("mart_"))
# How staging calls columns that the contract has under longer names.
COLUMNS = {
    "recipient_type": "covered_recipient_type", "nature": "nature_of_payment_or_transfer_of_value",
    "form": "form_of_payment_or_transfer_of_value", "third_party": "third_party_payment_recipient_indicator",
}  # fmt: skip


def described() -> dict[str, dict[str, Any]]:
    found = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in PROJECT.glob("models/*/_*.yml"))
    return {model["name"]: model for file in found for model in file["models"]}


def data_tests_of(model: dict[str, Any]) -> set[str]:
    return {next(iter(one)) if isinstance(one, dict) else one for one in model.get("data_tests", ())}


def test_every_model_is_described():
    assert set(described()) == set(MODELS)


@pytest.mark.parametrize("name", MARTS)
def test_the_sums_of_every_mart_are_compared(name):
    # Shares have no sum, large payments are a list, and a record may have several markers or none.
    without = {"mart_concentration", "mart_large_payments", "mart_markers"}

    assert bool(data_tests_of(described()[name]) & {"conserved", "sum_equals"}) == (name not in without)


@pytest.mark.parametrize("name", [name for name in MARTS if "rank_in_year" in MODELS[name]])
def test_every_ranking_is_tested_to_be_total(name):
    assert "ranked" in data_tests_of(described()[name])


@pytest.mark.parametrize("name", MARTS)
def test_every_mart_names_its_question_and_is_on_the_page(name):
    assert re.search("Reconciliation:" if name in RECONCILIATION else r"Questions? \d+", MODELS[name])
    assert f"`{name}`" in (ROOT / "docs/marts.md").read_text(encoding="utf-8")


def test_every_question_has_a_mart():
    asked = {int(number) for text in MODELS.values() for number in re.findall(r"Question (\d+)", text)}

    assert asked == set(range(1, 15)), "the fifteenth, what changed between releases, is diff_releases"


@pytest.mark.parametrize("name", MODELS)
def test_no_model_opens_a_file(name):
    assert not re.search(r"read_\w+\(|parquet|\.csv|glob\(", MODELS[name])


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda one: one.name)
def test_known_values_are_those_of_the_contract_and_others_only_warn(dataset):
    contract = {one.title: one for one in Contract.from_toml(dataset.contract).columns}
    for column in described()[f"stg_{dataset.table}"]["columns"]:
        for test in column.get("data_tests", ()):
            accepted = test["accepted_values"]
            assert accepted["arguments"]["values"] == list(contract[COLUMNS[column["name"]]].values)
            assert accepted["config"]["severity"] == "warn"
