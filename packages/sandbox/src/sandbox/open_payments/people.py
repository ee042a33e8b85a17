"""Persons and hospitals: columns 2-36 of General Payments, of which the other datasets use a part."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any, NamedTuple

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.pools import sometimes
from sandbox.open_payments.slices import Values

_RECIPIENTS = 8192  # two addresses for each person; half of all profiles have several (facts 3.1)

# Of 16,131,856 rows of PY2025: hospitals 35,569, physicians 10,129,623; NPIs missing on 0.04 % of the others.
_HOSPITALS = 18
_PHYSICIANS = 0.628
_NO_NPI = 0.0004

# Rare but real, by column number: a slice of 2,000 rows holds each of them (see pools.py).
_ODD: list[dict[int, str]] = [
    {7: ""},
    {8: "José", 10: "Muñoz", 14: "SAN JUAN", 15: "PR", 16: "00917"},
    {14: "TORONTO", 15: "", 16: "", 17: "Canada", 18: "Ontario", 19: "M5G 2C4"},
    {12: '45 "A" STREET, SUITE 5', 13: ""},
    {14: "WORCESTER", 15: "MA", 16: "01605"},
    {21: "Doctor of Dentistry", 27: "Dental Providers|Dentist"},
    {10: "O'Neil-Ångström"},
]
EMPTY = ("",) * 17  # types, specialties and licences, where there are none


class People(NamedTuple):
    """Rows of columns 2-36."""

    persons: list[Values]
    hospitals: list[Values]
    odd: list[Values]

    @property
    def physicians(self) -> list[Values]:
        return [row for row in self.persons if row[0] == "Covered Recipient Physician"]


def address(rng: random.Random, pools: Any, city: list[str]) -> Values:
    """Columns 12-19. A zip code is text: it may start with 0, and nearly half have four further digits."""
    name, state, zone = city
    code = f"{zone}{rng.randrange(100):02d}" + (f"-{rng.randrange(1000, 9999)}" if rng.random() < 0.45 else "")
    second = sometimes(rng, pools["second_lines"], "Recipient_Primary_Business_Street_Address_Line2")
    street = f"{rng.randrange(1, 9900)} {rng.choice(pools['streets'])}"
    return (street, second, name, state, code, "United States", "", "")


def _person(rng: random.Random, pools: Any, number: int) -> list[Values]:
    """Columns 2-36 of one person at two addresses."""
    physician = rng.random() < _PHYSICIANS
    group = pools["physicians" if physician else "practitioners"]
    kind = "Covered Recipient " + ("Physician" if physician else "Non-Physician Practitioner")
    npi = "" if rng.random() < _NO_NPI else str(1_003_000_000 + number * 109_000 + rng.randrange(109_000))
    head = (kind, "", "", "", str(rng.randrange(1_000, 11_800_000)), npi)
    city, first, last = (rng.choice(pools[pool]) for pool in ("cities", "first_names", "last_names"))
    middle = sometimes(rng, pools["middle_names"], "Covered_Recipient_Middle_Name")
    names = (middle, last, sometimes(rng, pools["suffixes"], "Covered_Recipient_Name_Suffix"))
    states, licences = [state for _, state, _ in pools["cities"]], [city[1]]
    for place in range(2, 6):  # a person without one licence has none of the later ones
        column = f"Covered_Recipient_License_State_code{place}"
        licences.append(sometimes(rng, states, column) if licences[-1] else "")
    kinds, weights = zip(*group["types"], strict=True)
    tail = (rng.choices(kinds, weights)[0], *EMPTY[:5], rng.choice(group["specialties"]), *EMPTY[:5], *licences)
    # Spelling differs between the rows of a person, too.
    spellings = (first, first.title() if rng.random() < 0.2 else first)
    return [(*head, spelling, *names, *address(rng, pools, city), *tail) for spelling in spellings]


@lru_cache(maxsize=4)
def people(seed: int) -> People:
    """All persons and hospitals of a seed."""
    pools, rng = load_json("pools.json"), random.Random(f"people/{seed}")
    hospitals = []
    for known in (pools["hospitals"] * 2)[: _HOSPITALS + 1]:
        where = address(rng, pools, rng.choice(pools["cities"]))
        hospitals.append(("Covered Recipient Teaching Hospital", *known, *EMPTY[:6], *where, *EMPTY))
    persons = [row for number in range((_RECIPIENTS - _HOSPITALS) // 2) for row in _person(rng, pools, number)]
    odd = [
        tuple(texts.get(column, text) for column, text in enumerate(_person(rng, pools, _RECIPIENTS + number)[0], 2))
        for number, texts in enumerate(_ODD)
    ]
    return People(persons, hospitals, odd)
