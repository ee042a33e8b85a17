"""The runner's first boot, run in a folder that stands for its disk: what it calls, in which order, and only once."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infrastructure.sources import TERRAFORM

MODULE = TERRAFORM / "modules" / "runner"
# Everything that would touch the machine, as a recorder; coreutils and bash are the real ones.
RECORDER = """#!/bin/bash
printf '%s' "$(basename "$0")" >>"$CALLS"; printf ' %s' "$@" >>"$CALLS"; echo >>"$CALLS"
"""
FAKES = {
    "dnf": 'for one in "${@:3}"; do touch "$STATE/rpm-$one"; done',
    "rpm": '[ -e "$STATE/rpm-$2" ]',
    "systemctl": 'case "$1" in is-active) [ -e "$STATE/active" ];; enable) touch "$STATE/active";; esac',
    "id": 'echo "ec2-user $(cat "$STATE/groups" 2>/dev/null)"',
    "usermod": 'echo docker >"$STATE/groups"',
    "uname": 'echo "$MACHINE"',
    "curl": 'while [ "$#" -gt 2 ]; do [ "$1" = --output ] && out="$2"; shift; done; '
    'if [ -s "$STATE/curl-fails" ]; then sed -i 1d "$STATE/curl-fails"; exit 22; fi; '
    'printf "%s" "${BODY:-content of $(basename "$2")}" >"$out"',
    "git": 'case "$1" in clone) mkdir -p "${@: -1}/.git";; --version) echo git version 2;; esac',
    "docker": "echo docker $1 version",
    "chown": "true",
    "sleep": "true",
}
PROGRAMS = ("bash", "basename", "cat", "chmod", "cut", "date", "dirname", "env", "grep", "mkdir", "mv", "rm", "rmdir",
            "sed", "sha256sum", "tail", "touch")  # fmt: skip


def rendered(repository_url="https://example.org/data-pipeline.git"):
    """As ``templatefile`` fills it in, with checksums of what the recorder of curl delivers."""
    plugins = json.loads((MODULE / "plugins.json").read_text())
    text = (MODULE / "user_data.sh.tftpl").read_text().replace("$${", "\0")
    for name, plugin in plugins.items():
        text = text.replace(f"${{{name}.url}}", plugin["url"])
        for machine in ("x86_64", "aarch64"):
            file = plugin[machine]["file"]
            body = f"content of {(plugin['url'] + file).rpartition('/')[2]}"
            text = text.replace(f"${{{name}.{machine}.file}}", file)
            text = text.replace(f"${{{name}.{machine}.sha256}}", hashlib.sha256(body.encode()).hexdigest())
    values = {"repository_url": repository_url, "revision": "v0.1.0", "lake_url": "s3://lake", "region": "us-west-1"}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text, "a value of the template is not filled in"
    return text.replace("\0", "${")


class Machine:
    """A folder for a disk, a folder for what the fakes remember, and a PATH of fakes."""

    def __init__(self, folder: Path) -> None:
        self.disk, self.state, self.calls = folder / "disk", folder / "state", folder / "calls"
        bin_folder = folder / "bin"
        for one in (self.disk, self.state, bin_folder):
            one.mkdir()
        for name in PROGRAMS:
            (bin_folder / name).symlink_to(str(shutil.which(name)))
        for name, does in FAKES.items():
            (bin_folder / name).write_text(f"{RECORDER}{does}\n")
            (bin_folder / name).chmod(0o755)
        self.environment = {
            "PATH": str(bin_folder), "CALLS": str(self.calls), "STATE": str(self.state), "MACHINE": "x86_64",
            "BOOTSTRAP_ROOT": str(self.disk),
        }  # fmt: skip
        self.script = folder / "user_data.sh"
        self.script.write_text(rendered())

    def boot(self, **environment):
        """The status and what was called, without questions."""
        self.calls.write_text("")
        done = subprocess.run(
            [str(shutil.which("bash")), str(self.script)],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.console = done.stdout
        questions = ("rpm -q", "id ", "uname", "systemctl is-active", "git --version", "docker ", "sleep")
        return done.returncode, [call for call in self.calls.read_text().splitlines() if not call.startswith(questions)]

    @property
    def log(self):
        return (self.disk / "var/log/user-data.log").read_text()

    def plugin(self, name):
        return self.disk / "usr/local/lib/docker/cli-plugins" / f"docker-{name}"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def short(calls):
    return [" ".join(call.split()[:2]) for call in calls]


def test_the_first_boot_installs_in_an_order_that_works(machine):
    status, calls = machine.boot()

    assert status == 0, machine.log
    assert short(calls) == [
        "dnf install",
        "systemctl enable",
        "usermod -aG",
        "curl --fail",
        "curl --fail",
        "git clone",
        "git -C",
        "chown -R",
    ]
    assert calls[0] == "dnf install -y git docker make python3.11", (
        "compose is in no repository of AL2023, its buildx is too old"
    )
    assert calls[2] == "usermod -aG docker ec2-user"
    for name in ("compose", "buildx"):
        assert os.access(machine.plugin(name), os.X_OK)
    said = (machine.disk / "opt/data-pipeline/.env").read_text()
    assert said == "LAKE_URL=s3://lake\nAWS_REGION=us-west-1\nAWS_DEFAULT_REGION=us-west-1\n"
    assert machine.log.rstrip().endswith("done")


def test_a_second_run_does_nothing_twice(machine):
    machine.boot()
    (machine.disk / "opt/data-pipeline/.env").write_text("LAKE_URL=s3://mine\n")

    status, calls = machine.boot()

    assert (status, short(calls)) == (0, ["chown -R"])
    assert (machine.disk / "opt/data-pipeline/.env").read_text() == "LAKE_URL=s3://mine\n", "a person's change stays"


@pytest.mark.parametrize(("of", "compose", "buildx"), [("x86_64", "x86_64", "amd64"), ("aarch64", "aarch64", "arm64")])
def test_the_plugins_are_those_of_the_machine_s_architecture(machine, of, compose, buildx):
    status, calls = machine.boot(MACHINE=of)

    addresses = [call.split()[-1] for call in calls if call.startswith("curl")]
    assert status == 0
    assert [address.rpartition("-")[2] for address in addresses] == [compose, buildx]


def test_an_architecture_without_plugins_is_named(machine):
    status, _ = machine.boot(MACHINE="riscv64")

    assert status != 0
    assert "no plugins are known for riscv64" in machine.log
    assert "FAILED with status 1" in machine.log


def test_what_failed_is_named_on_the_console_for_those_who_cannot_log_in(machine):
    assert machine.boot()[0] == 0
    assert machine.console == ""
    (machine.state / "curl-fails").write_text("x\n" * 5)
    machine.plugin("compose").unlink()

    status, _ = machine.boot()

    assert status != 0
    *_, tried, failed = machine.console.splitlines()
    assert "try 5 failed: curl --fail" in tried
    assert "user-data FAILED with status 1 in line " in failed


def test_a_plugin_that_is_not_what_was_promised_is_not_installed(machine):
    status, _ = machine.boot(BODY="something else")

    assert status != 0
    assert "docker-compose is not what was promised" in machine.log
    assert not list(machine.plugin("compose").parent.iterdir())


def test_a_mirror_that_answers_late_is_asked_again(machine):
    (machine.state / "curl-fails").write_text("once\ntwice\n")

    status, calls = machine.boot()

    assert status == 0, machine.log
    assert short(calls).count("curl --fail") == 4


def test_a_boot_that_broke_off_is_finished_by_the_next(machine):
    (machine.state / "curl-fails").write_text("x\n" * 5)
    assert machine.boot()[0] != 0

    status, calls = machine.boot()

    assert status == 0
    assert "dnf install" not in short(calls)
    assert short(calls).count("curl --fail") == 2


def test_without_a_repository_the_rest_is_there(machine):
    machine.script.write_text(rendered(repository_url=""))

    status, calls = machine.boot()

    assert status == 0
    assert "git clone" not in short(calls)
    assert (machine.disk / "opt/data-pipeline/.env").exists()


def test_every_plugin_has_a_checksum_for_both_architectures():
    for plugin in json.loads((MODULE / "plugins.json").read_text()).values():
        assert plugin["version"] in plugin["url"]
        for machine in ("x86_64", "aarch64"):
            assert len(bytes.fromhex(plugin[machine]["sha256"])) == 32


def test_shellcheck_has_nothing_to_say(machine):
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("SKIPPED: there is no shellcheck here")
    done = subprocess.run([program, str(machine.script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""
