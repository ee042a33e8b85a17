"""S3Store: the requests it sends, the answers it understands, the errors it tells."""

import base64
import contextlib
import hashlib
import itertools
import os
import socket
import tempfile
import threading
from datetime import UTC, datetime
from typing import Any

import botocore.exceptions
import pytest

from etl_core.errors import (
    AccessError,
    ConfigError,
    NotFoundError,
    PermanentError,
    PipelineError,
    UnavailableError,
)
from etl_core.lake import open_store
from etl_core.lake.port import PutResult
from etl_core.lake.s3 import POLICY, PROBE_BYTES, READ_BYTES, S3Store, make_client
from etl_core.testing import ManualClock
from packages.etl_core.tests.integration.lake.conftest import sha256
from packages.etl_core.tests.support.lossy_proxy import LossyProxy
from packages.etl_core.tests.support.source_server import SourceServer, answer, chunked, drip, raw, reset, short

ONE, TWO = b"one\n", b"the other content\n"


def checksum(body):
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def opened(new_client, bucket, clock):
    """Stores on the bucket by clients made to measure."""
    with contextlib.ExitStack() as stack:

        def make(client=None, **options):
            options = {"bucket": bucket, "prefix": "p", "sleep": clock.sleep, "is_known": True} | options
            store = S3Store(client or new_client(), **options)
            stack.callback(store.close)
            return store

        yield make


@pytest.fixture
def server():
    with SourceServer() as running:
        yield running


@pytest.fixture
def planned(server, new_client, opened):
    """A store whose server answers as planned."""
    return opened(new_client(server.url))


@pytest.fixture
def nobodys_environment(monkeypatch):
    """No settings of AWS, from wherever this machine may have some."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


@pytest.fixture
def environment_of_moto(nobodys_environment, moto_port):
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1",
    }.items():
        nobodys_environment.setenv(name, value)


def failure(status, code, message="Something."):
    xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return answer(status, xml.encode(), kind="application/xml")


def head_of(body, *, check=True, meta=True, kind="FULL_OBJECT", **more):
    headers = {"ETag": '"x"', "Last_Modified": "Sat, 21 Nov 2026 12:00:00 GMT"} | more
    if meta:
        headers["x_amz_meta_sha256"] = sha256(body)
    if check:
        headers["x_amz_checksum_sha256"] = checksum(body)
        headers["x_amz_checksum_type"] = kind
    return answer(200, body, **headers)


PROVIDER_SILENT = "Couldn't retrieve verification key from your identity provider"
CREATED = answer(200, ETag='"x"')
CONFLICT = failure(409, "ConditionalRequestConflict")
THERE = failure(412, "PreconditionFailed")
GONE = answer(404)

# ------------------------------------------------------------------------------------- what is really asked


def test_creating_is_one_conditional_request_with_both_hashes(server, planned):
    server.plan(CREATED)
    assert planned.put_new("a/b é.csv", ONE) == PutResult(created=True, sha256=sha256(ONE))

    (asked,) = server.asked
    assert (asked.method, asked.body) == ("PUT", ONE)
    assert asked.path.endswith("/p/a/b%20%C3%A9.csv")
    assert asked.headers["if-none-match"] == "*"
    assert asked.headers["x-amz-checksum-sha256"] == checksum(ONE)
    assert asked.headers["x-amz-meta-sha256"] == sha256(ONE)
    assert asked.headers["content-length"] == str(len(ONE))
    assert "aws-chunked" not in asked.headers.get("content-encoding", "")


def test_creating_from_a_file_is_one_conditional_request_too(server, planned, tmp_path):
    server.plan(CREATED)
    path = tmp_path / "body"
    path.write_bytes(TWO)
    planned.put_new("a", path, sha256=sha256(TWO))
    (asked,) = server.asked
    assert asked.body == TWO
    assert asked.headers["if-none-match"] == "*"
    assert asked.headers["x-amz-checksum-sha256"] == checksum(TWO)
    assert not path.exists()


def test_replacing_is_an_unconditional_request_with_both_hashes(server, planned):
    server.plan(CREATED)
    planned.put("a", ONE)
    (asked,) = server.asked
    assert asked.body == ONE
    assert "if-none-match" not in asked.headers
    assert asked.headers["x-amz-checksum-sha256"] == checksum(ONE)
    assert asked.headers["x-amz-meta-sha256"] == sha256(ONE)


def test_a_client_of_make_client_sends_the_same_headers(environment_of_moto, bucket):
    seen = []
    client = make_client()
    client.meta.events.register("before-send.s3.*", lambda request, **_: seen.append(request))
    store = S3Store(client, bucket=bucket)
    assert store.put_new("a", ONE).created
    assert not store.put_new("a", TWO).created
    store.close()

    first, again, second, look = seen
    for request, body in ((first, ONE), (again, ONE), (second, TWO)):
        assert request.method == "PUT"
        assert request.headers["If-None-Match"] == b"*"
        assert request.headers["x-amz-checksum-sha256"].decode() == checksum(body)
        assert request.headers["x-amz-meta-sha256"].decode() == sha256(body)
    assert look.method == "HEAD"
    assert look.headers["x-amz-checksum-mode"] == b"ENABLED"


@pytest.mark.parametrize("is_there", [False, True], ids=["missing", "unreadable"])
@pytest.mark.usefixtures("environment_of_moto")
def test_a_token_file_that_cannot_be_read_is_a_setting_to_correct(nobodys_environment, tmp_path, is_there):
    token = tmp_path / "token"
    if is_there:
        token.mkdir()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        nobodys_environment.delenv(name)
    nobodys_environment.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/lake")
    nobodys_environment.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    with contextlib.closing(open_store("s3://a-bucket")) as store, pytest.raises(ConfigError) as caught:
        store.get("a")
    assert str(token) in str(caught.value)
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in caught.value.advice
    assert "fsGroup" in caught.value.advice


def test_a_program_for_credentials_that_is_missing_is_a_setting_to_correct(nobodys_environment, tmp_path):
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = /no/such/program --profile x\n")
    nobodys_environment.setenv("AWS_CONFIG_FILE", str(config))

    def read():
        with contextlib.closing(open_store("s3://a-bucket")) as store:
            store.get("a")

    with pytest.raises(ConfigError, match=r"/no/such/program.*credential_process"):
        read()


def test_open_store_opens_a_bucket(environment_of_moto, bucket):
    store = open_store(f"s3://{bucket}/x/y/")
    store.put_new("a", ONE)
    assert [info.key for info in store.list("")] == ["a"]
    store.close()
    whole = open_store(f"s3://{bucket}")
    assert [info.key for info in whole.list("")] == ["x/y/a"]
    assert whole.get("x/y/a") == ONE
    whole.close()


# ------------------------------------------------------------------------------------- 412: somebody was first


@pytest.mark.parametrize("theirs", [ONE, TWO], ids=["same", "other"])
@pytest.mark.parametrize(("check", "meta"), [(True, True), (True, False), (False, True)])
def test_the_hash_of_an_existing_object_comes_from_the_server(server, planned, theirs, check, meta):
    server.plan(THERE, head_of(theirs, check=check, meta=meta))
    assert planned.put_new("a", ONE) == PutResult(created=False, sha256=sha256(theirs))
    assert [asked.method for asked in server.asked] == ["PUT", "HEAD"]
    assert server.asked[1].headers["x-amz-checksum-mode"] == "ENABLED"


def test_the_checksum_of_the_server_counts_before_metadata(server, planned):
    server.plan(THERE, head_of(TWO, x_amz_meta_sha256=sha256(ONE), meta=False))
    assert planned.put_new("a", ONE).sha256 == sha256(TWO)


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_without_a_hash_of_the_whole_object_it_is_read(server, planned, kind):
    server.plan(THERE, head_of(TWO, check=kind == "COMPOSITE", meta=False, kind=kind), answer(200, TWO))
    assert planned.put_new("a", ONE) == PutResult(created=False, sha256=sha256(TWO))
    assert [asked.method for asked in server.asked] == ["PUT", "HEAD", "GET"]


def test_objects_of_other_programs_without_hashes_are_hashed(new_client, bucket, opened):
    client = new_client()
    client.put_object(Bucket=bucket, Key="p/a", Body=TWO)
    client.close()
    assert opened().put_new("a", ONE) == PutResult(created=False, sha256=sha256(TWO))


def test_an_object_deleted_during_a_race_is_created_again(server, planned, clock):
    server.plan(THERE, GONE, CREATED)
    assert planned.put_new("a", ONE).created
    assert [asked.method for asked in server.asked] == ["PUT", "HEAD", "PUT"]
    assert len(clock.slept) == 1


def test_each_retry_sends_the_whole_file(server, planned, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(TWO)
    server.plan(CONFLICT, CREATED)
    planned.put_new("a", path)
    assert [asked.body for asked in server.asked] == [TWO, TWO]


# ------------------------------------------------------------------------- stores that ignore the condition


def test_the_first_small_object_of_a_process_is_created_twice_and_the_store_must_refuse(server, new_client, opened):
    store = opened(new_client(server.url), is_known=False)
    large = b"x" * (PROBE_BYTES + 1)
    server.plan(CREATED, CREATED, THERE, CREATED)
    assert store.put_new("large", large).created
    assert store.put_new("a", ONE).created
    assert store.put_new("b", TWO).created
    asked = [(one.method, one.path.rpartition("/")[2]) for one in server.asked]
    assert asked == [("PUT", "large"), ("PUT", "a"), ("PUT", "a"), ("PUT", "b")]


def test_a_store_that_lets_an_object_be_created_twice_is_refused(server, new_client, opened, tmp_path):
    store = opened(new_client(server.url), is_known=False)
    path = tmp_path / "body"
    path.write_bytes(ONE)
    server.plan(CREATED, CREATED, CREATED)
    with pytest.raises(ConfigError, match="ignores If-None-Match: it let a be created twice"):
        store.put_new("a", path)
    assert {asked.body for asked in server.asked} == {ONE}
    assert not path.exists()


def test_an_object_that_another_process_deleted_in_between_is_no_sign_of_that(server, new_client, opened):
    store = opened(new_client(server.url), is_known=False)
    server.plan(CREATED, CREATED, THERE)
    assert store.put_new("a", ONE).created


# ----------------------------------------------------------------------------------------- 409: nobody has won


def test_a_409_is_retried(server, planned, clock):
    server.plan(CONFLICT, CONFLICT, CREATED)
    assert planned.put_new("a", ONE).created
    assert [asked.method for asked in server.asked] == ["PUT"] * 3
    assert len(clock.slept) == 2
    assert all(0 < wait <= POLICY.longest_wait_seconds for wait in clock.slept)


def test_a_409_followed_by_412_gives_the_hash_of_the_other(server, planned):
    server.plan(CONFLICT, THERE, head_of(TWO))
    assert planned.put_new("a", ONE) == PutResult(created=False, sha256=sha256(TWO))


@pytest.mark.parametrize("code", ["OperationAborted", "ConditionalRequestConflict"])
def test_a_409_of_other_requests_is_repeated_too(server, planned, code):
    server.plan(failure(409, code), CREATED, failure(409, code), head_of(ONE))
    planned.put("a", ONE)
    assert planned.get("a") == ONE


def test_endless_409_answers_end_as_unavailable(server, planned, clock):
    server.plan(*[CONFLICT] * 50)
    with pytest.raises(UnavailableError) as caught:
        planned.put_new("a/b", ONE)
    assert str(caught.value) == f"another write of {planned.url}/a/b is under way"
    assert len(server.asked) == POLICY.attempts
    assert len(clock.slept) == POLICY.attempts - 1


# ------------------------------------------------------------------------------------------- lost answers


def check_lost_answers(new_client, bucket, writers, keys):
    """Of every ten answers to writes one is lost on its way back; each writer agrees with all others."""
    failures: list[BaseException] = []
    told: list[dict[str, str]] = [{} for _ in range(writers)]
    mine: list[dict[str, str]] = [{} for _ in range(writers)]
    port = int(new_client().meta.endpoint_url.rpartition(":")[2])
    with LossyProxy(port, share=0.1) as proxy:

        def work(number) -> None:
            store = S3Store(new_client(proxy.url, attempts=8), bucket=bucket)
            try:
                for key in range(keys):
                    same = f"everybody writes {key}".encode()
                    result = store.put_new(f"same/{key}", same)
                    assert result.sha256 == sha256(same)
                    other = f"{number} writes {key}".encode()
                    result = store.put_new(f"other/{key}", other)
                    told[number][f"other/{key}"] = result.sha256
                    mine[number][f"other/{key}"] = sha256(other)
                    own = f"only {number} writes {key}".encode()
                    assert store.put_new(f"own/{number}/{key}", own).sha256 == sha256(own)
            except BaseException as error:  # noqa: BLE001 - told below
                failures.append(error)
            finally:
                store.close()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert proxy.lost > 0.05 * writers * keys * 3

    check = S3Store(new_client(), bucket=bucket)
    for key in range(keys):
        there = sha256(b"".join(check.read(f"other/{key}")))
        assert {told[number][f"other/{key}"] for number in range(writers)} == {there}
        assert there in {mine[number][f"other/{key}"] for number in range(writers)}
        assert check.get(f"same/{key}") == f"everybody writes {key}".encode()
        for number in range(writers):
            assert check.get(f"own/{number}/{key}") == f"only {number} writes {key}".encode()
    check.close()


def test_lost_answers_cause_no_conflict(new_client, bucket):
    check_lost_answers(new_client, bucket, 6, 5)


@pytest.mark.long
def test_many_lost_answers_cause_no_conflict(new_client, bucket):
    check_lost_answers(new_client, bucket, 12, 40)


def test_a_lost_answer_is_retried_and_succeeds(server, new_client, opened):
    server.plan(reset(), THERE, head_of(ONE))
    store = opened(new_client(server.url))
    result = store.put_new("a", ONE)
    assert result.sha256 == sha256(ONE)
    assert [asked.method for asked in server.asked] == ["PUT", "PUT", "HEAD"]


def test_an_object_is_replaced_after_more_lost_responses_than_the_sdk_retries(server, planned, clock):
    server.plan(*[reset()] * 7, CREATED)
    planned.put("a", ONE)
    assert {asked.body for asked in server.asked} == {ONE}
    assert len(clock.slept) == 7


@pytest.mark.parametrize("request_of", [S3Store.get, S3Store.head], ids=["get", "head"])
def test_a_read_is_repeated_after_more_errors_than_the_sdk_retries(server, planned, request_of):
    server.plan(*[failure(503, "SlowDown")] * 7, head_of(ONE))
    assert request_of(planned, "a")


# ----------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("behaviour", "error", "told", "advice"),
    [
        (failure(404, "NoSuchBucket", "No such bucket."), ConfigError, "NoSuchBucket No such bucket.", "its name"),
        (failure(403, "AccessDenied", "Denied"), AccessError, "AccessDenied Denied.", "Check the role or the AWS_*"),
        (failure(403, "InvalidAccessKeyId"), AccessError, "InvalidAccessKeyId", "AWS_*"),
        (failure(403, "SignatureDoesNotMatch"), AccessError, "SignatureDoesNotMatch", "AWS_*"),
        (failure(400, "ExpiredToken"), AccessError, "ExpiredToken", "AWS_*"),
        (failure(403, "AllAccessDisabled"), AccessError, "AllAccessDisabled", "AWS_*"),
        (failure(400, "BadDigest", "It differs."), PermanentError, "BadDigest It differs.", ""),
        (failure(405, "MethodNotAllowed"), PermanentError, "MethodNotAllowed", ""),
        (failure(503, "SlowDown"), UnavailableError, "SlowDown", ""),
        (failure(500, "InternalError"), UnavailableError, "InternalError", ""),
        (failure(400, "RequestTimeout"), UnavailableError, "RequestTimeout", ""),
        (failure(429, "TooManyRequests"), UnavailableError, "TooManyRequests", ""),
        (failure(408, "Whatever"), UnavailableError, "Whatever", ""),
        (failure(400, "ThrottlingException", "Rate exceeded"), UnavailableError, "Rate exceeded", ""),
        (failure(400, "RequestLimitExceeded"), UnavailableError, "RequestLimitExceeded", ""),
        (failure(400, "KMS.ThrottlingException"), UnavailableError, "KMS.ThrottlingException", ""),
        (failure(400, "KMS.DisabledException", "It is off."), PermanentError, "KMS.DisabledException It is off.", ""),
        (failure(403, "KMS.AccessDeniedException"), AccessError, "KMS.AccessDeniedException", "AWS_*"),
        (failure(400, "IDPCommunicationError"), UnavailableError, "IDPCommunicationError", ""),
        (failure(400, "InvalidIdentityToken", PROVIDER_SILENT), UnavailableError, "verification key", ""),
        (failure(400, "InvalidIdentityToken", "No issuer."), AccessError, "No issuer.", "Check the role"),
        (failure(403, "RequestTimeTooSkewed"), AccessError, "RequestTimeTooSkewed", "clock"),
        (failure(505, "HttpVersionNotSupported"), PermanentError, "HttpVersionNotSupported", ""),
        (failure(423, "Locked"), UnavailableError, "Locked", ""),
        (answer(503, b"<html>busy"), UnavailableError, "503", ""),
        (reset(), UnavailableError, "Connection", ""),
        (raw(b""), UnavailableError, "Connection", ""),
    ],
    ids=range(27),
)
def test_each_error_is_of_its_kind_and_names_the_key(server, planned, clock, behaviour, error, told, advice):
    actions = {
        f"cannot write {planned.url}/a/b: ": lambda: planned.put("a/b", ONE),
        f"cannot read {planned.url}/a/b: ": lambda: planned.get("a/b"),
        f"cannot list {planned.url}/a/: ": lambda: list(planned.list("a/")),
        f"cannot delete {planned.url}/a/b: ": lambda: planned.delete("a/b"),
        f"cannot create {planned.url}/a/b: ": lambda: planned.put_new("a/b", ONE),
    }
    for doing, action in actions.items():
        server.behaviours.clear()
        server.plan(*[behaviour] * 20)
        clock.slept.clear()
        with pytest.raises(PipelineError) as caught:
            action()
        assert type(caught.value) is error, doing
        message = str(caught.value)
        assert message.startswith(doing)
        assert told in message
        assert ".." not in message
        assert message.isprintable()
        assert advice in caught.value.advice
        assert bool(caught.value.advice) == bool(advice)
        assert len(clock.slept) == (POLICY.attempts - 1 if error is UnavailableError else 0)


@pytest.mark.parametrize(
    "behaviour",
    [
        failure(501, "NotImplemented", "A header you provided implies functionality that is not implemented"),
        answer(501),
        failure(400, "InvalidArgument", "Unsupported header 'if-none-match' received for this API call."),
        failure(400, "InvalidRequest", "If-None-Match is not supported"),
    ],
    ids=range(4),
)
def test_a_store_without_conditional_writes_is_named_by_the_first_write(server, planned, clock, behaviour):
    server.plan(behaviour)
    with pytest.raises(ConfigError, match="the store refuses conditional writes") as caught:
        planned.put_new("a", ONE)
    assert "use a store that has them" in caught.value.advice
    assert clock.slept == []


def test_another_reason_to_refuse_a_write_is_not_taken_for_missing_conditions(server, planned):
    server.plan(failure(400, "InvalidRequest", "The bucket wants another encryption."))
    with pytest.raises(
        PermanentError, match=f"cannot create {planned.url}/a: InvalidRequest The bucket wants"
    ) as caught:
        planned.put_new("a", ONE)
    assert type(caught.value) is PermanentError


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessError), (400, PermanentError), (500, UnavailableError), (503, UnavailableError)]
)
def test_errors_of_head_are_translated_too(server, planned, status, error):
    server.plan(*[answer(status)] * 20)
    with pytest.raises(error, match=f"cannot read {planned.url}/a: {status} ") as caught:
        planned.head("a")
    assert type(caught.value) is error


def test_an_error_after_412_is_raised_and_the_file_removed(server, planned, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(ONE)
    server.plan(THERE, answer(403))
    with pytest.raises(AccessError, match=f"cannot read {planned.url}/a"):
        planned.put_new("a", path)
    assert not path.exists()


def test_a_missing_object_and_a_missing_bucket_are_different(new_client, opened):
    store = opened(bucket="no-such-bucket")
    for action in (
        lambda: store.put_new("a", ONE),
        lambda: store.put("a", ONE),
        lambda: store.get("a"),
        lambda: list(store.list("")),
        lambda: store.delete("a"),
    ):
        with pytest.raises(ConfigError, match="NoSuchBucket") as caught:
            action()
        assert caught.value.advice == "Create the bucket or correct its name."
    assert opened().get("a") is None


def ranged(body, start, **more):
    return answer(206, body[start:], content_range=f"bytes {start}-{len(body) - 1}/{len(body)}", **more)


def test_a_body_that_breaks_off_is_continued_at_its_first_missing_byte(server, planned, clock):
    body = bytes(range(256)) * 5000
    server.plan(short(body[:READ_BYTES], promised=len(body)), ranged(body, READ_BYTES))
    assert planned.get("a") == body
    whole, rest = server.asked
    assert "range" not in whole.headers
    assert rest.headers["range"] == f"bytes={READ_BYTES}-"
    assert len(clock.slept) == 1


def test_what_is_read_after_an_error_is_of_the_object_that_was_begun(server, planned):
    server.plan(short(b"x" * READ_BYTES, promised=READ_BYTES + 9, ETag='"begun"'), failure(412, "PreconditionFailed"))
    with pytest.raises(PermanentError, match=f"cannot read {planned.url}/a: PreconditionFailed"):
        planned.get("a")
    assert server.asked[1].headers["if-match"] == '"begun"'


def test_a_store_that_gives_all_of_an_object_for_a_range_is_refused(server, planned):
    server.plan(short(b"x" * READ_BYTES, promised=READ_BYTES + 9), answer(200, b"x" * (READ_BYTES + 9)))
    with pytest.raises(PermanentError, match=f"broke off after {READ_BYTES} bytes, and the store gives no range"):
        planned.get("a")


@pytest.mark.parametrize("behaviour", [short(b"", promised=100), failure(503, "SlowDown"), reset()], ids=range(3))
def test_a_body_that_breaks_off_each_time_is_unavailable(server, planned, clock, behaviour):
    server.plan(*[behaviour] * POLICY.attempts * 2)
    for read in (planned.get, lambda key: list(planned.read(key))):
        clock.slept.clear()
        with pytest.raises(UnavailableError, match=f"cannot read {planned.url}/a"):
            read("a")
        assert len(clock.slept) == POLICY.attempts - 1


def test_a_body_that_drips_is_unavailable(server, new_client, opened):
    store = opened(new_client(server.url), clock=itertools.count(step=25).__next__)
    server.plan(*[drip(b"x" * 100, every=0.01)] * POLICY.attempts * 2)
    says = f"{store.url}/a sent only 4 bytes a second for 75 s"
    with pytest.raises(UnavailableError, match=says):
        store.get("a")
    with pytest.raises(UnavailableError, match=says):
        list(store.read("a"))


def test_a_body_is_read_in_chunks_of_a_megabyte(server, planned):
    body = b"x" * (READ_BYTES + 7)
    server.plan(answer(200, body), chunked([body[:9]] * 3))
    assert [len(chunk) for chunk in planned.read("a")] == [READ_BYTES, 7]
    assert list(planned.read("a")) == [body[:27]]


def test_reading_a_missing_object_is_not_found(server, planned):
    server.plan(failure(404, "NoSuchKey"), failure(404, "NoSuchKey"))
    assert planned.get("a") is None
    with pytest.raises(NotFoundError, match=f"cannot read {planned.url}/a: NoSuchKey"):
        list(planned.read("a"))


def test_a_list_goes_over_all_pages(server, planned):
    def page(keys, more=""):
        entries = "".join(
            f"<Contents><Key>p/{key}</Key><Size>{len(key)}</Size>"
            "<LastModified>2026-11-21T12:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
        truncated = "true" if more else "false"
        xml = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{token}{entries}</ListBucketResult>"
        return answer(200, xml.encode(), kind="application/xml")

    server.plan(page(["a", "bb"], "second"), page([], "third"), page(["ccc"]))
    assert [(info.key, info.size) for info in planned.list("x/")] == [("a", 1), ("bb", 2), ("ccc", 3)]
    asked = [dict(one.params) for one in server.asked]
    assert {one["prefix"] for one in asked} == {"p/x/"}
    assert [one.get("continuation-token") for one in asked] == [None, "second", "third"]


@pytest.mark.parametrize(
    "text", ["2026-11-21T12:00:00.000Z", "2026-11-21T13:00:00+01:00", "Sat, 21 Nov 2026 12:00:00 GMT", "1795262400"]
)
def test_a_time_in_a_list_is_read_however_a_server_writes_it(server, planned, text):
    entry = f"<Contents><Key>p/a</Key><Size>1</Size><LastModified>{text}</LastModified></Contents>"
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>"
    server.plan(answer(200, page.encode(), kind="application/xml"))

    (found,) = planned.list("")

    assert found.modified == datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_an_endpoint_that_does_not_answer_is_unavailable(new_client, opened, clock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = opened(new_client(f"http://127.0.0.1:{port}"))
    with pytest.raises(UnavailableError, match=f"cannot create {store.url}/a: .*{port}"):
        store.put_new("a", ONE)
    assert len(clock.slept) == 7
    with pytest.raises(UnavailableError, match=f"cannot read {store.url}/a"):
        store.get("a")


def test_missing_credentials_are_an_access_error_with_advice(nobodys_environment, moto_port):
    nobodys_environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{moto_port}")
    store = S3Store(make_client(), bucket="bucket")
    with pytest.raises(AccessError, match="cannot create s3://bucket/a: no AWS credentials") as caught:
        store.put_new("a", ONE)
    assert "AWS_ACCESS_KEY_ID" in caught.value.advice
    store.close()


def test_incomplete_credentials_are_an_access_error(nobodys_environment, moto_port):
    nobodys_environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{moto_port}")
    nobodys_environment.setenv("AWS_ACCESS_KEY_ID", "test")
    with pytest.raises(AccessError, match="no AWS credentials"):
        make_client()


@pytest.mark.parametrize(("name", "value"), [("AWS_ENDPOINT_URL", "nonsense"), ("AWS_PROFILE", "nobody")])
def test_an_invalid_aws_setting_is_a_config_error(nobodys_environment, name, value):
    nobodys_environment.setenv(name, value)
    with pytest.raises(ConfigError, match=f"cannot set up the S3 client: .*{value}") as caught:
        make_client()
    assert caught.value.advice == "Check the AWS_* settings."


def test_a_password_in_the_endpoint_is_refused_and_not_repeated(nobodys_environment):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        nobodys_environment.setenv(name, "http://me:secret@127.0.0.1:1")
        with pytest.raises(ConfigError, match=r"the endpoint of S3, http://…@127.0.0.1:1, holds a user name") as caught:
            make_client()
        assert "secret" not in str(caught.value)
    nobodys_environment.setenv("AWS_ENDPOINT_URL_S3", "http://me:sec/ret@127.0.0.1:1")
    with pytest.raises(ConfigError) as caught:
        make_client()
    assert "ret@" not in str(caught.value)


def test_a_client_has_the_retries_and_the_pool_of_make_client(nobodys_environment):
    client = make_client(pool_size=7)
    config: Any = client.meta.config
    assert config.retries == {"mode": "standard", "max_attempts": 6} or config.retries["total_max_attempts"] == 7
    assert (config.max_pool_connections, config.connect_timeout, config.read_timeout) == (7, 10, 60)
    assert config.request_checksum_calculation == "when_required"
    client.close()


def test_an_error_of_botocore_validation_is_a_config_error(opened):
    with pytest.raises(ConfigError, match=r"cannot write s3://a b/p/a: .*Invalid bucket name") as caught:
        opened(bucket="a b").put("a", ONE)
    assert str(caught.value).isprintable()


def test_an_unusable_temporary_folder_is_an_access_error(opened, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    store = opened()
    with pytest.raises(AccessError, match="cannot create a temporary file") as caught:
        store.scratch_file()
    assert caught.value.advice == "Set TMPDIR to a folder of your own."


def test_the_cause_of_an_error_is_kept(server, planned):
    server.plan(failure(403, "AccessDenied"))
    with pytest.raises(AccessError) as caught:
        planned.get("a")
    assert isinstance(caught.value.__cause__, botocore.exceptions.ClientError)
