"""packages/orchestration/…/pods.json: what the pod of each job needs, from the jobs' own Kubernetes examples."""

from __future__ import annotations

import json

from data_pipeline.registry import Registry
from tools.k8s_examples import example_of

PATH = "packages/orchestration/src/orchestration/pods.json"


def files() -> dict[str, str]:
    """Path below the root, and text."""
    registry = Registry()
    examples = {name: example_of(registry.load(name)) for name in registry.names()}
    needs = {
        name: {
            "service_account": one.service_account,
            "env_from": [f"secret/{one.secret}"] if one.secret else [],
            "pod": one.pod,
        }
        for name, one in examples.items()
        if one is not None
    }
    return {PATH: json.dumps(needs, indent=1) + "\n"}
