"""Whatever mix of faults the CRM has, a run ends in the truth or in a named refusal."""

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.customers import run
from data_pipeline.settings import Settings
from data_pipeline.wiring import Services
from etl_core import logs
from etl_core.errors import DataError, UnavailableError
from etl_core.testing import MemoryStore
from sandbox.crm import Crm, CrmSettings
from sandbox.crm.server import STAGES
from tests.end_to_end.customers import as_rows, truth_of

# Those that end a run at once are tested for themselves, and a silence takes its time.
FAULTS = sorted(STAGES.keys() - {"http_401", "http_403", "silence", "redirect"})
MOVING = {"inserted", "deleted"}


def a_world(chance: random.Random) -> CrmSettings:
    return CrmSettings(
        customers=chance.choice((0, 1, 30, 90)),
        seed=chance.randrange(1000),
        free_places=chance.choice((0.0, 0.2, 0.6)),
        largest_page=chance.choice((7, 1000)),
        missing_ids=chance.choice((0.0, 0.1)),
        states_total=chance.random() < 0.8,
        states_pages=chance.random() < 0.8,
    )


def harm(crm: Crm, chance: random.Random) -> list[str]:
    """Some faults, some of them for good."""
    names = chance.sample(FAULTS, chance.randrange(4))
    for name in names:
        often: dict[str, Any] = (
            {"probability": chance.choice((0.02, 0.1, 0.4, 0.9))}
            if chance.random() < 0.7
            else {"count": chance.randrange(1, 4)}
        )
        often |= {"params": {"retry_after": 0}} if name == "http_429" else {}  # else each pause is twice as long
        # A world that never rests has no truth to compare with.
        crm.fault(name, **({"count": 1, "after": chance.randrange(9)} if name in MOVING else often))
    return names


@pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 360), marks=pytest.mark.long)], ids=["some", "many"]
)
def test_every_mix_of_faults_ends_in_the_truth_or_in_a_refusal(seeds, tmp_path):
    ends = {"completed": 0, "partial": 0, "refused": 0}
    for seed in seeds:
        chance = random.Random(seed)
        with Crm(a_world(chance)) as crm:
            names = harm(crm, chance)
            end = ingest(crm, tmp_path)
            ends[end] += 1
            assert end != "refused" or names, seed
    assert min(ends.values()) > 0, f"a sweep that does not meet every end shows little: {ends}"


@logs.silent_unless_configured()
def ingest(crm: Crm, folder: Path) -> str:
    """How a run ended, after its result was compared with the truth."""
    settings = Settings.from_mapping(
        {
            "API_BASE_URL": crm.url, "API_TOKEN": crm.token, "RECORDS_PER_PAGE": 10, "MAX_RETRIES": 3,
            "API_FIRST_WAIT_SECONDS": 0.0, "XDG_CACHE_HOME": str(folder),
        }
    )  # fmt: skip
    store = MemoryStore()
    with Services(settings) as services:
        services.store = store
        try:
            manifest = run.ingest(services.crm).manifest
        except (UnavailableError, DataError):
            return "refused"
    rows = store.get(manifest.extract.key)
    assert rows is not None
    found = as_rows(rows_of(rows))
    if manifest.status == "completed":
        assert found == truth_of(crm)
        assert manifest.rows == crm.truth()["total"]
    else:
        assert manifest.note
        assert manifest.status == "partial"
    return manifest.status


def rows_of(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode(), newline="")))
