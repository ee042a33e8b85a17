"""An agency's files between two buckets of S3, whose rules are kept."""

import contextlib
import itertools

import boto3
import botocore.config
import pytest

from data_pipeline.agency_files.copy import Copies
from etl_core.errors import ConfigError
from etl_core.lake.s3 import S3Store
from etl_core.progress import Progress
from etl_core.stop import Stop
from etl_core.testing import ManualClock
from packages.data_pipeline.tests.unit.agency_files.agency import FOLDER, a_file
from packages.etl_core.tests.support.strict_s3 import StrictS3

NUMBERS = itertools.count()
SESSION = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@pytest.fixture(scope="module")
def one_server():
    with StrictS3() as running:
        yield running


class Agency:
    """Its bucket, the lake's, and copies between them."""

    def __init__(self, server: StrictS3, stack: contextlib.ExitStack) -> None:
        self.server = server
        config = botocore.config.Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, proxies={}, max_pool_connections=20,
            request_checksum_calculation="when_required", response_checksum_validation="when_required",
        )  # fmt: skip
        self.client = SESSION.client("s3", endpoint_url=server.url, config=config)
        stack.callback(self.client.close)
        number = next(NUMBERS)
        self.here, self.there = f"documents-{number}", f"lake-{number}"
        for name in (self.here, self.there):
            self.client.create_bucket(Bucket=name)
        clock = ManualClock()
        self.source = S3Store(self.client, bucket=self.here, sleep=clock.sleep)
        self.lake = S3Store(self.client, bucket=self.there, sleep=clock.sleep)

    def write(self, key: str, body: bytes = b"content") -> None:
        self.client.put_object(Bucket=self.here, Key=key, Body=body)

    def make(self, *names: str, source: S3Store | None = None):
        copies = Copies(source or self.source, self.lake, FOLDER, Progress(), Stop().check)
        self.server.asked.clear()
        return copies.make(copies.at_sight([a_file(number, name) for number, name in enumerate(names)]))

    def statuses(self, *names: str) -> list[str]:
        return [one.status for one in self.make(*names)]

    def keys(self) -> list[str]:
        return [one.key.removeprefix(FOLDER) for one in self.lake.list("")]

    def of_objects(self) -> list[str]:
        """The requests but those for listings."""
        return [one.method for one in self.server.asked if not one.is_listing]


@pytest.fixture
def agency(one_server):
    one_server.reset()
    with contextlib.ExitStack() as stack:
        yield Agency(one_server, stack)


def test_each_file_is_one_request_and_the_second_run_only_lists(agency):
    names = [f"docs/{number}.pdf" for number in range(5)]
    for name in names:
        agency.write(name)

    made = agency.make(*names)
    assert {(one.status, one.proof) for one in made} == {("copied", "content")}
    assert agency.of_objects() == ["PUT"] * 5
    assert agency.statuses(*names) == ["already there"] * 5
    assert agency.of_objects() == []


def test_missing_and_denied_are_told_apart_by_who_may_list_and_by_nobody_else(agency):
    for name in ("a", "denied"):
        agency.write(name)
    agency.server.denied.add(f"{agency.here}/denied")
    assert agency.statuses("a", "denied", "missing") == ["copied", "denied", "missing"]

    agency.server.unlistable.add(agency.here)
    assert agency.statuses("b", "denied", "missing") == ["missing or denied"] * 3


def test_hostile_names_stay_in_the_folder(agency):
    names = ("../up", "a\nb", "x" * 1025, "x" * 1024, "ü/日本.pdf", "e\u0301.pdf", "\u00e9.pdf", "a//b", " ?&#+%.pdf")
    for name in ("../up", "x" * 1024, "ü/日本.pdf", "e\u0301.pdf", "\u00e9.pdf", "a//b", " ?&#+%.pdf"):
        agency.write(name)
    refused = "refused name"
    assert agency.statuses(*names) == [
        refused, refused, refused, refused, "copied", "copied", refused, refused, "copied"
    ]  # fmt: skip
    assert agency.keys() == [" ?&#+%.pdf", "é.pdf", "ü/日本.pdf"]


def test_a_file_that_changes_between_list_and_copy_is_copied_as_it_is_then(agency):
    agency.write("a", b"as listed")
    once = iter([True])

    def change(asked):
        if asked.copies and next(once, False):
            agency.write("a", b"as it is then")

    agency.server.before = change
    (made,) = agency.make("a")
    assert (made.status, made.source.size) == ("copied", 13)
    assert agency.lake.get(f"{FOLDER}a") == b"as it is then"


def test_a_file_that_keeps_changing_is_left_for_a_later_run(agency):
    agency.write("a")
    numbers = itertools.count()

    def change(asked):
        if asked.copies:
            agency.write("a", b"version %d" % next(numbers))

    agency.server.before = change
    (made,) = agency.make("a")
    assert (made.status, made.temporary) == ("changed at source", True)
    assert agency.keys() == []


def test_a_copy_whose_answer_was_lost_is_there(agency):
    agency.write("a")
    losing = iter([True])
    agency.server.loses = lambda asked: asked.copies and next(losing, False)
    assert agency.statuses("a") == ["already there"]
    assert agency.lake.get(f"{FOLDER}a") == b"content"


def test_an_object_of_several_parts_is_proved_by_what_both_sides_say(agency):
    upload = agency.client.create_multipart_upload(Bucket=agency.here, Key="a")["UploadId"]
    part = agency.client.upload_part(Bucket=agency.here, Key="a", UploadId=upload, PartNumber=1, Body=b"content")
    agency.client.complete_multipart_upload(
        Bucket=agency.here, Key="a", UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )  # fmt: skip
    (made,) = agency.make("a")
    assert (made.status, made.proof) == ("copied", "size")
    assert agency.statuses("a") == ["already there"]


def test_a_bucket_that_is_not_there_ends_the_run(agency):
    nowhere = S3Store(agency.client, bucket="nowhere-at-all")
    with pytest.raises(ConfigError, match="NoSuchBucket"):
        agency.make("a", source=nowhere)
