"""Lakes to test: in memory, in a directory, on moto's S3 server on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
import pytest

from etl_core.lake.directory import SCRATCH_NAME, DirectoryStore
from etl_core.lake.s3 import S3Store
from etl_core.testing import MemoryStore
from packages.etl_core.tests.support.strict_s3 import StrictS3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from etl_core.lake import ObjectStore


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Lake:
    """One lake; ``open`` gives a store on it, as another process would have it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def open(self) -> ObjectStore:
        store = self.make()
        self._stack.callback(store.close)
        return store

    def make(self) -> ObjectStore:
        raise NotImplementedError

    def everything(self) -> dict[str, bytes]:
        """All that lies there, by means that are not the store's own; unfinished files too."""
        raise NotImplementedError


class MemoryLake(Lake):
    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__(stack)
        self.store = MemoryStore()

    def make(self) -> ObjectStore:
        return self.store

    def everything(self) -> dict[str, bytes]:
        return dict(self.store._objects)


class DirectoryLake(Lake):
    def __init__(self, stack: contextlib.ExitStack, root: Path) -> None:
        super().__init__(stack)
        self.root = root

    def make(self) -> ObjectStore:
        return DirectoryStore(self.root)

    def everything(self) -> dict[str, bytes]:
        files = (path for path in self.root.rglob("*") if path.is_file())
        found = {path.relative_to(self.root).as_posix(): path.read_bytes() for path in files}
        return {key: body for key, body in found.items() if not (key.startswith(SCRATCH_NAME) and key.endswith("lock"))}


class S3Lake(Lake):
    def __init__(self, stack: contextlib.ExitStack, new_client: Callable[..., Any], bucket: str) -> None:
        super().__init__(stack)
        self.new_client = new_client
        self.bucket = bucket

    def make(self) -> ObjectStore:
        return S3Store(self.new_client(), bucket=self.bucket, prefix="some/where")

    def everything(self) -> dict[str, bytes]:
        client = self.new_client()
        with contextlib.closing(client):
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
            keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
            found = {key: client.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix("some/where/"): body for key, body in found.items()}


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    with StrictS3() as server:
        yield server.port


@pytest.fixture(scope="session")
def aws_session() -> boto3.session.Session:
    """One for all: reading the description of S3 takes a quarter of a second."""
    return boto3.session.Session()


@pytest.fixture
def new_client(moto_port, aws_session):
    """Clients of moto, or of another address, with few and quick retries of their own."""

    def make(endpoint: str | None = None, *, attempts: int = 1, **options: Any) -> Any:
        config = botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=10,
            max_pool_connections=20,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
            proxies={},
        )
        known = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        endpoint = endpoint or f"http://127.0.0.1:{moto_port}"
        return aws_session.client("s3", endpoint_url=endpoint, config=config, **(known | options))

    return make


BUCKETS = itertools.count()


@pytest.fixture
def bucket(new_client):
    client = new_client()
    name = f"bucket-{next(BUCKETS)}"
    client.create_bucket(Bucket=name)
    client.close()
    return name


@pytest.fixture(params=["memory", "directory", "s3"])
def lake(request, tmp_path):
    with contextlib.ExitStack() as stack:
        if request.param == "memory":
            yield MemoryLake(stack)
        elif request.param == "directory":
            yield DirectoryLake(stack, tmp_path / "lake")
        else:
            yield S3Lake(stack, request.getfixturevalue("new_client"), request.getfixturevalue("bucket"))


@pytest.fixture
def store(lake):
    return lake.open()
