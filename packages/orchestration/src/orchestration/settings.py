"""The settings of the DAGs, from section ``data_pipeline`` of Airflow's configuration.

Each is also a variable of the environment, as Airflow reads it: ``AIRFLOW__DATA_PIPELINE__PLACE``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

SECTION = "data_pipeline"


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

    def __post_init__(self) -> None:
        if self.place not in ("process", "kubernetes"):
            raise ValueError(f"[{SECTION}] place = {self.place}: it is either process or kubernetes.")


def load() -> Settings:
    """Those of this Airflow; raises ``ValueError`` for a value that none can have."""
    from airflow.sdk import conf

    return Settings(**{one.name: conf.get(SECTION, one.name, fallback=one.default) for one in fields(Settings)})
