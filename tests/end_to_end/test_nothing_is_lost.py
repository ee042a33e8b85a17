"""What a table can do while a run goes on, or between two: every row ends in the lake, and costs the source little."""

import pytest

LARGE = "100000000053"
THREE_WINDOWS = {"company_rows": {LARGE: 150_000}, "first_companies": None}


def asked_for(world, *words):
    return [one for one in world.source.ledger() if all(word in one["target"] for word in words)]


@pytest.mark.parametrize("world", [THREE_WINDOWS], indirect=True, ids=["150000 rows"])
def test_the_windows_of_a_slice_are_counted_together_before_and_after(world):
    ended = world.pipeline()
    assert (ended.status, ended.fact["year_closed"]) == (0, True), ended.stderr
    assert len(asked_for(world, "/download")) == 3
    assert len(asked_for(world, "groupings%5B0%5D=date_of_payment")) == 2
    assert not asked_for(world, "results=false", "conditions"), "no window was counted on its own"
    # Each window's rows are found among the payer's once; nothing else is looked at in vain.
    assert world.source.summary()["rows_scanned"] == 2 * 150_000
    audit = world.slices()[LARGE]
    assert audit["counts_after"] == [part["records"] for part in audit["parts"]]
    assert [part["count_after"] for part in audit["parts"]] == [None] * 3
    world.assert_equals_truth()
    assert world.run("verify", "--", "--run-id", ended.fact["run_id"], "--against-source").status == 0


@pytest.mark.parametrize("world", [THREE_WINDOWS], indirect=True, ids=["150000 rows"])
def test_where_the_source_counts_no_groups_each_window_is_counted(world):
    world.source.switch(grouped_counts=False)
    words = ("download_company", "--", "--year", "2024", "--company-id", LARGE)
    ended = world.run(*words, SOURCE_ATTEMPTS="2")
    assert (ended.status, ended.fact["rows"]) == (0, 150_000), ended.stderr
    assert len(asked_for(world, "results=false", "date_of_payment")) == 2 * 3
    world.assert_equals_truth()


@pytest.mark.parametrize("world", [THREE_WINDOWS], indirect=True, ids=["150000 rows"])
def test_windows_proved_before_the_table_grew_are_proved_anew_and_the_others_stay(world):
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
    assert len(asked_for(world, "/download")) == 2
    assert world.run("verify", "--", "--run-id", second.fact["run_id"]).status == 0
