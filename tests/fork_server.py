"""A process that has imported what tests start programs of: each is a fork of it, and waits for work, not for imports.

Python has one such server a process, so all tests share this one.
"""

import multiprocessing
import pkgutil

import data_pipeline
import etl_core

LIBRARIES = ["boto3", "click", "duckdb", "hypothesis", "kubernetes", "pydantic", "pytest", "sqlalchemy", "structlog"]
OURS = [
    one.name
    for package in (data_pipeline, etl_core)
    for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if "__main__" not in one.name
]

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [*LIBRARIES, *OURS, "tests.end_to_end.killed_run", "tests.end_to_end.programs", "tests.preloaded"]
)
