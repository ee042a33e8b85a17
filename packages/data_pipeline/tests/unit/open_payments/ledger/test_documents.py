import json
import unittest
from typing import Any

from pydantic import BaseModel, ValidationError

from data_pipeline.open_payments.ledger.documents import PUBLISHED, Audit, Manifest, Plan, Release, Selection
from packages.data_pipeline.tests.unit.fakes import (
    a_manifest,
    a_plan,
    a_release,
    a_selection,
    a_slice,
    an_attempt,
    an_audit,
)

DOCUMENTS = (an_audit(), a_slice(parts=2), an_attempt(count_before=None), a_plan(max_files=3), a_manifest())


class Documents(unittest.TestCase):
    def test_are_all_published(self):
        self.assertEqual({type(one) for one in DOCUMENTS}, set(PUBLISHED))

    def test_come_back_as_they_were_written(self):
        for one in DOCUMENTS:
            for raw in (one.to_bytes(), one.to_line()):
                with self.subTest(model=type(one).__name__, size=len(raw)):
                    self.assertEqual(type(one).model_validate_json(raw), one)

    def test_carry_their_version(self):
        for one in DOCUMENTS:
            with self.subTest(model=type(one).__name__):
                raw = json.loads(one.to_bytes())
                self.assertEqual(raw["schema_version"], 1)
                with self.assertRaises(ValidationError):
                    type(one).model_validate(raw | {"schema_version": 2})

    def test_refuse_fields_they_do_not_know_at_every_depth(self):
        for one in DOCUMENTS:
            raw = json.loads(one.to_bytes())
            for changed in (raw | {"extra": 1}, raw | {"release": raw["release"] | {"extra": 1}}):
                with self.subTest(model=type(one).__name__), self.assertRaises(ValidationError):
                    type(one).model_validate_json(json.dumps(changed))

    def test_cannot_be_changed(self):
        for one in DOCUMENTS:
            with self.subTest(model=type(one).__name__), self.assertRaises(ValidationError):
                one.schema_version = 1  # type: ignore[misc]

    def test_are_one_line_or_readable_by_people(self):
        for one in DOCUMENTS:
            with self.subTest(model=type(one).__name__):
                self.assertEqual(one.to_line().count(b"\n"), 1)
                self.assertTrue(one.to_bytes().startswith(b'{\n "'))
                self.assertTrue(one.to_bytes().endswith(b"}\n"))

    def test_have_json_schemas_that_name_every_field(self):
        for model in PUBLISHED:
            with self.subTest(model=model.__name__):
                schema = model.model_json_schema()
                self.assertEqual(set(schema["properties"]), set(model.model_fields))
                self.assertFalse(schema["additionalProperties"])

    def test_take_only_words_of_their_own(self):
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

    def test_take_only_hashes_in_lower_case_hex(self):
        for text in ("a" * 63, "a" * 65, "A" * 64, "g" * 64, ""):
            with self.subTest(text=text), self.assertRaises(ValidationError):
                an_audit(sha256=text)


class TheRelease(unittest.TestCase):
    def test_is_named_by_its_date_and_the_first_eight_of_its_distribution(self):
        self.assertEqual(a_release().name, "2026-06-30-9323b84e")

    def test_comes_by_one_of_two_routes(self):
        self.assertEqual(Release.model_validate(a_release().model_dump() | {"route": "script"}).route, "script")
        with self.assertRaises(ValidationError):
            a_release(route="guess")


class TheSelection(unittest.TestCase):
    def test_is_the_whole_year_only_if_nothing_narrows_it(self):
        cases: list[tuple[dict[str, Any], bool]] = [
            ({}, True),
            ({"company_id": "1"}, False),
            ({"max_files": 5}, False),
            ({"slice_of": "1/2"}, False),
            ({"rerun_of": "r1", "rerun_what": "failed"}, False),
        ]
        for narrowed, whole in cases:
            with self.subTest(narrowed=narrowed):
                self.assertEqual(a_selection(**narrowed).is_whole_year, whole)

    def test_needs_a_dataset_and_a_year(self):
        for given in ({"year": 2024}, {"dataset": "general-payments"}):
            with self.subTest(given=given), self.assertRaises(ValidationError):
                Selection.model_validate(given)
