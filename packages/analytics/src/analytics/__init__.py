"""The dbt project that turns the tables of a lake into marts. It needs a profile and the database ``lake``, which
``data-pipeline run build_marts`` makes.
"""

from pathlib import Path

PROJECT = Path(__file__).parent / "project"
PROFILE = "open_payments"
