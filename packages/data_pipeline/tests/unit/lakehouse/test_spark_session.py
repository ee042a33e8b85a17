import unittest

from data_pipeline.lakehouse import spark_session
from data_pipeline.lakehouse.database import Limits
from etl_core.errors import AccessError, ConfigError, DataError, UnavailableError


class Errors(unittest.TestCase):
    def test_say_what_spark_said_and_what_to_do(self):
        failed = (
            "An error occurred while calling o1.parquet.\n: org.apache.spark.SparkException: Job aborted.\n"
            "\tat o.a.s.Class.method(Class.scala:1)\nCaused by: "
        )
        for cause, kind, words in (
            ("java.lang.OutOfMemoryError: Java heap space", AccessError, "heap space.*LAKEHOUSE_MEMORY_MB"),
            ("java.io.IOException: No space left on device", AccessError, "No space left on device.*disk"),
            ("AmazonS3Exception: AccessDenied", AccessError, "AccessDenied.*role"),
            ('UnsupportedFileSystemException: No FileSystem for scheme "s3"', ConfigError, "scheme.*EMR"),
            ("java.io.FileNotFoundException: File s3://b/k does not exist", DataError, "s3://b/k does not exist"),
            ("java.net.SocketException: Connection reset", UnavailableError, "Connection reset"),
        ):
            with self.subTest(cause):
                error = spark_session.meaning(
                    f"{failed}\tat o.a.s.Class.method(Class.scala:1)\nCaused by: {cause}\n\t... 9 more"
                )
                self.assertIs(type(error), kind)
                self.assertRegex(str(error), f"Spark failed: .*{words}")

    def test_show_no_control_characters(self):
        self.assertTrue(str(spark_session.meaning("[PATH_NOT_FOUND] \x1b[31m")).isprintable())

    def test_without_the_extra_it_is_named(self):
        with (
            self.assertRaisesRegex(ConfigError, r"pyspark is not installed.*data_pipeline\[spark\]"),
            spark_session.open_session(Limits(memory_mb=100, workers=1), submitted=False),
        ):
            self.fail("there is no Spark")
