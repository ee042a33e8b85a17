"""argv in, exit status out: ``list``, ``describe``, ``run``, ``doctor``.

The one door: the outer parser knows only names; what follows ``run JOB`` goes to the job's own
parser. Only ``main`` turns an exception into a status; the table is in ``etl_core.errors``.
"""

from __future__ import annotations

import gc
import io
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from data_pipeline import __version__
from data_pipeline.fan_out.options import default_pod
from data_pipeline.jobs import _frame as frame
from data_pipeline.open_payments.datasets import DATASETS, GENERAL
from data_pipeline.registry import BrokenJobError, Registry
from data_pipeline.summary import PROGRAM, command_of
from etl_core.errors import BUG, DONE, EXIT_STATUSES, INTERRUPTED, USAGE, PipelineError, StoppedError
from etl_core.machine import what_is_missing
from etl_core.stdio import guard_stdio, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl_core.kube.describe import PodOptions


def _exit_statuses() -> str:
    rows = "\n".join(f"  {status.code:>3}  {status.meaning}" for status in EXIT_STATUSES)
    return f"\b\nExit status:\n{rows}"


class Commands(click.Group):
    """The commands. The name of a job is none, and says what to write."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and args[0].replace("-", "_") in Registry().names():
            words = [one for one in args[1:] if one != "--"]
            line = command_of(args[0].replace("-", "_"), *words, started_as=PROGRAM)
            ctx.fail(f"{args[0]} is a job. Write: {line}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  data-pipeline list
  data-pipeline run build -- --year 2024 --max-files 20
  data-pipeline run download_company -- --year 2024 --company-id 100000000053

{_exit_statuses()}""",
)
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Brings CMS Open Payments into a data lake and proves every slice complete.

    Each piece of work is a job. A job's options follow its name; put -- before them.
    Settings come from the environment, then .env; options win.
    """


@cli.command("list")
@click.option("--json", "is_json", is_flag=True, help="Print a JSON object: name and description.")
def list_jobs(is_json: bool) -> None:
    """Show every job with a line of description."""
    listings = Registry().listings()
    if is_json:
        say(json.dumps(listings), to_stdout=True)
        return
    width = max(map(len, listings), default=0)
    for name, text in listings.items():
        say(f"{name:<{width}}  {text}", to_stdout=True)


@cli.command("describe")
@click.argument("job")
def describe(job: str) -> None:
    """Show what JOB does, reads and writes, and its options."""
    found = Registry().load(job)
    say(f"{found.name}: {found.description}", "", to_stdout=True)
    _run(found.name, ["--help"])


@cli.command(
    "run",
    # Everything after the job's name is the job's, options too; nothing is parsed here.
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    },
)
@click.argument("job", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS]")
def run(job: str | None, arguments: tuple[str, ...]) -> int:
    """Run JOB with its ARGUMENTS, as in: run JOB -- --year 2024."""
    if job is None:
        raise click.UsageError(f"Which job? '{PROGRAM} list' shows all.", click.get_current_context())
    if job in ("-h", "--help"):
        with click.get_current_context() as context:
            say(*context.get_help().split("\n"), to_stdout=True)
        return DONE.code
    given = list(arguments)
    # click already takes the first "--" away where it separates; a leading one may remain.
    return _run(job, given[1:] if given[:1] == ["--"] else given)


# Options of a fan-out that decide whether its pods start.
DOCTOR_POD = ("image", "service_account", "env", "env_from", "cpu", "memory", "pod_label", "pod_annotation")


@cli.command("doctor")
@click.argument("parts", nargs=-1, type=click.Choice(("source", "lake", "cluster")), metavar="[source|lake|cluster]...")
@click.option(
    "--dataset", type=click.Choice(tuple(DATASETS)), default=GENERAL.name, show_default=True, help="Of the source."
)
@click.option("--year", type=int, help="Program year to check. Default: the newest in the catalogue.")
@click.option("--lake", "lake_url", help="The lake, in place of LAKE_URL: a folder, file:///… or s3://bucket/prefix.")
@click.option("--namespace", default="", help="Of the cluster. Default: that of the kubeconfig's context.")
@frame.options_of("pod", default_pod(), only=DOCTOR_POD)
@click.option("--dry-run", is_flag=True, help="Print the checks; run none, write nothing.")
@frame.shown
def doctor(
    parts: tuple[str, ...],
    dataset: str,
    year: int | None,
    lake_url: str | None,
    namespace: str,
    pod: PodOptions,
    dry_run: bool,
    log_level: str | None,
    is_json: bool,
) -> int:
    r"""Check that the source, lake and cluster behave as the pipeline expects.

    \b
    source   at most 25 requests and some 10 MB
    lake     a probe is written and deleted again
    cluster  the one that a fan-out would use; one pod is started

    Default: source and lake.
    """
    from data_pipeline.job import job_context
    from data_pipeline.open_payments import source_checks as doctors

    if "cluster" in parts and len(set(parts)) > 1:
        raise click.UsageError("cluster is checked alone; its pod looks at the source and the lake.")
    of_source, of_lake, of_cluster = (one in (parts or ("source", "lake")) for one in ("source", "lake", "cluster"))
    with job_context("doctor", is_json=is_json, lake_url=lake_url, log_level=log_level, source_attempts=1) as context:
        if of_cluster:
            from data_pipeline.fan_out import cluster_checks as cluster_doctor
            from data_pipeline.fan_out import specs

            if not dry_run:
                env = {**specs.worker_env(context.settings, context.store.url), **pod.env}
                pods = replace(pod, env=env)
                cluster = context.cluster(namespace, patience_seconds=30.0)
                fact, status = cluster_doctor.examine(cluster, pods, sleep=context.stop.sleep, say=say)
                context.print_fact(**fact)
                return status
            questions = [f"{one.id}: {one.question}" for one in cluster_doctor.CLUSTER_CHECKS]
        elif dry_run:
            questions = doctors.questions(of_lake=of_lake, of_source=of_source)
        if dry_run:
            say(*questions)
            context.print_fact(status="planned", checks=len(questions))
            return DONE.code
        fact, status = doctors.examine(
            context.store,
            context.source if of_source else None,
            DATASETS[dataset],
            year,
            of_lake=of_lake,
            now=context.now,
            say=say,
        )
        context.print_fact(**fact)
        return status


def _run(job: str, arguments: list[str]) -> int:
    status = Registry().load(job).entrypoint(arguments)
    return DONE.code if status is None else int(status)


def main(argv: Sequence[str] | None = None) -> None:
    """The console script: ends the process with the documented status."""
    guard_stdio()
    status = exit_code_of(list(sys.argv[1:] if argv is None else argv))
    # Before it ends, the interpreter would look for garbage in all modules: a tenth of a second.
    gc.freeze()
    sys.exit(status)


def get_s3_files() -> None:
    """The console script ``data-pipeline-get-s3-files``: the job of that name, with its options alone."""
    main(["run", "get_s3_files", "--", *sys.argv[1:]])


def exit_code_of(argv: list[str]) -> int:
    """Run one command line; never raises."""
    try:
        # What ``run`` returns, or the status of an exit of click's own, which ends here and not in SystemExit.
        return int(cli.main(args=argv, prog_name=PROGRAM, standalone_mode=False) or DONE.code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(*shown.getvalue().rstrip().split("\n"))
        return USAGE.code
    except (click.Abort, KeyboardInterrupt) as error:
        # Click takes the end of any file for a person's Ctrl-D; within a job it is a broken one.
        if isinstance(error.__cause__, EOFError):
            return _bug()
        say("interrupted")
        return INTERRUPTED.code
    except StoppedError as error:
        say(*_notes(error), f"{error}. Run the same command to resume.")
        return 128 + error.signal_number
    except PipelineError as error:
        if isinstance(error, BrokenJobError) and error.__cause__:
            say(*_traceback_of(error.__cause__))
        say(*_notes(error), f"{PROGRAM}: {error}")
        return error.exit_status.code
    except SystemExit as error:
        return _code_of(error)
    except Exception as error:  # noqa: BLE001 - the last wall
        missing = what_is_missing(error)
        if missing is None:
            return _bug()
        say(*_notes(missing), f"{PROGRAM}: {missing}")
        return missing.exit_status.code


def _notes(error: BaseException) -> list[str]:
    """What was added to an error on its way, such as where the log is."""
    return list(getattr(error, "__notes__", ()))


def _traceback_of(error: BaseException) -> list[str]:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip().split("\n")


def _bug() -> int:
    error = sys.exception()
    say(*(_traceback_of(error) if error else ()))
    say(f"{PROGRAM}: this is a bug of ours, not of your data; please report the lines above.")
    return BUG.code


def _code_of(error: SystemExit) -> int:
    """The status of a ``SystemExit`` as the interpreter takes it: None is 0, text is printed and 1."""
    if error.code is None:
        return DONE.code
    if isinstance(error.code, int):
        return error.code
    say(str(error.code))
    return BUG.code
