"""Records that show the mistakes which changed other people's headlines, each on as few as possible."""

from decimal import Decimal
from typing import Any

from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP, RESEARCH
from packages.analytics.tests.integration.lake import KIND, PAYER, PRODUCT, Year, paid

HOSPITAL: dict[str, Any] = {
    "covered_recipient_profile_id": None, "covered_recipient_type": "Covered Recipient Teaching Hospital",
    "teaching_hospital_id": "1", "teaching_hospital_name": "St. Elsewhere", "teaching_hospital_ccn": "050017",
}  # fmt: skip
OF_2024 = [
    # A brand in two spellings, one of them twice in a payment; and what does not divide.
    paid(
        "1",
        "10.00",
        **{f"{PRODUCT}_1": "Brand", f"{PRODUCT}_2": " BRAND ", f"{PRODUCT}_4": "Other", f"{KIND}_1": "Drug"},
    ),
    paid("2", "5.00", **{f"{PRODUCT}_1": "brand"}),
    # The same number of a person and of a hospital; one name of two companies; ids with leading zeros.
    paid("3", "7.00", company="54", **HOSPITAL),
    paid("4", "7.00", company="0053", **{f"{PAYER}_name": "Company 53", "covered_recipient_npi": "0123456789"}),
    # A date that CMS itself published; a payer without an id; a royalty; a nature that nobody has seen.
    paid("5", "1.00", date="0002-11-30"),
    paid("6", "1.00", company="54") | {f"{PAYER}_id": None},
    paid("7", "400000000.00", nature_of_payment_or_transfer_of_value="Royalty or License", recipient_city=" Boston "),
    paid("8", "2.00", nature_of_payment_or_transfer_of_value="Teleportation", recipient_city="BOSTON"),
    paid("9", "0.00", charity_indicator=True, third_party_payment_recipient_indicator="Entity", _flags="x.range"),
]
OF_2023 = [paid("1", "3.00", date="2023-05-01", **{f"{PAYER}_name": "Before the merger"})]
TO_AN_ENTITY = {
    "record_id": "1", "total_amount_of_payment_usdollars": Decimal("50.00"), "date_of_payment": "2024-05-01",
    f"{PAYER}_id": "53", "covered_recipient_type": "Non-covered Recipient Entity",
}  # fmt: skip
OWNED: list[dict[str, Any]] = [
    {"record_id": "1", "value_of_interest": Decimal("9.00"), "physician_profile_id": "1", f"{PAYER}_id": "53"},
    {"record_id": "2", "value_of_interest": None, "physician_profile_id": "2", f"{PAYER}_id": "53"},
]
YEARS = (
    Year(GENERAL, 2024, OF_2024, release="b"), Year(GENERAL, 2023, OF_2023), Year(RESEARCH, 2024, [TO_AN_ENTITY]),
    Year(OWNERSHIP, 2024, OWNED),
)  # fmt: skip
# What CMS says of them itself. Of general payments 53 is a cent short, 0053 is missing, 55 is unknown to us, and a text
# of 54 is no number. A hospital has an empty text for nothing. All of research is said to be nothing.
COMPANY = "amgpo_making_payment_id"
SAID_BY_CMS: dict[str, list[dict[str, str]]] = {
    "cms_reporting_entities": [
        {COMPANY: "53", "trans_general": "5", "total_amount_general": "400000017.99", "trans_invested": "2",
         "total_amount_interest": "9"},
        {COMPANY: "54", "trans_general": "1", "total_amount_general": "seven"},
        {COMPANY: "55", "trans_general": "2", "total_amount_general": "20.50"},
        {COMPANY: "", "trans_general": "1", "total_amount_general": "1.00"},
    ],
    "cms_teaching_hospitals": [
        {"teaching_hospital_ccn": "050017", "teaching_hospital_name": "St. Elsewhere",
         "general_total_transactions": "1", "general_total_payment": "7.00", "research_total_payment": ""},
    ],
}  # fmt: skip
