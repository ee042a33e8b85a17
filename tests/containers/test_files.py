"""The Dockerfile, .dockerignore and compose.yaml, as far as reading them says."""

import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from data_pipeline import __version__
from tools import isolated

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker/data-pipeline.Dockerfile").read_text()
COMPOSE = (ROOT / "docker/compose.yaml").read_text()


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


def test_every_install_is_hashed_or_reaches_no_index():
    commands = [line for line in instructions() if re.search(r"\bpip\b.* (install|wheel)\b", line)]

    assert len(commands) == 3
    assert [one for one in commands if "--require-hashes" not in one and "--no-index" not in one] == []


def test_the_last_stage_is_the_job_s_and_ends_as_words_not_as_a_shell_s_line():
    last = instructions()[-10:]

    assert [line for line in instructions() if line.startswith("FROM")][-1] == "FROM runtime AS job"
    assert "USER 10001:10001" in last
    assert 'ENTRYPOINT ["data-pipeline"]' in last


def test_the_version_on_the_label_is_the_packages():
    assert re.findall(r"^ARG VERSION=(.+)$", DOCKERFILE, re.MULTILINE) == [__version__]


def test_a_build_is_given_nothing_but_what_the_dockerfile_takes():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

    assert lines[0] == "*"
    assert [line for line in lines if line.startswith("!")] == ["!docker/requirements", "!packages"]


def test_compose_fills_in_no_variable():
    """Compose does that while it reads the file, before `environment:` counts."""
    words = re.sub(r"^\s*#.*$", "", COMPOSE, flags=re.MULTILINE)

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


def test_no_service_is_stopped_before_its_grace_is_over():
    services = yaml.safe_load(COMPOSE)["services"]

    assert {service["stop_grace_period"] for service in services.values()} == {"60s"}


@pytest.mark.long
def test_compose_is_what_the_compose_specification_s_schema_allows():
    try:
        program = isolated.program("check-jsonschema")
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))

    words = [str(program), "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"]
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout


def test_the_developer_s_entrypoint_can_be_started_and_ends_as_the_program():
    path = ROOT / "docker/dev-entrypoint.sh"

    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().rstrip().splitlines()[-1].startswith("exec ")
    subprocess.run(["sh", "-n", path], check=True)


def test_where_nothing_can_build_an_image_that_is_said_and_is_no_failure(tmp_path):
    code = "from tools import image; print(image.builder())"
    words = [sys.executable, "-c", code]
    answer = subprocess.run(words, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)

    assert answer.stdout == "None\n"
