"""Builds that newer ones replaced, staged parts that nothing uses, and files that a killed job left.

What commits a thing is removed first, a manifest before its files, the document of a part before its file: a process
that dies leaves files that nothing names, which the next one finds. What is young is kept, for a running builder
writes files shortly before it commits them, and a reader may still read the build that was replaced a moment ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lake_layout.lakehouse import StagedKeys
from data_pipeline.lakehouse import builds
from data_pipeline.lakehouse.documents import MartsManifest
from data_pipeline.lakehouse.marts import chain_of
from etl_core.documents import read
from etl_core.errors import DataError
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from data_pipeline.lakehouse.documents import BuildManifest
    from etl_core.lake import ObjectInfo, ObjectStore

_log = get_logger()


@dataclass(frozen=True)
class Builds:
    """The builds of a lake: those that stay, the manifests of the others, and the scopes that cannot be judged."""

    kept: tuple[BuildManifest, ...]
    replaced: tuple[ObjectInfo, ...]
    unreadable: frozenset[str]

    @property
    def files(self) -> frozenset[str]:
        """The keys of all files of the builds that stay."""
        return frozenset(file.key for build in self.kept for file in build.files)


def sort_builds(store: ObjectStore, keep: int | None, before: datetime) -> Builds:
    """Keep the ``keep`` newest builds of each scope, and those replaced after ``before``; all of them if it is None.

    A scope with a manifest that cannot be read is named in the log, and left alone.
    """
    kept: list[BuildManifest] = []
    replaced: list[ObjectInfo] = []
    unreadable = set()
    for scope in builds.scopes(store):
        chain = builds.manifests(store, scope)
        old = _old_ones(chain, keep, before)
        try:
            kept += [_read(store, one.key) for one in chain if one not in old]
            replaced += old
        except DataError as error:
            _log.warning("the builds of a scope are left alone: one cannot be read", scope=scope, error=str(error))
            unreadable.add(scope)
    return Builds(tuple(kept), tuple(replaced), frozenset(unreadable))


def _old_ones(chain: Sequence[ObjectInfo], keep: int | None, before: datetime) -> list[ObjectInfo]:
    """The manifests that ``keep`` newer ones replaced, the next one before that moment."""
    replaced_by_n = [] if keep is None else list(pairwise(chain))[: max(len(chain) - keep, 0)]
    return [one for one, newer in replaced_by_n if newer.modified < before]


@dataclass(frozen=True)
class OldMarts:
    """Of the marts of a lake: manifests that newer ones replaced, and files that no manifest names which stays."""

    replaced: tuple[ObjectInfo, ...] = ()
    loose: tuple[ObjectInfo, ...] = ()


def old_marts(store: ObjectStore, keep: int | None, before: datetime) -> OldMarts:
    """As of builds: the ``keep`` newest stay. If a manifest cannot be read, the log says so, and all of them stay."""
    chain = chain_of(store)
    entries = chain.entries()
    replaced = _old_ones(entries, keep, before)
    try:
        named = _files_named(store, [one for one in entries if one not in replaced])
    except DataError as error:
        _log.warning("the marts are left alone: a manifest cannot be read", error=str(error))
        return OldMarts()
    files = store.list(keys.MARTS)
    return OldMarts(tuple(replaced), tuple(one for one in files if one.key not in named and one.modified < before))


def _files_named(store: ObjectStore, manifests: Iterable[ObjectInfo]) -> set[str]:
    found = (read(MartsManifest, store, one.key) for one in manifests)
    return {one.file.key for one in found if one is not None}


def loose_files(store: ObjectStore, found: Builds, before: datetime) -> Iterator[ObjectInfo]:
    """The files of curated tables, written before that moment, that no build names which stays."""
    named = found.files
    for entry in store.list(keys.CURATED):
        scope = keys.scope_of_build_file(entry.key)
        if scope and scope not in found.unreadable and entry.key not in named and entry.modified < before:
            yield entry


def loose_staged(store: ObjectStore, is_used: Callable[[str, str], bool], before: datetime) -> Iterator[ObjectInfo]:
    """Of staged parts: documents and files of a scope and contract that are not used, unless something of them is
    young; and old files without a document.
    """
    for scope, contract in sorted(_staged(store)):
        documents, *zones = (list(store.list(prefix)) for prefix in keys.staged_zones(scope, contract))
        files = [entry for zone in zones for entry in zone]
        if not is_used(scope, contract) and all(one.modified < before for one in (*documents, *files)):
            yield from (*documents, *files)
            continue
        there = {one.key for one in documents}
        for entry in files:
            own = StagedKeys.of(entry.key)
            if own and own.document not in there and entry.modified < before:
                yield entry


def remove(store: ObjectStore, entry: ObjectInfo) -> bool:
    """Remove what was found, unless somebody has named it since."""
    if _is_named(store, entry.key):
        return False
    store.delete(entry.key)
    return True


def _is_named(store: ObjectStore, key: str) -> bool:
    staged, scope = StagedKeys.of(key), keys.scope_of_build_file(key)
    if staged is not None and key != staged.document:
        return store.head(staged.document) is not None
    if scope is None and not key.startswith(keys.MARTS):
        return False
    try:
        if scope is None:
            return key in _files_named(store, chain_of(store).entries())
        chain = [_read(store, one.key) for one in builds.manifests(store, scope)]
    except DataError:
        return True
    return any(key == file.key for build in chain for file in build.files)


def _staged(store: ObjectStore) -> set[tuple[str, str]]:
    """The scopes and contracts that anything is staged of."""
    found = (StagedKeys.of(entry.key) for zone in keys.STAGED_ZONES for entry in store.list(zone))
    return {(one.scope, one.contract) for one in found if one is not None}


def _read(store: ObjectStore, key: str) -> BuildManifest:
    found = builds.read_manifest(store, key)
    if found is None:
        raise DataError(f"{store.url}/{key} was there a moment ago.")
    return found
