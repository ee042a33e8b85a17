"""The customers: made from the seed, in places that pages are cut from."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from typing import Any

from sandbox.crm.settings import CrmSettings

Record = dict[str, Any]

FIRST = ("Ana", "José", "Li", "Olga", "Sam", "Zoë", "Noor", "Ken")
LAST = ("Silva", "O'Neil", "Müller", "García", "Smith, Jr.", 'de "la" Cruz', "Tanaka", "Back\\slash")
CITIES = (("Austin", "US"), ("Toronto", "CA"), ("Köln", "DE"), ("São Paulo", "BR"), ("Leeds", "GB"), ("Ōsaka", "JP"))
SEGMENTS = ("retail", "business", "public")
WRONG: tuple[Any, ...] = (42, True, ["a", "b"], {"value": "x"}, 1.5)
# Fields that may be odd; never the id, which has settings of its own.
FIELDS = ("first_name", "last_name", "email", "phone", "street", "city", "postal_code", "country", "segment")
PLACES_PER_EMPTY_PAGE = 100


def record_of(number: int, settings: CrmSettings) -> Record:
    """The customer of that number, the same whenever it is asked for."""
    chance = random.Random(f"{settings.seed}/{number}")
    city, country = chance.choice(CITIES)
    made: Record = {
        "id": f"C{number:08d}" if number % 3 else number,  # a legacy of two systems
        "first_name": chance.choice(FIRST),
        "last_name": chance.choice(LAST),
        "email": f"customer{number}@example.com",
        "phone": f"+1 555 {number % 10_000:04d}",
        "street": f"{number % 999 + 1} Main St\nSuite {number % 7}"
        if number % 11 == 0
        else f"{number % 999 + 1} Main St",
        "city": city,
        "postal_code": f"{number % 100_000:05d}",
        "country": country,
        "segment": chance.choice(SEGMENTS),
        "balance": chance.randrange(-100_000, 1_000_000) / 100,
        "newsletter": chance.random() < 0.5,
        "signup_date": f"20{chance.randrange(10, 26)}-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}",
    }
    if chance.random() < settings.missing_fields:
        del made[chance.choice(FIELDS)]
    if chance.random() < settings.null_fields:
        made[chance.choice(FIELDS)] = None
    if chance.random() < settings.wrong_types:
        made[chance.choice(FIELDS)] = chance.choice(WRONG)
    if chance.random() < settings.extra_fields:
        made["loyalty"] = {"points": chance.randrange(1000)}
    if chance.random() < settings.missing_ids:
        made |= {"id": None}
        if chance.random() < 0.5:
            del made["id"]
    return made


class World:
    """The places, each with the number of a customer or free."""

    def __init__(self, settings: CrmSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        chance = random.Random(f"places/{settings.seed}")
        self._places: list[int | None] = []
        self._next = 1
        while self._next <= settings.customers:
            page = len(self._places) // PLACES_PER_EMPTY_PAGE + 1
            if page in settings.empty_pages or chance.random() < settings.free_places:
                self._places.append(None)
            else:
                self._places.append(self._next)
                self._next += 1
        self._taken = settings.customers

    @property
    def total(self) -> int:
        """How many customers there are."""
        return self._taken

    @property
    def places(self) -> int:
        """How many places there are."""
        return len(self._places)

    def rows(self, start: int, stop: int) -> list[Record]:
        """The customers of some places."""
        with self._lock:
            numbers = [one for one in self._places[max(start, 0) : stop] if one is not None]
        return [record_of(number, self._settings) for number in numbers]

    def insert(self) -> None:
        """Somebody new, in the first place: everybody else moves on."""
        with self._lock:
            self._places.insert(0, self._next)
            self._next += 1
            self._taken += 1

    def delete(self) -> None:
        """The customer in the first place that is taken is gone: everybody else moves up."""
        with self._lock:
            first = next((one for one in self._places if one is not None), None)
            if first is not None:
                self._places.remove(first)
                self._taken -= 1

    def truth(self, *, records: bool = False) -> dict[str, Any]:
        """What a complete list of customers holds now, with the records themselves if asked for."""
        rows = self.rows(0, self.places)
        ids = sorted(str(row["id"]) for row in rows if row.get("id") not in (None, ""))
        digests = (hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest() for row in rows)
        return {
            "total": len(rows),
            "without_id": len(rows) - len(ids),
            "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
            "content_hash": f"{sum(map(int.from_bytes, digests)) % (1 << 256):064x}",
            **({"records": rows} if records else {}),
        }
