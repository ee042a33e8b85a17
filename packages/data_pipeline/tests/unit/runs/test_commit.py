from packages.data_pipeline.tests.unit.runs.pages import (
    LakeCase,
    a_plan,
    a_run,
    commit_pages,
    fetch,
    opened,
)

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class ACommit(LakeCase):
    def test_is_written_last_and_once(self):
        first = a_run(self.store)
        again = commit_pages(self.store, a_plan(), [])

        self.assertEqual(again, first)
        self.assertEqual(self.store.writes.count("metadata/runs/run_id=r1/manifest.json"), 1)

    def test_of_another_process_stands_and_so_does_its_list(self):
        first = a_run(self.store)

        again = commit_pages(self.store, a_plan(), [fetch(self.store, "r1", 0)])

        self.assertEqual(again, first)
        self.assertEqual([part.page for part in opened(self.store).parts()], [0, 1])

    def test_whose_list_was_damaged_is_repaired_by_the_next_commit(self):
        """A process that lost the race was killed after it wrote its own list."""
        first = a_run(self.store)
        self.store.put(LIST, b"its own")

        self.assertEqual(commit_pages(self.store, a_plan(), [fetch(self.store, "r1", 0)]), first)
        self.assertEqual([part.page for part in opened(self.store).parts()], [0, 1])
