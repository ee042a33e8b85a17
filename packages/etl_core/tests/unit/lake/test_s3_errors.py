"""What is not an answer of S3, and what it means."""

import errno
import unittest
from operator import attrgetter
from typing import Any

import botocore.exceptions
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from etl_core.errors import AccessError, ConfigError, PipelineError, UnavailableError
from etl_core.lake.s3_errors import TEMPORARY_CODES, translate_errors, unanswered


class WithoutAnAnswer(unittest.TestCase):
    def test_each_exception_of_the_sdk_and_of_python_has_its_meaning(self):
        self_signed = OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate")
        broken = OSError("EOF occurred in violation of protocol")
        cases: tuple[tuple[Exception, type[PipelineError], str], ...] = (
            (botocore.exceptions.NoCredentialsError(), AccessError, "no AWS credentials. Set a profile"),
            (botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"), UnavailableError, "Read timeout"),
            (botocore.exceptions.SSLError(endpoint_url="https://x", error=self_signed), ConfigError, "AWS_CA_BUNDLE"),
            (
                botocore.exceptions.SSLError(endpoint_url="https://x", error=broken),
                UnavailableError,
                "EOF",
            ),
            (ConnectionResetError(104, "reset"), UnavailableError, "reset"),
            (FileNotFoundError(2, "No such file", "/var/run/token"), ConfigError, "/var/run/token.*fsGroup"),
            (PermissionError(13, "Permission denied", "/var/run/token"), ConfigError, "/var/run/token.*fsGroup"),
            (OSError(errno.ENOSPC, "No space left"), AccessError, "No space left on device. Free some space"),
            (OSError(errno.EMFILE, "Too many open files"), AccessError, "Raise the limit of open files"),
            (EOFError(), ConfigError, "MFA device, and there is no terminal"),
            (RecursionError("maximum recursion depth exceeded"), ConfigError, "another region.*AWS_REGION"),
            (ValueError("Invalid endpoint: s3..x"), ConfigError, "Invalid endpoint: s3..x. Check the AWS_"),
        )
        for error, kind, said in cases:
            with self.subTest(error=repr(error)):
                found = unanswered(error, "read x")
                self.assertIs(type(found), kind)
                self.assertRegex(str(found), f"^cannot read x: .*{said}")

    def test_a_mistake_of_ours_stays_one(self):
        error = TypeError("a bug")
        with self.assertRaises(TypeError) as caught, translate_errors("read x"):
            raise error
        self.assertIs(caught.exception, error)

    def test_an_error_that_was_translated_stays_as_it_is(self):
        with self.assertRaisesRegex(UnavailableError, "^too slow$"), translate_errors("read x"):
            raise UnavailableError("too slow")


class Codes(unittest.TestCase):
    def test_all_codes_that_the_sdk_itself_repeats_are_temporary(self):
        repeated = {
            *attrgetter("_THROTTLED_ERROR_CODES")(ThrottledRetryableChecker),
            *attrgetter("_TRANSIENT_ERROR_CODES")(TransientRetryableChecker),
        }
        self.assertEqual(repeated - TEMPORARY_CODES, set())

    def test_an_upload_in_parts_that_is_gone_may_be_complete_and_its_answer_lost_so_a_later_run_looks(self):
        said: Any = {"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
        with self.assertRaises(UnavailableError), translate_errors("copy x"):
            raise botocore.exceptions.ClientError(said, "CompleteMultipartUpload")
