"""What a person reads at the end of a run: pure text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_pipeline.open_payments.ledger.documents import Manifest, Plan
    from data_pipeline.open_payments.ledger.selection import Forecast

MOST_FAILURES_SHOWN = 10


def of_manifest(
    manifest: Manifest,
    *,
    seconds: float,
    received: int,
    requests: int,
    retries: int,
    lake: str,
    said: Mapping[str, str],
) -> str:
    """The report of a finished run: a dozen lines.

    ``received`` are the bytes that this process had from the source, ``said`` has a sentence per reason of failure.
    """
    proved = manifest.totals.get("proved", 0)
    empty = manifest.totals.get("empty", 0)
    speed = f"{received / 1e6 / seconds:.1f} MB/s" if seconds else ""
    lines = [
        f"run        {manifest.run_id}  {manifest.status}",
        f"release    {manifest.release.name} of {manifest.dataset} {manifest.year}",
        f"slices     {proved} proved, {empty} empty, {manifest.files_failed} failed, of {manifest.files_planned}",
        f"rows       {manifest.rows:,}",
        f"bytes      {manifest.bytes:,}",
        f"time       {seconds:.1f} s  {speed}".rstrip(),
        f"requests   {requests:,}, {retries:,} of them retries",
        f"year       {'closed' if manifest.closure.closed else 'not closed'}: {manifest.closure.note}",
        f"lake       {lake}",
    ]
    failed = [result for result in manifest.slices if result.verdict in ("failed", "missing")]
    lines += [f"failed     {result.company_id}  {result.reason}" for result in failed[:MOST_FAILURES_SHOWN]]
    if len(failed) > MOST_FAILURES_SHOWN:
        lines.append(f"           and {len(failed) - MOST_FAILURES_SHOWN} more, all in the report CSV")
    lines += [f"because    {reason}: {sentence}" for reason, sentence in said.items()]
    return "\n".join(lines)


def of_plan(plan: Plan, forecast: Forecast, *, lake: str) -> str:
    """What a run would do."""
    return "\n".join(
        [
            f"release    {plan.release.name} of {plan.release.dataset} {plan.release.year}",
            f"companies  {forecast.companies:,}, {forecast.already_proved:,} of them proved already",
            f"rows       {forecast.rows:,} of the year's {plan.source_rows:,}",
            f"bytes      about {forecast.bytes:,}",
            f"requests   about {forecast.requests:,} for {forecast.windows:,} windows",
            f"time       about {forecast.seconds:,.0f} s at the source's usual speed",
            f"lake       {lake}",
        ]
    )
