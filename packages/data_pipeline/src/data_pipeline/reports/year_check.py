"""Whether a year is finished: proved, conserved from layer to layer, and reconciled within bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from data_pipeline.lakehouse.facts import YearCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from data_pipeline.lakehouse.documents import BuildManifest, MartsInput, MartsManifest, Reconciled, StagedPart
    from data_pipeline.open_payments.ledger.documents import Manifest

COMPANY = "company"


@dataclass(frozen=True)
class Bounds:
    """What may differ, as shares of the year's records or dollars; ``unreconciled``: CMS's summary may be missing."""

    difference: Decimal = Decimal("0.001")
    quarantined: Decimal = Decimal("0.001")
    unreconciled: bool = False


@dataclass(frozen=True)
class YearState:
    """What a lake has of a dataset's year.

    ``run`` is its newest closed run, else its newest one; ``parts`` are that run's audited records and digest by key;
    ``amount`` is the column that totals sum; ``lost`` are the files that a manifest names and the lake does not hold.
    """

    run: Manifest
    newest: Manifest
    parts: Mapping[str, tuple[int, str]]
    amount: str
    staged: Sequence[StagedPart] = ()
    build: BuildManifest | None = None
    marts: MartsManifest | None = None
    lost: Sequence[str] = ()

    @property
    def source(self) -> MartsInput | None:
        """The year in the marts."""
        inputs = self.marts.inputs if self.marts else ()
        return next((one for one in inputs if (one.dataset, one.year) == (self.run.dataset, self.run.year)), None)

    @property
    def reconciled(self) -> list[Reconciled]:
        """The year beside CMS's summaries, by kind of entity."""
        found = self.marts.reconciled if self.marts else ()
        return [one for one in found if (one.dataset, one.year) == (self.run.dataset, self.run.year)]


def check_year(state: YearState, bounds: Bounds) -> tuple[YearCheck, ...]:
    """One result per equation, in the order of the layers."""
    return (*_raw(state), *_staging(state, bounds), *_tables(state), *_reconciliation(state, bounds))


def _raw(state: YearState) -> Iterator[YearCheck]:
    run, closure = state.run, state.run.closure
    yield _equal("proved_companies", len(run.proved), run.files_planned)
    note = "" if run.is_closed else f"Run {run.run_id} is {run.status}, the year not closed: {closure.note}"
    yield _equal("proved_records", closure.proved_rows, closure.source_rows, note)
    yield _equal("audited_records", sum(records for records, _ in state.parts.values()), closure.proved_rows)
    if state.newest.run_id != run.run_id:
        newest = state.newest
        yield YearCheck(
            name="newest_run",
            status="warned",
            found=Decimal(newest.closure.proved_rows),
            expected=Decimal(newest.closure.source_rows),
            note=f"Run {newest.run_id} of {newest.release.name} is {newest.status}; checked is run {run.run_id}.",
        )


def _staging(state: YearState, bounds: Bounds) -> Iterator[YearCheck]:
    audited = sum(records for records, _ in state.parts.values())
    sound = [one for one in state.staged if one.part_sha256 == state.parts.get(one.part, (0, ""))[1]]
    parts = f"{len(state.parts) - len(sound):,} of {len(state.parts):,} parts are not staged as they are."
    kept = sum(one.staged for one in sound)
    quarantined = sum(one.quarantined for one in sound)
    yield _equal("staged_records", kept + quarantined, audited, "" if len(sound) == len(state.parts) else parts)
    yield _bounded("quarantined_records", Decimal(quarantined), bounds.quarantined * audited)


def _tables(state: YearState) -> Iterator[YearCheck]:
    build, source = state.build, state.source
    staged_rows = sum(one.staged for one in state.staged)
    staged_usd = sum((one.amounts.get(state.amount, Decimal(0)) for one in state.staged), Decimal(0))
    note = "There is no build of the year."
    if build is not None:
        of_other = build.release != state.run.release.name or build.closed != state.run.is_closed
        note = f"Build {build.build} is of run {build.run_id}, release {build.release}." if of_other else ""
    yield _equal("curated_records", build.rows if build else 0, staged_rows, note)
    curated_usd = build.amounts.get(state.amount, Decimal(0)) if build else Decimal(0)
    yield _equal("curated_usd", curated_usd, staged_usd)
    note = "No marts have the year."
    if source is not None:
        other = build is None or source.build != build.build
        note = f"The marts are of build {source.build}, readers see another one." if other else ""
    yield _equal("marts_records", source.rows if source else 0, build.rows if build else 0, note)
    yield _equal("marts_usd", source.amount_usd if source else Decimal(0), curated_usd)
    yield _equal("lost_files", len(state.lost), 0, f"Such as {state.lost[0]}." if state.lost else "")
    if state.marts is not None and state.marts.warnings:
        yield YearCheck(
            name="warnings_of_tests",
            status="warned",
            found=Decimal(len(state.marts.warnings)),
            note=", ".join(state.marts.warnings),
        )


def _reconciliation(state: YearState, bounds: Bounds) -> Iterator[YearCheck]:
    source = state.source
    rows, usd = (Decimal(source.rows), source.amount_usd) if source else (Decimal(0), Decimal(0))
    for one in state.reconciled:
        note = f"{one.entities_differing:,} of {one.entities:,} differ from CMS's summary {one.summary_release}."
        note = note if one.entities_differing else ""
        yield _bounded(
            f"{one.entity_kind}_records", Decimal(abs(one.payments_difference)), bounds.difference * rows, note
        )
        yield _bounded(f"{one.entity_kind}_usd", one.amount_differing_usd, bounds.difference * usd, note)
    if not any(one.entity_kind == COMPANY for one in state.reconciled):
        yield YearCheck(
            name="company_summaries",
            status="warned" if bounds.unreconciled else "failed",
            found=Decimal(0),
            expected=Decimal(1),
            note="The marts are not compared with CMS's summary by company: the run that stores it says why.",
        )


def _equal(name: str, found: Decimal | int, expected: Decimal | int, wrong: str = "") -> YearCheck:
    """It must be equal, and nothing else ``wrong``."""
    passed = found == expected and not wrong
    return YearCheck(
        name=name,
        status="passed" if passed else "failed",
        found=Decimal(found),
        expected=Decimal(expected),
        note=wrong,
    )


def _bounded(name: str, found: Decimal, at_most: Decimal, note: str = "") -> YearCheck:
    return YearCheck(
        name=name,
        status="passed" if found <= at_most else "failed",
        found=found,
        at_most=at_most.quantize(Decimal("0.01")),
        note=note,
    )


def lines_of(checks: Sequence[YearCheck]) -> Iterator[str]:
    """What a person reads."""
    width = max(len(one.name) for one in checks)
    for one in checks:
        word = one.status.upper() if one.status != "passed" else one.status
        bound = f" of {one.expected:,}" if one.expected is not None else ""
        bound = f", at most {one.at_most:,}" if one.at_most is not None else bound
        yield f"{word:<6}  {one.name.replace('_', ' '):<{width}}  {one.found:,}{bound}  {one.note}".rstrip()
