"""A build, and the staged parts it is made of, copied from one lake to another; its numbered manifest last.

A build keeps its number, so that a copy is the same bytes. Where the other lake has a chain of its own that is longer,
nothing is copied: readers there would not see it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lake_layout.lakehouse import StagedKeys
from data_pipeline.lakehouse import builds
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.lakehouse.documents import BuildManifest, StagedPart
from data_pipeline.runs.copying import ToCopy
from etl_core.documents import read
from etl_core.errors import ConflictError, DataError
from etl_core.lake import content_of, in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from data_pipeline.lakehouse.documents import StoredFile
    from data_pipeline.runs.copying import Copied, Copying
    from etl_core.lake import ObjectStore


def objects_of(build: BuildManifest, parts: Sequence[StagedPart]) -> list[list[ToCopy]]:
    """Every object of a build in steps: files, the documents of staged parts, the manifest."""

    def as_is(files: Iterable[StoredFile]) -> list[ToCopy]:
        return [ToCopy(one.key, one.sha256, one.bytes) for one in files]

    files = [*as_is(file for part in parts for file in part.files), *as_is(build.files)]
    documents = [
        ToCopy(StagedKeys.of_part(one.part, one.contract).document, content_of(one.to_bytes()), kind=StagedPart)
        for one in parts
    ]
    manifest = keys.build_manifest(build.scope, build.number)
    return [
        [ToCopy(keys.contract(build.contract), kind=Contract), *files],
        documents,
        [ToCopy(manifest, content_of(build.to_bytes()), kind=BuildManifest)],
    ]


def copy_build(copying: Copying, build: BuildManifest, parts: Iterable[str]) -> Copied:
    """Copy what is missing there of a build and of the staged ``parts``, which are keys; raises as ``Copying.run``.

    Raises:
        ConflictError: the other lake has a newer build, or one of a closed run that this partial one would replace.
        DataError: a part is not staged under the build's contract.

    """
    theirs = builds.current_build(copying.there, build.scope)
    if theirs is not None and theirs.number > build.number:
        raise ConflictError(
            f"{copying.there.url} has build {theirs.number} of {build.scope} already, this one is {build.number}.",
            advice="Nothing was copied of it. Its run can be copied alone, and build_curated run there.",
        )
    builds.must_not_replace_a_closed_one(theirs, closed=build.closed)
    places = [StagedKeys.of_part(part, build.contract) for part in parts]
    staged = in_parallel(partial(_staged, copying.here), places)
    zones = {zone for one in places for zone in keys.staged_zones(one.scope, one.contract)}
    own = [keys.contract(build.contract), keys.build_files(build.scope, build.build), keys.builds(build.scope)]
    return copying.run(objects_of(build, staged), [*sorted(zones), *own])


def _staged(store: ObjectStore, place: StagedKeys) -> StagedPart:
    found = read(StagedPart, store, place.document)
    if found is None:
        raise DataError(f"{store.url}/{place.document} is missing.", advice="Run stage again for its run.")
    return found
