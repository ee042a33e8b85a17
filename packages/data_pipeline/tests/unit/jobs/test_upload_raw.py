from data_pipeline import lake_layout
from packages.data_pipeline.tests.unit.fakes import a_slice
from packages.data_pipeline.tests.unit.jobs.command_case import CommittedCase


class UploadRaw(CommittedCase):
    def test_copies_a_committed_run_and_says_what_it_did(self):
        self.commit()
        part = self.lake / a_slice().parts[0].key
        other = self.folder / "other"

        status, fact, err = self.run_job("upload_raw", "--run-id", "r1", "--to", str(other), "--dry-run")
        self.assertEqual((status, fact["status"], fact["copied"], other.exists()), (0, "planned", 0, other.exists()))
        self.assertEqual(err.count("would copy"), 14)

        # The part is not what its audit says, so it is not copied, and the manifest is not either.
        status, fact, err = self.run_job("upload_raw", "--run-id", "r1", "--to", str(other))
        self.assertEqual((status, fact["error"]), (3, "ConflictError"))
        self.assertIn("its audit says", err)
        self.assertFalse((other / lake_layout.runs.manifest("r1")).exists())
        self.assertTrue(part.exists())

    def test_needs_both_names(self):
        for words in (["--run-id", "r1"], ["--to", "x"], []):
            with self.subTest(words=words):
                self.assertEqual(self.run_job("upload_raw", *words)[0], 2)
