"""What a run left open: companies without a proved slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from data_pipeline.open_payments.ledger.audits import Audits, read_attempts
from data_pipeline.open_payments.ledger.documents import Plan, PlannedCompany
from data_pipeline.open_payments.ledger.plans import counts_at_end, read_manifest, require_plan

if TYPE_CHECKING:
    from etl_core.lake import ObjectStore


def open_companies(
    store: ObjectStore, run_id: str, what: Literal["failed", "missing"]
) -> tuple[Plan, tuple[PlannedCompany, ...]]:
    """A run's plan, and its companies without a proved slice: ``failed`` where the manifest says so, or an attempt.

    Payers that the end of the run found at another count are among both, those it had not planned
    among what is ``missing``.
    """
    plan, manifest = require_plan(store, run_id), read_manifest(store, run_id)
    moved = {} if manifest is None else {one.company_id: one.source_rows for one in manifest.closure.moved}
    companies = tuple(
        company.model_copy(update={"rows": moved.get(company.company_id, company.rows)}) for company in plan.companies
    )
    if what == "missing" and manifest is not None:
        unplanned = manifest.closure.unplanned
        companies += tuple(PlannedCompany(company_id=one.company_id, rows=one.source_rows) for one in unplanned)
    proved = proved_companies(store, plan.model_copy(update={"companies": companies}))
    wanted = {company.company_id for company in companies} - proved
    if what == "failed" and manifest is not None:
        wanted &= {one.company_id for one in manifest.slices if one.verdict == "failed"}
    elif what == "failed":
        wanted &= {attempt.company_id for attempt in read_attempts(store, run_id, leave_out=proved) if attempt.final}
    return plan, tuple(company for company in companies if company.company_id in wanted)


def proved_companies(store: ObjectStore, plan: Plan) -> set[str]:
    """Companies of the plan whose slice is closed, at the plan's count if that is one of this very release.

    One that is closed at another count moved under its release, before the plan or since: it is
    looked at again, and fetched again only if the source still says so.
    """
    audits = Audits(store, plan.release)
    closed = audits.closed()
    rows = {company.company_id: company.rows for company in plan.companies if company.company_id in closed}
    if plan.counts_from == "entities":
        counted = counts_at_end(store, plan.release)
        rows = {company_id: counted.get(company_id) for company_id in rows}
    found = audits.newest_slices({company_id: closed[company_id] for company_id in rows})
    return {company_id for company_id, one in found.items() if rows[company_id] in (None, one.records)}
