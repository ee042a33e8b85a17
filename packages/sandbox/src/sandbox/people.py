"""Recipients: several thousand people and a few hospitals, each with more than one spelling of an address."""

from __future__ import annotations

import random
from functools import lru_cache

from sandbox.blocks import Block, Values
from sandbox.columns import load_json

RECIPIENTS = 8192  # two addresses for each person; half of all profiles have several (facts 3.1)

# Of 16,131,856 rows of PY2025: hospitals 35,569, physicians 10,129,623; NPIs missing on 0.04 % of the others.
_HOSPITALS = 0.0022
_PHYSICIANS = 0.628
_NO_NPI = 0.0004


class _Maker:
    """Draws recipients; a row is columns 2-36."""

    def __init__(self, seed: int) -> None:
        self.pools, self._empty = load_json("pools.json"), load_json("empty_shares.json")
        self._rng = random.Random(f"people/{seed}")

    def _sometimes(self, column: str, pool: str) -> str:
        return "" if self._rng.random() < self._empty[column] else str(self._rng.choice(self.pools[pool]))

    def _address(self, city: list[str]) -> Values:
        """Columns 12-19. A zip code is text: it may start with 0, and nearly half have four further digits."""
        rng = self._rng
        name, state, zone = city
        code = f"{zone}{rng.randrange(100):02d}" + (f"-{rng.randrange(1000, 9999)}" if rng.random() < 0.45 else "")
        line = f"{rng.randrange(1, 9900)} {rng.choice(self.pools['streets'])}"
        second = self._sometimes("Recipient_Primary_Business_Street_Address_Line2", "second_lines")
        return (line, second, name, state, code, "United States", "", "")

    def person(self, number: int, **odd: str) -> tuple[Values, Values]:
        """One person at two addresses; `odd` sets columns by number, as `c12`."""
        rng, pools = self._rng, self.pools
        physician = rng.random() < _PHYSICIANS
        group = pools["physicians" if physician else "practitioners"]
        kind = "Covered Recipient " + ("Physician" if physician else "Non-Physician Practitioner")
        city, first = rng.choice(pools["cities"]), rng.choice(pools["first_names"])
        npi = "" if rng.random() < _NO_NPI else str(1_003_000_000 + number * 109_000 + rng.randrange(109_000))
        head = (kind, "", "", "", str(rng.randrange(1_000, 11_800_000)), npi)
        names = (
            self._sometimes("Covered_Recipient_Middle_Name", "middle_names"),
            rng.choice(pools["last_names"]),
            self._sometimes("Covered_Recipient_Name_Suffix", "suffixes"),
        )
        kinds, weights = zip(*group["types"], strict=True)
        licences = [city[1]]
        while (
            len(licences) < 5 and rng.random() > self._empty[f"Covered_Recipient_License_State_code{len(licences) + 1}"]
        ):
            licences.append(rng.choice(pools["cities"])[1])
        none = ("",) * 5
        tail = (rng.choices(kinds, weights)[0], *none, rng.choice(group["specialties"]), *none, *licences, *none)[:17]
        # Spelling drifts between the rows of a person, too.
        spellings = (first, first.title() if rng.random() < 0.2 else first)
        rows = [[*head, spelling, *names, *self._address(city), *tail] for spelling in spellings]
        for place, text in odd.items():
            rows[0][int(place[1:]) - 2] = text
        return tuple(rows[0]), tuple(rows[1])

    def hospital(self, entry: list[str]) -> Values:
        who = ("Covered Recipient Teaching Hospital", *entry, *("",) * 6)
        return (*who, *self._address(self._rng.choice(self.pools["cities"])), *("",) * 17)

    def choose_hospital(self) -> Values:
        return self.hospital(self._rng.choice(self.pools["hospitals"]))


@lru_cache(maxsize=4)
def recipients(seed: int) -> Block:
    """Columns 2-36. Codes below `RECIPIENTS` are drawn evenly.

    Then follow those that are rare but real: a slice of 2,000 rows holds each of them (see generate.py).
    """
    make = _Maker(seed)
    hospitals = [make.choose_hospital() for _ in range(round(_HOSPITALS * RECIPIENTS / 2) * 2)]
    people = [row for number in range((RECIPIENTS - len(hospitals)) // 2) for row in make.person(number)]
    odd: list[dict[str, str]] = [
        {"c7": ""},
        {"c8": "José", "c10": "Muñoz", "c14": "SAN JUAN", "c15": "PR", "c16": "00917"},
        {"c14": "TORONTO", "c15": "", "c16": "", "c17": "Canada", "c18": "Ontario", "c19": "M5G 2C4"},
        {"c12": '45 "A" STREET, SUITE 5', "c13": ""},
        {"c14": "WORCESTER", "c15": "MA", "c16": "01605"},
        {"c21": "Doctor of Dentistry", "c27": "Dental Providers|Dentist"},
        {"c10": "O'Neil-Ångström"},
    ]
    rare = [make.person(RECIPIENTS + number, **columns)[0] for number, columns in enumerate(odd)]
    return Block([*people, *hospitals, make.hospital(make.pools["hospitals"][0]), *rare])
