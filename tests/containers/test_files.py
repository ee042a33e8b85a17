"""The Dockerfile, .dockerignore and compose.yaml, checked without running them."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
import yaml

from data_pipeline import __version__
from tools import image as image_tool
from tools import isolated

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker/data-pipeline.Dockerfile").read_text()
COMPOSE = (ROOT / "docker/compose.yaml").read_text()
AIRFLOW = (ROOT / "docker/compose.airflow.yaml").read_text()


def instructions():
    whole = re.sub(r"\\\n(\s*#.*\n)*", " ", DOCKERFILE)
    return [line for line in whole.splitlines() if line and not line.startswith("#")]


def test_dependencies_are_installed_with_hashes_before_any_source_is_copied():
    lines = instructions()
    installs = [number for number, line in enumerate(lines) if "--require-hashes" in line]
    sources = [number for number, line in enumerate(lines) if line.startswith("COPY packages")]

    assert installs
    assert sources
    assert max(installs) < min(sources)


def test_every_installation_has_hashes_or_uses_no_index():
    commands = [line for line in instructions() if re.search(r"\bpip\b.* (install|wheel)\b", line)]

    assert len(commands) == 4
    assert [one for one in commands if "--require-hashes" not in one and "--no-index" not in one] == []


def test_the_last_stage_is_the_job_and_its_entrypoint_uses_no_shell():
    last = instructions()[-10:]

    assert [line for line in instructions() if line.startswith("FROM")][-1] == "FROM runtime AS job"
    assert "USER 10001:10001" in last
    assert 'ENTRYPOINT ["data-pipeline"]' in last


def test_the_image_s_version_label_is_the_package_version():
    assert re.findall(r"^ARG VERSION=(.+)$", DOCKERFILE, re.MULTILINE) == [__version__]


def test_a_build_context_has_only_what_the_dockerfile_copies():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert [line for line in lines if line.startswith("!")] == ["!docker/requirements", "!packages"]


@pytest.mark.parametrize("compose", [COMPOSE, AIRFLOW], ids=["jobs", "airflow"])
def test_compose_uses_no_variable_of_the_shell(compose):
    """Compose does that while it reads the file, before `environment:` counts."""
    words = re.sub(r"^\s*#.*$", "", compose, flags=re.MULTILINE)

    assert "$" not in words


def test_compose_runs_the_demo_and_the_real_job_into_the_data_folder():
    services = yaml.safe_load(COMPOSE)["services"]

    assert set(services) == {"job", "demo", "sandbox"}
    for name in ("job", "demo"):
        assert services[name]["image"] == "etl-data-pipeline"
        assert services[name]["volumes"] == ["../data:/app/data"]
        assert services[name]["read_only"] is True
    assert services["demo"]["network_mode"] == "service:sandbox"
    for service in services.values():
        assert (ROOT / "docker" / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).exists()


def test_compose_waits_longer_than_the_grace_period_before_it_kills():
    services = yaml.safe_load(COMPOSE)["services"]

    assert {service["stop_grace_period"] for service in services.values()} == {"60s"}


def test_compose_publishes_airflow_on_loopback_only_and_runs_it_without_privileges():
    services = yaml.safe_load(AIRFLOW)["services"]

    assert set(services) == {
        "postgres", "setup", "api-server", "scheduler", "dag-processor", "triggerer", "sandbox",
    }  # fmt: skip
    assert [service["ports"] for service in services.values() if "ports" in service] == [["127.0.0.1:8080:8080"]]
    ours = [service for name, service in services.items() if name != "postgres"]
    assert {(service["cap_drop"][0], service["read_only"]) for service in ours} == {("ALL", True)}
    for service in ours:
        assert (ROOT / service["build"]["dockerfile"]).exists()
    for name in ("scheduler", "triggerer"):
        assert "--skip-serve-logs" in services[name]["command"]


@pytest.mark.long
@pytest.mark.parametrize("file", ["compose.yaml", "compose.airflow.yaml"])
def test_compose_is_valid_by_the_schema_of_the_compose_specification(file):
    try:
        program = isolated.program("check-jsonschema")
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))

    words = [str(program), "--builtin-schema", "vendor.compose-spec", f"docker/{file}"]
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout


def test_the_developer_s_entrypoint_is_executable_and_replaces_itself_with_the_program():
    path = ROOT / "docker/dev-entrypoint.sh"

    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().rstrip().splitlines()[-1].startswith("exec ")
    subprocess.run(["sh", "-n", path], check=True)


def test_without_a_container_engine_there_is_no_image_builder(tmp_path):
    code = "from tools import image; print(image.builder())"
    words = [sys.executable, "-c", code]
    answer = subprocess.run(words, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)

    assert answer.stdout == "None\n"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_make_image_refuses_a_ca_without_certificates_before_it_builds(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)

    with pytest.raises(SystemExit, match=rf"CA={file}: no certificates in PEM"):
        image_tool.secret_of(str(file))


def test_make_image_passes_a_ca_as_a_secret_and_none_without_one(tmp_path):
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))

    assert image_tool.secret_of(str(file)) == ["--secret", f"id=ca,src={file}"]
    assert image_tool.secret_of("") == []


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        ([], []),
        (["--build-arg", "PYTHON=3.12"], []),
        (["--build-arg", "EXTRAS=lakehouse"], ["lakehouse"]),
        (["--build-arg=EXTRAS=lakehouse spark"], ["lakehouse", "spark"]),
    ],
)
def test_the_contents_that_are_listed_are_those_of_the_extras_that_are_built(words, extras):
    assert image_tool.extras_of(words) == extras


def test_what_an_extra_adds_is_listed_once():
    lines = image_tool.requirements_of(["lakehouse"]).splitlines()

    names = [line.partition("==")[0] for line in lines if "==" in line]
    assert {"duckdb", "pydantic", "kubernetes"} <= set(names)
    assert len(names) == len(set(names))
