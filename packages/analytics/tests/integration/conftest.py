import fcntl
import os
import pickle
from pathlib import Path

import pytest

from analytics import PROFILE, PROJECT
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.dbt import LAKE, Built, Dbt, Project, interpreter
from etl_core.private_folder import PrivateFolder
from packages.analytics.tests.integration.lake import Year, describe
from packages.analytics.tests.integration.traps import SAID_BY_CMS, YEARS


def built(folder: Path, *years: Year, known: Path, leave_out: str = "seed") -> Built:
    """The whole project on a lake of these years, with the unit tests of its models; what is in ``known`` is not
    parsed again.
    """
    parsed = PrivateFolder(known, "parsed")
    dbt = Dbt(Project(PROJECT, PROFILE), interpreter(""), Limits(memory_mb=1000, workers=1), lambda: None, parsed)
    describe(folder / LAKE, years, SAID_BY_CMS)
    return dbt.build(folder, leave_out=leave_out)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Of the records that show the traps, once for all workers of pytest, which only read it.

    Beside the database are profile and artifacts of dbt.
    """
    own = tmp_path_factory.getbasetemp()
    place = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (place / "marts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = place / "marts.pickle"
        if not known.exists():
            folder = place / "marts"
            folder.mkdir()
            known.write_bytes(pickle.dumps(built(folder, *YEARS, known=place)))
        found: Built = pickle.loads(known.read_bytes())
        return found
