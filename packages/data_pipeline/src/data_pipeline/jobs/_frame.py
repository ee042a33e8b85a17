"""What every job of ours has: a click command, its context, and the options that any job may take."""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import click

from etl_core.printable import has_password, without_password

if TYPE_CHECKING:
    from data_pipeline.job import Context

# Options that are settings: the context is opened with them, the job reads them there.
SETTINGS = ("run_id", "lake_url", "log_level", "source_max_streams")
# What every supported Kubernetes accepts as the name of a variable.
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")


def entrypoint_of(command: click.Command, job: str) -> Callable[[list[str]], int]:
    """``entrypoint(argv) -> int`` of a click command; its errors carry the full command line."""

    def entrypoint(argv: list[str]) -> int:
        status = command.main(args=argv, prog_name=f"data-pipeline run {job} --", standalone_mode=False)
        return int(status or 0)

    return entrypoint


class Command(click.Command):
    """A command that refuses what click would drop: of an option given twice it takes the last value, silently."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; raises ``click.UsageError`` for a second value of an option that takes one."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for one, times in Counter(given).items():
            if times > 1 and isinstance(one, click.Option) and not (one.multiple or one.is_flag or one.count):
                raise click.UsageError(
                    f"{one.opts[0]} was given {times} times, and takes one value: run it once for each.", ctx
                )
        return super().parse_args(ctx, args)


def job_command(**settings: Any) -> Callable[[Callable[..., Any]], click.Command]:  # noqa: ANN401 - click's own
    """A click command with -h and wide help."""
    return click.command(
        cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, **settings
    )


def job(*options: Callable[[Any], Any]) -> Callable[[Callable[..., int]], click.Command]:
    """A job as a click command: its help is its module's docstring, its name the module's.

    The function gets the ``context`` of the job, opened with those of ``SETTINGS`` that are on the command line, and
    every other option by name.
    """

    def decorate(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def in_context(**given: Any) -> int:  # noqa: ANN401 - click's
            from data_pipeline.job import job_context

            settings = {name: given.pop(name) for name in SETTINGS if name in given}
            name, is_json = function.__module__.rpartition(".")[2], given.pop("is_json")
            is_last = given.pop("is_last", False)
            with job_context(name, is_json=is_json, **settings) as context:
                if is_last:
                    _take_last_run(context)
                return function(context, **given)

        return job_command(help=function.__globals__["__doc__"])(together(*options, shown)(in_context))

    return decorate


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options in the order they are written."""

    def decorate(function: Any) -> Any:  # noqa: ANN401 - a click decorator
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def as_one(name: str, build: Callable[..., Any], *options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Options that a job gets as one value ``name``, which ``build`` makes of them; its parameters are their names."""
    names = tuple(inspect.signature(build).parameters)

    def decorate(function: Any) -> Any:  # noqa: ANN401 - a click decorator
        @functools.wraps(function)
        def built(**given: Any) -> Any:  # noqa: ANN401 - click's
            value = build(**{one: given.pop(one) for one in names})
            return function(**given, **{name: value})

        return together(*options)(built)

    return decorate


def options_of(name: str, defaults: Any, *, only: Collection[str] = ()) -> Callable[[Any], Any]:  # noqa: ANN401
    """A click option per annotated field of a dataclass; the job gets them as one value ``name``, like ``defaults``.

    A field is annotated with its help text and, if it is a number, its bounds: ``Annotated[int, (1, None), "…"]``; a
    mapping with the pattern of its keys, unless they are variables.
    Fields that are dataclasses are taken apart. ``only`` leaves out the other fields.
    """

    def decorate(function: Any) -> Any:  # noqa: ANN401 - a click decorator
        @functools.wraps(function)
        def built(**given: Any) -> Any:  # noqa: ANN401 - click's
            value = _with_values(defaults, given)
            return function(**given, **{name: value})

        return together(*_options_of(defaults, only))(built)

    return decorate


def _options_of(defaults: Any, only: Collection[str]) -> Iterator[Callable[[Any], Any]]:  # noqa: ANN401
    hints = get_type_hints(type(defaults), include_extras=True)
    for one in fields(defaults):
        value, hint = getattr(defaults, one.name), hints[one.name]
        if is_dataclass(value):
            yield from _options_of(value, only)
        elif get_origin(hint) is Annotated and (not only or one.name in only):
            yield _option_of("--" + one.name.replace("_", "-"), value, *get_args(hint))


def _option_of(flag: str, default: Any, hint: Any, *notes: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    (text,) = (note for note in notes if isinstance(note, str))
    kind = get_args(hint)[0] if isinstance(hint, UnionType) else hint  # of ``int | None``
    if get_origin(kind) is Mapping:
        key = next((note for note in notes if isinstance(note, re.Pattern)), _VARIABLE)
        return click.option(
            flag, multiple=True, callback=functools.partial(_pairs, key), metavar="KEY=VALUE", help=text
        )
    if get_origin(kind) is tuple:
        return click.option(flag, multiple=True, metavar="KIND/NAME", help=text)
    bounds = next((note for note in notes if isinstance(note, tuple)), (None, None))
    types = {int: click.IntRange(*bounds), float: FiniteFloat(*bounds), str: click.STRING}
    as_type = types.get(kind) or click.Choice([one for one in get_args(kind) if one])
    return click.option(flag, type=as_type, default=default or None, show_default=bool(default), help=text)


def _with_values(defaults: Any, given: dict[str, Any]) -> Any:  # noqa: ANN401 - the same dataclass
    values = {}
    for one in fields(defaults):
        value = getattr(defaults, one.name)
        if is_dataclass(value):
            values[one.name] = _with_values(value, given)
        elif given.get(one.name) is not None:
            values[one.name] = given[one.name]
        given.pop(one.name, None)
    return replace(defaults, **values)


def _pairs(
    key: re.Pattern[str], _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    for text in texts:
        if "=" not in text or not key.fullmatch(text.partition("=")[0]):
            raise click.BadParameter(f"{without_password(text)!r} is not KEY=VALUE.")
        if has_password(text.partition("=")[2]):
            raise click.BadParameter(
                f"{without_password(text)} holds a password, which everybody who may read Jobs could see: use a Secret."
            )
    return dict(text.partition("=")[::2] for text in texts)


class FiniteFloat(click.FloatRange):
    """A number in a range; neither ``nan`` nor ``inf``, which would wait for ever."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


def _take_last_run(context: Context) -> None:
    from data_pipeline.jobs._runs import DOMAINS
    from data_pipeline.runs.listing import newest
    from etl_core.errors import UsageError

    if context.run_id:
        raise UsageError("Give either --run-id or --last.")
    context.run_id = newest(context.store, DOMAINS)


def require_run(context: Context) -> str:
    """The run of the command line; raises ``UsageError`` if it names none."""
    from etl_core.errors import UsageError

    if not context.run_id:
        raise UsageError("Give --run-id, or --last for the run that was begun last. The job runs lists all.")
    return context.run_id


def existing_run(text: str) -> Callable[[Any], Any]:
    """A run that there is: ``text`` says what for."""
    return together(click.option("--run-id", help=text), last)


last = click.option("--last", "is_last", is_flag=True, help="The run that was begun last, in place of --run-id.")
run_id = click.option(
    "--run-id",
    help="Name of the run; NAME-2 and so on where that one is over. Default: the unfinished run of this selection,"
    " else the start time in UTC.",
)
lake = click.option(
    "--lake", "lake_url", help="The lake, in place of LAKE_URL: a folder, file:///… or s3://bucket/prefix."
)
streams = click.option(
    "--streams", "source_max_streams", type=click.IntRange(min=1, max=64),
    help="Concurrent requests to the source, in place of SOURCE_MAX_STREAMS (8).",
)  # fmt: skip
dry_run = click.option("--dry-run", is_flag=True, help="Print the plan and its cost; fetch and write nothing.")
overwrite = click.option(
    "--overwrite", is_flag=True,
    help="Replace objects of other content; logged, and refused where the bucket forbids it.",
)  # fmt: skip
verbose = click.option("-v", "--verbose", "log_level", flag_value="debug", help="Log more.")
quiet = click.option("-q", "--quiet", "log_level", flag_value="error", help="Log errors only.")
as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON only, also on a terminal.")
# What every job shows, and how: for the context of a job.
shown = together(as_json, verbose, quiet)
