import sys
import unittest

from data_pipeline.summary import command_of, summary_of

FACT = {"job": "stage", "status": "staged", "seconds": 1.25, "run_id": "r1", "lake": "file:///lake"}


class Summary(unittest.TestCase):
    def lines(self, **more):
        first, *lines = summary_of({**FACT, **more}, whole=True)
        self.assertEqual(first, "stage: staged in 1.2 s")
        return {name.strip(): text for name, text in (line.strip().split("  ", 1) for line in lines)}

    def test_has_values_as_people_write_them_and_leaves_out_what_says_nothing(self):
        found = self.lines(
            year=2024, rows=12345, closed=True, share=0.25, note="", problem=None, parts=[], reasons={},
            tables={"a": 1000, "b": None}, names=["x", "y"], text="one\n two", exit_code=0, schema_version=1,
        )  # fmt: skip
        texts = {name: text.strip() for name, text in found.items()}

        self.assertEqual(
            texts,
            {
                "run id": "r1", "lake": "file:///lake", "year": "2024", "rows": "12,345", "closed": "yes",
                "share": "0.2", "tables": "a 1,000", "names": "x, y", "text": "one two",
            },
        )  # fmt: skip

    def test_cuts_what_is_long(self):
        found = self.lines(keys=[str(number) for number in range(10)], text="x" * 1000)

        self.assertEqual(found["keys"].strip(), "0, 1, 2, 3, 4, 5 and 4 more")
        self.assertEqual(len(found["text"].strip()), 200)

    def test_is_short_where_the_job_told_the_rest(self):
        lines = summary_of({**FACT, "rows": 5}, whole=False, following=["do this"])

        self.assertEqual(
            lines,
            ["stage: staged in 1.2 s", "  run_id  r1".replace("_", " "), "  lake    file:///lake", "Next: do this"],
        )


class Command(unittest.TestCase):
    def test_can_be_pasted(self):
        self.assertEqual(command_of("runs", started_as="data-pipeline"), "data-pipeline run runs")
        self.assertEqual(
            command_of("query", "FROM a; --", lake="a lake", started_as="data-pipeline"),
            "data-pipeline run query -- 'FROM a; --' --lake 'a lake'",
        )

    def test_is_started_as_this_one_was(self):
        self.assertEqual(
            command_of("runs", started_as="/else where/data-pipeline"), "'/else where/data-pipeline' run runs"
        )
        self.assertEqual(
            command_of("runs", started_as="/x/data_pipeline/__main__.py"), f"{sys.executable} -m data_pipeline run runs"
        )
