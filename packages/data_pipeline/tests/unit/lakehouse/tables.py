"""A table as small as can be, with a rule of each kind: what the tests of the lakehouse share."""

from data_pipeline.lakehouse.contract import Contract

TOML = """
name = "payments"
key = "Id"
order = ["Payer", "Id"]

[types]
number = { kind = "id", pattern = '[0-9]{1,12}', required = true }

[columns]
Id = { type = "number" }
Payer = { type = "number" }
Amount = { type = "amount", required = true }
Paid_On = { type = "date" }
Times = { type = "times" }
Charity = { type = "yes_no" }
State = { type = "state" }
Nature = { type = "nature" }
Note = { type = "note" }

[types.amount]
kind = "decimal"
pattern = '-?[0-9]{1,16}([.][0-9]{1,2})?'
low = "0.01"
high = "1000000.00"

[types.date]
kind = "date"
pattern = '[0-9]{2}/[0-9]{2}/[0-9]{4}'
format = "%m/%d/%Y"
low = "2013-01-01"

[types.times]
kind = "integer"
pattern = '[0-9]{1,18}'
high = "999"

[types.yes_no]
kind = "boolean"
pattern = 'Yes|No'
values = ["Yes", "No"]

[types.state]
kind = "code"
pattern = '[A-Z]{2}'
actions = { pattern = "flag" }

[types.nature]
kind = "code"
values = ["Meal", "Travel, and lodging"]

[types.note]
kind = "text"
length = 10
"""
CONTRACT = Contract.from_toml(TOML)
GOOD = {
    "Id": "1", "Payer": "7", "Amount": "12.30", "Paid_On": "02/29/2024", "Times": "3", "Charity": "No",
    "State": "NY", "Nature": "Meal", "Note": "thanks",
}  # fmt: skip


def a_record(**changes: str) -> list[str]:
    """A record that violates nothing, but for the changes."""
    return list((GOOD | changes).values())
