import unittest
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

from data_pipeline.reports.figures import MOST_ROWS, Bar, Chart, Difference, YearOnYear
from data_pipeline.reports.page import duration, render
from data_pipeline.reports.run_values import Checks, Interval
from packages.data_pipeline.tests.unit.reports.values import a_fetching, a_manifest, a_source, figures, reconciled

YEAR = YearOnYear(2024, "b", Decimal("1.00"), 1, 0.5, -0.025)


class Seen(HTMLParser):
    """What a browser makes of a page: elements with attributes, and the text people see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends what it did not begin"
        self.text += " "

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def seen(*bars: Bar, fetching: Any = None, checks: Any = None, manifest: Any = None, **changes: Any) -> Seen:
    page = Seen(
        render(figures(*bars, **changes), fetching or a_fetching(), checks or Checks(), manifest or a_manifest())
    )
    assert page.open == [], "every element ends"
    page.text = " ".join(page.text.split())
    return page


class Verdict(unittest.TestCase):
    def test_a_closed_year_is_complete_and_says_how_many_records_were_proved(self):
        page = seen()

        self.assertIn("Complete Every record that the source counts was fetched and proved: 3 of 3", page.text)
        self.assertIn("No record is in quarantine.", page.text)
        self.assertIn("1,234,567.80", page.text)

    def test_a_year_that_is_open_says_that_its_figures_are_too_small_and_quarantine_is_counted(self):
        page = seen(
            source=a_source(closed=False, quarantined=1200),
            fetching=a_fetching(closed=False, proved=1, failed=1, proved_rows=2, note="company_id=53 is missing"),
            manifest=a_manifest(warnings=("a_new_nature",)),
        )

        self.assertIn("Not complete 1 of 2 selected companies are proved: 2 of the year's 3 records.", page.text)
        self.assertIn("The figures below are too small.", page.text)
        self.assertIn("1,200 records are in quarantine, and in no sum below.", page.text)
        self.assertIn("104 tests passed, 1 of them with a warning.", page.text)
        self.assertIn("company_id=53 is missing", page.text)

    def test_a_part_of_which_all_is_proved_is_told_from_a_year_that_lacks_something(self):
        page = seen(source=a_source(closed=False), fetching=a_fetching(closed=False, proved_rows=2))

        self.assertIn("A part of the year All 2 selected companies are proved: 2 of the year's 3 records.", page.text)


class ComparedWithCms(unittest.TestCase):
    def test_a_year_of_which_cms_says_the_same_says_so_first(self):
        hospitals = reconciled(entity_kind="teaching_hospital", entities=12)
        other = reconciled(year=2023, entities_differing=7)
        page = seen(manifest=a_manifest(reconciled=(reconciled(), hospitals, other)))

        self.assertIn("CMS's own summaries say the same, to the cent, of all 1,512 companies and hospitals", page.text)
        self.assertIn("company 2026-06-30-d5762bed 1,500 0 0 0.00 teaching hospital", page.text)
        self.assertNotIn("the largest differences", page.text)

    def test_differences_are_numbers_at_the_top_and_below(self):
        differing = reconciled(
            entities_differing=2, payments_difference=-3, amount_difference_usd=Decimal("-1234.50"),
            amount_differing_usd=Decimal("1234.52"),
        )  # fmt: skip
        differences = (
            Difference("company", "A <b>", "53", None, Decimal("1234.51"), -3, Decimal("-1234.51")),
            Difference("company", "B", "54", Decimal("1.01"), Decimal("1.00"), 0, Decimal("0.01")),
        )
        page = seen(differences=differences, manifest=a_manifest(reconciled=(differing,)))

        self.assertIn("2 of 1,500 companies and hospitals differ from what CMS's own summaries say", page.text)
        self.assertIn("company 2026-06-30-d5762bed 1,500 2 -3 -1,234.50", page.text)
        self.assertIn("A <b> 53 none 1,234.51 -3 -1,234.51 B 54 1.01 1.00 0 +0.01", page.text)
        self.assertIn("they come to 1,234.52 US dollars", page.text)

    def test_a_part_of_a_year_and_a_year_without_a_summary_say_what_was_not_compared(self):
        page = seen(source=a_source(closed=False), manifest=a_manifest(reconciled=(reconciled(is_whole_year=False),)))
        self.assertIn("only companies of which all records are here were compared, and no hospitals", page.text)

        self.assertIn("Not compared: there was no summary of CMS for 2024 in the lake.", seen().text)


class Safe(unittest.TestCase):
    def test_text_of_the_source_is_text_and_nothing_else(self):
        for name in ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "&lt;b&gt;"):
            with self.subTest(name=name):
                page = seen(Bar(name, Decimal(1), 1, more=name))

                self.assertEqual(page.text.count(name), 2)
                self.assertEqual((page.all("script"), page.all("img"), page.all("b")), ([], [], []))

    def test_characters_that_a_browser_obeys_silently_are_not_on_the_page(self):
        page = seen(Bar("a\u202eb\x00c", Decimal(1), 1))

        self.assertFalse({"\u202e", "\x00"} & set(page.text))

    def test_the_page_loads_nothing_and_runs_nothing(self):
        page = seen(Bar("A", Decimal(1), 1))

        (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
        self.assertEqual(policy, "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        for tag, attributes in page.elements:
            self.assertNotIn(tag, {"script", "link", "iframe", "object", "form"})
            self.assertEqual([name for name in attributes if name.startswith("on") or name == "src"], [])
            self.assertTrue((attributes.get("href") or "#").startswith("#"), "a link leads to a place on the page")

    def test_every_link_of_the_page_leads_to_one_place_on_it(self):
        page = seen(Bar("A", Decimal(1), 1), years=(YEAR, YEAR))

        places = [one["id"] for one in (attributes for _, attributes in page.elements) if "id" in one]
        self.assertEqual(len(places), len(set(places)))
        self.assertLessEqual({str(one["href"]) for one in page.all("a")}, {f"#{one}" for one in places})


class Shown(unittest.TestCase):
    def test_a_bar_is_as_wide_as_its_amount_is_of_the_largest_and_never_wider(self):
        bars = [Bar(str(one), Decimal(one), 1) for one in ("400000000.00", "100000000.00", "0.00", "-5.00")]
        bars_of = seen(*bars, fetching=a_fetching(pace=())).all("rect")
        widths = [one["width"] for one in bars_of if one.get("class") is None]

        self.assertEqual(widths, ["1000", "250", "0", "0"])

    def test_a_long_page_is_still_small(self):
        bars = tuple(Bar("Company " + "x" * 200, Decimal("999999999999.99"), 10**9, "1" * 38) for _ in range(MOST_ROWS))
        charts = tuple(Chart("A chart", "a", f"mart_{n}", "a", bars) for n in range(6))
        pace = tuple(Interval(n, 100, 100, 100) for n in range(60))
        page = render(figures(charts=charts), a_fetching(pace=pace), Checks(), a_manifest())

        self.assertLess(len(page.encode()), 300_000)

    def test_years_are_compared_only_if_there_are_several(self):
        self.assertNotIn("Year on year", seen(years=(YEAR,)).text)

        page = seen(years=(YearOnYear(2023, "a", Decimal("0.50"), 1, None, None), YEAR))
        self.assertIn("2023 a 0.50 1 2024 b 1.00 1 +50.0 % -2.5 %", page.text)

    def test_a_year_without_payments_has_a_page(self):
        page = seen(source=a_source(amount_usd=Decimal(0)), fetching=a_fetching(pace=(Interval(0), Interval(1))))

        self.assertIn("none", page.text)
        self.assertNotIn("Requests over time", str(page.elements))

    def test_requests_stand_on_the_ground_retries_on_them_and_failed_attempts_on_top(self):
        page = seen(fetching=a_fetching(pace=(Interval(0, 2, 1, 1), Interval(1)), faults=(("row_count", 1),)))

        columns = [one for one in page.all("rect") if one.get("x") is not None]
        self.assertEqual(
            [(one["class"], one["y"], one["height"]) for one in columns],
            [("", "50", "50"), ("again", "25", "25"), ("fault", "0", "25")],
        )
        self.assertIn("row_count 1", page.text)

    def test_times_are_in_the_unit_that_people_use(self):
        for seconds, shown in ((0, "0.0 s"), (119.94, "119.9 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h")):
            with self.subTest(seconds=seconds):
                self.assertEqual(duration(seconds), shown)

    def test_what_earlier_runs_had_proved_is_told(self):
        self.assertIn("2 of 5 files had been proved by earlier runs", seen(fetching=a_fetching(parts=5, reused=2)).text)

    def test_what_the_contract_found_is_listed_by_rule_the_most_frequent_first(self):
        self.assertIn("Nothing: no record violates a rule, and no value is new.", seen(checks=Checks(3)).text)
        self.assertIn("It is not known any more", seen().text)

        found = Checks(
            3,
            (("date_of_payment.pattern", 2),),
            (("date_of_payment.range", 75),),
            (("nature<b>", 9),),
            parts_with_drift=1,
        )
        page = seen(checks=found)
        self.assertIn(
            "date_of_payment.range kept and flagged 75 nature<b> kept, a new value 9"
            " date_of_payment.pattern taken out 2",
            page.text,
        )
        self.assertIn("In 1 of 3 files the columns are not exactly those of the contract", page.text)
