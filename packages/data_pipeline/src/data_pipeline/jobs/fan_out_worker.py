"""One pod's part of a fanned-out run: prove the windows of its bin, then, if packed, help with what is left.

Started by the Jobs that fan_out creates, not by hand: --plan names the run, --digest the plan,
--index the bin (Kubernetes sets it for the pods of an Indexed Job). It is idempotent: started
again, it finds what is proved and ends.

Reads the plan from the lake, and the source. Writes raw parts, their audits and slice.jsonl, and
under the run its claims and failed attempts.
"""

from __future__ import annotations

import click

from data_pipeline.jobs import _frame as frame


@frame.job_command(help=__doc__)
@click.option("--plan", "run_id", required=True, metavar="RUN", help="The run whose fan-out plan to work on.")
@click.option("--shape", type=click.Choice(("per-company", "packed")), required=True, help="Which of its plans.")
@click.option("--digest", required=True, help="SHA-256 of that plan; a worker refuses another one.")
@click.option("--index", type=click.IntRange(min=0), help="Number of the bin. Default: JOB_COMPLETION_INDEX.")
@frame.lake
@frame.shown
def command(
    run_id: str,
    shape: str,
    digest: str,
    index: int | None,
    lake_url: str | None,
    log_level: str | None,
    is_json: bool,
) -> int:
    from data_pipeline.fan_out.worker import Worker, read_plan
    from data_pipeline.job import job_context
    from data_pipeline.lake_layout.ids import checked_run_id
    from data_pipeline.open_payments.facts import exit_code_of_outcomes
    from data_pipeline.open_payments.ledger import plans, schemas
    from data_pipeline.open_payments.ledger.audits import Audits
    from etl_core import logs
    from etl_core.errors import UsageError

    checked_run_id(run_id)
    with job_context(
        "fan_out_worker", is_one_of_many=True, is_json=is_json, lake_url=lake_url, log_level=log_level
    ) as context:
        number = context.settings.job_completion_index if index is None else index
        if number < 0:
            raise UsageError("name an --index; only the pods of an Indexed Job have JOB_COMPLETION_INDEX.")
        context.run_id = run_id
        logs.bind(run_id=run_id, index=str(number))
        fan_out = read_plan(context.store, run_id, shape, digest, number)
        plan = plans.require_plan(context.store, run_id)
        columns = schemas.read_schema(context.store, plan.release)
        worker = Worker(
            fan_out,
            number,
            context.pipeline.slices(plan, columns),
            context.store,
            Audits(context.store, plan.release),
            companies=plan.companies,
        )
        outcomes = worker.run()
        status = exit_code_of_outcomes(outcomes)
        proved = [outcome.audit for outcome in outcomes if outcome.audit is not None]
        failed = sum(outcome.error is not None for outcome in outcomes)
        context.print_fact(
            status="failed" if failed else "proved" if outcomes else "already done",
            index=number,
            planned=len({unit.company_id for unit in fan_out.bins[number]}),
            closed=len(proved),
            failed=failed,
            rows=sum(audit.records for audit in proved),
            release=plan.release.name,
        )
        return status


JOB = (frame.entrypoint_of(command, "fan_out_worker"), "One pod's part of a fanned-out run")
# Its Jobs are created by fan_out, from a plan in the lake.
KUBERNETES = None
