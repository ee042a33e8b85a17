"""terraform/ by Terraform itself and by checkov, without an account: on a copy, against a mocked provider or moto."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.infrastructure.sources import TERRAFORM
from tools import checkov, isolated

pytestmark = pytest.mark.long

# Where people and images keep a mirror of providers; a mirror is known by the folder it has.
MIRRORS = ("opt/*", "usr/share/*", "usr/local/share/*", "usr/share/terraform/*", "usr/local/share/terraform/*")
PROVIDER = "registry.terraform.io/hashicorp/aws"
MODULES, ENVIRONMENTS = (
    sorted(path.parent.relative_to(TERRAFORM) for path in TERRAFORM.glob(f"{kind}/*/main.tf"))
    for kind in ("modules", "environments")
)


class Terraform:
    """Terraform on a copy of the sources, with no way to an account."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "us-west-1",
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
        }
        named = os.environ.get("TF_PLUGIN_MIRROR")
        candidates = [Path(named)] if named else []
        candidates += [Path.home() / ".terraform.d/plugins", Path("/usr/share/terraform/plugins")]
        candidates += [path for pattern in MIRRORS for path in sorted(Path("/").glob(pattern))]
        self.mirror = next((path for path in candidates if (path / PROVIDER).is_dir()), None)

    def start(self, folder, *words):
        command = ["terraform", *words]
        return subprocess.run(
            command, cwd=self.root / folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def run(self, folder, *words):
        result = self.start(folder, *words)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr
        return result.stdout

    def init(self, folder, *words):
        source = [f"-plugin-dir={self.mirror}"] if self.mirror else []
        locked = ["-lockfile=readonly"] if (self.root / folder / ".terraform.lock.hcl").exists() else []
        result = self.start(folder, "init", "-input=false", "-no-color", *words, *source, *locked)
        if result.returncode and self.mirror is None and "registry" in result.stderr:
            pytest.skip(f"no folder holds {PROVIDER}, and the registry cannot be reached")
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def copy(tmp_path):
    leave_out = shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars")
    return Path(shutil.copytree(TERRAFORM, tmp_path / "terraform", ignore=leave_out))


@pytest.fixture
def terraform(copy):
    if shutil.which("terraform") is None:
        pytest.skip("there is no terraform on PATH")
    return Terraform(copy)


def test_every_file_is_formatted(terraform):
    terraform.run(".", "fmt", "-check", "-diff", "-recursive", "-no-color")


@pytest.mark.parametrize("folder", ENVIRONMENTS, ids=str)
def test_every_environment_is_valid_with_the_provider_it_locks(terraform, folder):
    terraform.init(folder, "-backend=false")
    terraform.run(folder, "validate", "-no-color")


@pytest.mark.parametrize("folder", MODULES, ids=str)
def test_every_module_passes_its_own_tests(terraform, folder):
    terraform.init(folder, "-backend=false")

    assert re.search(r"[1-9]\d* passed, 0 failed", terraform.run(folder, "test", "-no-color"))


SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
# A host that is an IP address leaves no room for the bucket's name before it.
FOR_MOTO = 'provider "aws" {\n  s3_use_path_style = true\n  skip_credentials_validation = true\n}\n'
STATE = ("bucket=state", "region=us-west-1", "use_path_style=true", "skip_credentials_validation=true",
         "skip_requesting_account_id=true")  # fmt: skip
LOCATION = b"<CreateBucketConfiguration><LocationConstraint>us-west-1</LocationConstraint></CreateBucketConfiguration>"


@pytest.fixture
def moto(terraform):
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command,
        env=terraform.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.communicate()  # closes its stdin, which ends it


def request(method, url, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, method=method, data=data), timeout=30):
        pass


def test_the_minimal_environment_is_applied_needs_no_second_apply_and_is_destroyed(terraform, moto):
    terraform.environment |= {"AWS_ENDPOINT_URL": moto, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    folder = Path("environments/minimal")
    (terraform.root / folder / "moto_override.tf").write_text(FOR_MOTO)
    given = ("-no-color", "-input=false", "-var=suffix=test", "-var=force_destroy=true")
    # An operator creates the bucket of the state before the first init.
    request("PUT", f"{moto}/state", LOCATION)
    terraform.init(folder, *(f"-backend-config={one}" for one in STATE))

    terraform.run(folder, "apply", "-auto-approve", *given)
    terraform.run(folder, "plan", "-detailed-exitcode", *given)  # its status is 2 where there is a difference
    lake = json.loads(terraform.run(folder, "output", "-json"))["lake_url"]["value"]
    assert lake == "s3://openpayments-dezoomcamp2026-us-west-1-test"
    bucket = f"{moto}/{lake.removeprefix('s3://')}"
    request("HEAD", bucket)
    terraform.run(folder, "destroy", "-auto-approve", *given)

    with pytest.raises(urllib.error.HTTPError, match="404"):
        request("HEAD", bucket)


def test_checkov_finds_only_what_is_suppressed_with_a_reason_and_every_suppression_is_used(copy):
    try:
        found = checkov.scan(copy, "terraform")
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))

    assert [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in found["failed_checks"]] == []
    lines = [line for path in copy.rglob("*.tf") for line in re.findall(r"checkov:skip=.*", path.read_text())]
    assert [line for line in lines if not re.fullmatch(r"checkov:skip=\w+:.{20,}", line)] == []
    suppressed = {re.split("[=:]", line)[2] for line in lines}
    assert suppressed == {one["check_id"] for one in found["skipped_checks"]}
