"""From a plan and what the lake holds of it to the manifest, the files beside it, and the closure. Pure."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from typing import TYPE_CHECKING, Literal

from data_pipeline import __version__, lake_layout
from data_pipeline.lake_layout.ids import in_order, shown_company
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.ledger.documents import Closure, Manifest, PayerCount, SliceResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Attempt, Plan, Release, SliceAudit
    from data_pipeline.runs.documents import RunStatus

MOST_PAYERS_NAMED = 5
REPORT_COLUMNS = (
    "company_id", "verdict", "reason", "rows_expected", "rows", "bytes", "sha256", "requests", "retries", "seconds",
)  # fmt: skip


def results_from_lake(
    plan: Plan,
    audits: Mapping[str, SliceAudit],
    attempts: Iterable[Attempt],
    known: Mapping[str, SliceResult],
) -> tuple[SliceResult, ...]:
    """A line per planned slice. ``known`` are results of this very process, which knows what they cost."""
    last_reason = {attempt.company_id: attempt.reason for attempt in attempts if attempt.final}
    lines = []
    for company in plan.companies:
        company_id, audit = company.company_id, audits.get(company.company_id)
        if company_id in known:
            # The process that proved it may have used a newer count; the expected rows are the plan's.
            lines.append(known[company_id].model_copy(update={"rows_expected": company.rows}))
        elif audit is not None:
            cost = {
                "requests": sum(part.requests for part in audit.parts),
                "retries": sum(part.retries for part in audit.parts),
                "seconds": round(sum(part.seconds for part in audit.parts), 3),
            }
            lines.append(SliceResult.of(audit, company.rows, **cost))
        else:
            reason = last_reason.get(company_id, "not_tried")
            verdict: Literal["failed", "missing"] = "failed" if company_id in last_reason else "missing"
            lines.append(SliceResult(company_id=company_id, verdict=verdict, reason=reason, rows_expected=company.rows))
    return tuple(lines)


def moved_of(results: Iterable[SliceResult], by_payer: Mapping[str, int]) -> tuple[PayerCount, ...]:
    """Proved slices of which the source counts other rows by now: the table changed under its release."""
    return tuple(
        PayerCount(company_id=one.company_id, rows=one.rows, source_rows=by_payer.get(one.company_id, 0))
        for one in results
        if one.verdict in ("proved", "empty") and one.rows != by_payer.get(one.company_id, 0)
    )


def unplanned_of(plan: Plan, by_payer: Mapping[str, int]) -> tuple[PayerCount, ...]:
    """Payers in the table that a plan of the whole year lacks: unlisted, or there only since it was made."""
    lacks = by_payer.keys() - {company.company_id for company in plan.companies} if plan.selection.is_whole_year else ()
    return tuple(
        PayerCount(company_id=one, rows=0, source_rows=by_payer[one])
        for one in sorted(lacks, key=lambda one: (len(one), one))
        if by_payer[one]
    )


def without_moved(results: Iterable[SliceResult], moved: Iterable[PayerCount]) -> tuple[SliceResult, ...]:
    """The lines of a manifest in which a slice that the source counts otherwise by now is not proved any more."""
    word = {one.company_id: "grew" if one.source_rows > one.rows else "shrank" for one in moved}
    return tuple(
        one.model_copy(update={"verdict": "failed", "reason": word[one.company_id], "rows": 0, "bytes": 0})
        if one.company_id in word
        else one
        for one in results
    )


def closure_of(
    plan: Plan,
    results: Sequence[SliceResult],
    source_rows: int,
    *,
    compared: bool = False,
    moved: tuple[PayerCount, ...] = (),
    unplanned: tuple[PayerCount, ...] = (),
) -> Closure:
    """Whether the year is closed: its slices sum to the source's count without a condition.

    ``compared``: each slice was also compared with the source's count of that company.
    """
    proved = [result for result in results if result.verdict in ("proved", "empty")]
    rows = sum(result.rows for result in proved)
    year, doubt = plan.release.year, _doubt_about(plan, source_rows)
    if not plan.selection.is_whole_year and rows != source_rows:
        note = f"{rows:,} of the year's {source_rows:,} rows; the selection is a part of the year"
    elif rows == source_rows:
        note = f"the {len(proved):,} slices sum to the source's {source_rows:,} rows of {year}"
        note += ", each as many as it counts of that payer" if compared else ""
        note += "; verify proves that no record id is there twice"
    else:
        failed = len(results) - len(proved)
        note = f"the {len(proved):,} proved slices sum to {rows:,} rows, the source counts {source_rows:,}"
        if failed:
            note += f"; {failed:,} slices are not proved"
        elif not unplanned:
            note += "; payers are missing from the plan, or counted twice"
    if moved:
        note += f"; counts moved under the release: {_named(moved)}"
    if unplanned:
        note += f"; {len(unplanned):,} payers are not in the plan: {_named(unplanned)}"
    if doubt:
        note += f"; {doubt}"
    return Closure(
        closed=rows == source_rows and len(proved) == len(results) and not unplanned and not doubt,
        source_rows=source_rows,
        proved_rows=rows,
        companies_proved=len(proved),
        confirmed=not doubt,
        compared=compared,
        moved=moved,
        unplanned=unplanned,
        note=note,
    )


def run_status(plan: Plan, results: Sequence[SliceResult], closure: Closure, release_at_end: Release) -> RunStatus:
    """``completed``: all proved of a table that is whole, and closed if the whole year was asked for.

    ``torn``: the release changed under it.
    """
    if release_at_end.distribution_id != plan.release.distribution_id:
        return "torn"
    proved = sum(result.verdict in ("proved", "empty") for result in results)
    whole = not plan.trusts_count and not _is_incomplete(plan, closure.source_rows)
    if proved == len(results) and whole and (closure.closed or not plan.selection.is_whole_year):
        return "completed"
    return "partial" if proved or closure.moved else "failed"


def _doubt_about(plan: Plan, source_rows: int) -> str:
    """Why no count from outside the table confirms that it is whole; empty if one does."""
    if plan.reference_rows is None:
        return "nothing outside the table confirms that it is whole"
    if _is_incomplete(plan, source_rows):
        return f"a count from outside the table has {plan.reference_rows:,} rows: it is still being imported"
    if plan.trusts_count:
        return "it was planned with --trust-count while it was still being imported: run the same command again"
    return ""


def _is_incomplete(plan: Plan, source_rows: int) -> bool:
    return dataset_named(plan.release.dataset).is_incomplete(source_rows, plan.reference_rows)


def file_audits_of(audits: Iterable[SliceAudit]) -> bytes:
    """``file_audits.jsonl``: a line per part, in order of company and part."""
    ordered = sorted(audits, key=lambda audit: in_order(audit.company_id))
    return b"".join(audit.part_lines for audit in ordered)


def files_of(manifest: Manifest, audits: Mapping[str, SliceAudit]) -> dict[str, bytes]:
    """The files beside a manifest in the order of writing, from the audits of the slices it names as proved."""
    report = lake_layout.open_payments.download_report(manifest.run_id, manifest.year)
    return {
        lake_layout.runs.file_audits(manifest.run_id): file_audits_of(audits.values()),
        report: report_of(manifest.slices, audits),
    }


def report_of(results: Iterable[SliceResult], audits: Mapping[str, SliceAudit]) -> bytes:
    """The report CSV. A slice of several parts has the SHA-256 of its parts' hashes, joined by line ends."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)
    for result in results:
        audit = audits.get(result.company_id)
        row = result.model_dump() | {"sha256": _sha256_of(audit) if audit else ""}
        writer.writerow("" if row[column] is None else row[column] for column in REPORT_COLUMNS)
    return text.getvalue().encode()


def manifest_of(
    plan: Plan,
    results: tuple[SliceResult, ...],
    closure: Closure,
    *,
    release_at_end: Release,
    file_audits: bytes,
    now: datetime,
) -> Manifest:
    """The manifest: the seeds' fields, and what a later stage needs to trust them."""
    verdicts = Counter(result.verdict for result in results)
    done = verdicts["proved"] + verdicts["empty"]
    return Manifest(
        run_id=plan.run_id,
        dataset=plan.release.dataset,
        year=plan.release.year,
        files_planned=len(results),
        files_downloaded=done,
        files_failed=len(results) - done,
        status=run_status(plan, results, closure, release_at_end),
        selection=plan.selection,
        release=plan.release,
        release_at_end=release_at_end,
        totals=dict(sorted(verdicts.items())),
        rows=sum(result.rows for result in results),
        bytes=sum(result.bytes for result in results),
        closure=closure,
        slices=results,
        file_audits=file_audits.count(b"\n"),
        file_audits_sha256=hashlib.sha256(file_audits).hexdigest(),
        created_at=plan.created_at,
        finished_at=now,
        software={"data_pipeline": __version__},
    )


def _named(counts: Sequence[PayerCount]) -> str:
    """The payers with both their counts, the largest difference first."""
    ordered = sorted(counts, key=lambda one: -abs(one.source_rows - one.rows))
    named = [
        f"{shown_company(one.company_id)} has {one.source_rows:,} rows at the source, {one.rows:,} here"
        for one in ordered
    ]
    more = len(named) - MOST_PAYERS_NAMED
    return ", ".join(named[:MOST_PAYERS_NAMED]) + (f", and {more:,} payers more" if more > 0 else "")


def _sha256_of(audit: SliceAudit) -> str:
    hashes = [part.sha256 for part in audit.parts]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
