"""Builds of a dataset's year: immutable files, named by a chain of numbered manifests per scope."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lakehouse.chain import Chain
from data_pipeline.lakehouse.documents import BuildManifest
from etl_core.documents import read
from etl_core.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl_core.lake import ObjectInfo, ObjectStore


def chain(store: ObjectStore, scope: str) -> Chain[BuildManifest]:
    """The manifests of a scope."""
    return Chain(store, BuildManifest, keys.builds(scope))


def manifests(store: ObjectStore, scope: str) -> list[ObjectInfo]:
    """The manifests of a scope, by ascending number."""
    return chain(store, scope).entries()


def read_manifest(store: ObjectStore, key: str) -> BuildManifest | None:
    """One manifest; raises ``DataError`` if a newer version wrote it, or it is damaged."""
    return read(BuildManifest, store, key)


def current_build(store: ObjectStore, scope: str) -> BuildManifest | None:
    """What readers see of a scope: pin it once, and read only the files it names. None if nothing was built."""
    return chain(store, scope).current()


def scopes(store: ObjectStore) -> list[str]:
    """The scopes that anything was built of."""
    found = (entry.key for entry in store.list(keys.BUILDS) if keys.number_of_build(entry.key) is not None)
    return sorted({key.removeprefix(keys.BUILDS).rpartition("/")[0] for key in found})


def current_builds(store: ObjectStore) -> Iterator[BuildManifest]:
    """What readers see of every scope, in the order of the scopes."""
    for scope in scopes(store):
        build = current_build(store, scope)
        if build is not None:
            yield build


def require_build(store: ObjectStore, scope: str, run_id: str | None = None) -> BuildManifest:
    """The build that readers see of a scope; raises ``NotFoundError`` if there is none, or it is not of this run."""
    current = current_build(store, scope)
    if current is None:
        raise NotFoundError(f"{store.url} has no build of {scope}.", advice="Run stage and build_curated first.")
    if run_id not in (None, current.run_id):
        raise NotFoundError(
            f"the build of {scope} that readers see is of run {current.run_id}, not of {run_id}.",
            advice=f"Name that run, or make the build: data-pipeline run build_curated -- --run-id {run_id}",
        )
    return current


def missing_files(store: ObjectStore, build: BuildManifest) -> list[str]:
    """The files of a build that the lake does not hold in their size, by one listing."""
    there = {entry.key: entry.size for entry in store.list(keys.build_files(build.scope, build.build))}
    return [file.key for file in build.files if there.get(file.key) != file.bytes]


def must_not_replace_a_closed_one(current: BuildManifest | None, *, closed: bool) -> None:
    """Raise ``ConflictError`` if a build of a partial run would take the place of one of a closed run."""
    if current is not None and current.closed and not closed:
        raise ConflictError(
            f"build {current.number} of {current.scope} is of the closed run {current.run_id}; "
            "a partial run does not replace it.",
            advice="Close the year first, or use another lake.",
        )


def commit_build(store: ObjectStore, build: BuildManifest) -> BuildManifest:
    """Give a build whose files are in the lake the next number, unless it is the current one; what stands then.

    Raises:
        ConflictError: it is of a partial run, and the current one of a closed run.
        UnavailableError: others committed builds all the while.

    """

    def replaces(current: BuildManifest | None) -> bool:
        must_not_replace_a_closed_one(current, closed=build.closed)
        return current is None or current.build != build.build

    return chain(store, build.scope).commit(build, replaces=replaces)
