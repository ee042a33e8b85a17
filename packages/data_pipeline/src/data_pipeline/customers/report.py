"""The execution report of a run, for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_pipeline.customers.documents import CustomersManifest

MOST_NAMED = 10


def report_of(manifest: CustomersManifest) -> str:
    """The text, which follows from the manifest alone."""
    return "".join(f"{line}\n" for line in _lines(manifest))


def _lines(manifest: CustomersManifest) -> Iterator[str]:
    yield "--- Execution Report ---"
    yield f"Run: {manifest.run_id}, {manifest.status}: {manifest.note}"
    yield f"Pages Requested: {manifest.files_planned:,} (sweep {manifest.sweeps})"
    yield f"Successful Pages: {manifest.files_downloaded:,}"
    yield f"Failed Pages: {manifest.files_failed:,}"
    for page, reason in list(manifest.dead_pages.items())[:MOST_NAMED]:
        yield f"  page {page}: {reason}"
    yield f"Total Retries: {manifest.retries:,}"
    yield f"Records Ingested: {manifest.rows:,}, {manifest.without_id:,} of them without an id"
    seconds = round((manifest.finished_at - manifest.created_at).total_seconds())
    yield f"Execution Time: {seconds // 60}m {seconds % 60}s"
    for title, counts in (
        ("Missing Fields (N/A)", manifest.fields.missing),
        ("Null Fields", manifest.fields.nulls),
        ("Wrong Types", {name: sum(found.values()) for name, found in manifest.fields.wrong_types.items()}),
        ("Unknown Fields", manifest.fields.unknown),
    ):
        yield f"{title}: {', '.join(f'{name} {count:,}' for name, count in counts.items()) or 'none'}"
    yield "Format Chosen: CSV (Reason: written as a stream, read by every tool; cleaned in a later step)"
    yield f"Extract: {manifest.extract.key}"
