"""Copies within S3: the requests sent, the rules kept, the answers understood."""

import contextlib
import threading

import pytest

from etl_core.errors import AccessError, ChangedError, NotFoundError, UnavailableError
from etl_core.lake import compared, copy_new
from etl_core.lake.s3 import S3Store
from etl_core.lake.s3_copy import MIB, CopyLimits
from etl_core.testing import ManualClock
from packages.etl_core.tests.support.strict_s3 import DENIED, StrictS3

CONTENT = b"of a document"
IN_PARTS = CopyLimits(in_one=5 * MIB, part=5 * MIB)


@pytest.fixture(scope="module")
def one_server():
    with StrictS3() as running:
        yield running


@pytest.fixture
def server(one_server):
    one_server.reset()
    return one_server


class Places:
    """Two buckets, and a store on each."""

    def __init__(self, server, client, bucket, stack) -> None:
        self.server, self.client = server, client
        self.here, self.there = f"{bucket}-from", f"{bucket}-to"
        for name in (self.here, self.there):
            client.create_bucket(Bucket=name)
        self.clock = ManualClock()
        self.source = S3Store(client, bucket=self.here, prefix="docs", sleep=self.clock.sleep)
        self.target = S3Store(client, bucket=self.there, sleep=self.clock.sleep, copy_limits=IN_PARTS)
        stack.callback(self.source.close)
        stack.callback(self.target.close)

    def write(self, key="a", body=CONTENT, **more):
        self.client.put_object(Bucket=self.here, Key=f"docs/{key}", Body=body, **more)
        self.server.asked.clear()
        return self.source.head(key)

    def copy(self, found, key="b"):
        return copy_new(self.source, found, self.target, key)

    def read(self, key="b"):
        return self.target.get(key)


@pytest.fixture
def places(server, new_client, bucket):
    with contextlib.ExitStack() as stack:
        yield Places(server, new_client(server.url), bucket, stack)


def test_a_copy_is_one_request_pinned_create_only_and_with_a_checksum(places):
    found = places.write("ü ?&#+%.pdf")
    made = places.copy(found, "agency/ü ?&#+%.pdf")

    assert (made.created, made.copy.size, compared(made.source, made.copy)) == (True, len(CONTENT), "content")
    assert places.read("agency/ü ?&#+%.pdf") == CONTENT
    (asked,) = places.server.copies()
    assert asked.method == "PUT"
    assert asked.source == f"{places.here}/docs/ü ?&#+%.pdf"
    assert asked.headers["x-amz-copy-source-if-match"] == found.etag
    assert asked.headers["if-none-match"] == "*"
    assert asked.headers["x-amz-checksum-algorithm"] == "CRC64NVME"


@pytest.mark.parametrize("key", ["a b", "a+b", "日本/語", "x" * 1019])
def test_unusual_keys_are_copied(places, key):
    assert places.copy(places.write(key), key).created
    assert places.read(key) == CONTENT


@pytest.mark.parametrize(("theirs", "same"), [(CONTENT, "content"), (b"of a dokument", "size"), (b"longer", "other")])
def test_what_is_there_is_kept_and_described(places, theirs, same):
    found = places.write()
    places.client.put_object(Bucket=places.there, Key="b", Body=theirs)
    made = places.copy(found)
    assert not made.created
    assert compared(made.source, made.copy) == same
    assert places.read() == theirs


def test_a_source_that_changed_is_not_copied(places):
    found = places.write()
    places.write(body=b"of another one")
    with pytest.raises(ChangedError, match="docs/a changed while it was copied"):
        places.copy(found)
    assert places.read() is None


def test_a_source_that_is_gone_is_not_found(places):
    found = places.write()
    places.client.delete_object(Bucket=places.here, Key="docs/a")
    with pytest.raises(NotFoundError, match="NoSuchKey"):
        places.copy(found)


def test_a_denied_source_is_an_access_error(places):
    found = places.write()
    places.server.denied.add(f"{places.here}/docs/a")
    with pytest.raises(AccessError, match=f"cannot copy s3://{places.here}/docs/a to s3://{places.there}/b: Access"):
        places.copy(found)


@pytest.mark.parametrize("answer", [(503, "SlowDown"), (200, "InternalError"), (409, "ConditionalRequestConflict")])
def test_a_copy_that_fails_for_a_moment_is_repeated(places, answer):
    found = places.write()
    places.server.answers.extend([answer] * 3)
    assert places.copy(found).created
    assert places.read() == CONTENT
    assert len(places.server.copies()) == 4


def test_a_copy_that_keeps_failing_is_unavailable(places):
    found = places.write()
    places.server.answers.extend([(503, "SlowDown")] * 50)
    with pytest.raises(UnavailableError, match="SlowDown"):
        places.copy(found)


def test_a_lost_answer_meets_its_own_copy(places):
    found = places.write()
    losing = iter([True])
    places.server.loses = lambda asked: asked.copies and next(losing, False)
    made = places.copy(found)
    assert (made.created, compared(made.source, made.copy)) == (False, "content")
    assert places.read() == CONTENT


def test_of_racing_copies_one_creates(places):
    found = [places.write(f"a{number}", b"%d" % number) for number in range(6)]
    made = []
    threads = [threading.Thread(target=lambda one=one: made.append(places.copy(one))) for one in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [one for one in made if one.created]
    assert places.read() == winner.source.key[1:].encode()


# ---------------------------------------------------------------------------------------------------- in parts

LARGE = bytes(range(256)) * (11 * MIB // 256)
SAID = {
    "ContentType": "application/pdf",
    "CacheControl": "no-store",
    "Metadata": {"case": "7"},
    "Tagging": "kind=report",
}


def test_a_large_object_is_copied_in_parts_with_all_that_is_said_of_it(places):
    found = places.write(body=LARGE, **SAID)
    made = places.copy(found)

    assert made.created
    assert places.read() == LARGE
    head = places.client.head_object(Bucket=places.there, Key="b")
    assert {name: head[name] for name in SAID if name != "Tagging"} == {
        name: value for name, value in SAID.items() if name != "Tagging"
    }
    tags = places.client.get_object_tagging(Bucket=places.there, Key="b")["TagSet"]
    assert tags == [{"Key": "kind", "Value": "report"}]

    parts = sorted(places.server.copies(), key=lambda one: one.query["partNumber"])
    assert [one.headers["x-amz-copy-source-range"] for one in parts] == [
        "bytes=0-5242879", "bytes=5242880-10485759", "bytes=10485760-11534335",
    ]  # fmt: skip
    assert {one.headers["x-amz-copy-source-if-match"] for one in parts} == {found.etag}
    completed = next(one for one in places.server.asked if one.creates)
    assert completed.headers["if-none-match"] == "*"
    assert completed.headers["x-amz-mp-object-size"] == str(len(LARGE))


def test_a_copy_in_parts_keeps_what_is_there_and_leaves_no_parts(places):
    found = places.write(body=LARGE)
    places.client.put_object(Bucket=places.there, Key="b", Body=b"theirs")
    assert not places.copy(found).created
    assert places.read() == b"theirs"
    assert places.client.list_multipart_uploads(Bucket=places.there).get("Uploads", []) == []


def test_a_copy_in_parts_of_a_source_that_changes_meanwhile_leaves_nothing(places):
    found = places.write(body=LARGE)
    once = iter([True])

    def change(asked):
        if asked.copies and next(once, False):
            places.server.before = lambda _asked: None
            places.client.put_object(Bucket=places.here, Key="docs/a", Body=LARGE[::-1])

    places.server.before = change
    with pytest.raises(ChangedError):
        places.copy(found)
    assert places.read() is None
    assert places.client.list_multipart_uploads(Bucket=places.there).get("Uploads", []) == []


def test_a_part_that_is_denied_ends_the_copy_and_leaves_nothing(places):
    found = places.write(body=LARGE)
    places.server.answers.append(DENIED)
    with pytest.raises(AccessError):
        places.copy(found)
    assert places.client.list_multipart_uploads(Bucket=places.there).get("Uploads", []) == []
