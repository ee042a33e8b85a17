"""A real PostgreSQL server for tests: Debian's, on a socket in a folder of its own."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PASSWORD = "open/sesame@17"
# Written into addresses.
QUOTED_PASSWORD = "open%2Fsesame%4017"
SUPERUSER = "postgres"


def programs() -> Path | None:
    """The folder of the newest server's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextlib.contextmanager
def postgresql_server() -> Iterator[str]:
    """The address of a fresh server's database, for its superuser; without a server the test is skipped."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    # It refuses to run as root.
    as_user = ["runuser", "-u", SUPERUSER, "--"] if os.getuid() == 0 else []
    # Short, because it holds the socket, and where another user may go.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as name:
        place, secret = Path(name), Path(name) / "password"
        secret.write_text(PASSWORD)
        if as_user:
            for path in (place, secret):
                shutil.chown(path, SUPERUSER)

        def run(program: str, *words: str) -> None:
            command = [*as_user, str(folder / program), "-D", str(place / "data"), *words]
            subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL, timeout=60)

        run("initdb", "-U", SUPERUSER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-w", "-l", str(place / "log"), "-o", f"-h '' -k {place} -F", "start")
        try:
            yield address(SUPERUSER, QUOTED_PASSWORD, place)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")


def address(user: str, password: str, folder: Path, database: str = "postgres") -> str:
    return f"postgresql://{user}:{password}@/{database}?host={folder}"
