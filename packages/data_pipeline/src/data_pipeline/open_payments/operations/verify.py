"""A committed run read again: what the lake, and on request the source, still proves of it.

Findings are results, not exceptions. The lake records every fact in several places, which are compared:
the bytes, the part's audit, ``slice.jsonl``, ``file_audits.jsonl`` with its digest in the manifest, the
manifest's line, the plan, the report. If all of them are edited consistently, only the source's counts show
it; if the counts are kept, nothing does (docs/promises.md).
"""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from data_pipeline import lake_layout
from data_pipeline.lake_layout.ids import shown_company
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.ledger import manifest as manifests
from data_pipeline.open_payments.ledger import plans, schemas
from data_pipeline.open_payments.ledger.audits import keys_of, slice_audit_of
from data_pipeline.open_payments.ledger.documents import Audit, Manifest, Plan, SliceAudit
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.windows import tile_the_slice
from data_pipeline.runs.committed import AuditList
from etl_core.csv_stream.reader import RecordError, RecordReader
from etl_core.documents import Document
from etl_core.errors import DataError, NotFoundError, TemporaryError
from etl_core.lake.junk import is_junk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from data_pipeline.lake_layout.open_payments import SliceKeys
    from data_pipeline.open_payments.ledger.documents import Release, SliceResult
    from data_pipeline.open_payments.schema import Columns
    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.open_payments.windows import Window
    from etl_core.csv_stream.layout import Layout
    from etl_core.lake import ObjectInfo, ObjectStore
    from etl_core.progress import Progress

# Reading is bound by the processor; each further thread holds another chunk and its pieces.
READERS = 4
# 16 million ids make buckets of 16,000: a set of one bucket is a megabyte, one of all ids were two gigabytes.
BUCKETS = 1024
M = TypeVar("M", bound=Document)


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it must be: a stable word, the object, a sentence."""

    finding: str
    key: str
    detail: str


@dataclass
class Verified:
    """What was found, and how much was read to find no more."""

    findings: list[Fault] = field(default_factory=list)
    slices: int = 0
    parts: int = 0
    rows: int = 0
    bytes: int = 0


class RecordIds:
    """The record ids of a whole run, eight bytes each; may be shared by threads."""

    def __init__(self) -> None:
        self._buckets = [array("Q") for _ in range(BUCKETS)]
        self._others: list[bytes] = []
        self._lock = threading.Lock()

    def add(self, keys: Iterable[int | bytes]) -> None:
        with self._lock:
            for key in keys:
                if isinstance(key, int):
                    self._buckets[key % BUCKETS].append(key)
                else:
                    self._others.append(key)

    def repeated(self) -> set[int | bytes]:
        """Those that came more than once."""
        buckets: list[Collection[int | bytes]] = [*self._buckets, self._others]
        damaged = (bucket for bucket in buckets if len(set(bucket)) < len(bucket))
        return {key for bucket in damaged for key, times in Counter(bucket).items() if times > 1}


def verify_run(
    store: ObjectStore, run_id: str, *, source: Source | None, progress: Progress, check_stop: Callable[[], None]
) -> Verified:
    """Read a run again, with ``source`` against its counts too.

    Raises:
        NotFoundError: there is no such run. DataError: it is not committed.
        TemporaryError: the source does not answer, or contradicts itself.

    """
    key = lake_layout.runs.manifest(run_id)
    try:
        raw = store.get(key)
        manifest = None if raw is None else Manifest.parse(raw, key)
    except DataError as error:
        return Verified([Fault("unreadable", key, str(error))])
    if manifest is None:
        plans.require_plan(store, run_id)
        raise DataError(
            f"run {run_id} is not committed, so nothing proves it.",
            advice=f"Commit it first: data-pipeline run write_manifest -- --run-id {run_id}",
        )
    found: list[Fault] = []
    if source is not None:
        with progress.showing(f"verify {run_id}: asking the source"):
            found = against_source(source, run_id, manifest)
    return _Reading(store, run_id, manifest, Verified(found), progress, check_stop).verified()


def against_source(source: Source, run_id: str, manifest: Manifest) -> list[Fault]:
    """The manifest's counts against those of the table as it is now: of the year, and of each slice."""
    key, release = lake_layout.runs.manifest(run_id), manifest.release
    table = source.table(dataset_named(release.dataset), release.dataset_id)
    if table.distribution_id != release.distribution_id:
        detail = f"the source has published {table.distribution_id} since; it can no longer confirm {release.name}"
        return [Fault("release_moved", key, detail)]
    columns = table.columns
    counts = source.grouped_counts(table.distribution_id, columns.payer, columns.record_id)
    if sum(counts.values()) != table.rows:
        raise TemporaryError(f"the source counts {table.rows} rows, and {sum(counts.values())} by payer: try later.")
    found = []
    if manifest.closure.source_rows != table.rows:
        detail = f"the manifest says the year has {manifest.closure.source_rows} rows, the source counts {table.rows}"
        found.append(Fault("year_count_differs", key, detail))
    for one in manifest.proved:
        counted = counts.get(one.company_id, 0)
        if one.rows != counted:
            detail = f"the manifest says {one.rows} rows, the source counts {counted}"
            slice_key = keys_of(release, one.company_id).slice_audit(one.generation)
            found.append(Fault("slice_count_differs", slice_key, detail))
    if manifest.selection.is_whole_year:
        unplanned = sorted(counts.keys() - {one.company_id for one in manifest.slices})
        found += [
            Fault("payer_missing", key, f"{shown_company(one)}, who has {counts[one]} rows at the source")
            for one in unplanned
        ]
    return found


@dataclass
class _Reading:
    """One run being read, by several threads."""

    _store: ObjectStore
    _run_id: str
    _manifest: Manifest
    _verified: Verified
    _progress: Progress
    _check_stop: Callable[[], None]
    _columns: Columns | None = None
    _lines: dict[str, list[Audit]] = field(default_factory=dict)
    _audits: dict[str, SliceAudit] = field(default_factory=dict)
    _named: set[str] = field(default_factory=set)
    _layouts: dict[str, Layout] = field(default_factory=dict)
    _ids: RecordIds = field(default_factory=RecordIds)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _release(self) -> Release:
        return self._manifest.release

    @property
    def _repair(self) -> str:
        return f"derive it again: data-pipeline run write_manifest -- --run-id {self._run_id}"

    def verified(self) -> Verified:
        manifest, proved = self._manifest, self._manifest.proved
        try:
            self._columns = schemas.read_schema(self._store, self._release)
        except DataError as error:
            key = lake_layout.open_payments.schema(self._release.dataset, self._release.year, self._release.name)
            self._note("unreadable", key, f"{error} So no part could be read.")
        lines = self._read_lines()
        self._progress.start(f"verify {self._run_id}", units=len(proved), rows=manifest.rows)
        try:
            with ThreadPoolExecutor(READERS) as pool:
                list(pool.map(self._slice, sorted(proved, key=lambda one: -one.rows)))
            self._find_repeated()
        finally:
            self._progress.stop()
        self._find_extra({one.company_id for one in proved})
        self._hold_against_plan(lines)
        report = lake_layout.open_payments.download_report(self._run_id, manifest.year)
        whole = len(self._audits) == len(proved)
        if whole and self._body(report) != manifests.report_of(manifest.slices, self._audits):
            detail = f"it is not what the manifest and the audits give; {self._repair}"
            self._note("report_differs", report, detail)
        self._verified.slices = len(proved)
        self._verified.findings.sort(key=lambda one: (one.key, one.finding))
        return self._verified

    def _note(self, finding: str, key: str, detail: str) -> None:
        self._verified.findings.append(Fault(finding, key, detail))

    def _body(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except DataError:  # a link, for example: it is not what it must be
            return None

    def _read(self, model: type[M], key: str) -> M | None:
        self._named.add(key)
        try:
            raw = self._store.get(key)
            if raw is None:
                self._note("missing", key, "the run names it, and it is not there")
                return None
            return model.parse(raw, key)
        except DataError as error:
            self._note("unreadable", key, str(error))
            return None

    def _read_lines(self) -> bytes:
        try:
            listed = AuditList.read(Audit, self._store, self._run_id)
        except DataError as error:  # a link, for example
            self._note("unreadable", lake_layout.runs.file_audits(self._run_id), str(error))
            return b""
        if not listed.is_of(self._manifest):
            detail = f"it is missing, or not the file whose digest the manifest has; {self._repair}"
            self._note("digest_differs", listed.key, detail)
        for one in listed.entries():
            if isinstance(one, DataError):
                self._note("unreadable", listed.key, str(one))
            else:
                self._lines.setdefault(one.company_id, []).append(one)
        return listed.raw

    def _slice(self, result: SliceResult) -> None:
        keys = keys_of(self._release, result.company_id)
        key = keys.slice_audit(result.generation)
        parts = lines = tuple(self._lines.get(result.company_id, ()))
        audit = self._read(SliceAudit, key)
        if audit is not None:
            parts, self._audits[result.company_id] = audit.parts, audit
            self._hold_slice(keys, audit, result)
            if audit.part_lines != b"".join(line.to_bytes() for line in lines):
                self._note("audits_disagree", key, "file_audits.jsonl has other audits of its parts")
        for number, part in enumerate(parts, 1):
            self._part(keys, part, replace(part.window, number=number, of=len(parts)))
        self._progress.advance(units=1)

    def _hold_slice(self, keys: SliceKeys, audit: SliceAudit, result: SliceResult) -> None:
        """Against its own parts, and the manifest's line."""
        key, parts = keys.slice_audit(result.generation), audit.parts
        self._must_be_of(keys, key, audit, fits=audit.generation == result.generation)
        counts = audit.count_after, audit.proved_at, audit.counts_after
        summed = slice_audit_of(audit.release, audit.company_id, parts, *counts)
        summed = summed.model_copy(update={"generation": audit.generation})
        if summed != audit or audit.count_after != audit.records:
            self._note("sums_differ", key, "it is not what its parts sum to")
        is_counted_here = audit.counts_after or any(part.count_after is None for part in parts)
        if is_counted_here and audit.counts_after != tuple(part.records for part in parts):
            self._note("contradicts_itself", key, "its windows are not what the source counted after the last row")
        if not tile_the_slice([part.window for part in parts]):
            self._note("does_not_tile", key, "its windows leave something out, or overlap")
        if (audit.verdict, audit.records, audit.bytes) != (result.verdict, result.rows, result.bytes):
            detail = f"it says {audit.verdict}, {audit.records} rows, {audit.bytes} bytes; the manifest says"
            self._note("slice_differs", key, f"{detail} {result.verdict}, {result.rows}, {result.bytes}")

    def _must_be_of(self, keys: SliceKeys, key: str, audit: Audit | SliceAudit, *, fits: bool = True) -> None:
        found = audit.company_id, audit.release.distribution_id
        if not fits or found != (keys.company_id, self._release.distribution_id):
            self._note(
                "misplaced",
                key,
                f"what it says of itself is not its place: company {shown_company(found[0])}, {found[1]}",
            )

    def _part(self, keys: SliceKeys, part: Audit, window: Window) -> None:
        here = window.number, window.of, part.generation
        key, audit_key = keys.part(*here), keys.part_audit(*here)
        self._named.add(key)
        beside = self._read(Audit, audit_key)
        if beside is not None and beside.to_bytes() != part.to_bytes():
            self._note("audits_disagree", audit_key, "slice.jsonl or file_audits.jsonl has another audit of this part")
        fits = (part.key, part.window.number, part.window.of) == (key, window.number, window.of)
        self._must_be_of(keys, audit_key, part, fits=fits)
        if self._columns is None:
            return
        try:
            asked = query.describe(query.conditions_of(self._columns, keys.company_id, window))
            layout = self._columns.layout(keys.year, keys.company_id, window)
        except DataError as error:
            self._note("does_not_tile", audit_key, str(error))
            return
        follows = part.records, part.records, "proved" if part.records else "empty", asked
        # A window of several is counted after by slice.jsonl.
        count_after = part.records if part.count_after is None and window.of > 1 else part.count_after
        if (part.count_before, count_after, part.verdict, part.condition) != follows:
            self._note("contradicts_itself", audit_key, "counts, verdict and condition are not those of a proof")
        reader = RecordReader(layout)
        try:
            self._feed(reader, key)
            summary = reader.finish()
        except NotFoundError:
            self._note("missing", key, "its audit is there, the part is not")
            return
        except RecordError as error:
            self._note(error.reason, key, error.detail)
            return
        except DataError as error:
            self._note("unreadable", key, str(error))
            return
        names = ("records", "bytes", "sha256", "content_hash", "header_hash", "dialect")
        differing = [(name, getattr(summary, name), getattr(part, name)) for name in names]
        said = [f"{name} {found}, its audit says {says}" for name, found, says in differing if found != says]
        if said:
            self._note("changed", key, "; ".join(said))
        with self._lock:
            self._ids.add(reader.keys)
            self._layouts[key] = layout
            self._verified.parts += 1
            self._verified.rows += summary.records
            self._verified.bytes += summary.bytes

    def _feed(self, reader: RecordReader, key: str) -> None:
        for chunk in self._store.read(key):
            self._check_stop()
            rows = reader.records
            reader.feed(chunk)
            self._progress.advance(rows=reader.records - rows, bytes_read=len(chunk))

    def _find_repeated(self) -> None:
        """Ids that stand in several parts; only if there are any, all is read once more to say where."""
        repeated = self._ids.repeated()
        for key, layout in self._layouts.items() if repeated else ():
            reader = RecordReader(layout)
            self._feed(reader, key)
            held = sorted(map(str, repeated.intersection(reader.keys)))
            if held:
                self._note("repeated_id", key, f"{len(held)} record ids stand in other parts too, such as {held[0]}")

    def _find_extra(self, companies: set[str]) -> None:
        """Another generation of what is named is of a time when the source counted other rows: ``gc`` lists it.

        What lies in no company's folder is of no run, such as a link in place of a folder.
        """
        where = self._release.dataset, self._release.year, self._release.name
        prefixes = lake_layout.open_payments.release_parts(*where), lake_layout.open_payments.release_audits(*where)
        there = [one for prefix in prefixes for one in self._store.list(prefix)]
        there = [one for one in there if not is_junk(one.key.rpartition("/")[2])]
        there = [one for one in there if lake_layout.open_payments.company_of(one.key) in {*companies, None}]
        named = {
            lake_layout.open_payments.first_generation_of(key)
            for key in self._named | self._named_by_other_generations(there)
        }
        keys = {one.key for one in there}
        for entry in there:
            if lake_layout.open_payments.first_generation_of(entry.key) not in named:
                detail = f"{entry.size} bytes that nothing names, in a slice of the run or in none"
                self._note("extra", entry.key, detail)
            elif entry.key not in self._named:
                self._check_other_generation(entry.key, keys)

    def _check_other_generation(self, key: str, there: Collection[str]) -> None:
        """A part of another generation has an audit, and each audit and slice can be read and is in its place."""
        audit = lake_layout.open_payments.audit_of_part(key)
        if audit is not None:
            if audit not in there:
                self._note("extra", key, "a part of another generation that has no audit")
            return
        kind = SliceAudit if lake_layout.open_payments.company_of_slice_audit(key) else Audit
        found = self._read(kind, key)
        if found is not None and not found.is_at(key):
            self._note("misplaced", key, "what it says of itself is not its place")

    def _named_by_other_generations(self, there: Iterable[ObjectInfo]) -> set[str]:
        """Parts and proofs of slices proved at another count, which may be cut otherwise."""
        others = (
            one.key
            for one in there
            if lake_layout.open_payments.company_of_slice_audit(one.key) and one.key not in self._named
        )
        named: set[str] = set()
        for key in others:
            try:
                parts = SliceAudit.parse(self._store.get(key) or b"", key).parts
            except DataError:
                continue  # it names nothing; a finding of its own says so
            named |= {
                one for part in parts for one in (part.key, lake_layout.open_payments.audit_of_part(part.key)) if one
            }
        return named

    def _hold_against_plan(self, lines: bytes) -> None:
        """The manifest follows from plan, slices, the source's count and the time; so it is made once more."""
        plan, found = self._read(Plan, lake_layout.runs.plan(self._run_id)), self._manifest
        key = lake_layout.runs.manifest(self._run_id)
        if plan is None:
            return
        if {plan.run_id, found.run_id} != {self._run_id}:
            self._note("misplaced", key, f"plan and manifest are of the runs {plan.run_id} and {found.run_id}")
        planned = [(company.company_id, company.rows) for company in plan.companies]
        if planned != [(result.company_id, result.rows_expected) for result in found.slices]:
            self._note("plan_differs", key, "its slices are not those of the plan")
        said = found.closure
        closure = manifests.closure_of(
            plan, found.slices, said.source_rows, compared=said.compared, moved=said.moved, unplanned=said.unplanned
        )
        made = manifests.manifest_of(
            plan,
            found.slices,
            closure.model_copy(update={"note": found.closure.note}),
            release_at_end=found.release_at_end,
            file_audits=lines,
            now=found.finished_at,
        )
        # The digest has a finding of its own; the software is that of then.
        names = Manifest.model_fields.keys() - {"file_audits_sha256", "software"}
        differing = sorted(name for name in names if getattr(made, name) != getattr(found, name))
        if differing:
            self._note("manifest_differs", key, f"plan and slices give another {', '.join(differing)}")
