from data_pipeline.runs import commit, committed, plans
from etl_core.errors import DataError, NotFoundError
from packages.data_pipeline.tests.unit.runs.pages import (
    LakeCase,
    PageAudit,
    PagesManifest,
    Sweep,
    a_plan,
    a_run,
    commit_pages,
    fetch,
    opened,
)

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class ReadAgain(LakeCase):
    def test_gives_manifest_parts_and_records(self):
        manifest = a_run(self.store)

        run = opened(self.store)

        self.assertEqual(run.manifest, manifest)
        self.assertEqual([part.page for part in run.parts()], [0, 1])
        self.assertEqual([record["id"] for part in run.parts() for record in run.records(part)], [0, 1, 2, 3])
        self.assertEqual(run.uri(next(run.parts())), "memory://raw/people/run_id=r1/page-0.json.gz")
        self.assertEqual(b"".join(part.to_bytes() for part in run.parts()), self.store.get(LIST))

    def test_finds_the_newest_of_a_selection_that_is_complete(self):
        a_run(self.store, "a", minutes=1)
        a_run(self.store, "b", minutes=20, missing=1)
        a_run(self.store, "c", minutes=30, at_most=1)
        plans.write_plan(self.store, a_plan("d", minutes=40))

        def newest(**choice: bool) -> str:
            found = committed.newest_run(self.store, Sweep(listing="people"), PagesManifest, PageAudit, **choice)
            return found.manifest.run_id if found else ""

        self.assertEqual((newest(), newest(closed=False)), ("a", "b"))
        self.assertIsNone(committed.newest_run(self.store, Sweep(listing="x"), PagesManifest, PageAudit))

    def test_refuses_runs_that_are_not_there_or_not_committed(self):
        plans.write_plan(self.store, a_plan())
        for run_id, error, says in [
            ("r9", NotFoundError, "has no run r9"),
            ("r1", DataError, "run r1 is not committed"),
        ]:
            with self.subTest(run_id=run_id), self.assertRaisesRegex(error, says):
                opened(self.store, run_id)

    def test_refuses_a_list_that_the_manifest_does_not_name(self):
        a_run(self.store)
        for body in (None, b"", (self.store.get(LIST) or b"").replace(b'"records":2', b'"records":3')):
            with self.subTest(body=body):
                self.store.delete(LIST)
                if body is not None:
                    self.store.put(LIST, body)
                with self.assertRaisesRegex(DataError, f"{LIST} is not the file that the manifest beside it names"):
                    list(opened(self.store).parts())

    def test_names_the_line_of_the_list_that_cannot_be_read(self):
        manifest = a_run(self.store)
        lines = (self.store.get(LIST) or b"").splitlines(keepends=True)[0] + b"{\n"
        damaged = manifest.model_copy(update={"file_audits_sha256": commit.digest_of(lines)})
        self.store.put("metadata/runs/run_id=r1/manifest.json", damaged.to_bytes())
        self.store.put(LIST, lines)

        with self.assertRaisesRegex(DataError, f"{LIST} line 2 is no PageAudit"):
            list(opened(self.store).parts())

    def test_names_the_part_that_is_missing_or_has_other_bytes(self):
        a_run(self.store)
        run = opened(self.store)
        part = list(run.parts())[1]
        good = self.store.get(part.key) or b""
        for body in (None, good[:-1], good + b"x", bytes([good[0], good[1] ^ 1]) + good[2:]):
            with self.subTest(body=body):
                self.store.delete(part.key)
                if body is not None:
                    self.store.put(part.key, body)
                with self.assertRaisesRegex(DataError, f"{part.key} is not the part that its audit proves") as caught:
                    list(run.chunks(part))
                self.assertIn("Restore it", str(caught.exception))

    def test_names_the_part_that_has_another_number_of_records(self):
        plan = plans.write_plan(self.store, a_plan())
        page = fetch(self.store, "r1", 0, records=3)
        commit_pages(self.store, plan, [page])
        run = opened(self.store)

        with self.assertRaisesRegex(DataError, f"{page.key} is not .*: 2 records, proved were 3"):
            list(run.records(next(run.parts())))
