"""What each role may do is what its jobs do: they run for real, and every call a policy does not allow is refused."""

import contextlib
import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest

from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.lake_layout import fan_out as layout
from data_pipeline.registry import Registry
from etl_core.aws import RedshiftStatements
from packages.data_pipeline.tests.unit.agency_files.agency import make_database
from packages.etl_core.tests.support.postgresql import postgresql_server, programs
from sandbox.cluster import Cluster, ClusterSettings
from sandbox.crm import Crm, CrmSettings
from sandbox.open_payments import Sandbox, Settings
from tests.end_to_end.conftest import YEAR, Ended, World
from tests.end_to_end.programs import container
from tests.end_to_end.s3 import SETTINGS, Bucket, s3_server
from tests.infrastructure import sources
from tests.infrastructure.gate import Gate
from tests.infrastructure.iam import Request, applies, is_allowed, listed
from tools import k8s_examples

pytestmark = pytest.mark.timeout(600)

YEARLY = ("--year", str(YEAR))
# Of the build that the story publishes.
PUBLISHED = ("companies", "general_payments", "payment_products", "recipients")
COMPANY, OTHER = "100000000053", "100000000062"
LAKE, COPY = "lake", "copy"


@dataclass
class Story:
    """Every role's jobs, run once, each behind a gate of its own."""

    world: World
    server: str
    buckets: dict[str, Bucket]
    stack: ExitStack
    gates: dict[tuple[str, str], Gate] = field(default_factory=dict)
    ended: dict[str, list[tuple[str, Ended]]] = field(default_factory=dict)

    def gate(self, role: str, bucket: str = LAKE) -> Gate:
        if (role, bucket) not in self.gates:
            self.gates[role, bucket] = self.stack.enter_context(Gate(self.server, self.buckets[bucket], role))
        return self.gates[role, bucket]

    def run(self, role: str, *words: str, bucket: str = LAKE, **environment: str) -> Ended:
        place = {"LAKE_URL": f"s3://{self.buckets[bucket].name}", "AWS_ENDPOINT_URL": self.gate(role, bucket).url}
        ended = self.world.run(*words, **SETTINGS, **{**place, **environment})
        self.ended.setdefault(role, []).append((" ".join(words), ended))
        return ended

    def refused(self, role: str) -> list[Request]:
        return [one for (name, _), gate in self.gates.items() if name == role for one in gate.refused]

    def asked(self, policy: str) -> list[Request]:
        """Everything asked by the jobs of all roles that have a policy."""
        having = {role for role, said in sources.roles().items() if policy in said["policies"]}
        return [one for (role, _), gate in self.gates.items() if role in having for one in gate.asked]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    lake = tmp_path_factory.mktemp("world") / "lake"
    with Sandbox(Settings(years=(YEAR,), scale=0.02, first_companies=6)) as source:
        yield World.of(source, lake)


@pytest.fixture(scope="module")
def empty(world) -> Iterator[Story]:
    with ExitStack() as stack:
        server = stack.enter_context(s3_server())
        buckets = {name: Bucket(server, name) for name in (LAKE, COPY)}
        for bucket in buckets.values():
            stack.callback(bucket.close)
        yield Story(world, server, buckets, stack)


@pytest.fixture(scope="module")
def story(empty: Story, tmp_path_factory) -> Story:
    for tell in (discover, download, commit, runner):
        tell(empty)
    fan_out(empty, tmp_path_factory.mktemp("cluster"))
    for tell in (compare, read, ingest, customers, agency_files, describe, follow, collect, upload):
        tell(empty)
    return empty


def discover(story: Story) -> None:
    story.run("discover", "resolve_ids", "--", "--run-id", "d")
    story.run("discover", "build_totals", "--", *YEARLY, "--run-id", "d")  # a second log under one name
    story.run("discover", "build_totals", "--", *YEARLY)


def download(story: Story) -> None:
    one = ("download_company", "--", *YEARLY, "--company-id", COMPANY, "--run-id", "w1")
    story.world.source.fault("short_rows", count=1, match="/download")
    story.run("download", *one)
    lake = story.buckets[LAKE]
    for key in lake.listed("metadata/audits/"):
        lake.client.delete_object(Bucket=lake.name, Key=key)
    # The part is there and unproved, as a worker that was killed leaves it.
    story.run("download", *one)
    story.run("download", *one)
    doctor(story, "download")  # as the pod that `doctor cluster` starts under the workers' account


def commit(story: Story) -> None:
    story.buckets[LAKE].client.delete_object(
        Bucket=LAKE, Key="metadata/dataset_ids_cache.json"
    )  # as if it had grown old
    story.run("commit", "write_manifest", "--", "--run-id", "w1")
    story.run("commit", "write_manifest", "--", "--run-id", "w1")


def runner(story: Story) -> None:
    world = story.world
    world.source.fault("short_rows", match=OTHER)
    world_ended = story.run("runner", "run_pipeline", "--", *YEARLY, "--run-id", "r1", SOURCE_ATTEMPTS="2")
    assert (world_ended.status, world_ended.fact["failed"]) == (4, 1), world_ended.stderr
    story.ended["runner"].pop()  # it failed as it was meant to; what follows must not
    world.source.clear_faults()
    story.run("runner", "rerun", "--", "--run-id", "r1", "--failed")
    story.run("runner", "verify", "--", "--run-id", "r1")
    doctor(story, "runner")


def doctor(story: Story, role: str) -> None:
    """``doctor`` is a command beside ``run``."""
    place = {"LAKE_URL": f"s3://{LAKE}", "AWS_ENDPOINT_URL": story.gate(role).url}
    story.ended.setdefault(role, []).append(("doctor", story.world.doctor(**SETTINGS, **place)))


def fan_out(story: Story, folder: Path) -> None:
    """Submitter and workers as the eks overlay has them: two service accounts, two roles, two gates."""
    story.world.source.republish(YEAR)
    images = {"etl-data-pipeline": [sys.executable, "-m", "data_pipeline"]}
    base = {"PATH": str(Path(sys.executable).parent), **SETTINGS}
    workers = ("--env", f"AWS_ENDPOINT_URL={story.gate('download').url}")
    accounts = ("default", "data-pipeline-worker")
    settings = ClusterSettings(
        images=images, base_environment=base, start=container, pod_start_seconds=0.05, service_accounts=accounts
    )
    with Cluster(settings) as cluster:
        kubeconfig = str(cluster.kubeconfig(folder / "kubeconfig"))
        for shape in (("--shape", "per-company", "--max-files", "2"), ("--shape", "packed", "--pods", "2")):
            words = ("fan_out", "--", *YEARLY, "--poll-interval", "0.2", *shape, *workers)
            # A pod that is told to wait tells the others.
            story.world.source.fault(
                "http_429", count=1, match="/download", params={"retry_after": 2, "form": "seconds"}
            )
            place = {"LAKE_URL": f"s3://{LAKE}", "AWS_ENDPOINT_URL": story.gate("fan_out").url}
            # The plan of a submitter that got no further is what the next one goes on with.
            with story.world.start(*words, "--print", **SETTINGS, **place) as printing:
                assert json.loads(printing.communicate()[0])["items"]
            claim_as_a_pod_that_is_gone(story.buckets[LAKE])
            for _ in range(2):
                story.run("fan_out", *words, KUBECONFIG=kubeconfig)
        assert not cluster.bugs


def claim_as_a_pod_that_is_gone(lake: Bucket) -> None:
    """The first window of the first pod, which then finds it claimed by one of its own index."""
    for key in (one for one in lake.listed("metadata/runs/") if one.endswith("/fan_out_packed.json")):
        plan = FanOutPlan.parse(lake.read(key), key)
        unit = plan.bins[0][0]
        lake.write(layout.claim(plan.run_id, unit.company_id, unit.number, unit.of), b'{"index": 0}')


def compare(story: Story) -> None:
    story.run("compare", "diff_releases", "--", *YEARLY)
    story.run("compare", "diff_releases", "--", *YEARLY)


def read(story: Story) -> None:
    story.run("reader", "status")
    story.run("reader", "verify", "--", "--run-id", "w1")
    story.run("reader", "gc", "--", "--older-than-hours", "0")


def ingest(story: Story) -> None:
    """The examples of k8s/ for these jobs: the runner's work under a service account."""
    story.run("ingest", "run_pipeline", "--", *YEARLY, "--max-files", "2", "--run-id", "p1")
    story.run("ingest", "rerun", "--", "--run-id", "p1", "--missing")


def describe(story: Story) -> None:
    """Likewise, of all the others: the last one reads our lake, and writes to another."""
    for words in (
        ("resolve_ids",), ("build_totals", "--", *YEARLY), ("companies", "--", *YEARLY), ("status",), ("runs",),
        ("write_manifest", "--", "--run-id", "p1"), ("verify", "--", "--run-id", "p1"), ("gc",),
        ("diff_releases", "--", *YEARLY),
        ("upload_raw", "--", "--run-id", "p1", "--to", str(story.world.lake.parent / "another")),
    ):  # fmt: skip
        story.run("describe", *words)
    lake = story.buckets[LAKE]
    for job, zone in (("stage", "metadata/staging/"), ("build_curated", "metadata/curated/")):
        ended = story.run("describe", job, "--", *YEARLY)
        assert ended.status == 0, ended.stderr
        for key in lake.listed(zone):  # as a process leaves it that was killed before its commit
            lake.client.delete_object(Bucket=LAKE, Key=key)
        story.run("describe", job, "--", *YEARLY)
    publish(story)
    load(story)
    story.run("describe", "build_marts")
    story.run("describe", "report", "--", *YEARLY)
    # The summaries are of the release before.
    story.run("describe", "check_year", "--", *YEARLY, "--max-difference", "1")
    staged = next(key for key in lake.listed("metadata/staging/"))
    part = lake.read(json.loads(lake.read(staged))["part"]).decode()
    record_id = next(csv.DictReader(io.StringIO(part, newline="")))["Record_ID"]
    for asked in (
        ("query", "--", "SELECT count(*) FROM general_payments", "--format", "json"),
        ("quarantine", "--", *YEARLY),
        ("trace", "--", record_id, *YEARLY), ("export", "--", *YEARLY, "--to", "exported"),
    ):  # fmt: skip
        story.run("describe", *asked)


# As Airflow's operator reads what a job has committed, a run's name of the past or of none included.
FOLLOW = """
import json
import os

from etl_core.lake import open_store

store = open_store(os.environ["LAKE_URL"], named="LAKE_URL")
for run_id in ("r1", "no-run"):
    if store.head(f"metadata/runs/run_id={run_id}/plan.json"):
        assert store.get(f"metadata/runs/run_id={run_id}/manifest.json")
found = [one.key for prefix in ("metadata/curated/", "metadata/marts/") for one in store.list(prefix)]
assert len(found) == 2
documents = [store.get(key) for key in (*found, "metadata/dataset_ids_cache.json")]
print(json.dumps({"documents": [len(one) for one in documents]}))
"""


def follow(story: Story) -> None:
    """Airflow runs no job under a role of its own: it starts Jobs, and reads what they leave."""
    place = {"LAKE_URL": f"s3://{LAKE}", "AWS_ENDPOINT_URL": story.gate("airflow").url}
    done = subprocess.run(
        [sys.executable, "-c", FOLLOW], env={**story.world.environment, **SETTINGS, **place}, capture_output=True,
        text=True, timeout=100, check=False,
    )  # fmt: skip
    ended = Ended(done.returncode, json.loads(done.stdout or "{}"), done.stderr)
    story.ended.setdefault("airflow", []).append(("follow", ended))


def publish(story: Story) -> None:
    """Once, once with tables that somebody changed, and once a newer build."""
    session = boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    with contextlib.closing(session.client("glue", endpoint_url=story.server)) as glue:
        glue.create_database(DatabaseInput={"Name": sources.DATABASE})
        said = ("publish_catalogue", "--", *YEARLY)
        for _ in range(2):
            story.run("describe", *said, CATALOGUE_DATABASE=sources.DATABASE)
        lake = story.buckets[LAKE]
        (key,) = lake.listed("metadata/curated/")
        newer = json.loads(lake.read(key)) | {"number": 2, "parent": 1}
        lake.write(key.replace("00000001", "00000002"), json.dumps(newer).encode())
        for name in PUBLISHED:
            glue.update_table(DatabaseName=sources.DATABASE, TableInput={"Name": name})
        story.run("describe", *said, CATALOGUE_DATABASE=sources.DATABASE)
        lake.client.delete_object(Bucket=LAKE, Key=key.replace("00000001", "00000002"))


def load(story: Story) -> None:
    if programs() is not None:
        with postgresql_server() as url:
            story.run("describe", "load_warehouse", "--", *YEARLY, WAREHOUSE_URL=url)


def customers(story: Story) -> None:
    """A run whose token is refused and that is continued, its dead letter, another run, and one after a loss."""
    with Crm(CrmSettings(customers=60)) as crm:
        place = {"API_BASE_URL": crm.url, "API_TOKEN": crm.token, "RECORDS_PER_PAGE": "20"}
        for fault, match, message in (("http_401", "", "API_TOKEN is refused"), ("http_404", "page=3&", "1 pages")):
            crm.clear_faults()
            crm.fault(fault, after=0 if match else 1, match=match)
            ended = story.run("customers", "ingest_customers", **place)
            assert (ended.status, message in ended.stderr) == (3, True), ended.stderr
        story.ended["customers"].clear()  # they failed as they were meant to; what follows must not
        crm.clear_faults()
        story.run("customers", "ingest_customers", **place)
        story.run("customers", "ingest_customers", "--", "--new", "--run-id", ended.fact["run_id"], **place)
        lake = story.buckets[LAKE]
        for key in lake.listed("metadata/runs/"):
            if ended.fact["run_id"] in key and key.endswith(("execution_report.txt", "file_audits.jsonl")):
                lake.client.delete_object(Bucket=LAKE, Key=key)
        story.run("customers", "ingest_customers", **place)


def agency_files(story: Story) -> None:
    """From a bucket of somebody else: a plain file, one with tags, and one whose ETag is no hash of its content."""
    here = Bucket(story.server, sources.AGENCY_SOURCE)
    story.stack.callback(here.close)
    large: dict[str, Any] = {"Bucket": here.name, "Key": "docs/parts.pdf"}
    here.write("docs/plain.pdf", b"plain")
    here.client.put_object(Bucket=here.name, Key="docs/tagged.pdf", Body=b"tagged", Tagging="kind=report")
    upload = here.client.create_multipart_upload(**large)["UploadId"]
    part = here.client.upload_part(**large, UploadId=upload, PartNumber=1, Body=b"parts")
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    here.client.complete_multipart_upload(**large, UploadId=upload, MultipartUpload=parts)
    rows = [(10, number, f"docs/{name}.pdf", None, None) for number, name in enumerate(("plain", "tagged", "parts"))]
    database = make_database(story.world.lake.parent / "files.db", rows)
    words = ("get_s3_files", "--", "--agency-id", "10", "--source-bucket", here.name)
    place = {"DATABASE_URL": f"sqlite:///{database}"}
    story.run("agency_files", *words, "--run-id", "a1", **place)
    # As a process leaves it that was killed before its commit.
    story.buckets[LAKE].client.delete_object(Bucket=LAKE, Key="metadata/runs/run_id=a1/manifest.json")
    story.run("agency_files", *words, "--run-id", "a1", **place)
    story.run("agency_files", *words, **place)


def collect(story: Story) -> None:
    lake = story.buckets[LAKE]
    lake.write(unnamed(story), b"what a killed run left")
    closed = next(key for key in lake.listed("metadata/audits/") if COMPANY in key and key.endswith("slice.jsonl"))
    lake.write(closed.replace("slice.jsonl", "part-1-of-99.json"), b"a proof of another cut")
    story.run("collect", "gc", "--", "--older-than-hours", "0", "--delete")
    # Builds and marts that others replaced, and parts staged under a contract of another time.
    for zone in ("metadata/curated/", "metadata/marts/"):
        (manifest,) = lake.listed(zone)
        newer = json.loads(lake.read(manifest)) | {"number": 2, "parent": 1}
        lake.write(manifest.replace("00000001", "00000002"), json.dumps(newer).encode())
    lake.write("marts/build=00000000/open_payments-00000000.duckdb", b"of a job that was killed")
    lake.write("curated/dataset=a/year=2024/build=00000000/a-0000-00000000.parquet", b"of a build that was killed")
    for key in ("metadata/staging/{}.json", "staging/{}.parquet"):
        lake.write(key.format("dataset=a/year=2024/release=a/contract=00000000/company_id=1/part-1-of-1"), b"x")
    story.run("collect", "gc", "--", "--keep", "1", "--older-than-hours", "0", "--delete")


def upload(story: Story) -> None:
    """From a folder of this machine, as on a runner that works on its own disk."""
    here = {"LAKE_URL": str(story.world.lake)}
    made = story.world.pipeline("--company-id", COMPANY, "--run-id", "l1")
    assert made.status == 0, made.stderr
    for job in ("stage", "build_curated"):
        assert story.world.run(job, "--", "--run-id", "l1").status == 0
    words = ("upload_raw", "--", "--run-id", "l1", "--with-build", "--to", f"s3://{COPY}")
    story.run("upload", *words, bucket=COPY, **here)
    story.run("upload", *words, bucket=COPY, **here)
    copy = story.buckets[COPY]
    for key in ("metadata/runs/run_id=l1/manifest.json", *copy.listed("metadata/curated/")):
        copy.client.delete_object(Bucket=COPY, Key=key)
    # As after a copy that was cut short: everything is met again, and compared.
    story.run("upload", *words, bucket=COPY, **here)
    damage(story)
    story.run("overwrite", *words, "--overwrite", bucket=COPY, **here)


def damage(story: Story) -> None:
    copy = story.buckets[COPY]
    for prefix in ("raw/", "metadata/audits/", "metadata/runs/", "staging/"):
        copy.write(copy.listed(prefix)[0], b"other content")


@pytest.mark.parametrize("role", sorted(sources.roles()))
def test_every_job_of_a_role_does_its_work_under_its_policies(story, role):
    assert story.refused(role) == []
    jobs = story.ended[role]
    assert jobs
    assert [(words, ended.status) for words, ended in jobs if ended.status != 0] == [], [one for _, one in jobs]


def test_every_example_of_kubernetes_runs_under_the_role_of_its_service_account(story):
    role_of = {said["trust"]: role for role, said in sources.roles().items()}
    for job in map(Registry().load, Registry().names()):
        example = k8s_examples.example_of(job)
        if example is not None and (job.name != "load_warehouse" or programs() is not None):
            role = role_of[example.service_account]
            ran = [words for words, _ in story.ended[role] if words.split()[0] == job.name]
            assert ran, (
                f"add story.run({role!r}, {job.name!r}, …) to a function of this file, so that its policy is proved"
            )


def grants():
    """Every action on every resource that any policy of a stage allows."""
    for path in sorted(sources.IDENTITY.glob("*.json.tftpl")):
        name = path.name.removesuffix(".json.tftpl")
        if name.startswith("trust_"):
            continue
        for bucket in (LAKE, COPY):
            for statement in sources.policy(name, bucket)["Statement"]:
                for action in listed(statement["Action"]):
                    for resource in listed(statement["Resource"]):
                        alone = {**statement, "Action": action, "Resource": resource}
                        prefixes = statement.get("Condition", {}).get("StringLikeIfExists", {}).get("s3:prefix")
                        if prefixes is None:
                            yield name, bucket, alone
                        for prefix in prefixes or ():
                            yield name, bucket, {**alone, "Condition": {"StringLike": {"s3:prefix": [prefix]}}}


def shown(statement):
    what = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", [statement["Resource"]])[0]
    return f"{statement['Action']} {what.partition('/')[2] if what.startswith('arn') else what}"


# Needed only after a fault that the story does not have.
AFTER_A_FAULT = {
    # The answer to a first write was lost, and the second one finds the pointer.
    ("customers", "s3:GetObject metadata/selections/*"),
    ("customers", "s3:GetObject metadata/commits/customers/*"),
    ("plan", "s3:ListBucket metadata/schemas/*"),  # the source has no reference count: that of the last release is used
    ("agency_files", "s3:AbortMultipartUpload raw/agency_files/*"),  # a copy above 5 GB fails
}


def test_no_policy_allows_what_no_job_of_its_roles_needs(story):
    used: dict[tuple[str, str], bool] = {}
    for name, _, statement in grants():
        is_used = any(applies(statement, request) for request in story.asked(name))
        used[name, shown(statement)] = used.get((name, shown(statement)), False) or is_used
    assert len(used) > 50
    assert {grant for grant, is_used in used.items() if not is_used} == AFTER_A_FAULT


def test_publishing_needs_every_action_that_its_policy_allows_on_every_table(story):
    asked = {
        (one.action, one.resource) for one in story.gate(sources.PUBLISHER).asked if one.action.startswith("glue:")
    }
    (statement,) = sources.publish_policy()["Statement"]
    known = {f"{sources.GLUE}:{what}" for what in ("catalog", f"database/{sources.DATABASE}")}
    known |= {f"{sources.GLUE}:table/{sources.DATABASE}/{name}" for name in PUBLISHED}

    assert asked == {(action, resource) for action in statement["Action"] for resource in known}
    others = {f"{sources.GLUE}:table/{sources.DATABASE}/{one}_payments" for one in ("research", "ownership")}
    assert set(statement["Resource"]) == known | others


class Finished:
    """Redshift's data API, which has done everything at once."""

    def __init__(self) -> None:
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        self.called.add("".join(word.title() for word in name.split("_")))
        return lambda **_words: {"Id": "1", "Status": "FINISHED", "Records": []}


def test_loading_into_redshift_needs_every_action_that_its_policy_allows():
    client = Finished()
    statements = RedshiftStatements(client, workgroup="w", database="d", sleep=lambda _seconds: None)
    statements.run(["SELECT 1"])
    statements.rows("SELECT 1")
    template = sources.TERRAFORM / "modules" / "warehouse" / "policies" / "load.json.tftpl"
    policy = sources.filled(template, workgroup_arn="w", caller="c")
    allowed = {action for one in policy["Statement"] for action in one["Action"]}

    # The service itself asks for the last one, in the caller's name.
    assert allowed == {f"redshift-data:{one}" for one in client.called} | {"redshift-serverless:GetCredentials"}


def before_and_after(story, bucket, role, *words, **environment):
    """A job that oversteps: how it ended, and whether it left a trace."""
    keys = set(story.buckets[bucket].listed())
    refused = len(story.gate(role, bucket).refused)
    ended = story.run(role, *words, bucket=bucket, **environment)
    story.ended[role].pop()
    new = story.gate(role, bucket).refused[refused:]
    del story.gate(role, bucket).refused[refused:]
    # A pointer to a plan that was refused points to nothing; a schema is a fact of the source.
    beside = ("metadata/logs/", "metadata/selections/", "metadata/schemas/")
    gone_or_new = {key for key in keys ^ set(story.buckets[bucket].listed()) if not key.startswith(beside)}
    return ended, {request.action for request in new}, gone_or_new


FRESH = ("--dataset", "research-payments", *YEARLY, "--company-id", COMPANY)
OVERSTEPS = {
    "a reader that ingests": (
        LAKE, "reader", ("run_pipeline", "--", *YEARLY, "--run-id", "x1"), {"s3:PutObject"}, "metadata/none",
    ),
    "discovery that downloads": (
        LAKE, "discover", ("download_company", "--", *YEARLY, "--company-id", COMPANY, "--run-id", "x2"),
        {"s3:GetObject", "s3:ListBucket", "s3:PutObject"}, "metadata/none",
    ),
    "a submitter that writes raw parts": (
        LAKE, "fan_out", ("download_company", "--", *FRESH, "--run-id", "x3"),
        {"s3:GetObject", "s3:PutObject"}, "metadata/runs/run_id=x3/plan.json",
    ),
    "a worker that commits": (
        LAKE, "download", ("run_pipeline", "--", *YEARLY, "--company-id", COMPANY, "--run-id", "x4"),
        {"s3:PutObject"}, "metadata/runs/run_id=x4/plan.json",
    ),
    "an upload that overwrites": (
        COPY, "upload", ("upload_raw", "--", "--run-id", "l1", "--to", f"s3://{COPY}", "--overwrite"),
        {"s3:PutObject"}, "metadata/none",
    ),
    "a comparison that collects": (
        LAKE, "compare", ("gc", "--", "--older-than-hours", "0", "--delete"), {"s3:DeleteObject"}, "metadata/none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OVERSTEPS)
def test_a_job_that_oversteps_ends_with_a_refusal_and_leaves_nothing_else(story, what):
    bucket, role, words, actions, leaves = OVERSTEPS[what]
    environment = {"LAKE_URL": str(story.world.lake)} if bucket == COPY else {}
    if role == "compare":
        story.buckets[LAKE].write(unnamed(story), b"what a killed run left")
    if bucket == COPY:
        damage(story)
    ended, refused, changed = before_and_after(story, bucket, role, *words, **environment)
    assert ended.status == 3, ended.stderr
    assert "AccessDenied" in ended.stderr
    assert refused
    assert refused <= actions
    assert changed <= {leaves}


def unnamed(story):
    key = next(key for key in story.buckets[LAKE].listed("raw/") if COMPANY in key)
    return key.replace(COMPANY, "100000009998")


ADMINISTRATOR = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


@pytest.fixture
def as_administrator(empty) -> Iterator[Callable[..., object]]:
    """A client of somebody whose own policy allows everything: only the bucket's stands between."""
    with Gate(empty.server, empty.buckets[COPY], "administrator", {"all": ADMINISTRATOR}) as gate:
        client = boto3.client("s3", endpoint_url=gate.url, region_name="us-east-1", aws_access_key_id="test",
                              aws_secret_access_key="test")  # fmt: skip
        yield lambda method, **words: getattr(client, method)(Bucket=COPY, **words)
        client.close()


@pytest.mark.parametrize(
    "key",
    [
        "raw/a.csv",
        "metadata/audits/a.json",
        "metadata/schemas/a.json",
        "metadata/selections/all/1_a",
        "metadata/commits/dataset=a/1_a",
        "metadata/lake_id.json",
        "metadata/runs/run_id=a/plan.json",
        "metadata/runs/run_id=a/manifest.json",
        "metadata/curated/dataset=a/year=2024/00000001.json",
        "metadata/catalogue/dataset=a/year=2024/00000001/a/files.txt",
        "metadata/marts/00000001.json",
        "metadata/reports/dataset=a/year=2024/a.html",
        "metadata/staging/dataset=a/a.json",
        "metadata/contracts/a.json",
        "staging/dataset=a/a.parquet",
        "curated/dataset=a/a.parquet",
        "marts/build=a/a.duckdb",
    ],
)
def test_the_bucket_refuses_a_plain_write_of_a_fact_even_to_an_administrator(as_administrator, key):
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        as_administrator("put_object", Key=key, Body=b"x")
    as_administrator("put_object", Key=key, Body=b"x", IfNoneMatch="*")
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        as_administrator("delete_object", Key=key)


def test_the_bucket_lets_caches_be_replaced(as_administrator):
    for _ in range(2):
        as_administrator("put_object", Key="metadata/dataset_ids_cache.json", Body=b"x")


def allowed(role, action, key, **context):
    gate_less = {"aws:SecureTransport": "true", "aws:PrincipalArn": sources.arn_of(role), **context}
    request = Request(action, f"arn:aws:s3:::{LAKE}{key and '/'}{key}", gate_less)
    return is_allowed(request, sources.policies_of(role, LAKE).values(), [sources.bucket_policy(LAKE)])


def test_nobody_removes_versions_one_role_removes_raw_parts_and_another_replaces_them():
    for role in sources.roles():
        assert not allowed(role, "s3:DeleteObjectVersion", "raw/a.csv")
    assert {role for role in sources.roles() if allowed(role, "s3:DeleteObject", "raw/a.csv")} == {"collect"}
    over = {"s3:ObjectCreationOperation": "true"}
    assert {role for role in sources.roles() if allowed(role, "s3:PutObject", "raw/a.csv", **over)} == {"overwrite"}


def test_plain_http_is_refused_to_everybody():
    for role in sources.roles():
        for action, key in (("s3:GetObject", "raw/a.csv"), ("s3:ListBucket", "")):
            assert not allowed(role, action, key, **{"aws:SecureTransport": "false"})


def test_no_role_reaches_another_bucket_a_zone_to_come_or_a_zone_of_another():
    for role in sources.roles():
        for key, writers in (
            ("staging/a", {"describe", "upload", "overwrite"}),
            ("curated/a", {"describe", "upload", "overwrite"}),
            ("marts/a", {"describe"}),
            ("a", set()),
        ):
            assert allowed(role, "s3:PutObject", key, **{"s3:if-none-match": "*"}) == (role in writers)
        statements = [one for policy in sources.policies_of(role, "another").values() for one in policy["Statement"]]
        statements = [one for one in statements if not listed(one["Action"])[0].startswith("glue:")]
        elsewhere = [one for one in statements if any(":::another" not in arn for arn in listed(one["Resource"]))]
        assert role == "agency_files" or not elsewhere
        for one in elsewhere:  # somebody else's documents are only read
            assert all(f":::{sources.AGENCY_SOURCE}" in arn for arn in listed(one["Resource"]))
            assert set(listed(one["Action"])) <= {"s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging"}
