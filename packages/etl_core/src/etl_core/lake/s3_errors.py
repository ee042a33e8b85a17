"""What an error of the SDK of S3 means. The code decides, and the status only where the code says nothing.

S3, KMS and STS answer 400 to what ends by itself, and 4xx of their own to what a person must correct. Besides its own
exceptions, the SDK passes on those of Python: of a token file, of a program that gives credentials, of a terminal.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import botocore.exceptions
import urllib3

from etl_core.errors import AccessError, ConfigError, NotFoundError, PermanentError, PipelineError, UnavailableError
from etl_core.machine import what_is_missing
from etl_core.printable import printable, without_password

if TYPE_CHECKING:
    from collections.abc import Iterator

# The code of a KMS error begins with its name.
KMS = "KMS."
DENIED_CODES = frozenset({
    "AccessDenied", "AccessDeniedException", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch",
    "ExpiredToken", "ExpiredTokenException", "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException",
    "InvalidIdentityToken", "AllAccessDisabled",
})  # fmt: skip
NOT_FOUND_CODES = frozenset({"NoSuchKey", "404", "NotFound"})
# Those that the SDK itself repeats, and what it does not: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors.
TEMPORARY_CODES = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "TransactionInProgressException",
    "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown", "PriorRequestNotComplete",
    "EC2ThrottledException", "RequestTimeout", "RequestTimeoutException", "InternalError", "InternalFailure",
    "InternalServiceError", "ServiceUnavailable", "ServiceUnavailableException", "Busy", "OperationAborted",
    "ConditionalRequestConflict", "IDPCommunicationError", "KMSInternalException", "DependencyTimeoutException",
    "NoSuchUpload",
})  # fmt: skip
TEMPORARY_STATUSES = frozenset({408, 409, 423, 425, 429})
# STS says "InvalidIdentityToken" of a bad token, and of an identity provider that it could not ask.
PROVIDER_IS_SILENT = "retrieve verification key"
NOT_SUPPORTED = frozenset({501, 505})
# How stores without conditional writes answer one: 501, or 400 with a text that has one of these.
SAID_OF_CONDITIONS = ("if-none-match", "header", "not implemented", "conditional")
CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
ROLE_ADVICE = "Check the role or the AWS_* settings this process runs with."
SETTINGS_ADVICE = "Check the AWS_* settings."
FILE_ADVICE = (
    "It may be the token of a role (AWS_WEB_IDENTITY_TOKEN_FILE): in Kubernetes, a pod that runs as another user than "
    "root needs an fsGroup to read it. Or a credential_process in the AWS config that is not installed."
)


def status_of(error: botocore.exceptions.ClientError) -> int:
    """The HTTP status, 0 if none is known."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextlib.contextmanager
def translate_errors(doing: str, *, passing: tuple[int, ...] = ()) -> Iterator[None]:
    """Raise an error of ``etl_core.errors`` in place of the SDK's, except for ``passing`` statuses."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        if status_of(error) in passing:
            raise
        raise answered(error, doing) from error
    except PipelineError:
        raise
    except Exception as error:
        if (meant := unanswered(error, doing)) is None:
            raise
        raise meant from error


def answered(error: botocore.exceptions.ClientError, doing: str) -> PipelineError:
    """What an answer of S3, KMS or STS means."""
    said = error.response.get("Error", {})
    full, text, status = str(said.get("Code", "")), str(said.get("Message", "")), status_of(error)
    message = f"cannot {doing}: {full} {_one_line(text)}".rstrip() + "."
    code = full.removeprefix(KMS)
    if code in TEMPORARY_CODES or PROVIDER_IS_SILENT in text:
        return UnavailableError(message)
    if code == "NoSuchBucket":
        return ConfigError(message, advice="Create the bucket or correct its name.")
    if code in NOT_FOUND_CODES:
        return NotFoundError(message)
    if code in DENIED_CODES:
        return AccessError(message, advice=ROLE_ADVICE)
    if code in CLOCK_CODES:
        return AccessError(message, advice="Set this machine's clock (NTP).")
    if status in TEMPORARY_STATUSES or (status >= 500 and status not in NOT_SUPPORTED):
        return UnavailableError(message)
    return PermanentError(message)


def unanswered(error: Exception, doing: str) -> PipelineError | None:
    """What it means that there was no answer; None if this is a mistake of ours."""
    message = f"cannot {doing}: {_one_line(error)}."
    if isinstance(error, (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError)):
        return AccessError(
            f"cannot {doing}: no AWS credentials.",
            advice="Set a profile or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached.",
        )
    # urllib3's while a body was read.
    connection = (
        botocore.exceptions.HTTPClientError,
        botocore.exceptions.ConnectionError,
        urllib3.exceptions.HTTPError,
    )
    if isinstance(error, botocore.exceptions.SSLError) and "certificate" in str(error).lower():
        return ConfigError(message, advice="Set AWS_CA_BUNDLE to a file with the certificates that are trusted here.")
    if isinstance(error, (*connection, ConnectionError, TimeoutError)):
        return UnavailableError(message)
    if isinstance(error, OSError):
        return what_is_missing(error, doing) or ConfigError(message, advice=FILE_ADVICE)
    if isinstance(error, EOFError):
        return ConfigError(
            f"cannot {doing}: the AWS profile asks for a code of an MFA device, and there is no terminal.",
            advice="Set the keys and the token of a session in AWS_*.",
        )
    if isinstance(error, RecursionError):
        return ConfigError(
            f"cannot {doing}: the bucket is redirected without end.",
            advice="It is in another region, and the server does not say in which: set AWS_REGION.",
        )
    if isinstance(error, (botocore.exceptions.BotoCoreError, ValueError)):
        return ConfigError(message, advice=SETTINGS_ADVICE)
    return None


def without_conditional_writes(error: botocore.exceptions.ClientError, doing: str) -> PipelineError | None:
    """What it means that a conditional write was answered so; None if it says nothing of conditions."""
    said, status = error.response.get("Error", {}), status_of(error)
    code, text = str(said.get("Code", "")), str(said.get("Message", "")).lower()
    if status in NOT_SUPPORTED or (status == 400 and any(one in text for one in SAID_OF_CONDITIONS)):
        return ConfigError(
            f"cannot {doing}: {code or status}: the store refuses conditional writes (If-None-Match).",
            advice="Nothing can be proved there: use a store that has them, or a folder.",
        )
    return None


def _one_line(message: object) -> str:
    """One line, without the full stop that some end in."""
    return printable(without_password(message), 1000).rstrip(" .")
