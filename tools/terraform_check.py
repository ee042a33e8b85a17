"""Everything about terraform/ that can be proved without an account: ``terraform_check.py [PART …]``.

format    `terraform fmt -check`
validate  `terraform validate` of every module, and of every environment with the provider it locks
test      `terraform test` of every module, with a mocked provider
refuse    what a person is told who gives an address prefix in place of a CIDR block
apply     the minimal environment made, planned again without a difference, and destroyed, against moto, its state in
          a bucket with a lock
scan      checkov, with every suppression used and explained in place

A part whose tool is not here is SKIPPED, aloud and listed at the end; it does not fail the check, for terraform is in
no registry that every machine reaches. All of it works on a copy under .cache/terraform.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a file, it sees its own folder only
from tools import own_env

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "terraform"
CACHE = ROOT / ".cache" / "terraform"
COPY = CACHE / "source"
# Where people and images keep a mirror of providers; a mirror is known by the folder it holds.
MIRRORS = ("/opt/*", "/usr/share/*", "/usr/local/share/*", "/usr/share/terraform/*", "/usr/local/share/terraform/*")
PROVIDER = "registry.terraform.io/hashicorp/aws"
LOCK = ".terraform.lock.hcl"
LIMIT_SECONDS = 600
PREFIX, ITS_BLOCK = "203.0.113.", "203.0.113.0/24"


class SkippedError(Exception):
    """A tool is not here."""


class FailedError(Exception):
    """The part found something."""


@dataclass(frozen=True)
class Tools:
    """What the parts work with."""

    terraform: str | None
    mirror: Path | None

    def run(
        self, folder: Path, *words: str, good: Sequence[int] = (0,), environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One terraform command; raises ``FailedError`` with its words."""
        if self.terraform is None:
            raise SkippedError("there is no terraform on PATH")
        done = self._start(folder, words, environment or {})
        if done.returncode not in good:
            raise FailedError(
                f"terraform {words[0]} in {folder.relative_to(COPY)}:\n{done.stdout[-4000:]}{done.stderr}"
            )
        return done

    def init(self, folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> None:
        """Bring the provider into ``folder``: from a mirror, else from the registry."""
        if self.terraform is None:
            raise SkippedError("there is no terraform on PATH")
        if (folder / ".terraform" / "providers").exists():
            return
        source = (f"-plugin-dir={self.mirror}",) if self.mirror else ()
        # What is locked is what comes, or nothing does.
        locked = ("-lockfile=readonly",) if (folder / LOCK).exists() else ()
        done = self._start(folder, ("init", "-input=false", "-no-color", *words, *source, *locked), environment or {})
        if done.returncode and self.mirror is None and "registry" in done.stderr:
            raise SkippedError(f"there is no folder that holds {PROVIDER}, and the registry is out of reach")
        if done.returncode:
            raise FailedError(f"terraform init in {folder.relative_to(COPY)}:\n{done.stdout}{done.stderr}")

    def _start(
        self, folder: Path, words: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.terraform), *words],
            cwd=folder,
            env={**neutral(os.environ), **environment},
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )


def neutral(outside: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without anything that reaches an account or changes what terraform does."""
    kept = {name: value for name, value in outside.items() if not name.startswith(("AWS_", "TF_"))}
    return kept | {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "us-west-1",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }


def find_tools() -> Tools:
    named = os.environ.get("TF_PLUGIN_MIRROR")
    homes = (Path.home() / ".terraform.d" / "plugins", Path("/usr/share/terraform/plugins"))
    found = [Path(named)] if named else []
    found += [*homes, *(path for pattern in MIRRORS for path in sorted(Path("/").glob(pattern[1:])))]
    return Tools(shutil.which("terraform"), next((path for path in found if (path / PROVIDER).is_dir()), None))


def modules() -> list[Path]:
    return sorted(path.parent for path in COPY.glob("modules/*/main.tf"))


def environments() -> list[Path]:
    return sorted(path.parent for path in COPY.glob("environments/*/main.tf"))


def check_format(tools: Tools) -> str:
    tools.run(COPY, "fmt", "-check", "-diff", "-recursive", "-no-color")
    return "as terraform fmt writes it"


def check_validate(tools: Tools) -> str:
    for folder in (*modules(), *environments()):
        tools.init(folder, "-backend=false")
        tools.run(folder, "validate", "-no-color")
    return f"{len(modules())} modules, {len(environments())} environments with the provider they lock"


def check_test(tools: Tools) -> str:
    runs = 0
    for folder in modules():
        tools.init(folder, "-backend=false")
        said = tools.run(folder, "test", "-no-color").stdout
        passed = re.search(r"(\d+) passed, 0 failed", said)
        if passed is None or int(passed[1]) == 0:
            raise FailedError(f"{folder.name} has no tests of its own:\n{said}")
        runs += int(passed[1])
    return f"{runs} runs in {len(modules())} modules"


def check_refuse(tools: Tools) -> str:
    folder = COPY / "environments" / "dev"
    # The values of a plan are looked at before anybody is asked anything.
    local = 'terraform {\n  backend "local" {}\n}\n'
    with overridden(folder, local):
        tools.init(folder)
        given = ("-var=suffix=test", f'-var=ssh_cidrs=["{PREFIX}"]', "-var=ssh_public_key=ssh-ed25519 AAAA me")
        said = tools.run(folder, "plan", "-no-color", "-input=false", *given, good=(1,)).stderr
    words = re.sub(r"[\s│]+", " ", said)
    wanted = f'Write "{ITS_BLOCK}" instead of "{PREFIX}".'
    if wanted not in words:
        raise FailedError(f"a person who writes {PREFIX} is not told {wanted!r}:\n{said}")
    return f'"{PREFIX}" is answered with "{ITS_BLOCK}"'


@contextlib.contextmanager
def overridden(folder: Path, text: str) -> Iterator[None]:
    """With a file that terraform merges over the others; initialised state of another backend is dropped."""
    override = folder / "check_override.tf"
    override.write_text(text)
    shutil.rmtree(folder / ".terraform", ignore_errors=True)
    try:
        yield
    finally:
        override.unlink()
        shutil.rmtree(folder / ".terraform", ignore_errors=True)


SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
# An address of digits has no room for a bucket's name before it.
FOR_MOTO = """
provider "aws" {
  s3_use_path_style           = true
  skip_credentials_validation = true
}
"""
STATE = [
    f"-backend-config={one}"
    for one in (
        "bucket=state",
        "region=us-west-1",
        "use_path_style=true",
        "skip_credentials_validation=true",
        "skip_requesting_account_id=true",
    )
]


@contextlib.contextmanager
def moto() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=neutral(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None  # noqa: S101 - asked for above
        assert process.stdout is not None  # noqa: S101 - likewise
        try:
            line = process.stdout.readline()
            if not line:
                raise SkippedError("moto's server does not start: `make install`")
            yield f"http://127.0.0.1:{int(line)}"
        finally:
            process.stdin.close()
            process.kill()


def check_apply(tools: Tools) -> str:
    folder = COPY / "environments" / "minimal"
    given = ("-no-color", "-input=false", "-var=suffix=test", "-var=force_destroy=true")
    with moto() as endpoint, overridden(folder, FOR_MOTO):
        there = {"AWS_ENDPOINT_URL": endpoint, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        # As an operator makes the bucket of the state before the first init.
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/state", method="PUT", data=LOCATION), timeout=30)
        tools.init(folder, *STATE, environment=there)
        made = tools.run(folder, "apply", "-auto-approve", *given, environment=there).stdout
        # 2, a difference, is no good end.
        tools.run(folder, "plan", "-detailed-exitcode", *given, environment=there)
        outputs = json.loads(tools.run(folder, "output", "-json", environment=there).stdout)
        url = outputs["lake_url"]["value"]
        if url != "s3://openpayments-dezoomcamp2026-us-west-1-test":
            raise FailedError(f"the lake is {url}")
        tools.run(folder, "destroy", "-auto-approve", *given, environment=there)
        if exists(f"{endpoint}/{url.removeprefix('s3://')}"):
            raise FailedError("the bucket outlived destroy")
    count = re.search(r"Resources: (\d+) added", made)
    return f"{count[1] if count else '?'} resources made, second plan empty, destroyed; state in a bucket with a lock"


LOCATION = b"<CreateBucketConfiguration><LocationConstraint>us-west-1</LocationConstraint></CreateBucketConfiguration>"


def exists(url: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30)
    except urllib.error.HTTPError:
        return False
    return True


def check_scan(_tools: Tools) -> str:
    try:
        program = own_env.program("checkov")
    except own_env.NotThereError as error:
        raise SkippedError(str(error)) from error
    done = subprocess.run(
        [str(program), "-d", str(COPY), "--framework", "terraform", "--output", "json", "--skip-download"],
        env=neutral(os.environ),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise FailedError(f"checkov said:\n{done.stdout}{done.stderr}") from error
    results = (answer[0] if isinstance(answer, list) else answer)["results"]
    failed = [f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in results["failed_checks"]]
    if failed:
        raise FailedError("\n".join(failed))
    explained = suppressions()
    used = {one["check_id"] for one in results["skipped_checks"]}
    idle = sorted(explained - used)
    if idle:
        raise FailedError(f"suppressed, and not found any more: {', '.join(idle)}")
    return f"{len(results['passed_checks'])} passed, {len(explained)} rules suppressed with their reason"


def suppressions() -> set[str]:
    """Rules suppressed in the source; one without a reason fails."""
    found = set()
    for path in COPY.rglob("*.tf"):
        for line in re.findall(r"checkov:skip=.*", path.read_text(encoding="utf-8")):
            match = re.fullmatch(r"checkov:skip=(\w+):(.{20,})", line)
            if match is None:
                raise FailedError(f"{path.relative_to(COPY)}: {line} gives no reason")
            found.add(match[1])
    return found


PARTS: dict[str, Callable[[Tools], str]] = {
    "format": check_format,
    "validate": check_validate,
    "test": check_test,
    "refuse": check_refuse,
    "apply": check_apply,
    "scan": check_scan,
}


def run(part: Callable[[Tools], str], tools: Tools) -> tuple[str, str]:
    """One part: its verdict and its words."""
    try:
        return "ok", part(tools)
    except SkippedError as reason:
        return "SKIPPED", str(reason)
    except FailedError as found:
        return "FAILED", str(found)
    except subprocess.TimeoutExpired as error:
        return "FAILED", f"stopped after {error.timeout:g} s"


def run_all(parts: Mapping[str, Callable[[Tools], str]], tools: Tools) -> int:
    """Every part, whatever the others said; the number that failed."""
    lines, verdicts = [], []
    for name, part in parts.items():
        started = time.monotonic()
        verdict, words = run(part, tools)
        if verdict == "FAILED":
            print(f"\n── {name}\n{words}", flush=True)
        first = words.splitlines()[0] if words else ""
        lines.append(f"{name:<10}{time.monotonic() - started:6.1f} s  {verdict:<8} {first}")
        print(lines[-1], flush=True)
        verdicts.append(verdict)
    skipped = [name for name, verdict in zip(parts, verdicts, strict=True) if verdict == "SKIPPED"]
    print(f"\n{verdicts.count('ok')} passed, {verdicts.count('FAILED')} failed, {len(skipped)} skipped", flush=True)
    if skipped:
        print(f"NOT PROVED HERE: {', '.join(skipped)}")
    return verdicts.count("FAILED")


def copy_source(source: Path) -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    leave_out: Any = shutil.ignore_patterns(".terraform", "*.tfstate*", "terraform.tfvars")
    shutil.copytree(source, COPY, ignore=leave_out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all by default")
    names: list[str] = parser.parse_args().names or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    copy_source(SOURCE)
    return 1 if run_all({name: PARTS[name] for name in names}, find_tools()) else 0


if __name__ == "__main__":
    sys.exit(main())
