"""What the lake says of a job that ran elsewhere: the commit documents of its work, never a pod's log."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from etl_core.errors import DataError
from etl_core.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from etl_core.lake import ObjectStore

# Jobs that commit a run of their own: its manifest is the proof.
RUNS = frozenset({"run_pipeline", "fan_out", "ingest_customers", "get_s3_files"})
# Jobs whose work has a commit document that names it; without it the work is not done, whatever the cluster says.
PROVED_BY_LAKE = RUNS | {"build_curated"}
CURATED, MARTS = "metadata/curated/", "metadata/marts/"
IDS_CACHE = "metadata/dataset_ids_cache.json"
_NUMBERED = re.compile(r"(?P<scope>.+)/\d{8}\.json")


def evidence_of(store: ObjectStore, command: Sequence[str]) -> dict[str, Any] | None:
    """References and counts of finished work by its commit document; None if there is none that names it.

    Of ``build_marts`` it is the newest marts, of a step that only reads or checks always None.
    """
    job, *arguments = command
    options = dict(itertools.pairwise(arguments))
    run_id = options.get("--run-id", "")
    if job in RUNS:
        return _committed(store, run_id)
    if job == "build_curated":
        builds = (one for one in newest_builds(store) if one.get("run_id") == run_id)
        return next(builds, None)
    if job == "build_marts":
        return next(_newest_of_each(store, MARTS), None)
    return None


def newest_builds(store: ObjectStore) -> Iterator[dict[str, Any]]:
    """The manifest that readers see of each dataset and year."""
    return _newest_of_each(store, CURATED)


def releases_in(store: ObjectStore) -> dict[tuple[str, int], str]:
    """The release of the tables of each dataset and year."""
    return {(str(one["dataset"]), int(one["year"])): str(one["release"]) for one in newest_builds(store)}


def releases_resolved(store: ObjectStore) -> dict[tuple[str, int], str]:
    """The distribution of each dataset and year that the source had last, as resolve_ids stored it."""
    datasets = (_read(store, IDS_CACHE) or {}).get("datasets", {})
    return {
        (name, int(year)): str(entry["release"]["distribution_id"])
        for name, dataset in datasets.items()
        for year, entry in dataset.get("years", {}).items()
    }


def _committed(store: ObjectStore, run_id: str) -> dict[str, Any] | None:
    """The completed run of that name: a second one of the same name has a number."""
    found = None
    for number in itertools.count(1):
        folder = f"metadata/runs/run_id={run_id if number == 1 else f'{run_id}-{number}'}/"
        if store.head(f"{folder}plan.json") is None:
            return found
        manifest = _read(store, f"{folder}manifest.json")
        found = _with_key(manifest, f"{folder}manifest.json") if manifest else None
        found = found if found and found.get("status") == "completed" else None
    return found


def _newest_of_each(store: ObjectStore, prefix: str) -> Iterator[dict[str, Any]]:
    """The document with the highest number of each chain below a prefix."""
    # By scope; the listing is in order, so the last one stays.
    newest = {match["scope"]: one.key for one in store.list(prefix) if (match := _NUMBERED.fullmatch(one.key))}
    for key in newest.values():
        if (document := _read(store, key)) is not None:
            yield _with_key(document, key)


def _with_key(document: dict[str, Any], key: str) -> dict[str, Any]:
    release = document.get("release")
    name = f"{release['modified']}-{release['distribution_id'][:8]}" if isinstance(release, dict) else release
    return {**document, "release": name, "manifest": key}


def _read(store: ObjectStore, key: str) -> dict[str, Any] | None:
    """A document, or None where there is none; raises ``DataError`` for a damaged one."""
    try:
        found = parse_json(store.get(key) or b"null")
    except ValueError as error:
        raise DataError(f"{key} in {store.url} is damaged: {error}.", advice="Restore it or move it away.") from error
    return found if isinstance(found, dict) else None
