"""What can be checked of k8s/ without a cluster: strict schemas, and what kustomize renders.

Schemas know no defaults and no rules between fields: only a real API server does.
"""

import json
import subprocess
import warnings
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from tools import debian, isolated

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
SUPPORTED = ("1.31.0", "1.37.0")  # the oldest and the newest
RENDERED = ("base", "overlays/local", "overlays/eks", "examples")
# Debian 12's kubectl, 1.20, has a kustomize that knows neither components nor replacements.
OLDEST_KUBECTL = (1, 22)


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document is not None]


def schema_faults(document, version):
    """Why a version of Kubernetes would refuse a document."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the validator's own dependencies
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(one) for one in error.path)
            return [
                f"Kubernetes {version}: {document['kind']} {document['metadata']['name']}: {where}: {error.message}"
            ]
    return []


def complete_files():
    """Manifests that are whole objects: neither kustomize's own files nor patches."""
    for path in sorted(K8S.rglob("*.yaml")):
        if path.name != "kustomization.yaml" and path.name not in patches_of(path.parent):
            yield path


def patches_of(folder):
    kustomization = folder / "kustomization.yaml"
    if not kustomization.exists():
        return set()
    return {patch["path"] for patch in yaml.safe_load(kustomization.read_text()).get("patches", [])}


def kubectl():
    """A kubectl that is new enough: the one on PATH or Debian's; without one the test is skipped."""
    command = ["kubectl", "version", "--client", "-o", "json"]
    try:
        client = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["clientVersion"]
        if (int(client["major"]), int(client["minor"].rstrip("+"))) >= OLDEST_KUBECTL:
            return "kubectl"
    except (OSError, subprocess.CalledProcessError):
        pass
    try:
        folder = debian.unpack({"kubernetes-client": ["/usr/bin/kubectl"]}, ROOT / ".cache" / "kubectl")
    except isolated.UnavailableError as reason:
        pytest.skip(f"there is no kubectl of {'.'.join(map(str, OLDEST_KUBECTL))} or newer, and {reason}")
    return str(folder / "kubectl")


def rendered(name):
    """The text that kustomize makes of a folder of k8s/."""
    result = subprocess.run([kubectl(), "kustomize", K8S / name], capture_output=True, text=True, check=False)
    # kustomize warns of what its next version refuses.
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr, result.stderr
    return result.stdout
