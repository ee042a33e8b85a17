"""Mistakes that changed other people's headlines, each on a few records, through the whole project."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data_pipeline.lakehouse.dbt import Built
from data_pipeline.open_payments.datasets import GENERAL
from etl_core.errors import DataError
from packages.analytics.tests.integration.conftest import built
from packages.analytics.tests.integration.lake import Year, paid

pytestmark = pytest.mark.timeout(300)
Ask = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def ask(made: Built) -> Iterator[Ask]:
    """The file as somebody has it who took it home and opened it beside others."""
    with duckdb.connect() as database:
        database.execute(f"ATTACH '{made.database}' AS taken_home (READ_ONLY)")
        database.execute("USE taken_home")
        yield lambda question: database.execute(question).fetchall()


GENERAL_2024 = "dataset = 'general-payments' AND year = 2024"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        pytest.param(
            f"SELECT product_id, amount_usd, whole_amount_usd, payments FROM mart_products WHERE {GENERAL_2024}"
            " AND product_id <> '(no product)' ORDER BY rank",
            [("BRAND", Decimal("11.67"), Decimal("15.00"), 2), ("OTHER", Decimal("3.33"), Decimal("10.00"), 1)],
            id="product-spend-is-divided-and-a-brand-in-two-spellings-is-one",
        ),
        pytest.param(
            "SELECT company_id, company_name FROM dim_company ORDER BY company_id",
            [("(none)", "Company 54"), ("0053", "Company 53"), ("53", "Company 53"), ("54", "Company 54")],
            id="companies-are-their-ids-as-text-with-their-latest-name",
        ),
        pytest.param(
            f"SELECT rank, company_id FROM mart_top_companies WHERE {GENERAL_2024} ORDER BY rank",
            [(1, "53"), (2, "0053"), (3, "54"), (4, "(none)")],
            id="equal-amounts-have-one-order",
        ),
        pytest.param(
            "SELECT id_kind, recipient_id, payments, npi, hospital_name FROM dim_recipient ORDER BY ALL",
            [
                ("profile", "1", 10, None, None),
                ("profile", "2", 1, None, None),
                ("teaching_hospital", "1", 1, None, "St. Elsewhere"),
            ],
            id="a-person-and-a-hospital-of-one-number-are-two",
        ),
        pytest.param(
            f"SELECT month, payments, amount_usd FROM mart_months WHERE {GENERAL_2024} AND month IS NULL",
            [(None, 1, Decimal("1.00"))],
            id="an-odd-date-is-in-no-month-and-in-every-sum",
        ),
        pytest.param(
            f"SELECT city, amount_usd FROM mart_places WHERE {GENERAL_2024} AND city = 'BOSTON'",
            [("BOSTON", Decimal("400000002.00"))],
            id="a-city-in-two-spellings-is-one",
        ),
        pytest.param(
            "SELECT dataset, special_kind, amount_usd FROM mart_special_payments WHERE special_kind <> 'other'"
            " ORDER BY dataset",
            [
                ("general-payments", "royalty", Decimal("400000000.00")),
                ("ownership-payments", "ownership", Decimal("9.00")),
            ],
            id="royalties-and-ownership-stand-apart",
        ),
        pytest.param(
            "SELECT record_id, rank FROM mart_large_payments", [("7", 1)], id="payments-above-a-million-are-listed"
        ),
        pytest.param(
            "SELECT year, release, previous_release, previous_amount_usd, is_break_in_series FROM mart_year_on_year"
            " WHERE dataset = 'general-payments' AND population = 'all' ORDER BY year",
            [(2023, "a", None, None, False), (2024, "b", "a", Decimal("3.00"), False)],
            id="a-year-and-the-year-before-name-their-releases",
        ),
        pytest.param(
            f"SELECT marker, payments FROM mart_markers WHERE {GENERAL_2024} AND payments > 0 ORDER BY marker",
            [("charity", 1), ("date suspect", 1), ("flagged", 1), ("third party", 1)],
            id="charity-third-parties-and-flags-are-counted",
        ),
        pytest.param(
            "SELECT company_id, recipient_id, amount_usd FROM mart_recipient_companies"
            " WHERE dataset = 'research-payments'",
            [("53", None, Decimal("50.00"))],
            id="what-entities-without-an-id-got-is-in-every-sum",
        ),
        pytest.param(
            "SELECT of_whom, members FROM mart_concentration WHERE dataset = 'ownership-payments' ORDER BY 1",
            [("companies", 1), ("recipients", 2)],
            id="a-value-that-is-empty-adds-nothing",
        ),
        pytest.param(
            "SELECT entity_id, found_in, payments_difference, amount_usd, cms_amount_usd, amount_difference_usd"
            f" FROM mart_reconciliation WHERE {GENERAL_2024} AND entity_kind = 'company' AND is_different ORDER BY 1",
            [
                ("0053", "ours", 1, Decimal("7.00"), None, Decimal("7.00")),
                ("53", "both", 1, Decimal("400000018.00"), Decimal("400000017.99"), Decimal("0.01")),
                ("54", "both", 0, Decimal("7.00"), None, Decimal("7.00")),
                ("55", "cms", -2, None, Decimal("20.50"), Decimal("-20.50")),
            ],
            id="what-cms-says-otherwise-is-a-row-with-numbers",
        ),
        pytest.param(
            "SELECT dataset, year, entity_kind, entities, entities_differing, amount_difference_usd,"
            " amount_differing_usd FROM mart_reconciliation_years ORDER BY ALL",
            [
                ("general-payments", 2024, "company", 5, 4, Decimal("-6.49"), Decimal("34.51")),
                ("general-payments", 2024, "teaching_hospital", 1, 0, Decimal("0.00"), Decimal("0.00")),
                ("ownership-payments", 2024, "company", 1, 0, Decimal("0.00"), Decimal("0.00")),
                ("research-payments", 2024, "company", 1, 1, Decimal("50.00"), Decimal("50.00")),
            ],
            id="differences-are-summed-by-year-and-kind-and-a-year-without-a-summary-is-not-compared",
        ),
        pytest.param(
            "SELECT year, count(*), count(DISTINCT release), sum(amount_usd) FROM fct_payments"
            " WHERE dataset = 'general-payments' GROUP BY year ORDER BY year",
            [(2023, 1, 1, Decimal("3.00")), (2024, 9, 1, Decimal("400000033.00"))],
            id="the-view-of-all-payments-works-under-any-name-of-the-file",
        ),
    ],
)
def test_a_mart_answers(ask: Ask, question: str, answer: list[tuple[Any, ...]]) -> None:
    assert ask(question) == answer


def test_every_table_and_column_explains_itself_in_the_file(ask: Ask) -> None:
    undescribed = "SELECT table_name FROM duckdb_{}() WHERE database_name = 'taken_home' AND coalesce(comment, '') = ''"
    assert ask(undescribed.format("tables")) == []
    assert ask(undescribed.format("columns")) == []
    assert ask("SELECT count(comment) > 200 FROM duckdb_columns() WHERE database_name = 'taken_home'") == [(True,)]


def test_a_value_that_nobody_has_seen_warns_and_is_kept(made: Built, ask: Ask) -> None:
    assert len(made.warnings) == 1
    assert made.warnings[0].startswith("accepted_values_stg_general_payments_nature")
    assert ask("SELECT amount_usd FROM mart_natures WHERE nature = 'Teleportation'") == [(Decimal("2.00"),)]


def test_sums_that_are_not_those_of_the_manifest_are_refused(made: Built, tmp_path: Path) -> None:
    year = Year(GENERAL, 2024, [paid("1", "10.00")], missing_usd=Decimal("0.01"))
    with pytest.raises(DataError, match=r"the marts do not hold: .*conserved_stg_general_payments"):
        built(tmp_path, year, known=made.database.parent.parent, leave_out="unit_test")
