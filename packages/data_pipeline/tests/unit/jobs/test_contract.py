"""Every registered job, whoever wrote it, keeps the contract (S4.2, S4.8)."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data_pipeline.cli import exit_code_of
from data_pipeline.registry import Registry

NAMES = Registry().names()

# What importing a module must leave alone, looked at from inside.
LOOK = """
import importlib, json, os, signal, sys, threading
from pathlib import Path

import data_pipeline.jobs

def look():
    return {
        "threads": threading.active_count(),
        "environment": dict(os.environ),
        "files": sorted(str(path) for path in Path().rglob("*")),
        "folder": os.getcwd(),
        "descriptors": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "path": list(sys.path),
    }

seen = {}
for name in sys.argv[1:]:
    before, known = look(), set(sys.modules)
    importlib.import_module(f"data_pipeline.jobs.{name}")
    heavy = {"boto3", "requests", "kubernetes", "pydantic", "structlog"} & (set(sys.modules) - known)
    seen[name] = {"before": before, "after": look(), "heavy": sorted(heavy)}
print(json.dumps(seen))
"""


def ran(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = exit_code_of(["run", *words])
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the import of each job was seen to do, one after the other in one process."""
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, *NAMES],
        cwd=tmp_path_factory.mktemp("imported"),
        env={key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr, len(ended.stdout.splitlines())) == (0, "", 1)
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_every_job_keeps_the_contract(name: str, imported: dict[str, Any]) -> None:
    job = Registry().load(name)
    assert (job.entrypoint, job.description) == job.module.JOB
    assert callable(job.entrypoint)
    assert job.description == job.description.strip()
    assert 0 < len(job.description.splitlines()) == 1

    for words in ((name, "--", "--help"), (name, "--help"), (name, "-h")):
        status, out, err = ran(*words)
        assert (status, err) == (0, ""), words
        assert "Reads" in out, f"write in the docstring of jobs/{name}.py what it Reads"
        assert "Writes" in out, f"write in the docstring of jobs/{name}.py what it Writes"

    status, out, err = ran(name, "--", "--no-such-option")
    assert (status, out) == (2, "")
    assert f"data-pipeline run {name} --" in err, "its errors show the command line that can be corrected"

    seen = imported[name]
    assert seen["after"] == seen["before"], "importing it has no effect on the world"
    assert seen["heavy"] == [], "what is heavy is imported where it is used"


@pytest.mark.parametrize("name", NAMES)
def test_every_job_has_a_test_file(name: str) -> None:
    path = Path(__file__).with_name(f"test_{name}.py")
    assert path.exists(), f"write {path}: what the job does, with injected collaborators"
    assert name in path.read_text(encoding="utf-8"), f"{path} does not name the job"


def test_the_jobs_of_the_card_are_there() -> None:
    """C1."""
    assert {"resolve_ids", "build_totals", "download_company", "upload_raw", "write_manifest"} <= set(NAMES)
