"""The eks overlay's own facts from Terraform's outputs: ``terraform output -json | overlay.py write k8s/overlays/eks``.

Writes ``generated.yaml`` there: the settings and the region of the jobs, the role of each service account and the
image by its digest. What a person decides (schedules, limits) stays in the overlay's other files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "generated.yaml"
NAMESPACE = "data-pipeline"
SETTINGS = "data-pipeline-settings"
CRON_JOB = "data-pipeline-newest-year"
ACCOUNTS = ("data-pipeline-fan-out", "data-pipeline-worker", "data-pipeline-runner", "data-pipeline-metadata")
HEADER = """# Made by tools/overlay.py, not by hand:
# terraform output -json | python tools/overlay.py write k8s/overlays/eks --digest sha256:…
"""
# Until an image is pushed there is none to name; a pod with this one says ErrImagePull, and which digest it misses.
NO_DIGEST = "sha256:" + "0" * 64


class OutputsError(Exception):
    """What came on stdin is not what an environment of ours puts out."""


def value(outputs: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - JSON
    """One output, or a letter about what to do."""
    try:
        return outputs[name]["value"]
    except (KeyError, TypeError):
        raise OutputsError(
            f"there is no output {name}: run `terraform output -json` in terraform/environments/dev or prod, applied."
        ) from None


def documents(outputs: Mapping[str, Any], digest: str) -> list[dict[str, Any]]:
    """The patches, as kustomize merges them over the base."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise OutputsError(f"{digest!r} is no digest: it is what pushing the image printed, sha256: and 64 digits.")
    roles, region = value(outputs, "service_accounts"), value(outputs, "region")
    missing = [name for name in ACCOUNTS if name not in roles]
    if missing:
        raise OutputsError(f"the output service_accounts has no role for {', '.join(missing)}.")
    settings = {"LAKE_URL": value(outputs, "lake_url"), "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    image = f"{value(outputs, 'image_repository')}@{digest}"
    pod = {"containers": [{"name": "job", "image": image}]}
    accounts = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata(name) | {"annotations": {"eks.amazonaws.com/role-arn": roles[name]}},
        }
        for name in ACCOUNTS
    ]
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(SETTINGS), "data": settings},
        *accounts,
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata(CRON_JOB),
            "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}},
        },
    ]


def metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE}


def written(outputs: Mapping[str, Any], digest: str) -> str:
    """The file's text."""
    import yaml

    return HEADER + yaml.safe_dump_all(documents(outputs, digest), sort_keys=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "show"])
    parser.add_argument("overlay", type=Path, help="folder of the overlay")
    parser.add_argument("--digest", default=NO_DIGEST, help="of the pushed image, sha256:…")
    arguments = parser.parse_args()
    try:
        text = written(json.load(sys.stdin), arguments.digest)
    except (OutputsError, ValueError) as error:
        print(f"overlay.py: {error}", file=sys.stderr)
        return 3
    if arguments.action == "show":
        print(text, end="")
        return 0
    (arguments.overlay / NAME).write_text(text, encoding="utf-8")
    print(
        f"{arguments.overlay / NAME} is written; look at it with kubectl kustomize {arguments.overlay}", file=sys.stderr
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
