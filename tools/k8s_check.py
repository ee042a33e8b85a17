"""``make k8s-check``: what can be said of k8s/ without a cluster.

made      the generated manifests are what the code says
schemas   every file passes the strict schemas of the oldest and the newest Kubernetes we support
rendered  what kustomize makes of the base, the overlays and the examples passes them too
policy    checkov finds nothing but what is excused below, with a reason

A part whose tool cannot be had here says SKIPPED and why. Schemas know no defaults and no rules between fields: only
a real API server does.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a file, it sees its own folder only
from tools import debian, k8s_examples, own_env

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "kubectl"
SUPPORTED = ("1.31.0", "1.37.0")
RENDERED = ("base", "overlays/local", "overlays/eks", "examples")
# 1.32: Debian 12's, 1.20, has a kustomize that knows neither components nor replacements.
KUBECTL = {"kubernetes-client": ["/usr/bin/kubectl"]}
OLDEST_KUBECTL = (1, 22)

# What checkov says and we do not follow: where, by a pattern, and why.
EXCUSED = {
    "CKV_K8S_11": (".", "No limit of CPU: it would slow a job beside an idle processor; requests share a busy one."),
    "CKV_K8S_15": (r"^Job\.|overlays-local", "A version's tag does not move; overlays/local loads its image."),
    "CKV_K8S_35": ("overlays-local", "boto3 reads keys from the environment; on EKS there are none."),
    "CKV_K8S_38": ("newest-year|fan-out", "Creating Jobs is what these pods are for; only they mount a token."),
    "CKV_K8S_43": (r"^Job\.|overlays-local", "Examples and overlays/local have a tag; a test holds eks to its digest."),
    "CKV2_K8S_6": (r"^Job\.|^Pod\.", "Examples are scanned beside the base, whose policies select every pod of ours."),
    "CKV_DOCKER_2": (".", "Jobs end; there is nobody to ask for their health. The sandbox's check is in compose.yaml."),
    "CKV_DOCKER_7": ("FROM", "The tag, 3.11-slim, is in an argument, which checkov does not read."),
}

Document = dict[str, Any]


class SkippedError(Exception):
    """This part cannot be done here; the text says why."""


def documents(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document is not None]


def schema_faults(document: Document, version: str) -> list[str]:
    """What a version of Kubernetes would not take of one document."""
    import kubernetes_validate  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the validator's own dependencies
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(one) for one in error.path)
            return [
                f"Kubernetes {version}: {document['kind']} {document['metadata']['name']}: {where}: {error.message}"
            ]
    return []


def whole_files(root: Path) -> Iterator[Path]:
    """Manifests that are objects by themselves: neither kustomize's own files nor patches."""
    for path in sorted((root / k8s_examples.K8S).rglob("*.yaml")):
        if path.name != "kustomization.yaml" and path.name not in patches_of(path.parent):
            yield path


def patches_of(folder: Path) -> set[str]:
    kustomization = folder / "kustomization.yaml"
    if not kustomization.exists():
        return set()
    (document,) = documents(kustomization.read_text(encoding="utf-8"))
    return {patch["path"] for patch in document.get("patches", [])}


def kustomizer() -> list[str]:
    """The words of a program that renders a folder.

    Raises:
        SkippedError: there is none here.

    """
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    kubectl = shutil.which("kubectl")
    if kubectl is None or _version_of(kubectl) < OLDEST_KUBECTL:
        kubectl = str(_kubectl_of_debian())
    return [kubectl, "kustomize"]


def _version_of(kubectl: str) -> tuple[int, int]:
    words = [kubectl, "version", "--client", "-o", "json"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    match = re.search(r'"gitVersion": "v(\d+)\.(\d+)', answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _kubectl_of_debian() -> Path:
    try:
        return debian.unpack(KUBECTL, CACHE) / "kubectl"
    except own_env.NotThereError as reason:
        raise SkippedError(f"there is no kubectl of 1.22 or newer, and {reason}") from reason


def rendered(folder: Path) -> str:
    """What kustomize makes of a folder; RuntimeError with its words where it refuses."""
    answer = subprocess.run([*kustomizer(), str(folder)], capture_output=True, text=True, check=False)
    # Warnings are of what the next version refuses.
    if answer.returncode or "Warning" in answer.stderr:
        raise RuntimeError(f"{folder}: {answer.stderr.strip()}")
    return answer.stdout


def write_rendered(root: Path, folder: Path) -> None:
    """All that is applied or built, in one folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in RENDERED[1:]:
        (folder / f"{name.replace('/', '-')}.yaml").write_text(rendered(root / k8s_examples.K8S / name))
    shutil.copy(root / "docker" / "data-pipeline.Dockerfile", folder / "data-pipeline.Dockerfile")


def policy_findings(folder: Path) -> tuple[int, list[str]]:
    """How many of checkov's checks a folder's files passed, and what it says of them that is not excused."""
    try:
        checkov = own_env.program("checkov")
    except own_env.NotThereError as error:
        raise SkippedError(str(error)) from error
    # From inside: below a folder whose name begins with a dot, checkov would see nothing.
    words = [str(checkov), "-d", ".", "--framework", "kubernetes", "dockerfile", "--skip-download"]
    words += ["--output", "json", "--quiet", "--compact"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    try:
        said = json.loads(answer.stdout)
    except ValueError:
        raise RuntimeError(f"checkov said nothing that can be read: {answer.stderr.strip()[-500:]}") from None
    reports = said if isinstance(said, list) else [said]
    if {report["check_type"] for report in reports} != {"kubernetes", "dockerfile"}:
        raise RuntimeError("checkov has not looked at both the manifests and the Dockerfile")
    found = [
        (one["check_id"], one["check_name"], f"{one['resource']} in {Path(one['file_path']).name}")
        for report in reports
        for one in report["results"]["failed_checks"]
    ]
    unexcused = [f"{check} {says}: {where}" for check, says, where in found if not _excused(check, where)]
    return sum(report["summary"]["passed"] for report in reports), unexcused


def _excused(check: str, where: str) -> bool:
    return check in EXCUSED and re.search(EXCUSED[check][0], where) is not None


def made() -> str:
    found = k8s_examples.faults(ROOT)
    if found:
        raise RuntimeError("\n".join(found))
    return f"{len(list(k8s_examples.files()))} files"


def schemas() -> str:
    count, found = 0, []
    for path in whole_files(ROOT):
        for document in documents(path.read_text(encoding="utf-8")):
            count += 1
            for version in SUPPORTED:
                found += [f"{path.relative_to(ROOT)}: {fault}" for fault in schema_faults(document, version)]
    if found:
        raise RuntimeError("\n".join(found))
    return f"{count} objects, Kubernetes {' and '.join(SUPPORTED)}"


def render() -> str:
    count, found = 0, []
    for name in RENDERED:
        for document in documents(rendered(ROOT / k8s_examples.K8S / name)):
            count += 1
            for version in SUPPORTED:
                found += [f"{name}: {fault}" for fault in schema_faults(document, version)]
    if found:
        raise RuntimeError("\n".join(found))
    return f"{count} objects of {', '.join(RENDERED)} by {Path(kustomizer()[0]).name}"


def policy() -> str:
    folder = ROOT / ".cache" / "k8s-policy"
    write_rendered(ROOT, folder)
    passed, found = policy_findings(folder)
    if found:
        raise RuntimeError("\n".join(found))
    return f"{passed} checks of checkov passed; excused: {', '.join(EXCUSED)}"


PARTS: dict[str, Callable[[], str]] = {"made": made, "schemas": schemas, "rendered": render, "policy": policy}


def main() -> int:
    failed = 0
    for name, part in PARTS.items():
        try:
            verdict = f"ok ({part()})"
        except SkippedError as reason:
            verdict = f"SKIPPED: {reason}"
        except RuntimeError as error:
            failed += 1
            verdict = f"FAILED\n{error}"
        print(f"{name:<9} {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
