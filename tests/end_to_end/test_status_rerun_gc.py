"""A run that failed in part: seen, worked on again, and what it left swept."""

import os
import time

COMPANY, OTHER = "100000000062", "100000000053"
RUN = ("--run-id", "r1")


def fail(world, company_id=COMPANY):
    world.source.fault("short_rows", match=company_id)
    ended = world.pipeline(*RUN, SOURCE_ATTEMPTS="2")
    assert (ended.status, ended.fact["failed"]) == (4, 1)
    world.source.clear_faults()


def test_a_failed_slice_is_shown_and_a_rerun_proves_only_that_slice(world):
    fail(world)
    shown = world.run("status")
    assert (shown.status, shown.fact["run_id"], shown.fact["status"]) == (0, "r1", "partial")
    assert (shown.fact["proved"], shown.fact["failed_by_reason"]) == (11, {"rows_missing": 1})
    assert "failed     1 rows_missing" in shown.stderr
    assert 0 <= shown.fact["newest_audit_age_seconds"] < 250

    before = world.files()
    world.source.clear_ledger()
    planned = world.run("rerun", "--", *RUN, "--failed", "--dry-run")
    assert (planned.status, planned.fact["status"], planned.fact["planned"]) == (0, "planned", 1)
    assert not world.downloads()
    assert {key for key in world.files() if key not in before} == set()

    again = world.run("rerun", "--", *RUN, "--failed")
    assert (again.status, again.fact["status"], again.fact["proved"]) == (0, "completed", 1), again.stderr
    assert again.fact["run_id"] != "r1"
    fetched = [one["target"] for one in world.downloads()]
    assert len(fetched) == 1
    assert COMPANY in fetched[0]
    world.assert_equals_truth()
    assert len(world.slices()) == 12
    assert world.run("verify", "--", "--run-id", again.fact["run_id"], "--against-source").status == 0
    assert world.run("verify", "--", *RUN).status == 0

    before = world.files()
    for what in ("--failed", "--missing"):
        done = world.run("rerun", "--", *RUN, what)
        assert (done.status, done.fact["status"]) == (0, "already done")
    assert world.files() == before


def test_a_rerun_of_a_release_that_was_replaced_is_temporary_and_says_what_to_do(world):
    fail(world)
    world.source.republish(2024, added=20)
    ended = world.run("rerun", "--", *RUN, "--missing")
    assert ended.status == 4
    assert "run_pipeline -- --dataset general-payments --year 2024" in ended.stderr
    assert [one["run_id"] for one in world.manifests()] == ["r1"]


def test_orphans_of_a_killed_run_are_deleted_once_they_are_old_and_no_plan_covers_them(world):
    fail(world)
    folder = next(world.lake.glob("raw/dataset=*/*/release=*")) / f"company_id={COMPANY}"
    folder.mkdir()
    part = folder / "part-1-of-1.csv"
    part.write_bytes(b"x" * 10)

    assert world.run("gc", "--", "--delete").fact["status"] == "nothing to remove"
    yesterday = time.time() - 25 * 3600
    os.utime(part, (yesterday, yesterday))
    before = world.files()
    listed = world.run("gc")
    assert (listed.status, listed.fact["status"], listed.fact["objects"], listed.fact["bytes"]) == (0, "listed", 1, 10)
    assert f"company_id={COMPANY}/part-1-of-1.csv" in listed.stderr
    assert world.files() == before
    assert world.run("gc", "--", "--delete").fact["status"] == "removed"
    assert not part.exists()
    assert {key for key in before if key not in world.files()} == {part.relative_to(world.lake).as_posix()}
    assert world.pipeline().status == 0
    world.assert_equals_truth()
