"""The dbt project that turns the tables of a lake into marts. Whoever runs it gives it a profile and the database
``lake``: ``data-pipeline run build_marts`` does.
"""

from pathlib import Path

PROJECT = Path(__file__).parent / "project"
PROFILE = "open_payments"
