"""A page with everything that one can have, in Chromium, as people see it; and one with much that is wrong.

The pictures are kept in .cache/pictures, so that they can be looked at after a run of CI.
"""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from data_pipeline.reports.figures import CHARTS, Bar, Chart, YearOnYear
from data_pipeline.reports.page import render
from data_pipeline.reports.run_values import Checks, Interval
from packages.data_pipeline.tests.unit.reports import values
from tools import isolated, session

PICTURES = Path(__file__).resolve().parents[2] / ".cache" / "pictures" / "everything"
LONG = "Compensation for services other than consulting, including serving as faculty or as a speaker at a venue " * 2
AMOUNT = Decimal("123456789012.34")
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def everything() -> str:
    """A page with long names, large numbers and every section, of a year that is not complete."""
    labels = [LONG, "W" * 60, *(f"Label {n}" for n in range(6))]
    bars = tuple(Bar(label, AMOUNT / (n + 1), 10**9 - n, "1" * 38) for n, label in enumerate(labels))
    charts = tuple(Chart(one.title, one.column, one.table, one.order, bars) for one in CHARTS)
    years = tuple(YearOnYear(year, "2026-06-30-9323b84e", AMOUNT, 10**9, 12.345, -0.12) for year in range(2018, 2025))
    pace = tuple(Interval(n, 5 * n, n // 2, n // 7) for n in range(60))
    source = values.a_source(closed=False, quarantined=10**6, rows=10**9, amount_usd=AMOUNT * 9)
    rules = tuple((f"a_column_with_a_name_as_long_as_some_have_{n}.pattern", 10**n) for n in range(8))
    return render(
        values.figures(source=source, charts=charts, years=years),
        values.a_fetching(
            closed=False, proved=1, failed=1, note=LONG * 2, pace=pace, faults=(("rows_missing", 12), ("http", 3)),
            finished_at=values.START + timedelta(hours=30),
        ),
        Checks(10**4, rules, rules, rules, parts_with_drift=3),
        values.a_manifest(warnings=("a_new_nature",)),
    )  # fmt: skip


def found_in(page: Path, folder: Path) -> dict[str, list[str]]:
    """What is wrong with a page, by look."""
    try:
        return session.picture(page, folder)
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))


def test_a_page_is_good_on_a_phone_and_a_desk_by_day_and_night_and_in_print(tmp_path):
    page = tmp_path / "everything.html"
    page.write_text(everything(), encoding="utf-8")

    assert found_in(page, PICTURES) == {
        name: [] for name in ("phone", "phone-dark", "desktop", "desktop-dark", "print")
    }
    assert {path.stem for path in PICTURES.glob("*.png")} >= {"phone", "phone-whole", "desktop", "desktop-whole"}


def test_what_is_wrong_with_a_page_is_found(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><html lang=en><title>Bad</title><main><h1>Bad</h1>"
        "<p style='color:#aaa;background:#fff'>pale</p>"
        "<div style='width:600px'>wide</div><script>console.error('it broke')</script></main></html>"
    )

    found = found_in(page, tmp_path)

    assert "console: it broke" in found["desktop"]
    assert any(one.startswith("color-contrast: ") for one in found["desktop"])
    assert not any("pixels wide" in one for one in found["desktop"])
    assert any("pixels wide in a window of 390" in one for one in found["phone"])
