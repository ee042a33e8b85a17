"""What a person reads at the end of a run: the text of its fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.lake_layout.ids import shown_company

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_pipeline.open_payments.facts import Expected, RunFact


def text_of(fact: RunFact) -> str:
    """What a person reads at the end of a run: a dozen lines."""
    return "\n".join(_plan_lines(fact, fact.expected) if fact.expected else _run_lines(fact))


def _run_lines(fact: RunFact) -> Iterator[str]:
    speed = f"{fact.bytes_received / 1e6 / fact.seconds:.1f} MB/s" if fact.seconds else ""
    nothing = "; nothing was fetched" if fact.status == "already done" else ""
    yield f"run        {fact.run_id}  {fact.status}{nothing}"
    yield f"release    {fact.release} of {fact.dataset} {fact.year}"
    yield f"slices     {fact.proved} proved, {fact.empty} empty, {fact.failed} failed, of {fact.planned}"
    yield f"rows       {fact.rows:,}"
    yield f"bytes      {fact.bytes:,}"
    yield f"time       {fact.seconds:.1f} s  {speed}".rstrip()
    yield f"requests   {fact.requests:,}, {fact.retries:,} of them retries"
    if fact.closed is not None:
        yield f"year       {'closed' if fact.closed else 'not closed'}: {fact.note}"
    elif fact.note:
        yield f"note       {fact.note}"
    for one in fact.summaries:
        yield f"summary    {one.summary}: {one.status}{f', {one.problem}' if one.problem else f', {one.rows:,} rows'}"
    yield f"lake       {fact.lake}"
    yield from failure_lines(fact)


def failure_lines(fact: RunFact) -> Iterator[str]:
    """Which companies failed, why, and when to come back."""
    for one in fact.failures:
        yield f"failed     {shown_company(one.company_id)}  {one.reason}"
    if fact.failed > len(fact.failures):
        yield f"           and {fact.failed - len(fact.failures)} more, all in the report CSV"
    for reason, detail in {one.reason: one.detail for one in fact.failures if one.detail}.items():
        yield f"because    {reason}: {detail}"
    if fact.retry_after_seconds is not None:
        yield f"again      in {fact.retry_after_seconds:,.0f} s, as the source asks"


def _plan_lines(fact: RunFact, expected: Expected) -> Iterator[str]:
    yield f"release    {fact.release} of {fact.dataset} {fact.year}"
    yield f"companies  {fact.planned:,}, {fact.proved:,} of them proved already"
    yield f"rows       {expected.rows:,} of the year's {expected.rows_of_year:,}"
    yield f"bytes      about {expected.bytes:,}"
    yield f"requests   about {expected.requests:,} for {expected.windows:,} windows"
    yield f"time       about {expected.seconds:,.0f} s at the source's usual speed"
    yield f"lake       {fact.lake}"
    for company in expected.first_companies:
        yield f"  {shown_company(company.company_id)}  {'?' if company.rows is None else f'{company.rows:,}'} rows"
    if expected.companies > len(expected.first_companies):
        yield f"  and {expected.companies - len(expected.first_companies):,} more"
