import traceback
import unittest
from typing import get_args

from pydantic import SecretStr, ValidationError

from data_pipeline import __version__
from data_pipeline.settings import Settings
from etl_core.errors import ConfigError
from etl_core.logs import LEVELS


class FromMapping(unittest.TestCase):
    def test_without_anything_has_the_defaults_of_the_design(self):
        self.assertEqual(
            Settings.from_mapping({}).model_dump(),
            {
                "api_base_url": "",
                "api_token": SecretStr(""),
                "max_retries": 5,
                "records_per_page": 1000,
                "api_customers_path": "/api/v1/customers",
                "api_rows_field": "data",
                "api_metadata_field": "metadata",
                "api_id_field": "id",
                "api_first_wait_seconds": 1.0,
                "api_timeout_seconds": 60.0,
                "api_max_sweeps": 3,
                "api_max_failures": 5,
                "s3_bucket": "",
                "database_url": SecretStr("sqlite:///data/agency_files.db"),
                "open_payments_url": "https://openpaymentsdata.cms.gov",
                "open_payments_user_agent": f"openpayments-data-pipeline/{__version__} python-requests",
                "lake_url": "./data",
                "term": "",
                "source_max_streams": 8,
                "source_timeout_seconds": 60.0,
                "source_attempts": 6,
                "source_first_wait_seconds": 0.5,
                "lakehouse_memory_mb": 1536,
                "lakehouse_workers": 2,
                "dbt_python": "",
                "run_id": "",
                "job_completion_index": -1,
                "log_format": "auto",
                "log_level": "info",
                "no_color": "",
                "grace_seconds": 25.0,
                "heartbeat_file": "",
                "xdg_cache_home": "",
                "xdg_runtime_dir": "",
            },
        )

    def test_reads_every_field_from_text(self):
        for name, text, value in [
            ("OPEN_PAYMENTS_URL", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("OPEN_PAYMENTS_USER_AGENT", "us", "us"),
            ("LAKE_URL", "s3://bucket/prefix", "s3://bucket/prefix"),
            ("SOURCE_MAX_STREAMS", "16", 16),
            ("SOURCE_TIMEOUT_SECONDS", "2.5", 2.5),
            ("SOURCE_ATTEMPTS", "1", 1),
            ("SOURCE_FIRST_WAIT_SECONDS", "0", 0.0),
            ("RUN_ID", "r1", "r1"),
            ("LOG_FORMAT", "json", "json"),
            ("LOG_LEVEL", "debug", "debug"),
            ("NO_COLOR", "1", "1"),
            ("GRACE_SECONDS", "0.5", 0.5),
            ("XDG_CACHE_HOME", "/c", "/c"),
            ("XDG_RUNTIME_DIR", "/r", "/r"),
        ]:
            with self.subTest(name=name):
                found = getattr(Settings.from_mapping({name: text}), name.lower())
                self.assertEqual((found, type(found)), (value, type(value)))

    def test_ignores_other_names(self):
        self.assertEqual(Settings.from_mapping({"lake_url": "x", "HOME": "y"}), Settings())

    def test_says_which_value_is_bad_why_and_where_it_came_from(self):
        for name, text, why in [
            ("OPEN_PAYMENTS_USER_AGENT", "us\nX-Other: 1", "should match pattern"),
            ("OPEN_PAYMENTS_USER_AGENT", "us \u2013 them", "should match pattern"),
            ("SOURCE_MAX_STREAMS", "many", "a valid integer"),
            ("SOURCE_MAX_STREAMS", "1.5", "a valid integer"),
            ("SOURCE_TIMEOUT_SECONDS", "1 s", "a valid number"),
            ("SOURCE_MAX_STREAMS", "0", "greater than or equal to 1"),
            ("SOURCE_MAX_STREAMS", "-3", "greater than or equal to 1"),
            ("SOURCE_TIMEOUT_SECONDS", "0.09", "greater than or equal to 0.1"),
            ("SOURCE_ATTEMPTS", "0", "greater than or equal to 1"),
            ("SOURCE_FIRST_WAIT_SECONDS", "-0.1", "greater than or equal to 0"),
            ("GRACE_SECONDS", "-1", "greater than or equal to 0"),
            ("GRACE_SECONDS", "nan", "a finite number"),
            ("LOG_FORMAT", "xml", "'auto', 'console' or 'json'"),
            ("LOG_LEVEL", "LOUD", "'debug', 'info', 'warning' or 'error'"),
        ]:
            for origins, where in [({}, ""), ({name: "a file"}, " (from a file)"), ({"HOME": "a file"}, "")]:
                with self.subTest(name=name, text=text, where=where), self.assertRaises(ConfigError) as caught:
                    Settings.from_mapping({name: text}, origins=origins)
                message = str(caught.exception)
                self.assertTrue(message.startswith(f"{name}={text!r}{where}: "), message)
                self.assertIn(why, message)
                self.assertTrue(message.endswith(". Correct it or leave it out."), message)

    def test_takes_a_token_as_a_file_of_a_secret_has_it_and_shows_it_nowhere(self):
        found = Settings.from_mapping({"API_TOKEN": " t0ken\n"})
        self.assertEqual(found.api_token.get_secret_value(), "t0ken")
        self.assertNotIn("t0ken", f"{found!r}{found}{found.model_dump()}{found.model_dump_json()}")
        for text in ("t0ken with blanks", "t0ken\nX-Other: 1", "t0ken\u00fc", "t0\x00ken"):
            with self.subTest(text=text), self.assertRaises(ConfigError) as caught:
                Settings.from_mapping({"API_TOKEN": text}, origins={"API_TOKEN": ".env"})
            self.assertTrue(str(caught.exception).startswith("API_TOKEN='…' (from .env): a token has no blanks"))
            self.assertNotIn("t0", "".join(traceback.format_exception(caught.exception)).partition("ConfigError")[2])

    def test_takes_no_password_of_the_source_and_does_not_repeat_it(self):
        with self.assertRaises(ConfigError) as caught:
            Settings.from_mapping({"OPEN_PAYMENTS_URL": "https://me:secret@example.org/x@y"})
        said = str(caught.exception)
        self.assertTrue(said.startswith("OPEN_PAYMENTS_URL='https://…@y': a user name or password"), said)
        self.assertNotIn("secret", "".join(traceback.format_exception(caught.exception)))
        Settings.from_mapping({"OPEN_PAYMENTS_URL": "https://example.org/me@here"})

    def test_repeats_no_password_of_any_setting(self):
        for name in ("SOURCE_ATTEMPTS", "LOG_LEVEL"):
            with self.subTest(name), self.assertRaises(ConfigError) as caught:
                Settings.from_mapping({name: "https://me:se/cr@et@host/"})
            self.assertTrue(str(caught.exception).startswith(f"{name}='https://…@host/': "), str(caught.exception))

    def test_takes_the_least_of_each_number(self):
        for name, least in [
            ("SOURCE_MAX_STREAMS", "1"), ("SOURCE_TIMEOUT_SECONDS", "0.1"), ("SOURCE_ATTEMPTS", "1"),
            ("SOURCE_FIRST_WAIT_SECONDS", "0"), ("GRACE_SECONDS", "0"),
        ]:  # fmt: skip
            with self.subTest(name=name):
                Settings.from_mapping({name: least})


class TheSettings(unittest.TestCase):
    def test_offer_what_the_logs_know(self):
        self.assertEqual(get_args(Settings.model_fields["log_level"].annotation), tuple(LEVELS))

    def test_say_what_each_means(self):
        for name, one in Settings.model_fields.items():
            with self.subTest(name=name):
                self.assertTrue(one.description)

    def test_are_values(self):
        self.assertEqual(Settings(), Settings())
        with self.assertRaises(ValidationError):
            Settings().run_id = "x"  # type: ignore[misc]
