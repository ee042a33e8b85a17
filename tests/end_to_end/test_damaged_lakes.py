"""Whatever a lake holds, a job ends with a documented exit code and never with a traceback: all documents, all damage.

The jobs run in this process, on a copy of one small lake for each case.
"""

import contextlib
import io
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_pipeline.cli import exit_code_of
from etl_core.errors import DONE, PERMANENT, TEMPORARY
from tests.end_to_end.conftest import World

SMALL = {"company_rows": {"100000000053": 5, "100000000054": 3, "100000000062": 2}, "first_companies": None}
ONE, OTHER = "100000000053", "100000000054"
DOCUMENTED = {DONE.code, PERMANENT.code, TEMPORARY.code}

# Which file of the lake: the first that fits.
DOCUMENTS = {
    "plan": "metadata/runs/run_id=one/plan.json",
    "manifest": "metadata/runs/run_id=one/manifest.json",
    "list of audits": "metadata/runs/run_id=one/file_audits.jsonl",
    "report": "metadata/runs/run_id=one/download_report_*.csv",
    "plan of an open run": "metadata/runs/run_id=two/plan.json",
    "attempt": "metadata/runs/run_id=two/failures/*/*.json",
    "audit of a part": f"metadata/audits/**/company_id={ONE}/part-*.json",
    "proof of a slice": f"metadata/audits/**/company_id={ONE}/slice.jsonl",
    "part": f"raw/**/company_id={ONE}/part-*.csv",
    "schema": "metadata/schemas/**/schema.json",
    "totals": "metadata/totals/**/*.json",
    "cache of ids": "metadata/dataset_ids_cache.json",
    "pointer": "metadata/commits/**/all/*",
}
DOCUMENTS_OF_TABLES = {
    "contract": "metadata/contracts/*.json",
    "document of a staged part": f"metadata/staging/**/company_id={ONE}/part-*.json",
    "staged part": f"staging/[!q]*/**/company_id={ONE}/part-*.parquet",
    "manifest of a build": "metadata/curated/**/*.json",
    "file of a build": "curated/**/companies-*.parquet",
}
ELSEWHERE = {b"run_id=one": b"run_id=two", b'"one"': b'"two"', ONE.encode(): OTHER.encode()}


def of_another_place(body: bytes) -> bytes:
    for mine, theirs in ELSEWHERE.items():
        body = body.replace(mine, theirs)
    return body


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _body: b"",
    "truncated": lambda body: body[: len(body) // 2],
    "not UTF-8": lambda _body: b"\xff\xfe{}\n",
    "null": lambda _body: b"null\n",
    "a list": lambda _body: b"[]\n",
    "deeply nested": lambda _body: b"[" * 100_000,
    "a number of 5,000 digits": lambda body: re.sub(rb"([:,])\d+", rb"\g<1>" + b"9" * 5_000, body, count=3),
    "a time without zone": lambda body: re.sub(rb"(T\d\d:\d\d:\d\d[.\d]*)(?:Z|\+00:00)", rb"\1", body),
    "another version": lambda body: re.sub(rb'"schema_version": ?1', b'"schema_version":2', body),
    "another type": lambda body: re.sub(rb": ?(\d+|null|true)", b':{"a":[]}', body),
    "of another place": of_another_place,
    "control characters": lambda body: body.replace(b'"', b'"\\u001b[2J', 20),
}
IN_ITS_PLACE: dict[str, Callable[[Path], None]] = {
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
}
JOBS = {
    "status": ("status",),
    "status of one": ("status", "--run-id", "one"),
    "runs": ("runs",),
    "verify": ("verify", "--run-id", "one"),
    "gc": ("gc", "--older-than-hours", "0"),
    "upload": ("upload_raw", "--run-id", "one", "--to", "../copy"),
    "commit": ("write_manifest", "--run-id", "one"),
    "commit of the open run": ("write_manifest", "--run-id", "two"),
    "the year": ("run_pipeline", "--year", "2024"),
    "one company": ("run_pipeline", "--year", "2024", "--company-id", ONE),
    "a run by its name": ("run_pipeline", "--year", "2024", "--run-id", "one"),
    "download": ("download_company", "--year", "2024", "--company-id", ONE),
    "rerun": ("rerun", "--run-id", "two", "--missing"),
    "diff": ("diff_releases", "--year", "2024"),
    "totals": ("build_totals", "--year", "2024"),
    "ids": ("resolve_ids", "--year", "2024"),
}
JOBS_OF_TABLES = {
    "stage": ("stage", "--run-id", "one"),
    "build": ("build_curated", "--run-id", "one"),
    "tables": ("query", "--tables"),
    "query": ("query", "SELECT company_name, count(*) FROM companies, general_payments GROUP BY ALL"),
    "trace": ("trace", "1"),
    "quarantine": ("quarantine", "--year", "2024"),
    "export": ("export", "--table", "companies", "--year", "2024", "--to", "../out"),
    "gc of tables": ("gc", "--keep", "1", "--older-than-hours", "0"),
    "upload with the build": ("upload_raw", "--run-id", "one", "--with-build", "--to", "../copy"),
}


@pytest.fixture(scope="module")
def environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def whole(world: World, environment: None) -> Path:
    """A lake with a committed run, and an open one of which a company failed."""
    del environment
    os.environ.update(world.environment)
    assert world.pipeline("--run-id", "one").status == 0
    from data_pipeline.open_payments.ledger.documents import Attempt, Plan

    plan = Plan.parse((world.lake / DOCUMENTS["plan"]).read_bytes(), "plan")
    two = plan.model_copy(update={"run_id": "two", "selection": plan.selection.model_copy(update={"max_files": 2})})
    attempt = Attempt.of_slice(
        "two", plan.release, ONE, reason="rows_missing", detail="", temporary=True, at=plan.created_at
    )
    folder = world.lake / "metadata/runs/run_id=two"
    (folder / "failures" / f"company_id={ONE}").mkdir(parents=True)
    (folder / "plan.json").write_bytes(two.to_bytes())
    (folder / "failures" / f"company_id={ONE}" / "attempt-0.json").write_bytes(attempt.to_bytes())
    return world.lake


def damaged(whole: Path, document: str, damage: str) -> Path | None:
    """A copy of the lake with one file damaged; None where the damage changes nothing."""
    lake = whole.parent / "damaged" / "lake"
    shutil.rmtree(lake.parent, ignore_errors=True)
    shutil.copytree(whole, lake)
    path = next(iter(sorted(lake.glob((DOCUMENTS | DOCUMENTS_OF_TABLES)[document]))))
    body = path.read_bytes()
    if damage in IN_ITS_PLACE:
        path.unlink()
        IN_ITS_PLACE[damage](path)
        return lake
    path.write_bytes(DAMAGE[damage](body))
    return None if path.read_bytes() == body else lake


def ends(lake: Path, job: str) -> tuple[int, str]:
    """How a job ended, and what it said."""
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    name, *words = (JOBS | JOBS_OF_TABLES)[job]
    with contextlib.chdir(lake), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = exit_code_of(["run", name, "--", *words, "--lake", str(lake)])
    return status, err.getvalue()


def check(whole: Path, cases: list[tuple[str, str, str]]) -> None:
    wrong = []
    for document, damage, job in cases:
        lake = damaged(whole, document, damage)
        if lake is None:
            continue
        status, said = ends(lake, job)
        if status not in DOCUMENTED or "Traceback" in said:
            wrong.append((document, damage, job, status, said[-600:]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_a_job_that_meets_damage_ends_with_a_documented_exit_code(whole):
    turns = itertools.cycle(JOBS)
    check(whole, [(document, damage, next(turns)) for document in DOCUMENTS for damage in ("deeply nested", "a list")])


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_job_ends_with_a_documented_exit_code_whatever_the_damage(whole, document):
    check(whole, [(document, damage, job) for damage in (*DAMAGE, *IN_ITS_PLACE) for job in JOBS])


@pytest.fixture
def with_tables(whole: Path) -> Path:
    """The same lake with a build."""
    for job in ("stage", "build"):
        assert ends(whole, job)[0] == 0
    return whole


@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_a_job_of_tables_that_meets_damage_ends_with_a_documented_exit_code(with_tables):
    for job in JOBS_OF_TABLES:
        assert ends(with_tables, job)[0] == (3 if job == "trace" else 0), "undamaged"
    turns = itertools.cycle(JOBS_OF_TABLES)
    cases = itertools.product(DOCUMENTS_OF_TABLES, ("truncated", "another type"))
    check(with_tables, [(document, damage, next(turns)) for document, damage in cases])


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
@pytest.mark.parametrize("document", DOCUMENTS_OF_TABLES)
def test_every_job_of_tables_ends_with_a_documented_exit_code_whatever_the_damage(with_tables, document):
    check(with_tables, [(document, damage, job) for damage in (*DAMAGE, *IN_ITS_PLACE) for job in JOBS_OF_TABLES])


@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
@pytest.mark.parametrize("document", ["plan of an open run", "attempt", "pointer"])
def test_damage_of_another_run_stops_nobody(whole, document):
    for damage in ("truncated", "a link to a device"):
        lake = damaged(whole, document, damage)
        if lake is None:  # a pointer is empty
            continue
        for job in ("one company", "the year", "verify", "gc", "status"):
            status, said = ends(lake, job)
            assert (document, damage, job, status) == (document, damage, job, 0), said[-600:]


@pytest.mark.parametrize("world", [SMALL], indirect=True, ids=["three companies"])
def test_junk_where_parts_and_proofs_belong_stops_nobody_and_verify_names_it(whole):
    """Nothing is overwritten: what belongs there stands beside it, as the next generation."""
    part, linked, folder, proof = (
        next(iter(sorted(whole.glob(f"{pattern}/{name}"))))
        for pattern, name in [
            (f"raw/*/*/*/company_id={ONE}", "part-1-of-1.csv"),
            (f"raw/*/*/*/company_id={OTHER}", "part-1-of-1.csv"),
            ("raw/*/*/*/company_id=*62", "part-1-of-1.csv"),
            (f"metadata/audits/*/*/*/company_id={ONE}", "slice.jsonl"),
        ]
    )
    shutil.rmtree(whole / "metadata/runs")
    shutil.rmtree(whole / "metadata/selections")
    shutil.rmtree(whole / "metadata/commits")
    for path in (part, linked, folder):
        for audit in (whole / "metadata/audits" / path.parent.relative_to(whole / "raw")).iterdir():
            audit.unlink()
        path.unlink()
    part.write_bytes(b"<html>")
    linked.symlink_to("/dev/zero")
    folder.mkdir()
    (folder / "part-0.csv").write_bytes(b"")
    proof.write_bytes(b"")

    assert ends(whole, "a run by its name")[0] == 0

    status, said = ends(whole, "verify")
    assert status == 3, said
    for junk in (part, linked, folder, proof):
        assert str(junk.relative_to(whole)) in said
    assert (part.read_bytes(), proof.read_bytes(), linked.is_symlink()) == (b"<html>", b"", True)
    shutil.rmtree(folder)
    for junk in (part, linked, proof):
        junk.unlink()
    status, said = ends(whole, "verify")
    assert status == 0, said
