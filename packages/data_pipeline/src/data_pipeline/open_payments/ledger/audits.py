"""Proofs and failed attempts in the lake: written once, read by everybody."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.lake_layout.open_payments import SliceKeys
from data_pipeline.open_payments.ledger.documents import Attempt, Audit, SliceAudit
from etl_core.documents import read
from etl_core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Release
    from etl_core.lake import ObjectStore

_MODULUS = 1 << 256
# Reading audits is bound by the lake's latency, not by the machine.
READERS = 16


def keys_of(release: Release, company_id: str) -> SliceKeys:
    """The keys of one slice of a release."""
    return SliceKeys(release.dataset, release.year, release.name, company_id)


class Audits:
    """The audits of one release in one lake."""

    def __init__(self, store: ObjectStore, release: Release) -> None:
        self._store = store
        self._release = release

    def closed(self) -> dict[str, int]:
        """Companies whose slice is closed, and the newest generation of its proof, by one listing."""
        prefix = lake_layout.open_payments.release_audits(self._release.dataset, self._release.year, self._release.name)
        return closed_in(entry.key for entry in self._store.list(prefix))

    def slice_audit(self, company_id: str, generation: int | None = None) -> SliceAudit | None:
        """The proof of a slice, or None; the newest of them unless one is named."""
        keys = keys_of(self._release, company_id)
        if generation is not None:
            return read(SliceAudit, self._store, keys.slice_audit(generation))
        newest = None
        for number in itertools.count(1):
            found = read(SliceAudit, self._store, keys.slice_audit(number))
            if found is None:
                break
            newest = found
        return newest

    def slice_audits(self, generations: Mapping[str, int]) -> dict[str, SliceAudit]:
        """The proofs of several slices, by company, each of the generation named; those that are there."""
        with ThreadPoolExecutor(READERS) as pool:
            found = pool.map(self.slice_audit, generations.keys(), generations.values())
            return {audit.company_id: audit for audit in found if audit is not None}

    def part_audit(self, company_id: str, number: int, of: int, generation: int = 1) -> Audit | None:
        """The proof of a part, or None."""
        return read(Audit, self._store, keys_of(self._release, company_id).part_audit(number, of, generation))

    def part_audits(self, company_id: str, number: int, of: int) -> list[Audit]:
        """All proofs of a window under this release, the newest last; hardly ever more than one."""
        one_by_one = (self.part_audit(company_id, number, of, generation) for generation in itertools.count(1))
        return [audit for audit in itertools.takewhile(lambda audit: audit is not None, one_by_one) if audit]

    def publish_part(self, audit: Audit) -> Audit:
        """Write the proof of a part; if another writer proved the same content first, theirs stands.

        Raises:
            ConflictError: another writer proved other content.

        """
        window = audit.window
        key = keys_of(self._release, audit.company_id).part_audit(window.number, window.of, audit.generation)
        if self._store.put_new(key, audit.to_bytes()).created:
            return audit
        theirs = Audit.parse(self._store.get(key) or b"", key)
        _must_agree(key, theirs.content_hash, audit.content_hash)
        return theirs

    def close_slice(
        self,
        company_id: str,
        parts: tuple[Audit, ...],
        count_after: int,
        now: datetime,
        counts_after: tuple[int, ...] = (),
    ) -> SliceAudit:
        """Write ``slice.json``: the last word on a slice, until the source counts other rows of it.

        Raises:
            ConflictError: another writer proved other content of as many records.

        """
        audit = slice_audit_of(self._release, company_id, parts, count_after, now, counts_after)
        keys = keys_of(self._release, company_id)
        while not self._store.put_new(keys.slice_audit(audit.generation), audit.to_bytes()).created:
            newest = self.slice_audit(company_id)
            if newest is not None and newest.records == audit.records:
                _must_agree(keys.slice_audit(newest.generation), newest.content_hash, audit.content_hash)
                return newest
            audit = audit.model_copy(update={"generation": 1 if newest is None else newest.generation + 1})
        return audit


def closed_in(keys: Iterable[str]) -> dict[str, int]:
    """Companies whose slice one of the keys closes, and the newest generation of its proof."""
    newest: dict[str, int] = {}
    for key in keys:
        company_id = lake_layout.open_payments.company_of_slice_audit(key)
        if company_id is not None:
            newest[company_id] = max(newest.get(company_id, 1), lake_layout.open_payments.generation_of(key))
    return newest


def slice_audit_of(
    release: Release,
    company_id: str,
    parts: tuple[Audit, ...],
    count_after: int,
    now: datetime,
    counts_after: tuple[int, ...] = (),
) -> SliceAudit:
    """What the parts of a slice sum to."""
    records = sum(part.records for part in parts)
    return SliceAudit(
        release=release,
        company_id=company_id,
        verdict="proved" if records else "empty",
        records=records,
        bytes=sum(part.bytes for part in parts),
        content_hash=f"{sum(int(part.content_hash, 16) for part in parts) % _MODULUS:064x}",
        parts=parts,
        count_before=sum(part.count_before for part in parts),
        count_after=count_after,
        counts_after=counts_after,
        proved_at=now,
    )


def write_attempt(store: ObjectStore, attempt: Attempt) -> None:
    """Keep a failed attempt under its run."""
    key = lake_layout.runs.failure(
        attempt.run_id, lake_layout.open_payments.company(attempt.company_id), uuid.uuid4().hex
    )
    store.put_new(key, attempt.to_bytes())


def read_attempts(
    store: ObjectStore, run_id: str, *, company_id: str | None = None, leave_out: Collection[str] = ()
) -> list[Attempt]:
    """The failed attempts of a run, or of one company in it, but those of companies to leave out; by their time."""
    unit = "" if company_id is None else lake_layout.open_payments.company(company_id)
    listed = (entry.key for entry in store.list(lake_layout.runs.failures(run_id, unit)))
    found = [
        Attempt.parse(store.get(key) or b"", key)
        for key in listed
        if lake_layout.open_payments.company_of(key) not in leave_out
    ]
    return sorted(found, key=lambda attempt: attempt.at)


def digest(lines: bytes) -> str:
    """SHA-256 of ``file_audits.jsonl``, for the manifest."""
    return hashlib.sha256(lines).hexdigest()


def _must_agree(key: str, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise ConflictError(
            f"{key} proves content {theirs}, this run found {ours} under the same release.",
            advice="The source changed its table without a new release, or the lake was edited.",
        )
