"""Builds: immutable files, and a chain of numbered manifests of which the highest number is what readers see.

A build's files are written first, the manifest last and create-only. Of two builders one gets the next number; the
other reads the chain again. Readers take one manifest when they open, so they see the old build or the new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lakehouse.documents import BuildManifest
from etl_core.documents import read
from etl_core.errors import ConflictError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl_core.lake import ObjectInfo, ObjectStore

# Builds of one dataset and year at once are few; each attempt that is lost means that another one was committed.
MOST_ATTEMPTS = 20


def manifests(store: ObjectStore, scope: str) -> list[ObjectInfo]:
    """The manifests of a scope, by ascending number."""
    found = store.list(keys.builds(scope))
    return [one for one in found if one.key == keys.build_manifest(scope, keys.number_of_build(one.key) or 0)]


def read_manifest(store: ObjectStore, key: str) -> BuildManifest | None:
    """One manifest; raises ``DataError`` if a newer version wrote it, or it is damaged."""
    return read(BuildManifest, store, key)


def current_build(store: ObjectStore, scope: str) -> BuildManifest | None:
    """What readers see of a scope: pin it once, and read only the files it names. None if nothing was built."""
    there = manifests(store, scope)
    return read_manifest(store, there[-1].key) if there else None


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
    for _ in range(MOST_ATTEMPTS):
        current = current_build(store, build.scope)
        must_not_replace_a_closed_one(current, closed=build.closed)
        if current is not None and current.build == build.build:
            return current
        parent = None if current is None else current.number
        numbered = build.model_copy(update={"number": (parent or 0) + 1, "parent": parent})
        if store.put_new(keys.build_manifest(build.scope, numbered.number), numbered.to_bytes()).created:
            return numbered
    raise UnavailableError(f"{MOST_ATTEMPTS} other builds of {build.scope} were committed meanwhile.")
