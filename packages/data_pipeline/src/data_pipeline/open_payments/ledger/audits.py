"""Proofs and failed attempts in the lake: written once, read by everybody."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from data_pipeline import lake_layout
from data_pipeline.lake_layout.open_payments import SliceKeys
from data_pipeline.open_payments.ledger.documents import Attempt, Audit, SliceAudit
from data_pipeline.open_payments.windows import tiles
from data_pipeline.runs import attempts
from etl_core.documents import read, read_or_skip
from etl_core.errors import ConflictError, DataError
from etl_core.lake import in_parallel
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Release
    from data_pipeline.open_payments.windows import Window
    from etl_core.lake import ObjectInfo, ObjectStore

_log = get_logger()
_MODULUS = 1 << 256


def keys_of(release: Release, company_id: str) -> SliceKeys:
    """The keys of one slice of a release."""
    return release.keys(company_id)


class WindowProofs(NamedTuple):
    """The proofs of one window, and the generations that the next one may have.

    The last of ``free`` has no object. Parts without a proof lie under those before it: of a process that died
    before the proof, or what is no part.
    """

    audits: list[Audit]
    free: list[int]


class Audits:
    """The audits of one release in one lake."""

    def __init__(self, store: ObjectStore, release: Release) -> None:
        self._store = store
        self._release = release
        self._reported: set[str] = set()

    def closed(self) -> dict[str, int]:
        """Companies whose slice is closed, and the newest generation of its proof, by one listing."""
        prefix = lake_layout.open_payments.release_audits(self._release.dataset, self._release.year, self._release.name)
        there = list(self._store.list(prefix))
        for key in empty_in(there) - self._reported:
            self._reported.add(key)
            _log.warning("skipped an empty object in place of the proof of a slice", key=key)
        return closed_in(there)

    def slice_audit(self, company_id: str, generation: int = 1) -> SliceAudit | None:
        """The proof of a slice of this generation, or None."""
        return read(SliceAudit, self._store, keys_of(self._release, company_id).slice_audit(generation))

    def slice_audits(self, generations: Mapping[str, int]) -> dict[str, SliceAudit]:
        """The proofs of several slices, by company, each of the generation named; those that are there."""
        return self._by_company(self.slice_audit, generations)

    def newest_slices(self, generations: Mapping[str, int]) -> dict[str, SliceAudit]:
        """The newest proof that can be read of each slice, by company, up to the generation named."""
        return self._by_company(self._newest_slice, generations)

    def _newest_slice(self, company_id: str, generation: int) -> SliceAudit | None:
        keys = keys_of(self._release, company_id)
        stored = (
            read_or_skip(SliceAudit, self._store, keys.slice_audit(number)) for number in range(generation, 0, -1)
        )
        return next(filter(None, stored), None)

    def _by_company(
        self, read_one: Callable[[str, int], SliceAudit | None], generations: Mapping[str, int]
    ) -> dict[str, SliceAudit]:
        found = in_parallel(read_one, generations.keys(), generations.values())
        return {audit.company_id: audit for audit in found if audit is not None}

    def _taken(self, key_of: Callable[[int], str]) -> int:
        """How many generations in a row have an object under their key, whatever it is."""
        return next(number for number in itertools.count() if not self._is_taken(key_of(number + 1)))

    def part_audit(self, company_id: str, number: int, of: int, generation: int = 1) -> Audit | None:
        """The proof of a part, or None."""
        return read(Audit, self._store, keys_of(self._release, company_id).part_audit(number, of, generation))

    def window_proofs(self, company_id: str, window: Window) -> WindowProofs:
        """The proofs of a window under this release, the newest last; hardly ever more than one.

        What is stored under the window's key, but was cut by other bounds, is no proof of it.
        """
        keys = keys_of(self._release, company_id)
        audits: list[Audit] = []
        free: list[int] = []
        for generation in itertools.count(1):
            key = keys.part_audit(window.number, window.of, generation)
            try:
                audit = read(Audit, self._store, key)
            except DataError as error:
                _log.warning("skipped a proof that cannot be read", key=key, error=str(error))
                continue
            if audit is None:
                free.append(generation)
                if not self._is_taken(keys.part(window.number, window.of, generation)):
                    return WindowProofs(audits, free)
            elif audit.window == window:
                audits.append(audit)
        raise AssertionError("generations are counted without end")

    def _is_taken(self, key: str) -> bool:
        try:
            return self._store.head(key) is not None
        except DataError:  # a link or a folder
            return True

    def proof_of_unit(self, company_id: str, number: int, of: int) -> Audit | None:
        """The newest proof of window ``number`` of a slice that is cut into ``of`` equal ones, or None."""
        proofs = self.window_proofs(company_id, tiles(of)[number - 1]).audits
        return proofs[-1] if proofs else None

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
        if theirs.window != window:
            raise ConflictError(
                f"{key} proves {theirs.window}, this run asked for {window}.",
                advice="Another version cut the slice by other bounds. Run again once no other version runs.",
            )
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
        """Write ``slice.jsonl``: the last word on a slice, until the source counts other rows of it.

        Raises:
            ConflictError: another writer proved other content of as many records.

        """
        audit = slice_audit_of(self._release, company_id, parts, count_after, now, counts_after)
        keys = keys_of(self._release, company_id)
        while not self._store.put_new(keys.slice_audit(audit.generation), audit.to_bytes()).created:
            taken = self._taken(keys.slice_audit)
            newest = self._newest_slice(company_id, taken)
            if newest is not None and newest.records == audit.records:
                _must_agree(keys.slice_audit(newest.generation), newest.content_hash, audit.content_hash)
                return newest
            audit = audit.model_copy(update={"generation": taken + 1})
        return audit


def closed_in(there: Iterable[ObjectInfo]) -> dict[str, int]:
    """Companies whose slice one of the objects closes, and the newest generation of its proof."""
    newest: dict[str, int] = {}
    for one in there:
        company_id = lake_layout.open_payments.company_of_slice_audit(one.key)
        if company_id is not None and one.size:
            newest[company_id] = max(newest.get(company_id, 1), lake_layout.open_payments.generation_of(one.key))
    return newest


def empty_in(there: Iterable[ObjectInfo]) -> set[str]:
    """Empty objects where the proofs of slices belong: they close nothing."""
    return {one.key for one in there if not one.size and lake_layout.open_payments.company_of_slice_audit(one.key)}


def content_hash_of(parts: Iterable[Audit]) -> str:
    """The content hash of all parts together."""
    return f"{sum(int(part.content_hash, 16) for part in parts) % _MODULUS:064x}"


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
        content_hash=content_hash_of(parts),
        parts=parts,
        count_before=sum(part.count_before for part in parts),
        count_after=count_after,
        counts_after=counts_after,
        proved_at=now,
    )


def read_attempts(
    store: ObjectStore, run_id: str, *, company_id: str | None = None, leave_out: Collection[str] = ()
) -> list[Attempt]:
    """The failed attempts of a run, or of one company, except those of companies to leave out; the oldest first."""
    folder = lake_layout.open_payments.company
    unit = "" if company_id is None else folder(company_id)
    return attempts.read_attempts(Attempt, store, run_id, unit=unit, leave_out={folder(one) for one in leave_out})


def _must_agree(key: str, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise ConflictError(
            f"{key} proves content {theirs}, this run found {ours} under the same release.",
            advice="The source changed its table without a new release, or the lake was edited.",
        )
