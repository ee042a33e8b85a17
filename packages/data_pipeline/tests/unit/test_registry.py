import importlib
import itertools
import sys
import tempfile
import unittest
from pathlib import Path

from data_pipeline.registry import JOBS_FOLDER, BrokenJobError, Registry
from etl_core.errors import BUG, UsageError
from packages.data_pipeline.tests.unit.dropped_in import BROKEN, GOOD, OTHERS

numbers = itertools.count()


class RegistryCase(unittest.TestCase):
    """S4.2, in a folder that is a package of its own."""

    def setUp(self) -> None:
        root = self.enterContext(tempfile.TemporaryDirectory())
        self.package = f"dropped_in_{next(numbers)}"
        self.folder = Path(root) / self.package
        self.folder.mkdir()
        sys.path.insert(0, root)
        self.addCleanup(sys.path.remove, root)
        self.addCleanup(self.forget)
        self.registry = Registry(self.folder, self.package)
        self.drop("__init__")

    def drop(self, name: str, source: str = "") -> None:
        path = self.folder / name
        (path if path.suffix else path.with_suffix(".py")).write_text(source, encoding="utf-8")
        importlib.invalidate_caches()

    def forget(self) -> None:
        for name in [one for one in sys.modules if one.startswith(self.package)]:
            del sys.modules[name]


class Names(RegistryCase):
    def test_are_those_of_the_files(self):
        for name, source in (GOOD | {name: source for name, (source, _) in BROKEN.items()} | OTHERS).items():
            self.drop(name, source)
        (self.folder / "folder").mkdir()

        self.assertEqual(self.registry.names(), sorted([*GOOD, *BROKEN]))

    def test_are_known_without_importing_anything(self):
        self.drop("raising", BROKEN["raising"][0])

        self.registry.names()

        self.assertEqual([one for one in sys.modules if one.startswith(self.package)], [])

    def test_are_none_in_an_empty_folder(self):
        self.assertEqual((self.registry.names(), self.registry.listings()), ([], {}))

    def test_are_ours_unless_told_otherwise(self):
        ours = {"resolve_ids", "build_totals", "download_company", "upload_raw", "write_manifest", "run_pipeline"}

        self.assertLessEqual(ours, set(Registry().names()))
        self.assertEqual(JOBS_FOLDER.name, "jobs")


class Load(RegistryCase):
    def test_gives_what_a_file_calls_its_job(self):
        self.drop("my_job", GOOD["my_job"])

        job = self.registry.load("my_job")

        self.assertEqual((job.name, job.description), ("my_job", "Normalize agency records"))
        self.assertIs(job.entrypoint, sys.modules[f"{self.package}.my_job"].entrypoint)

    def test_imports_that_job_alone(self):
        for name in GOOD:
            self.drop(name, GOOD[name])

        self.registry.load("echo")

        self.assertEqual([one for one in sys.modules if one.startswith(f"{self.package}.")], [f"{self.package}.echo"])

    def test_says_what_is_broken_about_a_job(self):
        for name, (source, why) in BROKEN.items():
            self.drop(name, source)
            with self.subTest(name=name), self.assertRaises(BrokenJobError) as caught:
                self.registry.load(name)
            self.assertTrue(str(caught.exception).startswith(f"job {name} is broken: {why}"), caught.exception)
            self.assertEqual(caught.exception.exit_status, BUG)

    def test_lets_a_person_interrupt(self):
        self.drop("slow", "raise KeyboardInterrupt")

        with self.assertRaises(KeyboardInterrupt):
            self.registry.load("slow")

    def test_names_the_nearest_where_there_is_none(self):
        for name in ("build_totals", "run_pipeline", "run_pipelines"):
            self.drop(name, GOOD["echo"])
        for name, hint in [
            ("build-totals", "Did you mean build_totals?"),
            ("totals", "Did you mean build_totals?"),
            ("run_pipelin", "Did you mean run_pipeline or run_pipelines?"),
            ("xyz", "'data-pipeline list' shows all."),
            ("", "'data-pipeline list' shows all."),
            ("../echo", "'data-pipeline list' shows all."),
            ("_helper", "'data-pipeline list' shows all."),
            ("registry", "'data-pipeline list' shows all."),
        ]:
            with self.subTest(name=name), self.assertRaises(UsageError) as caught:
                self.registry.load(name)
            self.assertEqual(str(caught.exception), f"there is no job {name!r}. {hint}")


class Listings(RegistryCase):
    def test_show_the_broken_among_the_others(self):
        for name in ("raising", "leaving", "jobless"):
            self.drop(name, BROKEN[name][0])
        self.drop("echo", GOOD["echo"])

        self.assertEqual(
            self.registry.listings(),
            {"echo": "Say what was given"}
            | {name: f"BROKEN: {BROKEN[name][1]}" for name in ("jobless", "leaving", "raising")},
        )
