"""The dbt project that turns the tables of a lake into marts. It needs a profile and the database ``lake``, which
``data-pipeline run build_marts`` makes; or a warehouse that ``load_warehouse`` has filled, and a profile of ``PROFILES``.
"""

from pathlib import Path

PROJECT = Path(__file__).parent / "project"
PROFILES = Path(__file__).parent / "profiles"
PROFILE = "open_payments"
