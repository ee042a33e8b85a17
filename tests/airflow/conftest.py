"""Airflow in its own environment, with a source, a lake on S3, and a cluster of this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.open_payments import Sandbox, Settings
from tests.end_to_end.s3 import SETTINGS, Bucket, s3_server
from tools import airflow, isolated


@pytest.fixture(scope="session")
def airflow_bin() -> Path:
    try:
        return airflow.install()
    except isolated.UnavailableError as reason:
        pytest.skip(f"Airflow is not run: {reason}")


@pytest.fixture(scope="module")
def source() -> Iterator[Sandbox]:
    """Two companies of some years: whole years, so that they can be closed, and few rows."""
    with Sandbox(Settings(years=(2021, 2022, 2023, 2024), scale=0.01, first_companies=2)) as source:
        yield source


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server() as url:
        bucket = Bucket(url, "lake")
        yield bucket
        bucket.close()


@pytest.fixture(scope="module")
def jobs(source: Sandbox, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of jobs, and of what reads the lake."""
    return SETTINGS | {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "AWS_ENDPOINT_URL": bucket.client.meta.endpoint_url,
        "LAKE_URL": f"s3://{bucket.name}",
        "AIRFLOW__DATA_PIPELINE__LAKE_URL": f"s3://{bucket.name}",
        "OPEN_PAYMENTS_URL": source.url,
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "SOURCE_TIMEOUT_SECONDS": "600",
        "SOURCE_FIRST_WAIT_SECONDS": "0.05",
        "GRACE_SECONDS": "1",
        "LOG_FORMAT": "json",
    }
