"""The dbt project that turns the tables of a lake into marts.

It needs the database ``lake``, which ``data-pipeline run build_marts`` makes together with a profile; or a warehouse
that ``load_warehouse`` has filled, for which there are profiles.
"""

from pathlib import Path

PROJECT = Path(__file__).parent / "project"
PROFILES = Path(__file__).parent / "profiles"
PROFILE = "open_payments"
