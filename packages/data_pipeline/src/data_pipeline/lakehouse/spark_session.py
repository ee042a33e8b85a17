"""A session of Spark, in this process or on a cluster, and what its errors mean."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

from data_pipeline.settings import extras
from etl_core.errors import AccessError, ConfigError, DataError, UnavailableError
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from data_pipeline.lakehouse.database import Limits
    from etl_core.errors import PipelineError

# How Spark must read and write, however the cluster is configured: as DuckDB does.
SEMANTICS = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.variable.substitute": "false",
    "spark.sql.csv.filterPushdown.enabled": "false",
    # The year 0002 as it is, not as the calendar of that time had it.
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.compression.codec": "zstd",
}
# Of a Spark within this process: nothing listens but on loopback, and small jobs are few tasks.
LOCAL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
}


@contextlib.contextmanager
def open_session(limits: Limits, *, submitted: bool) -> Iterator[SparkSession]:
    """Spark within this process, or, if it was ``submitted``, that of the cluster, which decides about its resources.

    Raises:
        ConfigError: PySpark or Java is not installed.

    """
    extras.require("pyspark", "spark")
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("data-pipeline").config(map=SEMANTICS)
    if not submitted:
        memory = {"spark.driver.memory": f"{limits.memory_mb}m"}
        builder = builder.master(f"local[{limits.workers}]").config(map=LOCAL | memory)
    with _own_signals():
        try:
            session = builder.getOrCreate()
        except PySparkRuntimeError as error:
            raise ConfigError(
                "Spark does not start: there is no Java that it can run on.",
                advice="Install Java 17, such as openjdk-17-jre-headless, or set JAVA_HOME.",
            ) from error
    try:
        yield session
    finally:
        session.stop()
        if not submitted:
            _end_java()


def _end_java() -> None:
    """End the Java process that was started for a session, which PySpark leaves to the end of ours."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway  # noqa: SLF001 - it has no other way
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001 - the next session starts another one
    gateway.shutdown()
    gateway.proc.communicate()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handler of Ctrl-C, which Spark would replace by its own."""
    before = signal.getsignal(signal.SIGINT)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of Spark as ours.

    Raises:
        AccessError: memory or a disk does not suffice, or the lake refuses. DataError: a file is missing.
        UnavailableError: an executor, Java or the lake went away.

    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException, ConnectionError) as error:
        raise meaning(str(error)) from error


def meaning(said: str) -> PipelineError:
    """What Spark's words mean: its errors hold those of Java and of the file system as text."""
    causes = [line.strip(" :") for line in said.splitlines() if line.startswith(("Caused by: ", "[", ": "))]
    shown = f"Spark failed: {printable((causes or [said.strip()])[-1])[:500]}."
    if "OutOfMemoryError" in said:
        return AccessError(shown, advice="Raise LAKEHOUSE_MEMORY_MB, or the memory of the cluster's executors.")
    if "No space left on device" in said or "Permission denied" in said or "AccessDenied" in said:
        return AccessError(shown, advice="Check the disk, and the rights of the role that Spark has.")
    if "No FileSystem for scheme" in said:
        return ConfigError(shown, advice="Run it on a cluster whose Spark reads S3, such as EMR's or Glue's.")
    if "PATH_NOT_FOUND" in said or "FileNotFoundException" in said:
        return DataError(shown)
    return UnavailableError(shown)


def spark_version() -> str:
    """The version that is installed; raises ``ConfigError`` if none is."""
    extras.require("pyspark", "spark")
    import pyspark

    return str(pyspark.__version__)
