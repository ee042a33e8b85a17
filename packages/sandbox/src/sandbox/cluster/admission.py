"""Admission of a Job: unknown members, defaults, validation."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

_POD, _RULES, _META = "spec.template.spec", "spec.podFailurePolicy.rules", "name namespace labels annotations"
# By path, the members that are supported here or cannot matter; what is below any other path is not checked.
_KNOWN = {
    "": "apiVersion kind metadata spec",
    "metadata": _META,
    "spec": "activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions maxFailedIndexes"
    " parallelism podFailurePolicy podReplacementPolicy suspend template ttlSecondsAfterFinished",
    "spec.podFailurePolicy": "rules",
    _RULES: "action onExitCodes onPodConditions",
    f"{_RULES}.onExitCodes": "containerName operator values",
    f"{_RULES}.onPodConditions": "type status",
    "spec.template": "metadata spec",
    "spec.template.metadata": _META,
    _POD: "activeDeadlineSeconds affinity automountServiceAccountToken containers enableServiceLinks imagePullSecrets"
    " nodeSelector priorityClassName restartPolicy runtimeClassName securityContext serviceAccountName"
    " terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes",
    f"{_POD}.containers": "args command env envFrom image imagePullPolicy livenessProbe name resources"
    " securityContext terminationMessagePath terminationMessagePolicy volumeMounts",
    f"{_POD}.containers.env": "name value",
    f"{_POD}.containers.livenessProbe": "exec failureThreshold initialDelaySeconds periodSeconds timeoutSeconds",
    f"{_POD}.containers.envFrom": "configMapRef secretRef",
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")  # a Job's name becomes a label of its pods
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def unknown(value: Any, path: str = "", shown: str = "") -> Iterator[str]:
    """Where a Job has another member: `spec.template.spec.containers[0].comand`."""
    if isinstance(value, list):
        for at, member in enumerate(value):
            yield from unknown(member, path, f"{shown}[{at}]")
    elif isinstance(value, dict) and path in _KNOWN:
        for name, member in value.items():
            where = f"{shown}.{name}".removeprefix(".")
            if name in _KNOWN[path].split():
                yield from unknown(member, f"{path}.{name}".removeprefix("."), where)
            else:
                yield where


def fill_in(body: dict[str, Any], namespace: str) -> None:
    """Give a Job's body its defaults and its uid, and its pods the labels that lead to it."""
    meta, spec, template = body["metadata"], body["spec"], body["spec"]["template"]
    meta |= {"namespace": namespace, "uid": str(uuid.uuid4())}
    tries = 6 if spec.get("backoffLimitPerIndex") is None else 2**31 - 1
    alone = {} if {"completions", "parallelism"} & spec.keys() else {"completions": 1}
    usual = {"parallelism": 1, "completionMode": "NonIndexed", "suspend": False, "podReplacementPolicy": "Failed"}
    body["spec"] = spec = usual | {"backoffLimit": tries} | alone | spec
    own = {"controller-uid": meta["uid"], "job-name": meta["name"]}
    own |= {f"batch.kubernetes.io/{key}": value for key, value in own.items()}
    template["metadata"] = template.get("metadata") or {}
    template["metadata"]["labels"] = (template["metadata"].get("labels") or {}) | own
    template["spec"] = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30} | template["spec"]


def causes(body: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a Job that has its defaults, each with the field that it is about."""
    meta, spec, pod = body["metadata"], body["spec"], body["spec"]["template"]["spec"]
    labels = {*(meta.get("labels") or {}).values(), *spec["template"]["metadata"]["labels"].values()}
    completions, per_index, most = map(spec.get, ("completions", "backoffLimitPerIndex", "maxFailedIndexes"))
    indexed, policy, containers = spec["completionMode"] == "Indexed", spec.get("podFailurePolicy"), pod["containers"]
    host = f"{meta['name']}-{(completions or 1) - 1}"
    checks: list[tuple[object, str]] = [  # whether it holds, and what to say if it does not
        (_NAME.fullmatch(meta["name"]), "metadata.name: Invalid value: no RFC 1123 subdomain of at most 63 letters"),
        (not indexed or len(host) <= 63, f"metadata.name: Invalid value: invalid DNS label of a pod: {host}"),
        (all(map(_LABEL.fullmatch, labels)), f"metadata.labels: Invalid value: {sorted(labels)}"),
        (completions is not None, "spec.completions: Required value: in mode Indexed, and in this stand-in always"),
        (indexed or per_index is None, "spec.backoffLimitPerIndex: Invalid value: requires indexed completion mode"),
        (most is None or per_index is not None, "spec.backoffLimitPerIndex: Required value: with maxFailedIndexes"),
        ((most or 0) <= (completions or 0), "spec.maxFailedIndexes: Invalid value: more than completions"),
        (spec["podReplacementPolicy"] == "Failed", 'spec.podReplacementPolicy: this stand-in has only "Failed"'),
        (pod["restartPolicy"] == "Never", f'{_POD}.restartPolicy: Unsupported value: this stand-in has only "Never"'),
        (len(containers) == 1, f"{_POD}.containers: this stand-in wants one"),
    ]
    for at, rule in enumerate(policy["rules"] if policy else ()):
        checks += [(holds, f"{_RULES}[{at}].{text}") for holds, text in _of_rule(rule, per_index)]
    return [text for holds, text in checks if not holds]


def _of_rule(rule: Mapping[str, Any], per_index: int | None) -> Iterator[tuple[object, str]]:
    actions = {"FailJob", "Ignore", "Count", *(["FailIndex"] if per_index is not None else [])}
    yield rule["action"] in actions, f"action: Unsupported value: supported values: {sorted(actions)}"
    if "onExitCodes" in rule:
        values, operator = rule["onExitCodes"]["values"], rule["onExitCodes"]["operator"]
        yield values == sorted(set(values)), f"onExitCodes.values: Invalid value: {values}: must be ordered"
        yield operator == "NotIn" or 0 not in values, "onExitCodes.values: Invalid value: 0: not with operator In"
