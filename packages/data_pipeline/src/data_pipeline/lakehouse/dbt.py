"""dbt, in a process of its own: a project is built into one DuckDB file, and its tests are run.

The process gets no environment but a home in the work folder: no credentials, and no variable of dbt that would change
what it does. It reads the database ``lake`` and writes to the work folder only.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse.parsed import kept
from data_pipeline.settings import extras
from etl_core.errors import AccessError, ConfigError, DataError
from etl_core.printable import printable
from etl_core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from data_pipeline.lakehouse.database import Limits
    from etl_core.private_folder import PrivateFolder

# Names in the work folder: of the database that is read, of the one that is made, and of what does not fit in memory.
LAKE, FILE, SPILL = "lake.duckdb", "marts.duckdb", "spill"
# dbt's own name of what it read.
PARSED = "partial_parse.msgpack"
# A line for each model and test that was begun: its number, how many there are, its name.
BEGUN = "begun"
POLL_SECONDS = 0.2
# A stop has the grace of the job; dbt ends its queries in less.
END_SECONDS = 10
# Exit statuses: all models and tests passed or warned; some failed. Any other is a mistake in the project.
DONE, FAILED = 0, 1
BAD = ("error", "fail", "runtime error")
MOST_NAMED = 5
# With -P: the current folder is no place for modules. dbt makes many objects that stay: to look through them for
# garbage as often as Python usually does takes a tenth of its time. It says of each model and test that it begins.
RUN = f"""
import gc
gc.set_threshold(50_000, 20, 100)
from dbt.cli.main import cli

def on_event(event):
    if event.info.name == "LogStartLine":
        print(event.data.index, event.data.total, event.data.node_info.node_name, file=begun, flush=True)

with open("{BEGUN}", "w") as begun:
    cli(obj={{"callbacks": [on_event]}})
"""
VERSIONS = """
import json
from importlib.metadata import version
print(json.dumps({name: version(name) for name in ("dbt-core", "dbt-duckdb", "duckdb")}))
"""


@dataclass(frozen=True)
class Project:
    """A dbt project: its folder, which nothing is written to, and the name of its profile."""

    folder: Path
    profile: str

    def digest(self) -> str:
        """SHA-256 over the names and bytes of its files."""
        whole = hashlib.sha256()
        for path in sorted(one for one in self.folder.rglob("*") if one.suffix in {".sql", ".yml", ".md"}):
            whole.update(f"{path.relative_to(self.folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
        return whole.hexdigest()


@dataclass(frozen=True)
class Built:
    """The database that a project became; what its tests said."""

    database: Path
    tests: int
    warnings: tuple[str, ...]


def profile(project: Project, limits: Limits) -> dict[str, Any]:
    """How dbt opens the new database, and ``lake`` beside it. Paths begin at its home, the work folder: dbt renders a
    profile as a template, and a folder may have any name; and the same profile is one for which it read the project.
    """
    output = {
        "type": "duckdb",
        "path": f"~/{FILE}",
        "schema": "main",
        # One model at a time, on all workers: memory is divided among the threads of one query only.
        "threads": 1,
        # Given once, when the database is opened. What is under "settings" is set again for each model and test, which
        # DuckDB refuses for temp_directory as soon as it holds anything.
        "config_options": {
            "threads": limits.workers,
            "memory_limit": f"{limits.memory_mb}MB",
            "temp_directory": f"~/{SPILL}",
            # Tables without an ORDER BY have none. Keeping the order of the files costs a fifth more.
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
        "attach": [{"path": f"~/{LAKE}", "alias": "lake", "read_only": True}],
    }
    return {project.profile: {"target": "file", "outputs": {"file": output}}}


def variables(folder: Path) -> dict[str, str]:
    """The whole environment of dbt."""
    return {"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C.UTF-8", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class Dbt:
    """Builds a project within limits; what dbt read of it is kept in ``parsed``."""

    project: Project
    python: str
    limits: Limits
    check_stop: Callable[[], None]
    parsed: PrivateFolder | None = None
    progress: Progress = field(default_factory=Progress)

    def digest(self) -> str:
        """Of what is built; another one may give another database from the same tables."""
        return self.project.digest()

    def versions(self) -> dict[str, str]:
        """Of dbt, its adapter and its DuckDB; raises ``ConfigError`` if ``python`` does not have them."""
        return versions_in(self.python)

    def build(self, folder: Path, *, leave_out: str = "unit_test") -> Built:
        """Build all models in their order, each followed by its tests, from the database ``LAKE`` in ``folder``.

        Raises:
            DataError: a model or a test failed. AccessError: memory or disk does not suffice.
            StoppedError: ``check_stop`` raised it; dbt was ended.

        """
        (folder / "profiles.yml").write_text(json.dumps(profile(self.project, self.limits)), encoding="utf-8")
        words = [
            "build", "--project-dir", str(self.project.folder), "--profiles-dir", str(folder),
            "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
            "--exclude-resource-type", leave_out, "--no-use-colors", "--no-version-check", "--quiet",
            "--log-level-file", "none",
        ]  # fmt: skip
        command = [self.python, "-P", "-c", RUN, *words]
        watched = _Watched(folder / BEGUN, self.progress, self.check_stop)
        with (
            kept(self.parsed, f"{self.project.profile}.msgpack", folder / "target" / PARSED),
            self.progress.showing("marts: dbt reads the models"),
        ):
            status = _run(command, folder, variables(folder), watched.look)
        self.check_stop()  # a terminal interrupts dbt, too, which then ends as if it had failed
        results = results_in(folder / "target" / "run_results.json")
        if status != DONE:
            raise failure(status, results, (folder / "output").read_text(encoding="utf-8", errors="replace"))
        tests = [one for one in results if one["unique_id"].startswith(("test.", "unit_test."))]
        return Built(folder / FILE, len(tests), tuple(sorted(_name(one) for one in tests if one["status"] == "warn")))


def interpreter(given: str) -> str:
    """The Python that runs dbt: the given one, else one in an environment ``dbt`` inside ours, else our own."""
    own = Path(sys.prefix) / "dbt" / "bin" / "python"
    return given or str(own if own.exists() else sys.executable)


@functools.cache
def versions_in(python: str) -> dict[str, str]:
    """Of what runs a project, in the environment of that Python; raises ``ConfigError`` if it does not have it."""
    try:
        ended = subprocess.run([python, "-P", "-c", VERSIONS], env={}, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"{python} has no dbt with the adapter for DuckDB.",
            advice=f"{extras.advice('dbt')} Or name a Python that has them in DBT_PYTHON.",
        ) from error
    found: dict[str, str] = json.loads(ended.stdout)
    return found


@dataclass
class _Watched:
    """A build whose progress is shown: dbt begins one model or test at a time."""

    path: Path
    progress: Progress
    check_stop: Callable[[], None]
    begun: int = 0

    def look(self) -> None:
        self.check_stop()
        said = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        whole = said.split("\n")[:-1]  # the last line may be written at this moment
        if whole:
            number, total, name = whole[-1].split(" ", 2)
            if not self.begun:
                self.progress.start("marts", units=int(total), rows=0, unit_name="models and tests")
            self.progress.describe(f"marts: {name}")
            self.progress.advance(units=int(number) - max(self.begun, 1))
            self.begun = int(number)


def _run(command: list[str], folder: Path, environment: Mapping[str, str], look: Callable[[], None]) -> int:
    """The exit status of dbt; it ends with this function, whatever happens. ``look`` is called now and then."""
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            while True:
                look()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(POLL_SECONDS)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def results_in(path: Path) -> list[dict[str, Any]]:
    """What dbt says of each model and test; nothing if it did not come so far."""
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())["results"]
    except FileNotFoundError:
        return []
    return found


def failure(status: int, results: Sequence[Mapping[str, Any]], output: str) -> Exception:
    """What the end of dbt means: an error of the data or the machine, else a mistake of ours."""
    bad = [one for one in results if one["status"] in BAD]
    said = " ".join(str(one.get("message")) for one in bad)
    if "Out of Memory" in said:
        return AccessError(
            f"dbt needs more memory than it may use: {printable(said)[:300]}.", advice="Raise LAKEHOUSE_MEMORY_MB."
        )
    if "No space left" in said or "IO Error" in said:
        return AccessError(f"dbt cannot write: {printable(said)[:300]}.", advice="Free some space.")
    if status == FAILED and bad:
        return DataError(
            f"the marts do not hold: {'; '.join(_lines(bad))}.",
            advice="Nothing was published. The tests are in packages/analytics.",
        )
    return RuntimeError(f"dbt ended with {status}: {printable(output[-2000:])}")


def _lines(bad: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    counts: Mapping[str, int] = Counter(one["status"] for one in bad)
    yield ", ".join(f"{count} {status}" for status, count in counts.items())
    for one in bad[:MOST_NAMED]:
        yield f"{_name(one)}: {printable(str(one.get('message')))[:500]}"


def _name(result: Mapping[str, Any]) -> str:
    return str(result["unique_id"].split(".")[2])
