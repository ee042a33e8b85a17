"""The tables that follow from a dataset's year: products, companies, recipients, as SELECT statements. Pure.

``{source}`` stands for the records of the year, ``{table}`` for the table itself.

The name of a company or a recipient is that of its latest record: the one with the latest payment date, and of several
the one with the greatest record id, taken as a number. Ids decide who is who, never names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from data_pipeline.open_payments.datasets import Dataset

SLOTS = range(1, 6)
PRODUCT = {
    "covered": "covered_or_noncovered_indicator",
    "kind": "indicate_drug_or_biological_or_device_or_medical_supply",
    "category": "product_category_or_therapeutic_area",
    "product": "name_of_drug_or_biological_or_device_or_medical_supply",
    "ndc": "associated_drug_or_biological_ndc",
    "pdi": "associated_device_or_medical_supply_pdi",
}


class Derived(NamedTuple):
    """One table: its rows in a total order, and an equation that holds of it."""

    name: str
    select: str
    check: str


def derived_tables(dataset: Dataset) -> tuple[Derived, ...]:
    """The tables that follow from a dataset."""
    columns = {title.lower() for title in dataset.header}
    has_products = f"{PRODUCT['product']}_1" in columns
    return (*([_products(dataset)] if has_products else []), _companies(dataset), _recipients(dataset, columns))


def _products(dataset: Dataset) -> Derived:
    """A row per filled slot, in the order of the records; the weights of a record's products sum to one, so that its
    amount is counted once.
    """
    record_id, amount = dataset.record_id_column.lower(), dataset.amount_column.lower()
    slots = ", ".join(_struct({"slot": str(slot), **_of_slot(slot)}) for slot in SLOTS)
    is_filled = " OR ".join(f"one.{name} IS NOT NULL" for name in PRODUCT)
    filled = f"list_filter([{slots}], lambda one: {is_filled})"
    return Derived(
        "payment_products",
        f"SELECT {record_id}, one.slot, position, {', '.join(f'one.{name}' for name in PRODUCT)}, products,"
        f" 1.0::DOUBLE / products AS weight, {amount} AS amount_usd"
        f" FROM (SELECT {record_id}, {amount}, len(filled) AS products, unnest(filled) AS one,"
        f" unnest(range(1, len(filled) + 1)) AS position"
        f" FROM (SELECT {record_id}, {amount}, {filled} AS filled FROM {{source}}))",
        f"(SELECT count(*) FROM {{table}}) = (SELECT coalesce(sum(len({filled})), 0) FROM {{source}})",
    )


def _companies(dataset: Dataset) -> Derived:
    payer = dataset.payer_column.lower()
    stem = payer.removesuffix("_id")
    latest = _latest(dataset, {one: f"{stem}_{one}" for one in ("name", "state", "country")})
    amount = dataset.amount_column.lower()
    return Derived(
        "companies",
        f"SELECT company_id, latest.name AS company_name, latest.state, latest.country, payments, amount_usd"
        f" FROM (SELECT {payer} AS company_id, {latest} AS latest, {_totals(amount)}"
        f" FROM {{source}} GROUP BY {payer}) ORDER BY company_id",
        f"(SELECT (sum(payments), sum(amount_usd)) FROM {{table}})"
        f" = (SELECT (count(*), sum({amount})) FROM {{source}})",
    )


def _recipients(dataset: Dataset, columns: set[str]) -> Derived:
    """Persons and teaching hospitals; an entity that the law does not cover has no id, and no row."""
    person = "covered_recipient" if "covered_recipient_profile_id" in columns else "physician"
    hospital = "teaching_hospital_id" if "teaching_hospital_id" in columns else "NULL"
    wanted = {
        "recipient_type": "covered_recipient_type",
        "first_name": f"{person}_first_name",
        "middle_name": f"{person}_middle_name",
        "last_name": f"{person}_last_name",
        "hospital_name": "teaching_hospital_name",
        "npi": f"{person}_npi",
        "specialty": f"{person}_specialty_1" if f"{person}_specialty_1" in columns else f"{person}_specialty",
        "city": "recipient_city",
        "state": "recipient_state",
        "country": "recipient_country",
    }
    attributes = {name: column if column in columns else "NULL::VARCHAR" for name, column in wanted.items()}
    recipient = f"CASE WHEN {person}_profile_id IS NULL THEN {hospital} ELSE {person}_profile_id END"
    kind = f"CASE WHEN {person}_profile_id IS NULL THEN 'teaching_hospital' ELSE 'profile' END"
    amount = dataset.amount_column.lower()
    own = f"{recipient} IS NOT NULL"
    return Derived(
        "recipients",
        f"SELECT recipient_id, id_kind, {', '.join(f'latest.{name}' for name in attributes)}, payments, amount_usd"
        f" FROM (SELECT {recipient} AS recipient_id, {kind} AS id_kind, {_latest(dataset, attributes)} AS latest,"
        f" {_totals(amount)} FROM {{source}} WHERE {own} GROUP BY 1, 2)"
        f" ORDER BY recipient_id, id_kind",
        f"(SELECT (coalesce(sum(payments), 0), coalesce(sum(amount_usd), 0)) FROM {{table}})"
        f" = (SELECT (count(*), coalesce(sum({amount}), 0)) FROM {{source}} WHERE {own})",
    )


def _latest(dataset: Dataset, attributes: dict[str, str]) -> str:
    """The attributes of the latest record, as a struct: dates first, then the record id as a number."""
    date, record_id = dataset.date_column, dataset.record_id_column.lower()
    at = f"coalesce({date.lower()}, DATE '0001-01-01')" if date else "0"
    order = {"at": at, "digits": f"length({record_id})", "record": record_id}
    return f"arg_max({_struct(attributes)}, {_struct(order)})"


def _totals(amount: str) -> str:
    return f"count(*) AS payments, sum({amount})::DECIMAL(18,2) AS amount_usd"


def _of_slot(slot: int) -> dict[str, str]:
    return {name: f"{column}_{slot}" for name, column in PRODUCT.items()}


def _struct(fields: dict[str, str]) -> str:
    return f"struct_pack({', '.join(f'{name} := {value}' for name, value in fields.items())})"
