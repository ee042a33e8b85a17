"""List orphaned files of the lake, and with --keep what newer builds and releases replaced; --delete deletes.

Orphans are parts that a killed run published and never proved, audits of other windows of a slice
that is closed (their parts are orphans afterwards), staged files without their document, and files of
tables or marts that no build names. Whatever an audit, a slice.jsonl, a manifest or a staged part's document
names is kept, and so is every slice of an unfinished run: commit it with write_manifest.

--keep N adds, of each dataset and year and of the marts, builds that N newer ones replaced; releases that N later
closed ones replaced, with their raw parts, audits and runs; and parts staged under a contract that
neither a kept build nor this version uses. What a kept build is made of is kept, whatever N is.

Reads the lake. Writes nothing; deletes only with --delete. A kill leaves nothing that the same
command does not finish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from etl_core.stdio import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from data_pipeline.job import Context
    from etl_core.lake import ObjectInfo, ObjectStore

    Found = tuple[str, ObjectInfo, Callable[[ObjectStore, ObjectInfo], bool]]


@frame.job(
    click.option(
        "--keep", type=click.IntRange(min=1), metavar="N",
        help="Also what the N newest builds, and the N newest closed releases, of a dataset and year replaced.",
    ),
    click.option("--delete", is_flag=True, help="Delete what is listed."),
    click.option(
        "--older-than-hours", type=frame.FiniteFloat(0, 1_000_000), default=24, show_default=True,
        help="Only files written longer ago: a running job publishes files shortly before it commits them.",
    ),
    frame.lake,
)  # fmt: skip
def command(context: Context, keep: int | None, delete: bool, older_than_hours: float) -> int:
    from collections import Counter
    from datetime import timedelta

    counts: Counter[str] = Counter()
    size = 0
    with context.progress.showing("gc: looking through the lake"):
        those = list(found(context.store, keep, context.now() - timedelta(hours=older_than_hours)))
    for word, entry, remove in those:
        context.stop.check()
        is_removed = delete and remove(context.store, entry)
        said = word if not delete else f"removed {word}" if is_removed else "kept, it is named now"
        say(f"{said}  {entry.key}  {entry.size:,} bytes  {entry.modified:%Y-%m-%d %H:%M}")
        if is_removed or not delete:
            counts[word] += 1
            size += entry.size
    context.print_fact(
        status="nothing to remove" if not counts else "removed" if delete else "listed",
        objects=counts.total(),
        bytes=size,
        by_kind=dict(sorted(counts.items())),
    )
    return 0


def found(store: ObjectStore, keep: int | None, before: datetime) -> Iterator[Found]:
    """What can be removed, in that order, each with a word for it and how to remove it."""
    from data_pipeline.lake_layout.open_payments import is_scope
    from data_pipeline.lakehouse import gc
    from data_pipeline.open_payments.operations.gc import remove, unnamed
    from data_pipeline.open_payments.operations.retention import old_releases

    builds = gc.sort_builds(store, keep, before)
    uses = {(scope_of(build.dataset, build.year, build.release), build.contract) for build in builds.kept}
    contracts = contracts_of_this_version()

    def cannot_be_judged(scope: str) -> bool:
        return scope.rpartition("/")[0] in builds.unreadable

    def is_needed(scope: str) -> bool:
        return cannot_be_judged(scope) or scope in {one for one, _ in uses}

    releases = {} if keep is None else old_releases(store, keep, is_needed, before)

    def is_used(scope: str, contract: str) -> bool:
        # Of what is no release it is not known what uses it.
        known = not is_scope(scope) or (contract in contracts and scope not in releases)
        return keep is None or known or (scope, contract) in uses or cannot_be_judged(scope)

    marts = gc.old_marts(store, keep, before)
    yield from (("replaced build", entry, gc.remove) for entry in (*builds.replaced, *marts.replaced))
    yield from (("file of no build", entry, gc.remove) for entry in marts.loose)
    yield from (("file of no build", entry, gc.remove) for entry in gc.loose_files(store, builds, before))
    yield from (("staged in vain", entry, gc.remove) for entry in gc.loose_staged(store, is_used, before))
    yield from (("replaced release", entry, delete_it) for own in releases.values() for entry in own)
    yield from (("orphan", entry, remove) for entry in unnamed(store, before))


def delete_it(store: ObjectStore, entry: ObjectInfo) -> bool:
    """Delete an object that nobody can name again."""
    store.delete(entry.key)
    return True


def scope_of(dataset: str, year: int, release: str) -> str:
    """The folder of the parts that a build is made of."""
    from data_pipeline.lake_layout import open_payments

    return open_payments.scope(dataset, year, release)


def contracts_of_this_version() -> set[str]:
    """The contracts that this version stages under."""
    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.open_payments.datasets import DATASETS

    return {Contract.from_toml(one.contract).hash for one in DATASETS.values()}


JOB = (frame.entrypoint_of(command, "gc"), "List or delete orphaned files, and what newer builds and releases replaced")
