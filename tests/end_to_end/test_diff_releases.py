"""Two publications of a year fetched and compared, as a user does it; held against what the sandbox did."""

import csv
from collections import Counter

import pytest

CLAIMS = {"NEW": "added", "ADD": "added", "CHANGED": "changed", "UNCHANGED": "unchanged"}
SMALL = pytest.mark.parametrize("world", [{"scale": 0.005}], indirect=True, ids=["small"])
COLUMNS = ("added", "removed", "changed", "unchanged", "change_type_disagreements")


def fetch(world, dialect="B"):
    """One publication into the lake, and in RFC 4180 into another, which Python's csv reads; its name."""
    world.source.switch(dialect=dialect)
    ended = world.pipeline()
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    if dialect != "B":
        world.source.switch(dialect="B")
        assert world.pipeline(LAKE_URL=str(plain_lake(world))).status == 0
    return ended.fact["release"]


def plain_lake(world):
    return world.lake.parent / "plain"


def truth(world):
    """Record ids by company, from the sandbox itself."""
    companies = world.source.truth(2024, ids=True)["companies"]
    return {company: set(told["ids"]) for company, told in companies.items()}


def rows_of(world, release):
    """Record id to (Change_Type, all that no publication rewrites), by company, as Python's csv reads them."""
    found: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {}
    for lake in (world.lake, plain_lake(world)):  # the plain one last: it replaces what is in the other dialect
        for path in lake.glob(f"raw/*/*/release={release}/*/*.csv"):
            company = path.parent.name.removeprefix("company_id=")
            with path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            found[company] = {
                row["Record_ID"]: (row["Change_Type"], tuple(row.values())[1:-1]) for row in rows if row["Record_ID"]
            }
    return found


def verdict(row, before):
    if before is None:
        return "added"
    return "unchanged" if row[1] == before[1] else "changed"


def expected(world, older, newer):
    """The numbers of every company by set difference and by comparing fields."""
    before, after = rows_of(world, older), rows_of(world, newer)
    lines = {}
    for company in before.keys() & after.keys():
        old, new = before[company], after[company]
        verdicts = {one: verdict(row, old.get(one)) for one, row in new.items()}
        counts = Counter(verdicts.values())
        counts["removed"] = len(old.keys() - new.keys())
        counts["change_type_disagreements"] = sum(CLAIMS[new[one][0]] != said for one, said in verdicts.items())
        lines[company] = {name: counts[name] for name in COLUMNS}
    return lines


def diff(world, *words, status=0, **environment):
    ended = world.run("diff_releases", "--", "--year", "2024", *words, **environment)
    assert ended.status == status, ended.stderr
    return ended


def report(world, ended):
    with (world.lake / ended.fact["report"]).open(newline="", encoding="utf-8") as stream:
        return {line["company_id"]: line for line in csv.DictReader(stream)}


def assert_set_difference(lines, before, after):
    for company, line in lines.items():
        added, removed = after[company] - before[company], before[company] - after[company]
        assert (int(line["added"]), int(line["removed"])) == (len(added), len(removed))


def numbers(line):
    """A line of the report; what was not looked at because nothing changed counts as no disagreement."""
    return {name: int(line[name] or 0) for name in COLUMNS}


@pytest.mark.parametrize("dialects", ["AA", "AB"])
def test_the_difference_is_what_the_sandbox_did_in_either_dialect_and_across_both(world, dialects):
    older, before = fetch(world, dialects[0]), truth(world)
    assert any(b'\\"' in path.read_bytes() for path in world.lake.glob("raw/dataset=*/**/*.csv"))
    world.source.republish(2024, added=40, removed=30, changed=50)
    newer, after = fetch(world, dialects[1]), truth(world)

    ended = diff(world)

    lines = report(world, ended)
    assert {company: numbers(line) for company, line in lines.items()} == expected(world, older, newer)
    assert_set_difference(lines, before, after)
    fact = ended.fact
    assert (fact["added"], fact["removed"], fact["changed"], fact["nothing_changed"]) == (40, 30, 50, False)
    assert (fact["unchanged"], fact["change_type_disagreements"]) == (world.source.truth(2024)["rows"] - 90, 0)
    assert (fact["from"], fact["to"], fact["companies"], fact["in_one_only"]) == (older, newer, 12, 0)
    assert fact["report"] == f"metadata/diffs/dataset=general-payments/year=2024/{older}_to_{newer}.csv"
    for said in (f"releases     {older} to {newer}", "added        40", "removed      30", "changed      50"):
        assert said in ended.stderr
    assert "nothing changed" not in ended.stderr
    assert fact["requests"] == 0

    files = world.files()
    again = diff(world, "--json")
    assert world.files() == files
    assert again.fact["report"] == fact["report"]
    assert "releases" not in again.stderr, "--json prints no table"


@SMALL
def test_change_type_is_compared_with_the_difference_and_disagreements_are_named(world):
    first = fetch(world)
    world.source.republish(2024, added=40, removed=30, changed=50)
    second, before = fetch(world), truth(world)
    world.source.republish(2024, added=20, removed=10, changed=15)
    third, after = fetch(world), truth(world)

    # Change_Type speaks of the second publication, so against the first it is wrong about what the second did.
    ended = diff(world, "--from", first)

    assert (ended.fact["from"], ended.fact["to"]) == (first, third)
    lines, wanted = report(world, ended), expected(world, first, third)
    assert {company: numbers(line) for company, line in lines.items()} == wanted
    assert ended.fact["change_type_disagreements"] == sum(one["change_type_disagreements"] for one in wanted.values())
    assert ended.fact["change_type_disagreements"] > 50
    were, are = rows_of(world, first), rows_of(world, third)
    for company, line in lines.items():
        examples = [one.split() for one in line["note"].split("; ") if one.startswith("record ")]
        assert len(examples) == min(5, wanted[company]["change_type_disagreements"])
        for _, record_id, _, claim, _, said in examples:
            row = are[company][record_id]
            assert (claim.rstrip(","), said) == (row[0], verdict(row, were[company].get(record_id)))
    ended = diff(world)
    assert (ended.fact["from"], ended.fact["to"]) == (second, third), "the newest two, unless others are named"
    assert ended.fact["change_type_disagreements"] == 0
    assert_set_difference(report(world, ended), before, after)


@SMALL
def test_a_republication_without_changes_is_recognised_without_reading_a_row(world):
    fetch(world)
    world.source.republish(2024)
    newer = fetch(world)
    parts = {path: path.read_bytes() for path in world.lake.glob("raw/dataset=*/**/*.csv")}
    for path in parts:
        path.unlink()

    ended = diff(world)

    assert "republished, nothing changed" in ended.stderr
    rows = world.source.truth(2024)["rows"]
    fact = ended.fact
    assert (fact["nothing_changed"], fact["unchanged"], fact["change_type_unchecked"]) == (True, rows, 12)
    assert {line["note"] for line in report(world, ended).values()} == {"content hash equal, not read"}

    for path, body in parts.items():
        if f"release={newer}" in str(path):
            path.write_bytes(body)
    fact = diff(world, "--check-change-type").fact
    assert (fact["nothing_changed"], fact["unchanged"], fact["change_type_unchecked"]) == (True, rows, 0)
    assert fact["change_type_disagreements"] == 0


@SMALL
def test_a_flipped_byte_in_either_release_ends_it_and_leaves_no_report(world):
    releases = [fetch(world)]
    world.source.republish(2024, changed=100)
    releases.append(fetch(world))
    for release in releases:
        part = max(world.lake.glob(f"raw/*/*/release={release}/*/*.csv"), key=lambda path: path.stat().st_size)
        good = part.read_bytes()
        part.chmod(0o644)
        part.write_bytes(good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :])

        ended = diff(world, status=3)

        assert str(part.relative_to(world.lake)) in ended.stderr
        assert "is not the part that its audit proves" in ended.stderr
        assert ended.fact["status"] == "failed"
        assert not list(world.lake.glob("metadata/diffs/**/*.csv"))
        part.write_bytes(good)
    assert diff(world).fact["changed"] == 100


@SMALL
def test_comparing_needs_two_releases_with_committed_runs(world):
    release = fetch(world)
    world.source.republish(2024, added=1)
    company = min(world.slices())
    assert world.run("download_company", "--", "--year", "2024", "--company-id", company).status == 0

    ended = diff(world, status=3)

    assert "two releases of the year are needed" in ended.stderr
    assert f"committed runs name {release}." in ended.stderr, "proved is not enough: no run says so yet"
    assert not list(world.lake.glob("metadata/diffs/**/*.csv"))
    fetch(world)
    assert "there is no release x" in diff(world, "--from", "x", status=3).stderr


@SMALL
def test_a_company_that_only_one_release_proves_is_named_and_not_guessed(world):
    assert world.pipeline("--max-files", "3").status == 0
    world.source.republish(2024, changed=5)
    newer = fetch(world)

    ended = diff(world)

    lines = report(world, ended)
    only = {company for company, line in lines.items() if line["note"] == f"proved in {newer} only"}
    assert (len(lines), len(only), ended.fact["in_one_only"], ended.fact["nothing_changed"]) == (12, 9, 9, False)
    assert {lines[company][name] for company in only for name in COLUMNS} == {""}
    company = next(iter(lines.keys() - only))
    alone = diff(world, "--company-id", company)
    assert report(world, alone) == {company: lines[company]}
    assert alone.fact["report"].endswith(f"_company_id={company}.csv")
