"""What dbt read of a project, kept for the next build on this machine.

Reading takes 6 of the 17 seconds that dbt needs for a small lake. dbt itself checks whether what it finds fits its
version and each file of the project, and reads the project again if it does not.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from etl_core.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from etl_core.private_folder import PrivateFolder

# Of this project: 1 MB.
LARGEST_BYTES = 16_000_000


@contextlib.contextmanager
def kept(folder: PrivateFolder | None, name: str, path: Path) -> Iterator[None]:
    """``path`` begins as the kept file of that name, if there is one; what it is at the end is kept."""
    given = folder.read(name, limit=LARGEST_BYTES) if folder else None
    path.parent.mkdir(parents=True, exist_ok=True)
    if given:
        path.write_bytes(given)
    try:
        yield
    finally:
        made = path.read_bytes() if path.exists() else None
        if folder and made and made != given:
            with contextlib.suppress(PermanentError), folder.locked("lock"):
                folder.replace(name, made)
