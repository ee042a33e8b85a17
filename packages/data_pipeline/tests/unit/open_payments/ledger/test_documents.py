import json
import unittest
from typing import Any

from pydantic import BaseModel, ValidationError

from data_pipeline.open_payments.ledger.audits import slice_audit_of
from data_pipeline.open_payments.ledger.documents import (
    PUBLISHED,
    Attempt,
    Audit,
    Manifest,
    NamedRelease,
    Plan,
    Selection,
    SliceAudit,
)
from data_pipeline.runs.pointers import hash_of
from etl_core.errors import DataError
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    START,
    a_manifest,
    a_plan,
    a_release,
    a_selection,
    a_slice,
    an_attempt,
    an_audit,
)

DOCUMENTS = (
    an_audit(),
    a_slice(parts=2),
    an_attempt(count_before=None),
    a_plan(max_files=3),
    a_manifest(),
    NamedRelease(release=a_release()),
)


class AttemptTest(unittest.TestCase):
    def test_an_attempt_at_a_slice_names_no_window_in_particular(self):
        attempt = Attempt.of_slice("r1", a_release(), COMPANY, reason="no_audit", detail="x", temporary=False, at=START)

        self.assertEqual((attempt.run_id, attempt.release, attempt.window.of), ("r1", a_release(), 1))
        self.assertEqual((attempt.final, attempt.count_before, attempt.records, attempt.bytes), (True, None, 0, 0))
        self.assertEqual(Attempt.parse(attempt.to_bytes(), "key"), attempt)


class Documents(unittest.TestCase):
    def test_documents_are_all_published(self):
        self.assertEqual({type(one) for one in DOCUMENTS}, set(PUBLISHED))

    def test_documents_come_back_as_they_were_written(self):
        for one in DOCUMENTS:
            with self.subTest(model=type(one).__name__):
                self.assertEqual(type(one).parse(one.to_bytes(), "k"), one)

    def test_documents_carry_their_version(self):
        for one in DOCUMENTS:
            with self.subTest(model=type(one).__name__):
                raw = json.loads(one.to_bytes().splitlines()[0])
                self.assertEqual(raw["schema_version"], 1)
                with self.assertRaises(ValidationError):
                    type(one).model_validate(raw | {"schema_version": 2})

    def test_documents_refuse_fields_they_do_not_know_at_every_depth(self):
        for one in DOCUMENTS:
            raw = json.loads(one.to_bytes().splitlines()[0])
            for changed in (raw | {"extra": 1}, raw | {"release": raw["release"] | {"extra": 1}}):
                with self.subTest(model=type(one).__name__), self.assertRaises(ValidationError):
                    type(one).model_validate_json(json.dumps(changed))

    def test_documents_cannot_be_changed(self):
        for one in DOCUMENTS:
            with self.subTest(model=type(one).__name__), self.assertRaises(ValidationError):
                one.schema_version = 1  # type: ignore[misc]

    def test_documents_are_one_json_line_each_and_a_slice_one_more_for_each_part(self):
        for one, lines in zip(DOCUMENTS, (1, 3, 1, 1, 1, 1), strict=True):
            with self.subTest(model=type(one).__name__):
                self.assertEqual(one.to_bytes().count(b"\n"), lines)
                for line in one.to_bytes().splitlines():
                    self.assertEqual(json.loads(line)["schema_version"], 1)

    def test_documents_that_were_stored_are_passed_on_byte_for_byte(self):
        """A later version knows more fields: what it copies stays as an earlier one wrote it."""
        older = json.dumps(json.loads(an_audit().to_bytes()), indent=None, sort_keys=True).encode() + b"\n"
        slice_line = a_slice().to_bytes().splitlines(keepends=True)[0].replace(b"{", b"{ ")

        audit = Audit.parse(older, "k")
        closed = SliceAudit.parse(slice_line + older, "k")

        self.assertNotEqual(an_audit().to_bytes(), older)
        self.assertEqual(audit.to_bytes(), older)
        self.assertEqual(closed.to_bytes(), slice_line + older)
        self.assertEqual(closed.part_lines, older)
        self.assertEqual(slice_audit_of(a_release(), COMPANY, (audit,), 3, START).part_lines, older)

    def test_documents_that_were_changed_are_written_as_they_are_now(self):
        audit = Audit.parse(an_audit().to_bytes(), "k")

        changed = audit.model_copy(update={"records": 4})

        self.assertEqual(json.loads(changed.to_bytes())["records"], 4)

    def test_documents_have_json_schemas_that_name_every_field(self):
        for model in PUBLISHED:
            with self.subTest(model=model.__name__):
                schema = model.model_json_schema(mode="serialization")
                self.assertEqual(set(schema["properties"]), set(model.model_fields) - {"parts"})
                self.assertFalse(schema["additionalProperties"])

    def test_documents_take_only_words_of_their_own(self):
        cases: list[tuple[type[BaseModel], str, tuple[str, ...], str]] = [
            (Audit, "verdict", ("proved", "empty"), "failed"),
            (Audit, "strategy", ("window", "pages"), "auto"),
            (Manifest, "status", ("completed", "partial", "failed", "torn"), "running"),
            (Plan, "counts_from", ("grouped", "entities", "count"), "guess"),
        ]
        for model, field, words, other in cases:
            raw = next(one.model_dump() for one in DOCUMENTS if type(one) is model)
            for word in words:
                with self.subTest(field=field, word=word):
                    self.assertEqual(getattr(model.model_validate(raw | {field: word}), field), word)
            with self.subTest(field=field, word=other), self.assertRaises(ValidationError):
                model.model_validate(raw | {field: other})

    def test_documents_take_only_hashes_in_lower_case_hex(self):
        for text in ("a" * 63, "a" * 65, "A" * 64, "g" * 64, ""):
            with self.subTest(text=text), self.assertRaises(ValidationError):
                an_audit(sha256=text)


class ThePlan(unittest.TestCase):
    def test_a_plan_is_refused_if_its_release_is_of_another_dataset_or_year_than_was_asked_for(self):
        """Written or read: otherwise another dataset's files would be proved as those asked for."""
        stored = json.loads(a_plan().to_bytes())
        for change in ({"dataset": "research-payments"}, {"year": 2023}):
            with self.subTest(change=change):
                with self.assertRaisesRegex(DataError, "run r1 is refused: it asks for general-payments 2024"):
                    a_plan(release=a_release(**change), dataset="general-payments", year=2024)
                raw = json.dumps(stored | {"release": stored["release"] | change}).encode()
                with self.assertRaisesRegex(DataError, "its release is of"):
                    Plan.parse(raw, "k")


class TheRelease(unittest.TestCase):
    def test_a_release_is_named_by_its_date_and_the_first_eight_of_its_distribution(self):
        self.assertEqual(a_release().name, "2026-06-30-9323b84e")

    def test_a_release_does_not_say_how_it_was_found(self):
        fields = {"dataset", "year", "dataset_id", "distribution_id", "modified"}
        self.assertEqual(a_release().model_dump().keys(), fields)


class TheManifest(unittest.TestCase):
    def test_a_manifest_is_closed_only_if_its_run_is_completed_and_the_year_adds_up(self):
        """The newest closed run is what is read downstream: a completed part of a year is not one."""
        for status, closed, expected in [
            ("completed", True, True),
            ("completed", False, False),
            ("partial", True, False),
            ("torn", True, False),
        ]:
            with self.subTest(status=status, closed=closed):
                closure = a_manifest().closure.model_copy(update={"closed": closed})
                self.assertIs(a_manifest(status=status, closure=closure).is_closed, expected)


class TheSelection(unittest.TestCase):
    def test_a_selection_is_the_whole_year_only_if_nothing_narrows_it(self):
        cases: list[tuple[dict[str, Any], bool]] = [
            ({}, True),
            ({"company_id": "1"}, False),
            ({"company_id": ""}, False),
            ({"company_ids": ("1", "2")}, False),
            ({"max_files": 5}, False),
            ({"slice_of": "1/2"}, False),
            ({"rerun_of": "r1", "rerun_what": "failed"}, False),
        ]
        for narrowed, whole in cases:
            with self.subTest(narrowed=narrowed):
                self.assertEqual(a_selection(**narrowed).is_whole_year, whole)

    def test_a_selection_of_companies_is_the_same_in_whatever_order_and_field_they_are_given(self):
        cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"company_ids": ("1",)}, {"company_id": "1"}),
            ({"company_ids": ("10", "9", "10")}, {"company_ids": ("9", "10")}),
            ({"company_id": "10", "company_ids": ("9",)}, {"company_ids": ("9", "10")}),
        ]
        for given, same in cases:
            with self.subTest(given=given):
                self.assertEqual(a_selection(**given), a_selection(**same))
                self.assertEqual(a_selection(**given).model_dump_json(), a_selection(**same).model_dump_json())

    def test_a_selection_of_at_most_one_company_is_stored_and_found_as_before_there_were_several(self):
        """Lakes of version 1 have these bytes and these names of pointers."""
        rest = '"max_files":null,"slice_of":null,"rerun_of":null,"rerun_what":null}'
        cases = ((None, "null", "b2afba313b5d7487"), ("53", '"53"', "f4c6350a81ec6a37"))
        for company_id, stored, in_keys in cases:
            selection = a_selection(company_id=company_id)
            with self.subTest(company_id=company_id):
                self.assertEqual(
                    selection.model_dump_json(),
                    f'{{"dataset":"general-payments","year":2024,"company_id":{stored},{rest}',
                )
                self.assertEqual(hash_of(selection), in_keys)
        several = a_selection(company_ids=("1", "2"))
        self.assertEqual(Selection.model_validate_json(several.model_dump_json()), several)

    def test_a_selection_needs_a_dataset_and_a_year(self):
        for given in ({"year": 2024}, {"dataset": "general-payments"}):
            with self.subTest(given=given), self.assertRaises(ValidationError):
                Selection.model_validate(given)
