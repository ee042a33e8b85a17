"""Spread a program year over Kubernetes: one Job per company, or one packed Indexed Job.

The source is the limit, not the pods: with --streams 8 one process (run_pipeline) is as fast as
any number of pods and cheaper. Fan out for many years or datasets, where nodes come and go, where
no machine stays long enough, or where the ceiling is lifted. --dry-run compares the ways.

per-company makes a Job for each company, biggest first, at most --max-in-flight unfinished ones.
packed makes one Indexed Job of a few pods, each with its own bin of windows, that then help with
what is left. Both leave what run_pipeline leaves, and end in the run's manifest.

Kill it at any instant and run the same command again, from any machine: it finds the Jobs and
what is proved. Ctrl-C asks whether the Jobs are to go on. --cancel deletes them.

Reads the source, for the plan, and the cluster. Writes totals, plan, manifest and report; the
workers write parts and audits.
"""

from __future__ import annotations

import re
from typing import Any

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options


def _pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    from data_pipeline.fan_out.specs import pairs

    return pairs(values)


def _years(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    bounds = [re.fullmatch(r"(\d{4})(?:-(\d{4}))?", part) for part in text.split(",")]
    spans = [range(int(one[1]), int(one[2] or one[1]) + 1) for one in bounds if one is not None]
    if len(spans) < len(bounds) or not all(spans):
        raise click.BadParameter(f"{text!r} is neither 2021,2023 nor 2018-2024.")
    return tuple(dict.fromkeys(year for span in spans for year in span))


@frame.job_command(help=__doc__)
@options.dataset
@click.option("--year", type=int, help="Program year, such as 2024.")
@click.option("--years", callback=_years, metavar="YEARS", help="Several, one after the other: 2018-2024 or 2021,2023.")
@frame.together(options.company_id, options.max_files, options.slice_of)
@click.option(
    "--shape", type=click.Choice(("auto", "per-company", "packed")), default="auto", show_default=True,
    help="auto: the cheaper of those about as fast.",
)  # fmt: skip
@click.option("--pods", type=click.IntRange(min=1), help="packed: so many pods. Default: one for every 8 streams.")
@click.option(
    "--image", default="etl-data-pipeline", show_default=True, help="Image of the workers; by digest is best."
)
@click.option(
    "--image-pull-policy", type=click.Choice(("Always", "IfNotPresent", "Never")), help="Default: Kubernetes' own."
)
@click.option("--namespace", default="", help="Default: that of the kubeconfig's context, else data-pipeline.")
@click.option("--service-account", default="data-pipeline-worker", show_default=True, help="Of the workers.")
@click.option("--max-in-flight", type=click.IntRange(min=1), help="Unfinished Jobs at most. Default: the streams.")
@click.option(
    "--max-failure-ratio", type=frame.FiniteFloat(0, 1), default=0.2, show_default=True,
    help="Launch nothing further once more of the last 20 units failed.",
)  # fmt: skip
@click.option("--queue", default="", help="Kueue's LocalQueue: the Jobs wait there for their turn.")
@click.option("--env", callback=_pairs, multiple=True, metavar="KEY=VALUE", help="For the workers; repeatable.")
@click.option(
    "--env-from", multiple=True, metavar="KIND/NAME", help="configmap/NAME or secret/NAME, for the workers; repeatable."
)
@click.option("--cpu", default="500m", show_default=True, help="Requested by each pod.")
@click.option("--memory", default="512Mi", show_default=True, help="Requested by each pod, and its limit.")
@click.option(
    "--try-hours", type=frame.FiniteFloat(min=0.01), default=6.0, show_default=True,
    help="A pod that runs longer is ended.",
)  # fmt: skip
@click.option(
    "--look-every", type=frame.FiniteFloat(min=0.1), default=5.0, show_default=True, help="Seconds between two looks."
)
@click.option(
    "--doubt-after", type=frame.FiniteFloat(min=0), default=60.0, show_default=True,
    help="Seconds until a waiting pod is explained.",
)  # fmt: skip
@click.option(
    "--start-within", type=frame.FiniteFloat(min=0), default=1800.0, show_default=True,
    help="Seconds a pod may wait for a node.",
)  # fmt: skip
@click.option(
    "--on-interrupt", type=click.Choice(("ask", "detach", "cancel")), default="ask", show_default=True,
    help="Ctrl-C: leave the Jobs alone, or delete them. ask: without a terminal, detach.",
)  # fmt: skip
@click.option("--cancel", is_flag=True, help="Delete all Jobs and pods of this year, and end; asks no source.")
@click.option("--print", "print_only", is_flag=True, help="Print the Jobs for kubectl apply -f -, and create none.")
@frame.together(options.totals_from, options.trust_count, frame.dry_run, frame.run_id, frame.lake, frame.streams)
def command(
    dataset: str,
    year: int | None,
    years: tuple[int, ...],
    company_id: str | None,
    max_files: int | None,
    slice_of: str | None,
    run_id: str | None,
    lake_url: str | None,
    source_max_streams: int | None,
    **asked: Any,  # noqa: ANN401 - click's
) -> int:
    from data_pipeline.job import job_context
    from data_pipeline.jobs import _fan_out
    from etl_core.errors import DONE, UsageError

    chosen = years or (() if year is None else (year,))
    if bool(years) == (year is not None):
        raise UsageError("say which --year, or --years.")
    if len(chosen) > 1 and run_id is not None:
        raise UsageError("--run-id names one run; leave it out with several years.")
    status = DONE.code
    for one in chosen:
        selection = options.selection_of(dataset, one, company_id, max_files, slice_of)
        with job_context("fan_out", run_id=run_id, lake_url=lake_url, source_max_streams=source_max_streams) as context:
            status = max(status, _fan_out.fan_out(context, selection, _fan_out.Asked(**asked)))
    return status


JOB = (frame.entrypoint_of(command, "fan_out"), "Spread a program year over Kubernetes Jobs")
