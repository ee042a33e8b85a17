"""The image, built and run with the restrictions of a cluster."""

import dataclasses
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import time
import zipfile
from pathlib import Path

import pytest
import trustme

from tests.containers.conftest import OWNER, opened
from tools import image as image_tool
from tools import isolated

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1_000_000
COMPANY = "100000000053"


@pytest.fixture
def lake(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    opened(folder)
    os.chown(folder, OWNER, OWNER)
    return folder


@pytest.fixture
def source(engine, sandbox_image, request):
    """A sandbox in a container without a network; gives the name by which other containers share its network."""
    words = [
        "serve",
        "--port",
        "8000",
        "--year",
        "2024",
        "--company",
        COMPANY,
        "--warm",
        *getattr(request, "param", []),
    ]
    name = f"sandbox-{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        engine.run_words(sandbox_image, *words, options=["--name", name]), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["url"] == "http://127.0.0.1:8000"
        yield name
    finally:
        engine.podman("kill", "--signal", "TERM", name)
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def job(lake, *, user):
    options = ["-v", f"{lake}:/app/data", "-e", "OPEN_PAYMENTS_URL=http://127.0.0.1:8000", "-e", "GRACE_SECONDS=2"]
    return [*options, "--user", user] if user else options


ONE_COMPANY = ["run", "download_company", "--", "--year", "2024", "--company-id", COMPANY]


def test_the_layers_above_the_base_are_under_120_megabytes(engine, image):
    _, *ours = engine.layers(image)

    assert sum(ours) < 120 * MEGABYTE, [size / MEGABYTE for size in ours]
    # The layer that a change of our source rebuilds.
    assert ours[-1] < 5 * MEGABYTE


def test_the_image_has_labels_and_runs_as_an_unprivileged_user(engine, image):
    config = engine.config(image)

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["data-pipeline"]
    assert config["WorkingDir"] == "/app"
    assert config["Labels"]["org.opencontainers.image.title"] == "etl-data-pipeline"
    assert {"licenses", "version", "revision", "description"} <= {
        name.removeprefix("org.opencontainers.image.") for name in config["Labels"]
    }


def test_every_job_is_listed_without_network_privileges_or_a_writable_folder(engine, image):
    answer = engine.run(image, "list")

    assert answer.returncode == 0, answer.stderr
    names = {line.split()[0] for line in answer.stdout.splitlines()}
    files = {path.stem for path in ROOT.glob("packages/data_pipeline/src/data_pipeline/jobs/[a-z]*.py")}
    assert names == files
    assert "BROKEN" not in answer.stdout


def test_build_tools_and_sources_are_not_in_the_image(engine, image):
    places = ["/packages", "/requirements", "/wheels", "/opt/build", "/opt/job", "/opt/sandbox"]
    code = f"import os; print([one for one in {places} if os.path.exists(one)])"
    answer = engine.run(image, "-c", code, options=["--entrypoint", "python"])

    assert answer.stdout == "[]\n"


def test_no_setting_of_the_building_machine_is_in_the_image(engine, image):
    answer = engine.run(image, "-c", "cat /etc/pip.conf; env", options=["--entrypoint", "sh"])

    assert "cert" not in answer.stdout
    assert {line.partition("=")[0] for line in answer.stdout.splitlines()}.isdisjoint({"PIP_CERT", "PIP_INDEX_URL"})


def test_a_company_is_proved_for_the_given_user_and_the_same_command_fetches_nothing(engine, image, source, lake):
    options, network = job(lake, user=f"{OWNER}:{OWNER}"), f"container:{source}"

    first = engine.run(image, *ONE_COMPANY, options=options, network=network)
    again = engine.run(image, *ONE_COMPANY, options=options, network=network)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert json.loads(first.stdout)["proved"] == 1
    assert json.loads(again.stdout)["status"] == "already done"
    (part,) = lake.glob("raw/dataset=*/**/*.csv")
    assert (part.stat().st_uid, part.stat().st_gid) == (OWNER, OWNER)


def test_a_lake_that_another_user_owns_ends_with_status_3_and_names_the_user_flag(engine, image, source, lake):
    answer = engine.run(image, *ONE_COMPANY, options=job(lake, user=None), network=f"container:{source}")

    assert answer.returncode == 3, answer.stderr
    assert '--user "$(id -u):$(id -g)"' in answer.stderr


def test_without_a_mounted_lake_nothing_is_fetched_into_the_container(engine, image, source):
    options = ["-e", "OPEN_PAYMENTS_URL=http://127.0.0.1:8000"]
    answer = engine.run(image, *ONE_COMPANY, options=options, network=f"container:{source}")

    assert answer.returncode == 3, answer.stderr
    assert "mount a folder (-v FOLDER:PATH)" in answer.stderr


@pytest.mark.parametrize("source", [["--fault", "stall:match=/download,seconds=600"]], indirect=True)
def test_sigterm_ends_the_job_with_143(engine, image, source, lake):
    name = f"job-{os.getpid()}-{time.monotonic_ns()}"
    options = [*job(lake, user=f"{OWNER}:{OWNER}"), "--name", name]
    words = engine.run_words(image, *ONE_COMPANY, options=options, network=f"container:{source}")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()  # its log has begun: it runs
        engine.podman("kill", "--signal", "TERM", name)
        said = process.stderr.read()
        assert process.wait(60) == 143, said
    assert "SIGTERM" in said


def test_a_change_of_our_source_does_not_install_dependencies_again(engine, image, context):
    # Once with these files: a build compares their times too.
    engine.build(context, "etl-data-pipeline-changed")
    path = context / "packages/etl_core/src/etl_core/errors.py"
    # Different each time, or an older build in the cache would match.
    path.write_text(f"{path.read_text()}\nCHANGED = {time.time_ns()}\n")

    answer = engine.build(context, "etl-data-pipeline-changed")

    said = answer.stdout + answer.stderr
    steps = dict(re.findall(r"STEP \d+/\d+: (.*)\n(-->.*)", said))
    hashed = [outcome for step, outcome in steps.items() if "--require-hashes" in step]
    assert len(hashed) == 3, said
    assert all("Using cache" in outcome for outcome in hashed), said
    assert "Using cache" not in steps["COPY packages /packages"]
    changed = engine.run("localhost/etl-data-pipeline-changed", "-c", "import etl_core.errors as e; print(e.CHANGED)",
                         options=["--entrypoint", "python"])  # fmt: skip
    assert changed.returncode == 0, changed.stderr


def test_an_extra_that_does_not_exist_is_named(engine, image, context):
    answer = engine.build(
        context, "etl-data-pipeline-extra", "--target", "dependencies", "--build-arg", "EXTRAS=nonsense", check=False
    )

    assert answer.returncode != 0
    assert "there is no extra nonsense: see docker/requirements" in answer.stdout + answer.stderr


@pytest.fixture
def inspected(tmp_path, context):
    """An index with one wheel, and a context that needs it; gives pip's settings, and the CA's certificate.

    Nobody trusts that CA, as that of a proxy which inspects TLS.
    """
    wheel = tmp_path / "index" / "kubernetes" / "kubernetes-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("aio/a.py", "client/api/a.py", "client/models/a.py"):  # the image has them removed
            archive.writestr(f"kubernetes/{name}", "")
        archive.writestr("kubernetes-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: kubernetes\nVersion: 1.0\n")
        archive.writestr(
            "kubernetes-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("kubernetes-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (context / "docker/requirements/runtime.txt").write_text(f"kubernetes==1.0 --hash=sha256:{digest}\n")

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    # It lists a folder as an index does: a page of links.
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "index")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings = tmp_path / "pip.conf"
        address = f"https://127.0.0.1:{server.server_port}"
        settings.write_text(f"[global]\nindex-url = {address}\nretries = 0\n")
        yield settings, tmp_path / "ca.pem"
        server.shutdown()
        thread.join()


def test_a_build_behind_a_proxy_that_inspects_tls_needs_only_its_certificate(engine, image, context, inspected):
    settings, authority = inspected
    without = dataclasses.replace(engine, volumes=("--volume", f"{settings}:/etc/pip.conf:ro"), ca=())
    given = dataclasses.replace(without, ca=tuple(image_tool.secret_of(str(authority))))
    words = (context, "etl-data-pipeline-inspected", "--target", "dependencies")

    refused = without.build(*words, check=False)
    assert refused.returncode != 0
    assert "certificate verify failed" in refused.stdout + refused.stderr
    given.build(*words)
    kept = engine.run("localhost/etl-data-pipeline-inspected", "/run/secrets", options=["--entrypoint", "ls"])
    assert "ca" not in kept.stdout.split()


def test_an_image_with_the_extra_makes_tables_with_a_read_only_root_and_its_scratch_where_it_is_told(
    engine, lakehouse_image, lake, tmp_path
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shutil.copytree(ROOT / "packages/data_pipeline/tests/fixtures/lake_v1/closed", lake, dirs_exist_ok=True)
    for path in (scratch, *lake.rglob("*")):
        os.chown(path, OWNER, OWNER)
    limits = ["-e", "LAKEHOUSE_MEMORY_MB=128", "-e", "LAKEHOUSE_WORKERS=1", "--memory", "512m"]
    options = [*job(lake, user=f"{OWNER}:{OWNER}"), "-v", f"{scratch}:/scratch", "-e", "TMPDIR=/scratch", *limits]

    for words in (["stage", "--", "--year", "2024"], ["build_curated", "--", "--year", "2024"]):
        answer = engine.run(lakehouse_image, "run", *words, options=options)
        assert (answer.returncode, json.loads(answer.stdout or "{}").get("rows")) == (0, 16), answer.stderr
    question = "SELECT count(*) AS rows FROM general_payments"
    answer = engine.run(lakehouse_image, "run", "query", "--", question, "--format", "json", options=options)

    assert (answer.returncode, answer.stdout) == (0, '{"rows":16}\n'), answer.stderr
    assert [path.name for path in scratch.iterdir() if path.name != "data-pipeline"] == []


@pytest.mark.parametrize("extras", [[], ["lakehouse"]], ids=["no extra", "lakehouse"])
def test_the_sbom_lists_exactly_the_distributions_of_the_image(engine, request, extras, tmp_path):
    image = request.getfixturevalue("lakehouse_image" if extras else "image")
    try:
        image_tool.write_sbom(tmp_path / "sbom.json", extras)
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))
    code = (
        "import json, re, site; from importlib.metadata import distributions as found\n"
        "there = found(path=site.getsitepackages())\n"
        "print(json.dumps({re.sub('[-_.]+', '-', one.name).lower(): one.version for one in there}))"
    )
    there = json.loads(engine.run(image, "-c", code, options=["--entrypoint", "python"]).stdout)

    sbom = json.loads((tmp_path / "sbom.json").read_text())

    assert sbom["bomFormat"] == "CycloneDX"
    listed = {one["name"].lower(): one["version"] for one in sbom["components"]}
    ours = {name for name in there if name.startswith("openpayments-")}
    assert ours == {"openpayments-etl-core", "openpayments-data-pipeline"}
    assert listed == {name: version for name, version in there.items() if name not in ours}
    assert all(reference["hashes"] for one in sbom["components"] for reference in one["externalReferences"])


class TestTheDevelopersEntrypoint:
    """docker/dev-entrypoint.sh with the checkout mounted."""

    @pytest.mark.parametrize("skip", ["0", "1"])
    def test_the_developer_s_entrypoint_runs_the_mounted_sources(self, engine, image, context, skip):
        job_file = context / "packages/data_pipeline/src/data_pipeline/jobs/dropped_in.py"
        job_file.write_text('JOB = (lambda argv: 0, "A job of mine")\n')
        opened(context)
        options = ["-v", f"{context}:/app:ro", "-e", f"SKIP_INSTALL={skip}"]
        options += ["--entrypoint", "/app/docker/dev-entrypoint.sh"]

        answer = engine.run(image, "list", options=options)

        assert answer.returncode == 0, answer.stderr
        assert "dropped_in" in answer.stdout
        # The image has every dependency, so nothing is installed: there is no network.
        assert answer.stderr == ""

    def test_the_developer_s_entrypoint_installs_missing_dependencies_once(self, engine, image, context):
        requirements = context / "docker" / "requirements"
        # A dependency that the image lacks: its build backend.
        shutil.copy(requirements / "build.txt", requirements / "runtime.txt")
        opened(context)
        again = "/app/docker/dev-entrypoint.sh sh -c 'python -c \"import poetry.core as p; print(p.__file__)\"'"
        options = ["-v", f"{context}:/app:ro", *engine.volumes]
        options += ["--entrypoint", "/app/docker/dev-entrypoint.sh"]

        answer = engine.run(image, "sh", "-c", again, options=options, network="host")

        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.startswith("/tmp/dev/poetry/core")
        assert answer.stderr.count("installing into /tmp/dev") == 1

    def test_the_developer_s_entrypoint_reports_that_no_sources_are_mounted(self, engine, image, context):
        options = ["-v", f"{context}/docker:/docker:ro", "--entrypoint", "/docker/dev-entrypoint.sh"]

        answer = engine.run(image, "list", options=options)

        assert answer.returncode == 2
        assert "mount the checkout" in answer.stderr
