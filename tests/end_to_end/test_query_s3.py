"""Tables of a lake in S3, on a server that speaks S3: DuckDB reads them with its own client, and nothing else."""

import itertools
import json
from dataclasses import replace

import pytest

from tests.end_to_end.s3 import SETTINGS, Bucket, Proxy, s3_server

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def on_s3(world):
    """A year in a bucket, staged and built; and another bucket that no question may reach."""
    with s3_server() as url, Proxy(url) as proxy:
        bucket, other = Bucket(url, "lake-of-tables"), Bucket(url, "not-the-lake")
        place = {"LAKE_URL": f"s3://{bucket.name}/a=b", "AWS_ENDPOINT_URL": proxy.url, "SOURCE_TIMEOUT_SECONDS": "60"}
        there = replace(world, environment={**world.environment, **SETTINGS, **place})
        assert there.pipeline().status == 0
        for job in ("stage", "build_curated"):
            ended = there.run(job, "--", "--year", "2024")
            assert ended.status == 0, ended.stderr
        yield there, other, proxy
        bucket.close()
        other.close()


def answered(world, *words):
    process = world.start(*words)
    stdout, stderr = process.communicate(timeout=250)
    return process.returncode, stdout, json.loads(stderr.splitlines()[-1 if process.returncode == 0 else -2])


def test_tables_in_s3_are_asked_traced_exported_and_copied_and_no_other_bucket_is_read(on_s3):
    world, other, _ = on_s3
    rows = world.source.truth(2024)["rows"]

    status, out, _ = answered(
        world, "query", "--", "SELECT count(*), min(record_id) FROM general_payments", "--format", "csv"
    )
    count, record_id = out.splitlines()[1].split(",")
    assert (status, int(count)) == (0, rows)

    traced = world.run("trace", "--", record_id)
    assert (traced.status, traced.fact["status"], traced.fact["row"]["record_id"]) == (0, "traced", record_id)
    exported = world.run("export", "--", "--year", "2024", "--to", "out")
    assert (exported.status, exported.fact["rows"]) == (0, rows)
    table = ("export", "--", "--year", "2024", "--table", "general_payments", "--format", "parquet")
    exported = world.run(*table, "--per", "company", "--to", "out")
    assert (exported.status, exported.fact["rows"], len(exported.fact["files"])) == (0, rows, 12), exported.stderr
    shown = world.run("quarantine", "--", "--year", "2024")
    assert (shown.status, shown.fact["rows"], shown.fact["quarantined"]) == (0, rows, 0)

    copied = world.run("upload_raw", "--", "--run-id", shown.fact["run_id"], "--with-build", "--to", "copy")
    assert (copied.status, copied.fact["build"]["number"]) == (0, 1), copied.stderr
    copy = ("--lake", "copy")
    question = ("query", "--", "SELECT * FROM general_payments ORDER BY record_id", "--format", "csv")
    assert answered(world, *question, *copy)[:2] == answered(world, *question)[:2]
    assert world.run("trace", "--", record_id, *copy).fact["request"] == traced.fact["request"]
    assert world.run("build_curated", "--", "--year", "2024", *copy).fact["status"] == "already built"

    other.client.put_object(Bucket=other.name, Key="x.csv", Body=b"a\n1\n")
    for source in (f"read_csv('s3://{other.name}/x.csv')", "read_text('s3://lake-of-tables/a=b/metadata/**')"):
        status, out, failure = answered(world, "query", "--", f"SELECT * FROM {source}")
        assert (status, out) == (2, "")
        assert "Permission Error" in failure["message"]


def test_a_question_outlasts_some_refusals_of_s3_and_names_those_that_stay(on_s3):
    world, _, proxy = on_s3
    question = ("query", "--", "SELECT sum(total_amount_of_payment_usdollars) FROM general_payments", "--format", "csv")
    expected = answered(world, *question)
    files = (one for one in itertools.count())

    def every_third(status, code):
        return lambda asked: (status, code) if asked.key.endswith(".parquet") and next(files) % 3 == 0 else None

    for refusal in ((503, "SlowDown"), (500, "InternalError"), (429, "TooManyRequests")):
        proxy.answers = every_third(*refusal)
        assert answered(world, *question)[:2] == expected[:2] == (0, expected[1]), refusal

    for refusal, exit_code in (((503, "SlowDown"), 4), ((403, "AccessDenied"), 3), ((404, "NoSuchKey"), 3)):
        proxy.answers = lambda asked, refusal=refusal: refusal if asked.key.endswith(".parquet") else None
        status, out, failure = answered(world, *question)
        assert (status, out) == (exit_code, ""), failure
        assert ".parquet" in failure["message"], failure
