"""What a table can do while a run goes on, or between two: every row ends in the lake, and costs the source little."""

import pytest

LARGE = "100000000053"
THREE_WINDOWS = {"company_rows": {LARGE: 150_000}, "first_companies": None}


def asked_for(world, *words):
    return [one for one in world.source.ledger() if all(word in one["target"] for word in words)]


@pytest.mark.parametrize("world", [THREE_WINDOWS], indirect=True, ids=["150000 rows"])
def test_the_windows_of_a_slice_are_counted_together_before_and_after(world):
    ended = world.pipeline()
    assert (ended.status, ended.fact["closed"]) == (0, True), ended.stderr
    assert len(world.downloads()) == 3
    assert len(asked_for(world, "groupings%5B0%5D=date_of_payment")) == 2
    counted = asked_for(world, "results=false", "conditions")
    assert not [one for one in counted if "program_year" not in one["target"]], "no window was counted on its own"
    # Each window's rows are found among the payer's once; nothing else is looked at in vain.
    assert world.source.summary()["rows_scanned"] == 2 * 150_000
    audit = world.slices()[LARGE]
    assert audit["counts_after"] == [part["records"] for part in audit["parts"]]
    assert [part["count_after"] for part in audit["parts"]] == [None] * 3
    world.assert_equals_truth()
    assert world.run("verify", "--", "--run-id", ended.fact["run_id"], "--against-source").status == 0


@pytest.mark.parametrize("world", [THREE_WINDOWS], indirect=True, ids=["150000 rows"])
def test_without_grouped_counts_each_window_of_a_slice_is_counted(world):
    world.source.switch(grouped_counts=False)
    words = ("download_company", "--", "--year", "2024", "--company-id", LARGE)
    ended = world.run(*words, SOURCE_ATTEMPTS="2")
    assert (ended.status, ended.fact["rows"]) == (0, 150_000), ended.stderr
    assert len(asked_for(world, "results=false", "date_of_payment")) == 2 * 3
    world.assert_equals_truth()


@pytest.mark.parametrize("world", [THREE_WINDOWS], indirect=True, ids=["150000 rows"])
def test_only_the_windows_whose_counts_changed_are_proved_again_when_a_table_grows(world):
    world.source.republish(2024, imported_share=0.99)
    world.source.fault("error_row", match="/download", count=1)
    first = world.pipeline(SOURCE_ATTEMPTS="1", SOURCE_MAX_STREAMS="1")
    assert (first.status, world.slices()) == (4, {}), first.stderr
    proved = [path.name for path in world.lake.glob("metadata/audits/**/part-*.json")]
    assert sorted(proved) == ["part-2-of-3.json", "part-3-of-3.json"]
    world.source.finish_import(2024)
    world.source.clear_ledger()
    second = world.pipeline()
    assert (second.status, second.fact["rows"]) == (0, 150_000), second.stderr
    world.assert_equals_truth()
    # The sandbox's tables hold a payer's rows in the order of their dates, so the last window grew.
    assert [part["generation"] for part in world.slices()[LARGE]["parts"]] == [1, 1, 2]
    assert len(world.downloads()) == 2
    assert world.run("verify", "--", "--run-id", second.fact["run_id"]).status == 0


def grow_after_the_first_slice(world):
    """A run under which the table's import is finished once some slice is closed."""
    process = world.start("run_pipeline", "--", "--year", "2024", SOURCE_MAX_STREAMS="1")
    while not world.slices() and process.poll() is None:
        world.source.ledger()  # asks the sandbox, which takes its time
    assert process.poll() is None, "it was over before the table grew"
    closed = set(world.slices())
    world.source.finish_import(2024)
    world.source.switch(bytes_per_second=None)
    _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr, closed


@pytest.mark.parametrize("world", [{"scale": 0.03, "bytes_per_second": 1e6}], indirect=True, ids=["paced"])
def test_an_import_that_ends_during_a_run_leaves_the_year_open_and_the_same_command_closes_it(world):
    world.source.republish(2024, imported_share=0.985)
    status, stderr, closed = grow_after_the_first_slice(world)
    assert status == 4, stderr
    (first,) = world.manifests()
    moved = {one["company_id"]: one for one in first["closure"]["moved"]}
    assert (first["status"], first["closure"]["closed"]) == ("partial", False)
    assert set(moved) <= closed | set(world.slices())
    assert moved, "the slice closed before the table grew is short"
    truth = world.source.truth(2024)["companies"]
    for company_id, one in moved.items():
        assert one["rows"] < one["source_rows"] == truth[company_id]["rows"]
        assert f"{company_id} has {one['source_rows']:,} rows at the source, {one['rows']:,} here" in stderr
    assert {one["reason"] for one in first["slices"] if one["verdict"] == "failed"} == {"grew"}
    before = {key: changed for key, changed in world.files().items() if key.startswith(("raw/", "metadata/audits/"))}
    world.source.clear_ledger()
    ended = world.pipeline()
    assert (ended.status, ended.fact["closed"]) == (0, True), ended.stderr
    assert len(world.downloads()) == len(moved), "only what moved is fetched again"
    assert all(any(one in asked["target"] for one in moved) for asked in world.downloads())
    assert before.items() <= world.files().items(), "what was there before is as it was"
    world.assert_equals_truth()
    second = world.manifests()[-1]
    assert {one["company_id"] for one in second["slices"] if one["generation"] == 2} == set(moved)
    for manifest in (first, second):
        found = world.run("verify", "--", "--run-id", manifest["run_id"])
        assert found.status == 0, found.stderr
    assert world.run("verify", "--", "--run-id", second["run_id"], "--against-source").status == 0
    assert world.run("gc", "--", "--older-than-hours", "0").fact["status"] == "nothing to remove"
    other = world.lake.parent / "other"
    assert world.run("upload_raw", "--", "--run-id", second["run_id"], "--to", str(other)).status == 0
    assert world.run("verify", "--", "--run-id", second["run_id"], LAKE_URL=str(other)).status == 0


def test_a_table_that_grows_after_a_completed_run_is_noticed_by_the_same_command(world):
    world.source.republish(2024, imported_share=0.985)
    assert world.pipeline().fact["status"] == "completed"
    world.source.finish_import(2024)
    ended = world.pipeline()
    assert (ended.status, ended.fact["status"], ended.fact["closed"]) == (0, "completed", True), ended.stderr
    assert ended.fact["rows"] == world.source.truth(2024)["rows"]
    world.assert_equals_truth()
    assert world.pipeline().fact["status"] == "already done"


EXTRA = {"scale": 0.001, "first_companies": 40, "extra_payers": True}


@pytest.mark.parametrize("world", [EXTRA], indirect=True, ids=["unlisted payers"])
def test_companies_that_were_not_planned_are_named_and_the_same_command_fetches_them(world):
    by_pages = ("--totals-from", "entities")  # the company list lacks some payers
    first = world.pipeline(*by_pages)
    assert (first.status, first.fact["status"], first.fact["failed"]) == (4, "partial", 0), first.stderr
    (manifest,) = world.manifests()
    unplanned = {one["company_id"]: one["source_rows"] for one in manifest["closure"]["unplanned"]}
    truth = world.source.truth(2024)
    assert unplanned
    assert unplanned == {one: truth["companies"][one]["rows"] for one in truth["companies"].keys() - world.slices()}
    assert f"{len(unplanned):,} payers are not in the plan: " in first.stderr
    world.source.clear_ledger()
    second = world.pipeline(*by_pages)
    assert (second.status, second.fact["closed"], second.fact["rows"]) == (0, True, truth["rows"]), second.stderr
    assert len(world.downloads()) == len(unplanned)
    world.assert_equals_truth()
    for run_id in (first.fact["run_id"], second.fact["run_id"]):
        assert world.run("verify", "--", "--run-id", run_id).status == 0


@pytest.mark.parametrize("world", [{"scale": 0.00001, "first_companies": 200}], indirect=True, ids=["tiny payers"])
def test_companies_newer_than_the_cached_totals_are_planned_by_the_next_run(world):
    world.source.republish(2024, imported_share=0.985)
    first = world.pipeline()
    assert (first.status, first.fact["planned"] < 200) == (0, True), first.stderr
    world.source.finish_import(2024)
    world.source.clear_ledger()
    second = world.pipeline()
    assert (second.status, second.fact["planned"], second.fact["closed"]) == (0, 200, True), second.stderr
    truth = world.source.truth(2024)["companies"]
    grew = sum(one["generation"] == 2 for one in world.manifests()[-1]["slices"])
    assert len(world.downloads()) == 200 - first.fact["planned"] + grew
    assert len(truth) == 200
    world.assert_equals_truth()


@pytest.mark.parametrize("keep_old", [False, True], ids=["the old table is gone", "the old table still answers"])
def test_proofs_of_a_release_stay_when_another_is_published_during_the_run(world, keep_old):
    params = {"keep_old": keep_old, "changed": 0.01, "added": 0.01}
    world.source.fault("republish", count=1, after=3, match="/download", params=params)
    first = world.pipeline(SOURCE_MAX_STREAMS="1")
    assert (first.status, first.fact["status"]) == (4, "torn"), first.stderr
    (torn,) = world.manifests()
    proved = {one["company_id"] for one in torn["slices"] if one["verdict"] == "proved"}
    assert proved == set(world.slices())
    assert len(proved) == (12 if keep_old else 3)
    assert torn["release_at_end"]["distribution_id"] == world.source.truth(2024)["distribution_id"]
    old, before = torn["release"]["distribution_id"], world.files()
    facts = {key: changed for key, changed in before.items() if "/release=" in key or key.endswith("manifest.json")}
    assert all(old[:8] in key for key in facts if "/dataset=" in key and "/release=" in key)
    world.source.clear_ledger()
    second = world.pipeline()
    assert (second.status, second.fact["closed"]) == (0, True), second.stderr
    assert len(world.downloads()) == 12, "each slice of the new release, once: unseen rows prove nothing"
    assert not asked_for(world, old)
    assert facts.items() <= world.files().items()
    fresh = {one["company_id"]: one for one in world.manifests()[-1]["slices"]}
    assert {one["generation"] for one in fresh.values()} == {1}
    for run_id in (first.fact["run_id"], second.fact["run_id"]):
        assert world.run("verify", "--", "--run-id", run_id).status == 0
    compared = world.run("diff_releases", "--", "--year", "2024")
    assert (compared.status, compared.fact["in_one_only"]) == (0, 12 - len(proved)), compared.stderr
    world.source.clear_ledger()
    assert world.pipeline().fact["status"] == "already done"
    assert world.source.summary()["requests"] <= 2
