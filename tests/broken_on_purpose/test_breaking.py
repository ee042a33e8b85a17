"""A check that has lost its place is reported with what to write."""

from __future__ import annotations

import pytest

from tests.broken_on_purpose.breaking import NoPlaceError, broken, located, mirrors_of

SOURCE = """\
def first(rows, limit):
    if rows > limit:
        raise ValueError("too_many")
    if rows < 0 or limit < 0:  # é
        limit = max(rows, key=abs)
    return {"limit": limit}


class First:
    def first(self): ...
    def second(self): ...
"""


@pytest.fixture
def packages(tmp_path):
    for name in (
        "one/src/one/a/b.py",
        "one/tests/unit/a/test_b.py",
        "one/tests/unit/a/test_c.py",
        "one/tests/unit/test_a.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SOURCE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("if too_many", "    if False:"),
        ("if rows > -> True", "    if True:"),
        ("operand limit", "    if rows < 0 or False:  # é"),
        ("argument key", "        limit = max(rows, **{})"),
        ("argument limit", "    return {**{}}"),
        ("statement max", "        pass"),
        ("name abs -> len", "        limit = max(rows, key=len)"),
    ],
)
def test_one_place_is_broken_and_all_other_lines_stay(packages, how, line):
    text = broken(*located(packages, "b.first"), how)
    assert [new for old, new in zip(SOURCE.splitlines(), text.splitlines(), strict=True) if old != new] == [line]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("if missing", "fits 0 places.*\n- rows > limit\n- rows < 0 or limit < 0"),
        ("if limit", "fits 2 places"),
        ("if too_many -> rows > limit", "changes nothing"),
        ("if too_many -> rows > most", "uses {'most'}"),
    ],
)
def test_a_break_without_exactly_one_effect_is_refused(packages, how, says):
    with pytest.raises(NoPlaceError, match=says):
        broken(*located(packages, "b.first"), how)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("first", "2 functions .* one.src.one.a.b.first, one.src.one.a.b.First.first"),
        ("First.frist", "0 functions .* First.first, "),
    ],
)
def test_a_function_that_is_not_there_once_is_reported_with_those_that_are(packages, name, says):
    with pytest.raises(NoPlaceError, match=says):
        located(packages, name)


def test_the_tests_are_those_of_the_module_then_of_its_folder(packages):
    path, _ = located(packages, "First.second")
    tests = packages / "one/tests"
    assert mirrors_of(packages, path) == [
        tests / "unit/a/test_b.py",
        tests / "unit/a/test_c.py",
        tests / "unit/test_a.py",
    ]
