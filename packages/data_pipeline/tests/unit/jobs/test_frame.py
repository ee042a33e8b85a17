import tempfile
import unittest
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from data_pipeline.open_payments.source.totals import TotalsChoice
from packages.data_pipeline.tests.unit.fakes import COMPANY, a_selection


class AJobCommand(unittest.TestCase):
    """``frame.job``."""

    def setUp(self) -> None:
        self.lake = self.enterContext(tempfile.TemporaryDirectory())

    def called(self, *choice: Any, words: str = "") -> tuple[Any, dict[str, Any]]:
        seen: list[tuple[Any, dict[str, Any]]] = []

        @frame.job(*choice, options.running)
        def command(context: Any, **given: Any) -> int:
            seen.append((context, given))
            return 4

        entrypoint = frame.entrypoint_of(command, "a_job")
        self.assertEqual(entrypoint([*words.split(), "--run-id", "r1", "--lake", self.lake, "--streams", "3"]), 4)
        return seen[0]

    def test_gets_a_context_of_its_settings_and_the_rest_by_name(self):
        context, given = self.called(options.strategy)
        self.assertEqual((context.job, context.run_id), ("test_frame", "r1"))
        self.assertEqual((context.settings.lake_url, context.settings.source_max_streams), (self.lake, 3))
        self.assertEqual(given, {"strategy": "auto", "trust_count": False, "dry_run": False})

    def test_gets_what_selects_and_what_counts_as_one_value_each(self):
        words = "--year 2024 --max-files 5 --totals-from entities --rescrape-totals --no-add-year-if-missing"
        _, given = self.called(options.selection, options.totals, words=words)
        self.assertEqual(given["selection"], a_selection(max_files=5))
        self.assertEqual(given["totals"], TotalsChoice(rescrape=True, add_year=False, route="entities"))
        _, given = self.called(options.one_company, words=f"--year 2024 --company-id {COMPANY}")
        self.assertEqual(given["selection"], a_selection(company_id=COMPANY))

    def test_with_a_dataset_but_no_year_gets_the_dataset_by_name(self):
        _, given = self.called(options.dataset)
        self.assertEqual(given["dataset"], "general-payments")

    def test_refuses_a_second_value_of_an_option_that_takes_one(self):
        for words in ("--year 2024 --year 2023", f"--year 2024 --company-id {COMPANY} --company-id 7"):
            with (
                self.subTest(words),
                self.assertRaisesRegex(click.UsageError, "was given 2 times, and takes one value"),
            ):
                self.called(options.one_company, words=words)
        self.called(options.one_company, words=f"--year 2024 --company-id {COMPANY} --dry-run --dry-run")


class AnEntrypoint(unittest.TestCase):
    def test_gives_the_status_of_its_command(self):
        for returned, status in [(None, 0), (0, 0), (4, 4)]:
            with self.subTest(returned=returned):
                command = click.Command("x", callback=lambda returned=returned: returned)
                self.assertEqual(frame.entrypoint_of(command, "a_job")([]), status)

    def test_names_the_whole_command_line_in_its_errors(self):
        with self.assertRaises(click.UsageError) as caught:
            frame.entrypoint_of(frame.job_command()(lambda: 0), "a_job")(["--nonsense"])

        assert caught.exception.ctx is not None
        self.assertEqual(caught.exception.ctx.command_path, "data-pipeline run a_job --")


@dataclass(frozen=True)
class Part:
    name: Annotated[str, "A name."] = "n"
    env: Annotated[Mapping[str, str], "Pairs."] = field(default_factory=dict)
    hidden: int = 3


@dataclass(frozen=True)
class Whole:
    count: Annotated[int | None, (1, None), "A number."] = None
    share: Annotated[float, (0, 1), "A share."] = 0.5
    kind: Annotated[Literal["", "a", "b"], "A kind."] = ""
    texts: Annotated[tuple[str, ...], "Texts."] = ()
    part: Part = field(default_factory=Part)


class OptionsOfADataclass(unittest.TestCase):
    def parsed(self, *words: str, **how: Any) -> Any:
        command = frame.job_command()(frame.options_of("whole", Whole(), **how)(lambda whole: whole))
        return command.main(list(words), standalone_mode=False)

    def test_have_its_defaults(self):
        self.assertEqual(self.parsed(), Whole())

    def test_are_taken_apart_and_put_together_again(self):
        words = "--count 2 --share 1 --kind b --texts x --texts y --name m --env A=1 --env B=x=y"

        self.assertEqual(
            self.parsed(*words.split()),
            Whole(count=2, share=1.0, kind="b", texts=("x", "y"), part=Part(name="m", env={"A": "1", "B": "x=y"})),
        )

    def test_are_checked(self):
        for words in ("--count 0", "--share 1.1", "--share nan", "--kind c", "--env =", "--env A", "--hidden 1"):
            with self.subTest(words=words), self.assertRaises(click.UsageError):
                self.parsed(*words.split())
        for text in ("A", "=1", "", "A B=1", "1A=2", "Ü=1", "A\n=1"):
            with self.subTest(text=text), self.assertRaisesRegex(click.UsageError, "is not KEY=VALUE"):
                self.parsed("--env", "OK=1", "--env", text)

    def test_take_no_password_and_do_not_repeat_it(self):
        for text in ("A=http://me:secret@host/", "http://me:secret@host/"):
            with self.subTest(text=text), self.assertRaises(click.UsageError) as caught:
                self.parsed("--env", text)
            self.assertIn("http://…@host/", str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))

    def test_may_be_only_some(self):
        self.assertEqual(self.parsed("--name", "m", only=("name",)), Whole(part=Part(name="m")))
        with self.assertRaises(click.UsageError):
            self.parsed("--count", "2", only=("name",))
