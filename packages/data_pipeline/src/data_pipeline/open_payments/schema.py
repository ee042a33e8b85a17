"""The columns of General Payments: as known to us, and as the source describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl_core.csv_stream.reader import Layout
from etl_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_pipeline.open_payments.windows import Window

CHANGE_TYPE = "Change_Type"
PAYER_ID = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
DATE_OF_PAYMENT = "Date_of_Payment"
RECORD_ID = "Record_ID"
PUBLICATION_DATE = "Payment_Publication_Date"
# These change on every row at every publication, so they say nothing about a record.
VOLATILE = frozenset({CHANGE_TYPE, PUBLICATION_DATE})

# The header of every General Payments file published since mid 2021, for program years 2016 on.
GENERAL_PAYMENTS: tuple[str, ...] = (
    "Change_Type",
    "Covered_Recipient_Type",
    "Teaching_Hospital_CCN",
    "Teaching_Hospital_ID",
    "Teaching_Hospital_Name",
    "Covered_Recipient_Profile_ID",
    "Covered_Recipient_NPI",
    "Covered_Recipient_First_Name",
    "Covered_Recipient_Middle_Name",
    "Covered_Recipient_Last_Name",
    "Covered_Recipient_Name_Suffix",
    "Recipient_Primary_Business_Street_Address_Line1",
    "Recipient_Primary_Business_Street_Address_Line2",
    "Recipient_City",
    "Recipient_State",
    "Recipient_Zip_Code",
    "Recipient_Country",
    "Recipient_Province",
    "Recipient_Postal_Code",
    "Covered_Recipient_Primary_Type_1",
    "Covered_Recipient_Primary_Type_2",
    "Covered_Recipient_Primary_Type_3",
    "Covered_Recipient_Primary_Type_4",
    "Covered_Recipient_Primary_Type_5",
    "Covered_Recipient_Primary_Type_6",
    "Covered_Recipient_Specialty_1",
    "Covered_Recipient_Specialty_2",
    "Covered_Recipient_Specialty_3",
    "Covered_Recipient_Specialty_4",
    "Covered_Recipient_Specialty_5",
    "Covered_Recipient_Specialty_6",
    "Covered_Recipient_License_State_code1",
    "Covered_Recipient_License_State_code2",
    "Covered_Recipient_License_State_code3",
    "Covered_Recipient_License_State_code4",
    "Covered_Recipient_License_State_code5",
    "Submitting_Applicable_Manufacturer_or_Applicable_GPO_Name",
    "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID",
    "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_Name",
    "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_State",
    "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_Country",
    "Total_Amount_of_Payment_USDollars",
    "Date_of_Payment",
    "Number_of_Payments_Included_in_Total_Amount",
    "Form_of_Payment_or_Transfer_of_Value",
    "Nature_of_Payment_or_Transfer_of_Value",
    "City_of_Travel",
    "State_of_Travel",
    "Country_of_Travel",
    "Physician_Ownership_Indicator",
    "Third_Party_Payment_Recipient_Indicator",
    "Name_of_Third_Party_Entity_Receiving_Payment_or_Transfer_of_Value",
    "Charity_Indicator",
    "Third_Party_Equals_Covered_Recipient_Indicator",
    "Contextual_Information",
    "Delay_in_Publication_Indicator",
    "Record_ID",
    "Dispute_Status_for_Publication",
    "Related_Product_Indicator",
    "Covered_or_Noncovered_Indicator_1",
    "Indicate_Drug_or_Biological_or_Device_or_Medical_Supply_1",
    "Product_Category_or_Therapeutic_Area_1",
    "Name_of_Drug_or_Biological_or_Device_or_Medical_Supply_1",
    "Associated_Drug_or_Biological_NDC_1",
    "Associated_Device_or_Medical_Supply_PDI_1",
    "Covered_or_Noncovered_Indicator_2",
    "Indicate_Drug_or_Biological_or_Device_or_Medical_Supply_2",
    "Product_Category_or_Therapeutic_Area_2",
    "Name_of_Drug_or_Biological_or_Device_or_Medical_Supply_2",
    "Associated_Drug_or_Biological_NDC_2",
    "Associated_Device_or_Medical_Supply_PDI_2",
    "Covered_or_Noncovered_Indicator_3",
    "Indicate_Drug_or_Biological_or_Device_or_Medical_Supply_3",
    "Product_Category_or_Therapeutic_Area_3",
    "Name_of_Drug_or_Biological_or_Device_or_Medical_Supply_3",
    "Associated_Drug_or_Biological_NDC_3",
    "Associated_Device_or_Medical_Supply_PDI_3",
    "Covered_or_Noncovered_Indicator_4",
    "Indicate_Drug_or_Biological_or_Device_or_Medical_Supply_4",
    "Product_Category_or_Therapeutic_Area_4",
    "Name_of_Drug_or_Biological_or_Device_or_Medical_Supply_4",
    "Associated_Drug_or_Biological_NDC_4",
    "Associated_Device_or_Medical_Supply_PDI_4",
    "Covered_or_Noncovered_Indicator_5",
    "Indicate_Drug_or_Biological_or_Device_or_Medical_Supply_5",
    "Product_Category_or_Therapeutic_Area_5",
    "Name_of_Drug_or_Biological_or_Device_or_Medical_Supply_5",
    "Associated_Drug_or_Biological_NDC_5",
    "Associated_Device_or_Medical_Supply_PDI_5",
    "Program_Year",
    "Payment_Publication_Date",
)


@dataclass(frozen=True)
class Columns:
    """The columns of one table: ``titles`` as in the published file, ``names`` as queries want them."""

    titles: tuple[str, ...]
    names: tuple[str, ...]

    def name_of(self, title: str) -> str:
        """The machine name of a column; raises ``DataError`` if the table has none of that title."""
        if title not in self.titles:
            raise DataError(f"the table has no column {title}.")
        return self.names[self.titles.index(title)]

    def layout(self, company_id: str, window: Window) -> Layout:
        """What every record of one window of a payer must look like."""
        return Layout(
            header=self.titles,
            other_header=self.names,
            key=RECORD_ID,
            equal={PAYER_ID: company_id},
            between=None if window.is_whole_slice else (DATE_OF_PAYMENT, window.low, window.high),
            volatile=VOLATILE.intersection(self.titles),
            mark=CHANGE_TYPE if CHANGE_TYPE in self.titles else "",
        )


@dataclass(frozen=True)
class Drift:
    """How a table's columns differ from those known to us; all empty means not at all."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.reordered)


def drift_from(known: Sequence[str], found: Sequence[str]) -> Drift:
    """Compare the columns of a release with the known ones."""
    added = tuple(title for title in found if title not in known)
    removed = tuple(title for title in known if title not in found)
    in_common = [title for title in found if title in known]
    return Drift(added, removed, reordered=in_common != [title for title in known if title in found])
