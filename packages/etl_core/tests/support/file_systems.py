"""Another file system than that of temporary files."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Memory, and the disk of the checkout: temporary files are on either.
PLACES = (Path("/dev/shm"), Path(__file__).resolve().parents[4] / ".cache")


@contextlib.contextmanager
def folder_elsewhere(here: Path) -> Iterator[Path]:
    """A new folder on another file system than ``here``; skips the test on a machine with one file system."""
    others = (one for one in PLACES if one.is_dir() and one.stat().st_dev != here.stat().st_dev)
    place = next(others, None)
    if place is None:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=place, prefix="etl-core-tests-") as folder:
        yield Path(folder)
