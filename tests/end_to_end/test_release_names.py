"""A release keeps its first name while the catalogue fails, comes back, or is edited: nothing is fetched again."""

import json

import pytest

CACHE = "metadata/dataset_ids_cache.json"
FOUND_OTHERWISE = {
    "by the script": lambda source: source.fault("http_500", match="metastore/schemas/dataset/items"),
    "under another date": lambda source: source.switch(modified_days=9),
}


@pytest.mark.parametrize("later", [True, False], ids=["later", "first"])
@pytest.mark.parametrize("otherwise", FOUND_OTHERWISE.values(), ids=FOUND_OTHERWISE)
def test_a_release_found_otherwise_is_the_same_release(world, otherwise, later):
    def find_it(*, otherwise_now):
        (world.lake / CACHE).unlink(missing_ok=True)
        world.source.clear_faults()
        world.source.switch(modified_days=0)
        if otherwise_now:
            otherwise(world.source)

    # The reference count needs the catalogue, too: while that fails, runs trust the table's count.
    find_it(otherwise_now=not later)
    first = world.pipeline("--max-files", "5", "--trust-count", SOURCE_ATTEMPTS="2")
    assert first.fact["proved"] == 5, first.stderr
    find_it(otherwise_now=later)
    second = world.pipeline("--trust-count", SOURCE_ATTEMPTS="2")
    assert second.fact["proved"] == 12, second.stderr
    find_it(otherwise_now=False)
    third = world.pipeline()
    assert (third.status, third.fact["closed"]) == (0, True), third.stderr
    assert {one["release"]["modified"] for one in world.manifests()} == {first.fact["release"][:10]}
    assert len(list(world.lake.glob("raw/dataset=*/year=*/release=*"))) == 1
    downloads = world.downloads()
    assert len(downloads) == 12, "nothing was fetched twice"
    world.assert_equals_truth()


def test_the_cache_of_ids_keeps_nothing_of_how_they_were_found(world):
    def cached():
        assert world.run("resolve_ids", "--", "--year", "2024", SOURCE_ATTEMPTS="2").status == 0
        years = json.loads((world.lake / CACHE).read_text())["datasets"]["general-payments"]["years"]
        (world.lake / CACHE).unlink()
        return years["2024"]["release"]

    FOUND_OTHERWISE["by the script"](world.source)
    by_script = cached()
    world.source.clear_faults()
    assert by_script == cached()
