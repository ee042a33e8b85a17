"""A lake on S3 is the same lake: same keys, same content, written once, whatever happens to an answer."""

import hashlib
import json
import random
import shutil
from collections import Counter
from dataclasses import replace

import boto3
import pytest

from tests.end_to_end.s3 import SETTINGS, Bucket, Proxy, s3_server

YEAR = "2024"
COMPANY = "100000000053"
RUN = ("--run-id", "one")
MANIFEST = "metadata/runs/run_id=one/manifest.json"


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def proxy(server):
    with Proxy(server) as proxy:
        yield proxy


@pytest.fixture
def bucket(server, request):
    bucket = Bucket(server, f"lake-{abs(hash(request.node.nodeid))}")
    yield bucket
    bucket.empty()
    bucket.close()


@pytest.fixture
def on_s3(world, proxy, bucket):
    """The world with its lake in a bucket behind the proxy; ``lake`` is where a copy of it may be put."""
    # The source is patient: on a busy machine, what is late is not to be taken for what the lake did.
    place = {"LAKE_URL": f"s3://{bucket.name}", "AWS_ENDPOINT_URL": proxy.url, "SOURCE_TIMEOUT_SECONDS": "60"}
    return replace(world, environment={**world.environment, **SETTINGS, **place})


def is_fact(key):
    """What is written create-only: all but caches and the two files that follow from a manifest."""
    return not key.endswith(("dataset_ids_cache.json", "file_audits.jsonl", f"download_report_{YEAR}.csv")) and (
        not key.startswith("metadata/totals/")
    )


def contents(folder):
    """Content hash of every part, by key."""
    parts = (json.loads(path.read_text()) for path in folder.glob("metadata/audits/**/part-*.json"))
    return {part["key"]: part["content_hash"] for part in parts}


def keys_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def without_times(keys):
    """Pointers' names hold the time of a run, to the microsecond: only their folders can be compared."""
    pointers = ("metadata/selections/", "metadata/commits/")
    return sorted(key.rpartition("/")[0] if key.startswith(pointers) else key for key in keys)


def at_home(world, bucket):
    """The world with a copy of the bucket in its folder."""
    shutil.rmtree(world.lake, ignore_errors=True)
    bucket.copy_to(world.lake)
    return world


def test_a_run_has_the_same_keys_and_content_on_s3_as_in_a_folder(world, on_s3, bucket):
    there = on_s3.pipeline(*RUN)
    assert (there.status, there.fact["status"], there.fact["proved"]) == (0, "completed", 12), there.stderr
    assert there.fact["lake"] == f"s3://{bucket.name}"
    here = world.pipeline(*RUN)
    assert here.status == 0, here.stderr
    assert without_times(bucket.listed()) == without_times(keys_in(world.lake))
    on_directory = contents(world.lake)
    home = at_home(on_s3, bucket)
    assert contents(home.lake) == on_directory
    home.assert_equals_truth()


def test_a_lake_below_a_prefix_of_a_bucket_leaves_the_rest_of_it_alone(on_s3, bucket):
    bucket.write("raw/of-somebody-else.csv", b"theirs")
    ended = on_s3.pipeline("--lake", f"s3://{bucket.name}/deep/er/")
    assert (ended.status, ended.fact["lake"]) == (0, f"s3://{bucket.name}/deep/er"), ended.stderr
    assert [key for key in bucket.listed() if not key.startswith("deep/er/")] == ["raw/of-somebody-else.csv"]
    bucket.copy_to(on_s3.lake, "deep/er/")
    replace(on_s3, lake=on_s3.lake / "deep" / "er").assert_equals_truth()


def test_every_fact_is_written_create_only_and_nothing_else_is(on_s3, proxy):
    ended = on_s3.pipeline(*RUN)
    assert ended.status == 0, ended.stderr
    puts = [one.asked for one in proxy.puts()]
    assert {put.key for put in puts if put.is_create_only} == {put.key for put in puts if is_fact(put.key)}
    assert not [put.key for put in puts if put.checksum != put.body_sha256]
    for start in ("raw/", "metadata/audits/", "metadata/runs/run_id=one/plan", "metadata/runs/run_id=one/manifest"):
        assert [put for put in puts if put.key.startswith(start)]
    assert not [one for one in proxy.seen if one.asked.method in ("DELETE", "POST")]
    first, again, *created = [put.key for put in puts if put.is_create_only]
    assert first == again, "the store was not asked whether it keeps the first"
    assert len(created) == len({*created, first}) - 1, "a fact was written twice"


def test_the_same_command_again_sends_few_requests_to_the_lake(on_s3, proxy):
    on_s3.pipeline()
    proxy.seen.clear()
    again = on_s3.pipeline()
    assert (again.status, again.fact["status"]) == (0, "already done")
    assert not proxy.puts()
    assert len(proxy.seen) <= 8


def one_in_ten():
    """Picks a tenth of all writes."""
    chance = random.Random(20)
    return lambda asked: asked.method == "PUT" and chance.random() < 0.1


def the_first_of_every_key():
    """Picks the first write of every key."""
    met: Counter[str] = Counter()

    def is_first(asked):
        met.update([asked.key] if asked.method == "PUT" else [])
        return asked.method == "PUT" and met[asked.key] == 1

    return is_first


@pytest.mark.parametrize("loses", [one_in_ten, the_first_of_every_key])
def test_responses_lost_after_a_write_cause_neither_conflict_nor_loss(on_s3, proxy, bucket, loses):
    proxy.loses = loses()
    ended = on_s3.pipeline(*RUN)
    lost = [one.asked.key for one in proxy.seen if one.lost]
    assert len(lost) >= 3, "the test itself lost nothing"
    assert (ended.status, ended.fact["status"], ended.fact["proved"]) == (0, "completed", 12), ended.stderr
    again = {one.asked.key: one.status for one in proxy.puts() if one.asked.key in lost and not one.lost}
    assert {key: status for key, status in again.items() if is_fact(key)} == dict.fromkeys(filter(is_fact, lost), 412)
    home = at_home(on_s3, bucket)
    assert not home.attempts()
    assert len([key for key in bucket.listed("metadata/logs/") if key.endswith(".log")]) == 1
    home.assert_equals_truth()


@pytest.mark.parametrize(("status", "code"), [(409, "ConditionalRequestConflict"), (503, "SlowDown")])
def test_a_write_that_the_server_defers_is_repeated(on_s3, proxy, bucket, status, code):
    is_first = the_first_of_every_key()
    proxy.answers = lambda asked: (status, code) if asked.is_create_only and is_first(asked) else None
    ended = on_s3.pipeline(*RUN)
    assert (ended.status, ended.fact["proved"]) == (0, 12), ended.stderr
    put_off = [one.asked.key for one in proxy.seen if one.status == status]
    assert sorted(put_off) == sorted(filter(is_fact, bucket.listed()))
    at_home(on_s3, bucket).assert_equals_truth()


def test_two_pipelines_racing_on_one_bucket_both_succeed_and_leave_one_set_of_facts(on_s3, proxy, bucket):
    both = [on_s3.start("run_pipeline", "--", "--year", YEAR, *RUN) for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=100)
        assert process.returncode == 0, stderr
        assert json.loads(stdout)["status"] in ("completed", "already done")
    created = [one.asked.key for one in proxy.puts() if one.asked.is_create_only and one.status == 200]
    assert len(created) == len(set(created)), "a fact was created twice"
    verified = on_s3.run("verify", "--", *RUN)
    assert (verified.status, verified.fact["findings"]) == (0, []), verified.stderr
    home = at_home(on_s3, bucket)
    assert len(home.manifests()) == 1
    assert len(home.slices()) == 12
    home.assert_equals_truth()


@pytest.mark.parametrize(
    ("environment", "status", "said"),
    [
        ({"LAKE_URL": "s3://nobody-made-this-one"}, 3, ["NoSuchBucket", "nobody-made-this-one", "Create the bucket"]),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, 3, ["no AWS credentials", "AWS_ACCESS_KEY_ID"]),
        ({"AWS_SECRET_ACCESS_KEY": ""}, 3, ["no AWS credentials"]),
        ({"AWS_PROFILE": "nobody"}, 3, ["nobody", "AWS_*"]),
        ({"AWS_ENDPOINT_URL": "nowhere"}, 3, ["nowhere", "AWS_*"]),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "2"}, 4, ["http://127.0.0.1:9"]),
    ],
    ids=["no bucket", "no credentials", "half of them", "no such profile", "no address", "endpoint down"],
)
def test_an_unusable_s3_is_reported_in_a_clear_sentence(on_s3, environment, status, said):
    environment = {name: value for name, value in {**on_s3.environment, **environment}.items() if value}
    ended = replace(on_s3, environment=environment).pipeline()
    assert ended.status == status, ended.stderr
    sentence = ended.stderr.splitlines()[-1]
    assert sentence.startswith("data-pipeline: cannot ")
    for word in said:
        assert word in sentence
    assert "Traceback" not in ended.stderr


def test_a_role_without_rights_is_permanent_and_the_error_names_the_action(world, proxy):
    # moto checks rights once so many requests have come: those that make a bucket, a user and its key.
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="3") as url:
        bucket = Bucket(url, "guarded")
        bucket.close()
        iam = boto3.client(
            "iam", endpoint_url=url, region_name="us-east-1", aws_access_key_id="t", aws_secret_access_key="t"
        )
        iam.create_user(UserName="nobody")
        key = iam.create_access_key(UserName="nobody")["AccessKey"]
        iam.close()
        who = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        place = {"LAKE_URL": "s3://guarded", "AWS_ENDPOINT_URL": url}
        ended = replace(world, environment={**world.environment, **SETTINGS, **who, **place}).pipeline()
    assert ended.status == 3, ended.stderr
    sentence = ended.stderr.splitlines()[-1]
    assert "AccessDenied" in sentence
    assert "s3://guarded/" in sentence
    assert "Check the role" in sentence
    assert key["SecretAccessKey"] not in ended.stderr


def test_rights_lost_during_a_run_end_it_and_keep_what_is_proved(on_s3, proxy, bucket):
    part = f"company_id={COMPANY}/part-1-of-1.csv"
    proxy.answers = lambda asked: (403, "AccessDenied") if asked.method == "PUT" and part in asked.key else None
    ended = on_s3.pipeline()
    assert ended.status == 3, ended.stderr
    assert part in ended.stderr.splitlines()[-1]
    assert not [key for key in bucket.listed() if key.endswith("manifest.json")]
    proxy.answers = lambda _asked: None
    assert on_s3.pipeline().status == 0
    at_home(on_s3, bucket).assert_equals_truth()


# Uploading.


@pytest.fixture
def committed(world, on_s3):
    """A committed run in a directory, and how to upload it to the bucket."""
    ended = world.pipeline(*RUN)
    assert ended.status == 0, ended.stderr
    return replace(on_s3, environment={**on_s3.environment, "LAKE_URL": str(world.lake)})


def upload(world, *words):
    return world.run("upload_raw", "--", *RUN, *words)


def test_a_run_uploaded_and_fetched_back_is_the_same_byte_for_byte(committed, proxy, bucket):
    there = upload(committed, "--to", f"s3://{bucket.name}/copy")
    assert (there.status, there.fact["status"]) == (0, "uploaded"), there.stderr
    assert (
        there.fact["copied"] == there.fact["planned"] == 12 * 3 + 15
    )  # six of them small ones that name the run and its release, four are CMS's summaries
    puts = [one.asked for one in proxy.puts()]
    assert all(put.is_create_only and put.checksum == put.body_sha256 for put in puts)
    assert puts[-1].key == f"copy/{MANIFEST}"
    last_part = max(number for number, put in enumerate(puts) if put.key.startswith("copy/raw/"))
    assert last_part < min(number for number, put in enumerate(puts) if "/audits/" in put.key)
    back = committed.lake.parent / "back"
    returned = upload(committed, "--to", str(back), "--lake", f"s3://{bucket.name}/copy")
    assert (returned.status, returned.fact["copied"]) == (0, there.fact["copied"]), returned.stderr
    assert len(keys_in(back)) == there.fact["copied"]
    assert [key for key in keys_in(back) if (back / key).read_bytes() != (committed.lake / key).read_bytes()] == []


def test_a_second_upload_lists_and_sends_no_request_per_key(committed, proxy, bucket):
    assert upload(committed, "--to", f"s3://{bucket.name}").status == 0
    proxy.seen.clear()
    again = upload(committed, "--to", f"s3://{bucket.name}")
    assert (again.status, again.fact["status"], again.fact["copied"]) == (0, "already uploaded", 0), again.stderr
    assert [one.asked.key for one in proxy.seen if not one.asked.is_listing] == [MANIFEST]
    assert len(proxy.seen) <= 13, "a listing for each folder that a run writes to, and the manifest"


def test_a_dry_run_of_an_upload_writes_nothing(committed, proxy, bucket):
    ended = upload(committed, "--to", f"s3://{bucket.name}", "--dry-run")
    assert (ended.status, ended.fact["status"], ended.fact["copied"]) == (0, "planned", 0)
    assert ended.stderr.count("would copy") == ended.fact["planned"]
    assert not proxy.puts()
    assert not bucket.listed()


@pytest.mark.parametrize("kind", ["raw", "part-1-of-1.json", "slice.jsonl", "plan.json", "manifest.json"])
@pytest.mark.parametrize("change", ["another size", "the same size"])
def test_other_content_under_a_key_is_a_conflict_that_names_both_hashes_and_overwrites_nothing(
    committed, bucket, kind, change
):
    key = next(key for key in sorted(keys_in(committed.lake)) if key.startswith(kind) or key.endswith(f"/{kind}"))
    mine = (committed.lake / key).read_bytes()
    theirs = mine + b"x" if change == "another size" else mine[:-2] + b"x\n"
    bucket.write(key, theirs)
    ended = upload(committed, "--to", f"s3://{bucket.name}")
    assert ended.status == 3, ended.stderr
    sentence = ended.stderr.splitlines()[-1]
    for word in (key, hashlib.sha256(mine).hexdigest(), hashlib.sha256(theirs).hexdigest(), "--overwrite"):
        assert word in sentence
    assert bucket.read(key) == theirs
    assert key.endswith("manifest.json") or MANIFEST not in bucket.listed()


def test_parts_of_another_lake_in_another_order_are_not_taken_for_ours(committed, bucket):
    """The source has no order: the same records, the same size, other bytes."""
    assert upload(committed, "--to", f"s3://{bucket.name}").status == 0
    there = {key: bucket.read(key) for key in bucket.listed()}
    other = replace(committed, lake=committed.lake.parent / "other")
    other.environment["LAKE_URL"] = str(other.lake)
    assert other.pipeline("--run-id", "two").status == 0
    keys = [key for key in keys_in(other.lake) if key.startswith("raw/dataset=")]
    assert {key: (other.lake / key).stat().st_size for key in keys} == {key: len(there[key]) for key in keys}
    assert [key for key in keys if (other.lake / key).read_bytes() != there[key]]
    ended = other.run("upload_raw", "--", "--run-id", "two", "--to", f"s3://{bucket.name}")
    assert ended.status == 3, ended.stderr
    assert "holds other content" in ended.stderr.splitlines()[-1]
    assert {key: bucket.read(key) for key in there} == there
    assert "metadata/runs/run_id=two/manifest.json" not in bucket.listed()


def test_overwriting_replaces_the_target_and_logs_it(committed, bucket):
    key = next(key for key in sorted(keys_in(committed.lake)) if key.startswith("raw/"))
    bucket.write(key, b"theirs")
    ended = upload(committed, "--to", f"s3://{bucket.name}", "--overwrite")
    assert ended.status == 0, ended.stderr
    assert bucket.read(key) == (committed.lake / key).read_bytes()
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert [line["key"] for line in lines if line["event"] == "overwriting"] == [key]


@pytest.mark.parametrize("loses", [one_in_ten, the_first_of_every_key])
def test_an_upload_whose_responses_are_lost_is_complete(committed, proxy, bucket, loses):
    proxy.loses = loses()
    ended = upload(committed, "--to", f"s3://{bucket.name}")
    assert ended.status == 0, ended.stderr
    assert [one for one in proxy.seen if one.lost]
    assert all(bucket.read(key) == (committed.lake / key).read_bytes() for key in bucket.listed())
    assert len(bucket.listed()) == ended.fact["planned"]


def test_a_damaged_part_is_not_uploaded(committed, bucket):
    key = next(key for key in sorted(keys_in(committed.lake)) if key.startswith("raw/"))
    path = committed.lake / key
    path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    ended = upload(committed, "--to", f"s3://{bucket.name}")
    assert (ended.status, key in ended.stderr.splitlines()[-1]) == (3, True), ended.stderr
    assert key not in bucket.listed()
    assert MANIFEST not in bucket.listed()


def test_a_pipeline_that_uploads_at_its_end_leaves_the_run_in_both_lakes(world, on_s3, bucket):
    here = replace(on_s3, environment={**on_s3.environment, "LAKE_URL": str(world.lake)})
    ended = here.pipeline("--upload-to", f"s3://{bucket.name}")
    assert (ended.status, ended.fact["upload"]["status"]) == (0, "uploaded"), ended.stderr
    again = here.pipeline("--upload-to", f"s3://{bucket.name}")
    assert (again.status, again.fact["upload"]["status"]) == (0, "already uploaded"), again.stderr
    shutil.rmtree(world.lake)
    at_home(world, bucket).assert_equals_truth()
