"""Every way to tamper with a committed run is found and named; a clean one, on either kind of lake, is not accused."""

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from etl_core.csv_stream.layout import Layout
from etl_core.csv_stream.reader import RecordError, RecordReader
from tests.end_to_end.s3 import SETTINGS, Bucket, s3_server

RUN = ("--run-id", "r1")


@pytest.fixture
def on_directory(world):
    return world


@pytest.fixture
def on_s3(world):
    with s3_server() as url:
        bucket = Bucket(url, "lake-of-verify")
        place = {"LAKE_URL": f"s3://{bucket.name}/here", "AWS_ENDPOINT_URL": url}
        yield replace(world, environment={**world.environment, **SETTINGS, **place})
        bucket.close()


def verify(world, *words):
    """Status, and what was found under which key."""
    ended = world.run("verify", "--", *RUN, *words)
    found = {(one["finding"], one["key"]) for one in ended.fact.get("findings", ())}
    assert len(ended.fact["findings"]) == len(found)
    return ended.status, found


def key_of(world, path):
    return path.relative_to(world.lake).as_posix()


def folders(world, kind):
    """Of the slices, in the order of their companies."""
    return sorted((world.lake / kind).glob("dataset=*/year=*/release=*/company_id=*"))


def flip(path: Path, at: int):
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)


def rewrite(path: Path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def summary_of(world, body: bytes):
    schema = json.loads(next(world.lake.glob("metadata/schemas/**/schema.json")).read_text())
    titles = tuple(column["title"] for column in schema["columns"])
    volatile = frozenset({"Change_Type", "Payment_Publication_Date"})
    reader = RecordReader(Layout(header=titles, key="Record_ID", volatile=volatile))
    reader.feed(body)
    return reader.finish()


def drop_a_record(world, folder, *, list_too: bool):
    """Take the last record out of a part, and let audit and slice.json vouch for it; with ``list_too`` all the rest."""
    part = next(folder.glob("*.csv"))
    lines = part.read_bytes().splitlines(keepends=True)
    records = summary_of(world, b"".join(lines)).records
    summary = None
    while summary is None or summary.records == records:
        lines.pop()
        with contextlib.suppress(RecordError):  # a record of several lines
            summary = summary_of(world, b"".join(lines))
    part.write_bytes(b"".join(lines))
    audits = world.lake / "metadata/audits" / folder.relative_to(world.lake / "raw")
    audit = json.loads((audits / "part-1-of-1.json").read_text())
    numbers = {"records": summary.records, "bytes": summary.bytes, "content_hash": summary.content_hash}
    numbers |= {"count_before": summary.records, "count_after": summary.records}
    audit |= numbers | {"sha256": summary.sha256}
    (audits / "part-1-of-1.json").write_text(json.dumps(audit))
    rewrite(audits / "slice.json", lambda one: one.update(numbers | {"parts": [audit]}))
    if list_too:
        run = world.lake / "metadata/runs/run_id=r1"
        (run / "manifest.json").unlink()
        world.source.switch(grouped_counts=False)  # else the end of the run finds that this payer is short
        committed = world.run("write_manifest", "--", *RUN, SOURCE_ATTEMPTS="1")
        assert committed.status == 4, "the year is not closed any more"
        world.source.switch(grouped_counts=True)


@pytest.mark.parametrize("kind", ["on_directory", "on_s3"])
def test_verify_finds_nothing_in_a_clean_run(kind, request):
    world = request.getfixturevalue(kind)
    assert world.pipeline(*RUN).status == 0
    ended = world.run("verify", "--", *RUN, "--against-source")
    truth = world.source.truth(2024)
    assert (ended.status, ended.fact["status"], ended.fact["findings"]) == (0, "verified", []), ended.stderr
    assert (ended.fact["slices"], ended.fact["parts"], ended.fact["rows"]) == (12, 12, truth["rows"])
    assert ended.fact["requests"] == 2
    assert world.run("verify", "--", *RUN).fact["requests"] == 0
    assert world.run("status", "--", *RUN).fact["status"] == "completed"
    assert world.run("gc", "--", "--older-than-hours", "0").fact["objects"] == 0


def test_verify_finds_and_names_each_way_to_tamper_with_the_lake(world):
    """One run, tampered with and mended again."""
    assert world.pipeline(*RUN).status == 0
    clean = world.lake.parent / "clean"
    shutil.copytree(world.lake, clean)
    (one, two, *_), (one_audits, two_audits, *_) = folders(world, "raw"), folders(world, "metadata/audits")
    part, audit, closed = one / "part-1-of-1.csv", one_audits / "part-1-of-1.json", one_audits / "slice.json"
    run = world.lake / "metadata/runs/run_id=r1"
    letter = part.read_bytes().index(b"United States") + 3

    def swap():
        aside = world.lake.parent / "aside"
        for left, right in ((one, two), (one_audits, two_audits)):
            left.rename(aside)
            right.rename(left)
            aside.rename(right)

    def edit_with_file():
        drop_a_record(world, one, list_too=False)

    def a_manifest_of_before():
        rewrite(run / "manifest.json", lambda one: one.update(created_at="2025-01-01T00:00:00Z"))

    def copy_part():
        shutil.copy(part, one / "part-2-of-2.csv")

    def copy_audit():
        shutil.copy(audit, one_audits / "part-2-of-2.json")

    for tamper, finding, path in [
        (lambda: flip(part, letter), "changed", part),
        (lambda: flip(part, 5), "header", part),
        (lambda: part.write_bytes(part.read_bytes()[:-1]), "truncated", part),
        (part.unlink, "missing", part),
        (audit.unlink, "missing", audit),
        (closed.unlink, "missing", closed),
        (copy_part, "extra", one / "part-2-of-2.csv"),
        (copy_audit, "extra", one_audits / "part-2-of-2.json"),
        (swap, "misplaced", closed),
        (swap, "misplaced", two_audits / "part-1-of-1.json"),
        (swap, "foreign", part),
        (lambda: rewrite(audit, lambda one: one.update(sha256="0" * 64)), "audits_disagree", audit),
        (edit_with_file, "audits_disagree", closed),
        (lambda: flip(run / "file_audits.jsonl", 200), "digest_differs", run / "file_audits.jsonl"),
        (a_manifest_of_before, "manifest_differs", run / "manifest.json"),
        (lambda: (run / "manifest.json").write_text("{"), "unreadable", run / "manifest.json"),
        (lambda: flip(run / "download_report_2024.csv", 200), "report_differs", run / "download_report_2024.csv"),
    ]:
        tamper()
        status, found = verify(world)
        assert status == 3, finding
        assert (finding, key_of(world, path)) in found, finding
        shutil.rmtree(world.lake)
        shutil.copytree(clean, world.lake)
    assert verify(world) == (0, set())


def test_consistent_edits_are_found_only_against_the_source(world):
    assert world.pipeline(*RUN).status == 0
    drop_a_record(world, folders(world, "raw")[0], list_too=True)

    assert verify(world) == (0, set())
    status, found = verify(world, "--against-source")
    closed = folders(world, "metadata/audits")[0] / "slice.json"
    assert (status, found) == (3, {("slice_count_differs", key_of(world, closed))})


def test_a_restored_manifest_of_an_older_release_is_found_only_against_the_source(world):
    assert world.pipeline(*RUN).status == 0
    old = world.lake.parent / "old"
    shutil.copytree(world.lake / "metadata/runs/run_id=r1", old)
    world.source.republish(2024, added=20)
    shutil.rmtree(world.lake / "metadata/runs/run_id=r1")
    assert world.pipeline(*RUN).status == 0
    assert verify(world, "--against-source") == (0, set())
    shutil.rmtree(world.lake / "metadata/runs/run_id=r1")
    shutil.copytree(old, world.lake / "metadata/runs/run_id=r1")

    assert verify(world) == (0, set())
    assert verify(world, "--against-source") == (3, {("release_moved", "metadata/runs/run_id=r1/manifest.json")})


def test_verify_refuses_a_run_that_is_not_committed(world):
    assert world.run("download_company", "--", "--year", "2024", "--company-id", "100000000053", *RUN).status == 0
    ended = world.run("verify", "--", *RUN)
    assert (ended.status, ended.fact["error"]) == (3, "DataError")
    assert "data-pipeline run write_manifest -- --run-id r1" in ended.stderr


@pytest.mark.parametrize("world", [{"company_rows": {"100000000053": 130_000}, "first_companies": None}], indirect=True)
def test_verify_reads_all_parts_of_a_slice(world):
    assert world.pipeline(*RUN).status == 0
    ended = world.run("verify", "--", *RUN, "--against-source")
    assert (ended.status, ended.fact["slices"], ended.fact["parts"], ended.fact["rows"]) == (0, 1, 3, 130_000)
    two = next(world.lake.glob("raw/**/part-2-of-3.csv"))
    shutil.copy(next(world.lake.glob("raw/**/part-1-of-3.csv")), two)
    assert ("foreign", key_of(world, two)) in verify(world)[1]
