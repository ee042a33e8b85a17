"""A table that is listed under the wrong year, or twice, is refused: nothing of it is fetched."""

import pytest

from data_pipeline.open_payments.datasets import DATASETS

TITLE = {name: dataset.title for name, dataset in DATASETS.items()}
TWO_YEARS = {"years": (2023, 2024), "first_companies": None, "company_rows": {"100000000053": 30, "100000000066": 7}}
pytestmark = [
    pytest.mark.parametrize("world", [TWO_YEARS], indirect=True, ids=[""]),
    pytest.mark.parametrize("name", DATASETS),
]


def retitle(world, name, titles):
    """Give years' datasets the titles of other years."""
    title = TITLE[name]
    world.source.switch(retitled={f"{year} {title}": f"{other} {title}" for year, other in titles.items()})


def ids_of(world, name):
    years = world.run("resolve_ids", "--", "--dataset", name, LAKE_URL=str(world.lake.parent / "other")).fact["years"]
    return {int(year): one["dataset_id"] for year, one in years.items()}


@pytest.mark.parametrize("titles", [{2023: 2024}, {2023: 2024, 2024: 2024}], ids=["one", "both"])
def test_two_datasets_of_one_title_are_refused_and_both_named(world, name, titles):
    ids = ids_of(world, name)
    retitle(world, name, titles)
    for job in ("run_pipeline", "build_totals", "resolve_ids"):
        ended = world.run(job, "--", "--dataset", name, "--year", "2024")
        assert ended.status == 3, ended.stderr
        assert f"lists 2 datasets as 2024 of {name}: " in ended.stderr
        assert ids[2023] in ended.stderr
        assert ids[2024] in ended.stderr
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))
    world.source.switch(retitled={})
    assert world.run("run_pipeline", "--", "--dataset", name, "--year", "2024").fact["closed"] is True
    world.assert_equals_truth(name)


def test_a_year_twice_in_the_catalogue_does_not_stop_the_others(world, name):
    retitle(world, name, {2023: 2025, 2024: 2025})
    assert world.run("run_pipeline", "--", "--dataset", name, "--year", "2025").status == 3
    retitle(world, name, {2023: 2022})
    assert world.run("run_pipeline", "--", "--dataset", name, "--year", "2024").fact["closed"] is True


def test_a_table_of_another_year_is_refused_before_anything_is_fetched(world, name):
    retitle(world, name, {2023: 2024, 2024: 2025})
    ended = world.run("run_pipeline", "--", "--dataset", name, "--year", "2024")
    assert (ended.status, ended.fact["error"]) == (3, "DataError"), ended.stderr
    assert f"listed as 2024 of {name}, holds records of program year 2023" in ended.stderr
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))
    assert not world.manifests()
