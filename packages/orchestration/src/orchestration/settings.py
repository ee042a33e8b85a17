"""The settings of the DAGs, from section ``data_pipeline`` of Airflow's configuration.

Each is also a variable of the environment, as Airflow reads it: ``AIRFLOW__DATA_PIPELINE__PLACE``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

SECTION = "data_pipeline"
Place = Literal["process", "kubernetes"]


@dataclass(frozen=True)
class Settings:
    """Where jobs run, and what a place needs. A field's name is its option."""

    place: str = "process"
    # process: the command, of the environment in which the jobs are installed.
    program: str = "data-pipeline"
    # kubernetes: the lake as the workers of Airflow reach it, to read what a Job has committed.
    lake_url: str = ""
    image: str = "etl-data-pipeline"
    namespace: str = "data-pipeline"
    env_from: str = "configmap/data-pipeline-settings"
    timeout_hours: str = "6"
    poll_seconds: str = "5"
    # Options of fan_out, such as --image and --env-from, for a year whose shape is packed or per-company.
    fan_out_options: str = ""
    # Steps between the marts and the page, separated by commas: load_warehouse, publish_catalogue.
    after_marts: str = ""
    # What agency_files copies each night.
    agency_id: str = "10"
    agency_source_bucket: str = "agency-documents"

    @classmethod
    def from_section(cls, given: Mapping[str, Any]) -> Settings:
        """Settings from the options of the section.

        Raises:
            ValueError: an option is none, or has no such value.

        """
        known = {one.name for one in fields(cls)}
        if unknown := given.keys() - known:
            raise ValueError(f"[{SECTION}] {', '.join(sorted(unknown))}: no such option; there are {sorted(known)}.")
        found = cls(**{name: str(value) for name, value in given.items()})
        if found.place not in ("process", "kubernetes"):
            raise ValueError(f"[{SECTION}] place = {found.place}: it is either process or kubernetes.")
        return found


def load() -> Settings:
    """Those of this Airflow; raises as ``from_section``."""
    from airflow.sdk import conf

    return Settings.from_section(conf.getsection(SECTION) or {})
