"""What Spark reads and writes as files, by addresses, and how they come to this machine."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote, urlsplit

from data_pipeline.lakehouse.spark_sql import file_path
from data_pipeline.lakehouse.sql import FILE
from etl_core.lake import in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from etl_core.lake import ObjectStore

SPLIT = "spark.sql.files.maxPartitionBytes"
# Each task holds a group of rows: Spark's 128 MB would be most of a small machine's memory.
ROW_GROUP_BYTES = 32 << 20


class SparkFiles:
    """A folder of the scratch, which is removed at the end, and ``folder`` on this machine."""

    def __init__(self, session: SparkSession, scratch: ObjectStore, folder: Path) -> None:
        self.session = session
        self._scratch = scratch
        self._folder, self._prefix = folder, f"spark-{uuid.uuid4().hex}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in list(self._scratch.list(f"{self._prefix}/")):
            self._scratch.delete(one.key)

    def new_path(self, suffix: str) -> Path:
        """A file on this machine that nobody has."""
        return self._folder / f"{uuid.uuid4().hex}{suffix}"

    def shared(self, path: Path) -> str:
        """Where Spark reads a file of this machine."""
        key = f"{self._prefix}/{path.name}"
        self._scratch.put_new(key, path)
        return plain(self._scratch.uri(key))

    def whole(self, paths: Iterable[str], *more: str) -> Iterator[tuple[Any, ...]]:
        """Of whole files their paths, their SHA-256, and what SQL says of their ``content``."""
        files = self.session.read.format("binaryFile").load([*map(escaped, paths)])
        yield from files.selectExpr(file_path(), "sha2(content, 256)", *more).collect()

    def apart(self, frame: DataFrame) -> dict[str, Path]:
        """Write records of CSV files, each file as one partition; see ``written``."""
        before = self.session.conf.get(SPLIT)
        self.session.conf.set(SPLIT, "1")
        try:
            return self.written(frame)
        finally:
            self.session.conf.set(SPLIT, before)

    def written(self, frame: DataFrame, by: str | None = None) -> dict[str, Path]:
        """Write records as Parquet; the files here by their keys in the scratch."""
        folder = f"{self._prefix}/{uuid.uuid4().hex}"
        writer = frame.write.option("parquet.block.size", ROW_GROUP_BYTES)
        (writer.partitionBy(by) if by else writer).parquet(plain(self._scratch.uri(folder)))
        keys = [one.key for one in self._scratch.list(f"{folder}/") if one.key.endswith(".parquet")]
        return dict(zip(keys, in_parallel(self._here, keys), strict=True))

    def table(self, schema: StructType | str, files: Iterable[str]) -> DataFrame:
        """The records that were written."""
        paths = [escaped(plain(self._scratch.uri(one))) for one in files]
        return self.session.read.schema(schema).parquet(*paths).selectExpr("*", f"_metadata.file_name AS {FILE}")

    def _here(self, key: str) -> Path:
        """A file of the scratch on this machine."""
        local = self.new_path(".parquet")
        with local.open("wb") as stream:
            stream.writelines(self._scratch.read(key))
        return local


def plain(uri: str) -> str:
    """An address as Spark wants it, which decodes none, and as ``spark_sql.file_path`` gives it back."""
    return f"file:{unquote(urlsplit(uri).path)}" if uri.startswith("file:") else uri


def escaped(path: str) -> str:
    """A path for a function that takes it for a pattern."""
    return re.sub(r"[][*?{}\\]", r"\\\g<0>", path)
