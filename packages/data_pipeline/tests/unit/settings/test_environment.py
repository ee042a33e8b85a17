from pathlib import Path

from data_pipeline.settings import Settings
from data_pipeline.settings.environment import load_settings, read_dotenv
from etl_core.errors import ConfigError, UsageError
from packages.data_pipeline.tests.unit.folder_case import FolderCase


class LoadSettings(FolderCase):
    def dotenv(self, text: str | bytes) -> Path:
        path = self.folder / ".env"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def test_takes_the_environment_before_the_file_before_the_defaults(self):
        self.dotenv("SOURCE_ATTEMPTS=3\nLAKE_URL=from-file\n")

        found = load_settings({"LAKE_URL": "from-environment"})

        self.assertEqual((found.lake_url, found.source_attempts, found.source_max_streams), ("from-environment", 3, 8))

    def test_takes_an_empty_value_for_none(self):
        self.dotenv("SOURCE_ATTEMPTS=3\nLAKE_URL=\n")

        found = load_settings({"SOURCE_ATTEMPTS": "", "LOG_LEVEL": ""})

        self.assertEqual((found.source_attempts, found.lake_url, found.log_level), (3, "./data", "info"))

    def test_takes_a_bucket_alone_for_the_lake(self):
        for environ, arguments, lake in [
            ({"S3_BUCKET": "one"}, {}, "s3://one"),
            ({"S3_BUCKET": "one", "LAKE_URL": "s3://one/prefix"}, {}, "s3://one/prefix"),
            ({"S3_BUCKET": "one", "LAKE_URL": "s3://one/"}, {}, "s3://one/"),
            ({"S3_BUCKET": "one", "LAKE_URL": "s3://other"}, {"lake_url": "./here"}, "./here"),
            ({"S3_BUCKET": "", "LAKE_URL": "s3://other"}, {}, "s3://other"),
        ]:
            with self.subTest(environ=environ, arguments=arguments):
                self.assertEqual(load_settings(environ, arguments).lake_url, lake)

    def test_refuses_a_bucket_and_a_lake_that_disagree(self):
        self.dotenv("S3_BUCKET=one\n")
        for lake in ("s3://other", "s3://one-more", "./data", "s3://me:secret@x/one", "file:///one"):
            with self.subTest(lake=lake), self.assertRaisesRegex(UsageError, "different lakes. Leave one") as caught:
                load_settings({"LAKE_URL": lake})
            self.assertIn("S3_BUCKET='one' (from .env)", str(caught.exception))
            self.assertNotIn("secret", str(caught.exception))

    def test_needs_no_file(self):
        self.assertEqual(load_settings({}), Settings())
        self.assertEqual(load_settings({}, dotenv=read_dotenv(self.folder / "elsewhere")), Settings())

    def test_reads_what_such_files_hold(self):
        for text, lake in [
            ("# a comment\n\nLAKE_URL=a\n", "a"),
            ('export LAKE_URL="a b"\n', "a b"),
            ("LAKE_URL='a # b' # comment\r\n", "a # b"),
            ("\ufeffLAKE_URL=a", "a"),
            ("LAKE_URL\n", "./data"),
            ("LAKE_URL=${HOME}/x\n", "${HOME}/x"),
        ]:
            with self.subTest(text=text):
                self.dotenv(text)
                self.assertEqual(load_settings({}).lake_url, lake)

    def test_names_a_line_it_cannot_read(self):
        for text, line in [("=1\n", 1), ("A=1\n\n# c\nwhat is this?\nB=2\n", 4), ("A='open\n", 1)]:
            with self.subTest(text=text), self.assertRaises(ConfigError) as caught:
                read_dotenv(self.dotenv(text))
            self.assertEqual(
                str(caught.exception),
                f"{self.folder / '.env'}, line {line}, is not NAME=value. Correct the line or comment it out with #.",
            )

    def test_says_that_a_file_cannot_be_read(self):
        (self.folder / "folder").mkdir()
        for path in (self.folder / "folder", self.dotenv(b"A=\xff\n")):
            with self.subTest(path=path.name), self.assertRaises(ConfigError) as caught:
                read_dotenv(path)
            self.assertTrue(str(caught.exception).startswith(f"{path} cannot be read: "), caught.exception)
            self.assertTrue(str(caught.exception).endswith("Repair it or move it away."), caught.exception)

    def test_says_where_a_bad_value_came_from(self):
        self.dotenv("SOURCE_ATTEMPTS=many\n")
        for environ, where in [
            ({}, "(from .env)"),
            ({"SOURCE_ATTEMPTS": ""}, "(from .env)"),
            ({"SOURCE_ATTEMPTS": "few"}, "(from the environment)"),
        ]:
            with self.subTest(environ=environ), self.assertRaises(ConfigError) as caught:
                load_settings(environ)
            self.assertIn(where, str(caught.exception))

    def test_takes_arguments_before_everything_else_and_none_for_not_given(self):
        self.dotenv("SOURCE_ATTEMPTS=3\n")

        found = load_settings({"LAKE_URL": "from-environment"}, {"source_attempts": 5, "lake_url": None})

        self.assertEqual((found.source_attempts, found.lake_url), (5, "from-environment"))
        with self.assertRaisesRegex(ConfigError, r"SOURCE_ATTEMPTS='0' \(from the arguments\)"):
            load_settings({}, {"source_attempts": 0})

    def test_names_what_the_file_misspells_and_leaves_what_others_read(self):
        path = self.dotenv("SOURCE_MAX_STREAM=3\nWHATEVER=1\nAWS_REGION=x\nCOMPOSE_FILE=y\nlake_url=a\nLAKE_URL=b\n")

        self.assertEqual(
            read_dotenv(path).unknown_names(),
            [
                f"{path}: SOURCE_MAX_STREAM is no setting. Did you mean SOURCE_MAX_STREAMS?",
                f"{path}: WHATEVER is no setting.",
                f"{path}: lake_url is no setting. Did you mean LAKE_URL?",
            ],
        )
        self.assertEqual(read_dotenv(self.folder / "none").unknown_names(), [])

    def test_takes_a_level_in_capitals(self):
        nothing = read_dotenv(self.folder / "none")
        self.assertEqual(load_settings({"LOG_LEVEL": "DEBUG"}, dotenv=nothing).log_level, "debug")
