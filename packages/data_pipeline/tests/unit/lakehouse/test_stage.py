from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from data_pipeline.lake_layout.lakehouse import StagedKeys
from data_pipeline.lakehouse import conversion
from data_pipeline.lakehouse.contract import Contract, header_digest
from data_pipeline.lakehouse.stage import batches, totals_of
from etl_core.errors import ConflictError, DataError, StoppedError
from packages.data_pipeline.tests.unit.lakehouse.lake_case import SCOPE, LakehouseCase, csv_of, raw_key
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT, TOML, a_record

STAGED = f"staging/{SCOPE}/contract={CONTRACT.hash}/payer=7/part-1-of-1.parquet"
QUARANTINE = STAGED.replace("staging/", "staging/quarantine/")
DOCUMENT = f"metadata/{STAGED}".replace(".parquet", ".json")


class Staged(LakehouseCase):
    def test_good_records_become_typed_and_their_part_has_a_document(self):
        run = self.commit({"7": csv_of([a_record(), a_record(Id="2", Amount="0.00", Nature="New")])})

        documents = self.staging(run).run({})

        self.assertEqual([row["_part"] for row in self.table(STAGED)], [raw_key("7")] * 2)
        self.assertEqual(set(self.table(STAGED)[0]), {one.title for one in CONTRACT.columns} | {"_flags", "_part"})
        document = documents[raw_key("7")]
        self.assertEqual(self.store.get(DOCUMENT), document.to_bytes())
        self.assertEqual(self.store.get(f"metadata/contracts/{CONTRACT.hash}.json"), CONTRACT.to_bytes())
        totals = totals_of(documents.values())
        self.assertEqual((totals["rows"], totals["quarantined"], totals["flags"]), (2, 0, {"amount.range": 1}))
        self.assertEqual([(one.column, one.records, one.least) for one in totals["new_values"]], [("nature", 1, "New")])
        self.assertEqual(
            (document.amounts, document.least, document.quarantine), ({"amount": Decimal("12.30")}, "7", None)
        )

    def test_bad_records_are_kept_with_reasons_and_place(self):
        run = self.commit({"7": csv_of([a_record(), a_record(Id="2", Amount="12.345", Note="=cmd"), a_record(Id="x")])})

        (document,) = self.staging(run).run({}).values()

        self.assertEqual((document.staged, document.quarantined), (1, 2))
        self.assertEqual(document.reasons, {"amount.pattern": 1, "id.pattern": 1})
        first, second = self.table(QUARANTINE)
        self.assertEqual((first["_record"], first["amount"], first["note"]), (2, "12.345", "=cmd"))
        self.assertEqual((second["_record"], second["_reasons"]), (3, "id.pattern"))
        self.assertEqual((first["_part"], first["_part_sha256"]), (raw_key("7"), next(run.parts()).sha256))

    def test_small_parts_are_read_together_and_each_has_its_files(self):
        bodies = {str(payer): csv_of([a_record(Payer=str(payer))] * (payer % 4)) for payer in range(9)}
        bodies["9"] = csv_of([a_record(Payer="9", Amount="x")])
        bodies["10"] = csv_of([a_record(Payer="10", Amount="x"), a_record(Payer="10")])
        run = self.commit(bodies)

        documents = self.staging(run).run({})

        for part in run.parts():
            with self.subTest(part=part.key):
                document = documents[part.key]
                payer = part.key.split("payer=")[1].split("/")[0]
                self.assertEqual(document.staged + document.quarantined, part.records)
                if document.file is None:
                    self.assertEqual((document.staged, document.least), (0, None))
                else:
                    self.assertEqual({row["payer"] for row in self.table(document.file.key)}, {payer})
        self.assertEqual(documents[raw_key("9")].quarantined, 1)
        self.assertEqual((documents[raw_key("10")].staged, documents[raw_key("10")].quarantined), (1, 1))

    def test_the_dialect_with_a_backslash_gives_the_same_rows_as_rfc_4180(self):
        note = 'a \\" b, "'
        plain = csv_of([a_record(Note=note), a_record(Id="2", Amount="x")])
        other = plain.replace(b'\\""', b'\\"')
        self.assertNotEqual(plain, other)

        for name, body in (("backslash", other), ("rfc4180", plain)):
            with self.subTest(dialect=name):
                self.setUp()
                (document,) = self.staging(self.commit({"7": body}, dialect=name)).run({}).values()
                self.assertEqual([row["note"] for row in self.table(STAGED)], [note])
                self.assertEqual((document.quarantined, self.table(QUARANTINE)[0]["_record"]), (1, 2))

    def test_a_part_that_duckdb_refuses_is_read_by_our_own_reader(self):
        body = csv_of([a_record(), a_record(Id="2", Note="MARK")]).replace(b"MARK", b"\xff\xfe")
        run = self.commit({"6": csv_of([a_record(Payer="6")]), "7": body})

        documents = self.staging(run).run({})

        self.assertEqual(documents[raw_key("6")].staged, 1)
        self.assertEqual((documents[raw_key("7")].staged, documents[raw_key("7")].reasons), (1, {"record.encoding": 1}))
        self.assertEqual(self.table(QUARANTINE)[0]["note"], "\\xff\\xfe")

    def test_hostile_cells_are_text_in_every_column_that_takes_text(self):
        cells = ["=cmd|' /C calc'!A0", "\x1b[31m", "<script>", "a\0b", "'; DROP TABLE t; --", "x" * 200_000]
        run = self.commit({"7": csv_of(a_record(Id=str(number), Note=one) for number, one in enumerate(cells))})

        (document,) = self.staging(run).run({}).values()

        self.assertEqual([row["note"] for row in self.table(STAGED)], cells)
        self.assertEqual((document.staged, document.flags), (6, {"note.length": 3}))


class Again(LakehouseCase):
    def test_what_is_staged_is_not_read_again(self):
        run = self.commit({"7": csv_of([a_record()])})
        documents = self.staging(run).run({})
        self.store.delete(raw_key("7"))
        writes = list(self.store.writes)

        staging = self.staging(run)

        self.assertEqual(staging.done(), documents)
        self.assertEqual(staging.run(staging.done()), documents)
        self.assertEqual(self.store.writes, writes)

    def test_only_missing_parts_are_staged(self):
        self.staging(self.commit({"7": csv_of([a_record()])})).run({})
        run = self.commit({"7": csv_of([a_record()]), "8": csv_of([a_record(Payer="8")])}, run_id="r2")
        staging = self.staging(run)
        writes = len(self.store.writes)

        self.assertEqual(len(staging.run(staging.done())), 2)

        self.assertEqual([key.split("payer=")[1][0] for key in self.store.writes[writes:]], ["8", "8"])

    def test_a_changed_rule_stages_beside_what_is_there_and_takes_the_record_in(self):
        run = self.commit({"7": csv_of([a_record(Amount="12.345")])})
        self.staging(run).run({})
        laxer = Contract.from_toml(TOML.replace("[0-9]{1,2})?", "[0-9]{1,3})?"))
        staging = self.staging(run, laxer)

        (document,) = staging.run(staging.done()).values()

        self.assertNotEqual(laxer.hash, CONTRACT.hash)
        self.assertEqual((document.staged, document.quarantined), (1, 0))
        self.assertIsNotNone(self.store.get(QUARANTINE))

    @pytest.mark.long
    def test_one_bad_field_in_2000_slices_is_one_quarantined_record_until_its_rule_changes(self):
        parts = {str(payer): csv_of([a_record(Payer=str(payer))]) for payer in range(2000)}
        parts["7"] = csv_of([a_record(Payer="7", Times="two"), a_record(Id="2", Payer="7")])
        run = self.commit(parts)

        totals = totals_of(self.staging(run).run({}).values())

        self.assertEqual((totals["rows"], totals["quarantined"]), (2000, 1))
        self.assertEqual(totals["reasons"], {"times.pattern": 1})
        (found,) = [key for key in self.store.writes if key.startswith("staging/quarantine/")]
        self.assertEqual([row["times"] for row in self.table(found)], ["two"])

        wider = Contract.from_toml(TOML.replace('Times = { type = "times" }', 'Times = { type = "note" }'))
        staging, before = self.staging(run, wider), len(self.store.writes)
        documents = staging.run(staging.done())

        self.assertEqual([totals_of(documents.values())[name] for name in ("rows", "quarantined")], [2001, 0])
        written = self.store.writes[before:]
        self.assertTrue(all(wider.hash in key for key in written))
        self.assertEqual(len(written), 2 * 2000 + 1)
        self.assertEqual(staging.run(staging.done()), documents)
        self.assertEqual(len(self.store.writes[before:]), len(written))

    def test_files_left_by_a_process_that_died_are_taken_over(self):
        run = self.commit({"7": csv_of([a_record(), a_record(Id="x")])})
        self.staging(run).run({})
        document = self.store.get(DOCUMENT)
        self.store.delete(DOCUMENT)

        self.staging(run).run({})

        self.assertEqual(self.store.get(DOCUMENT), document)

    def test_a_part_that_lost_a_file_is_staged_again(self):
        run = self.commit({"7": csv_of([a_record(), a_record(Id="2", Amount="x")]), "8": csv_of([a_record(Id="3")])})
        before = self.staging(run).run({})
        for key in (STAGED, QUARANTINE):
            with self.subTest(key=key):
                body = self.store.get(key)
                self.store.delete(key)

                done = self.staging(run).done()
                self.assertEqual(list(done), [raw_key("8")])
                self.assertEqual(self.staging(run).run(done), before)
                self.assertEqual(self.store.get(key), body)

    def test_two_at_once_agree(self):
        run = self.commit({"7": csv_of([a_record()])})
        theirs = self.staging(run).run({})

        self.assertEqual(self.staging(run).run({}), theirs)

    def test_a_document_of_other_bytes_is_a_conflict(self):
        run = self.commit({"7": csv_of([a_record()])})
        self.staging(run).run({})
        other = self.commit({"7": csv_of([a_record()])}, run_id="r2", sha256="1" * 64)

        with self.assertRaisesRegex(ConflictError, "is of other bytes"):
            self.staging(other).done()


class Refused(LakehouseCase):
    def test_a_part_that_is_not_the_audited_one_is_named(self):
        body = csv_of([a_record()])
        for changes, words in (
            ({"sha256": "1" * 64}, "not the part that its audit proves"),
            ({"records": 2}, "1 records staged and 0 quarantined, proved were 2"),
        ):
            with self.subTest(words=words):
                self.setUp()
                with self.assertRaisesRegex(DataError, f"payer=7/part-1-of-1.csv.*{words}"):
                    self.staging(self.commit({"7": body}, **changes)).run({})
                self.assertFalse([key for key in self.store.writes if key.startswith(("staging", "metadata/staging"))])

    def test_a_part_that_neither_reader_can_read_is_named(self):
        body = csv_of([a_record()]) + b'"1,2\n'
        with self.assertRaisesRegex(DataError, "payer=7/part-1-of-1.csv"):
            self.staging(self.commit({"7": body})).run({})

    def test_a_header_that_drifted_is_reported_with_both_headers(self):
        more = csv_of([[*a_record(), "x"]], (*CONTRACT.header, "More"))
        run = self.commit({"7": more})
        with self.assertRaisesRegex(
            DataError, r"not breaking: added More \(expected \['Id', .* found .*--accept-drift"
        ):
            self.staging(run).run({})

        (document,) = self.staging(run, accept_drift=True).run({}).values()

        self.assertEqual((document.staged, document.drift.added if document.drift else ()), (1, ("More",)))

    def test_a_reordered_header_is_read_by_name_where_that_is_accepted(self):
        turned = csv_of([a_record()[::-1]], CONTRACT.header[::-1])
        run = self.commit({"7": turned})
        with self.assertRaisesRegex(DataError, "not breaking: reordered the others .*expected .*found"):
            self.staging(run).run({})

        (document,) = self.staging(run, accept_drift=True).run({}).values()

        self.assertEqual((document.staged, bool(document.drift and document.drift.reordered)), (1, True))
        self.assertEqual([(row["id"], row["note"]) for row in self.table(STAGED)], [("1", "thanks")])

    def test_breaking_drift_cannot_be_accepted(self):
        known, good = list(CONTRACT.header), a_record()
        for header, record, words in (
            ([one.replace("Note", "Notes") for one in known], good, "renamed Note to Notes"),
            (known[:-1], good[:-1], "removed Note"),
            ([*known, "Id"], [*good, "2"], "added .*|reordered"),
            ([*known, "id"], [*good, "2"], "added id"),
            ([*known, "_part"], [*good, "raw/x"], "added _part"),
            ([*known, 'x"; DROP TABLE t; --'], [*good, ""], "added x"),
            (["\ufeffId", *known[1:]], good, "renamed Id"),
        ):
            with self.subTest(header=header[-1]):
                self.setUp()
                with self.assertRaisesRegex(DataError, f"breaking: ({words}).*expected .*found"):
                    self.staging(self.commit({"7": csv_of([record], header)}), accept_drift=True).run({})
                self.assertFalse([key for key in self.store.writes if key.startswith("staging")])

    def test_a_former_header_is_named(self):
        former = ("Id", "Payer")
        eras = f'\n[[eras]]\nname = "of 2014"\ncolumns = 2\nsha256 = "{header_digest(former)}"\n'
        contract = Contract.from_toml(TOML + eras)
        with self.assertRaisesRegex(DataError, "the former header 'of 2014'"):
            self.staging(self.commit({"7": csv_of([["1", "7"]], former)}), contract).run({})

    def test_other_titles_of_the_columns_are_read_by_their_aliases(self):
        names = {f"machine_{number}": name for number, name in enumerate(CONTRACT.header)}
        run = self.commit({"7": csv_of([a_record()], names)})

        (document,) = self.staging(run, aliases=names).run({}).values()

        self.assertEqual((document.staged, document.drift), (1, None))

    def test_a_stop_keeps_what_is_staged(self):
        parts = {str(payer): csv_of([a_record(Payer=str(payer))] * 3) for payer in range(conversion.MOST_PARTS * 4)}
        run = self.commit(parts)
        turns = iter([None, None])

        def check() -> None:
            if next(turns, "over") is not None:
                raise StoppedError("stopped", signal_number=15)

        with self.assertRaises(StoppedError):
            self.staging(run, check_stop=check).run({})
        done = self.staging(run).done()
        self.assertEqual(len(done), 2 * conversion.MOST_PARTS)
        self.assertEqual(len(self.staging(run).run(done)), len(parts))


class Batches(LakehouseCase):
    def test_large_parts_are_alone_and_small_ones_together(self):
        big, small = conversion.MOST_BYTES - 10, 4
        run = self.commit({str(number): b"" for number in range(70)})
        sizes: Iterator[Any] = iter([big, *([small] * 69)])
        parts = [one.model_copy(update={"bytes": next(sizes)}) for one in run.parts()]

        found = list(batches(parts, conversion.MOST_PARTS, conversion.MOST_BYTES))

        self.assertEqual([len(one) for one in found], [3, 64, 3])
        self.assertEqual({one.key for batch in found for one in batch}, {one.key for one in parts})


class Keys(LakehouseCase):
    def test_follow_from_the_key_of_the_part(self):
        keys = StagedKeys.of_part(raw_key("7"), CONTRACT.hash)

        self.assertEqual((keys.staged, keys.quarantine, keys.document), (STAGED, QUARANTINE, DOCUMENT))
        with self.assertRaisesRegex(DataError, "is not the key of a raw part"):
            StagedKeys.of_part("metadata/x.csv", "00")
