"""What Kubernetes refuses in a Job whose members all have the right types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

Cause = tuple[str, str]  # the field, what is wrong with it

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_NOT_NEGATIVE = (
    "parallelism",
    "completions",
    "backoffLimit",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
)
_ACTIONS = ("FailJob", "FailIndex", "Ignore", "Count")
_POD = "spec.template.spec"
_MISSING = "Forbidden: not in this stand-in, which is not Kubernetes"


def _invalid(value: Any, why: str) -> str:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return f"Invalid value: {shown}: {why}"


def _unsupported(value: Any, *known: str) -> str:
    if not value:
        return "Required value"
    listed = ", ".join(f'"{name}"' for name in known)
    return f'Unsupported value: "{value}": supported values: {listed}'


def causes(body: Mapping[str, Any]) -> Iterator[Cause]:
    """Everything that is wrong with a Job that has its defaults."""
    spec = body["spec"]
    yield from _name(body["metadata"], spec)
    yield from _labels(body["metadata"], "metadata")
    yield from _labels(spec["template"]["metadata"], "spec.template")
    for member in _NOT_NEGATIVE:
        if (spec.get(member) or 0) < 0:
            yield f"spec.{member}", _invalid(spec[member], "must be greater than or equal to 0")
    for member in ("successPolicy", "managedBy"):
        if spec.get(member):
            yield f"spec.{member}", _MISSING
    yield from _modes(body["metadata"], spec)
    yield from _pod(spec["template"]["spec"])
    yield from _failure_policy(spec)


def _name(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Cause]:
    name = meta["name"]
    if len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        yield "metadata.name", _invalid(name, f"{rule}, and must start and end with an alphanumeric character")
    if spec["completionMode"] == "Indexed" and spec.get("completions"):
        host = f"{name}-{spec['completions'] - 1}"
        if len(host) > 63 or not _LABEL.fullmatch(host):
            yield "metadata.name", _invalid(name, f"will not able to create pod with invalid DNS label: {host}")


def _labels(meta: Mapping[str, Any], path: str) -> Iterator[Cause]:
    rule = "must consist of alphanumerics, '-', '_' or '.', and start and end with an alphanumeric character"
    for key, value in (meta.get("labels") or {}).items():
        if len(value) > 63:  # so is a Job's name, which becomes a label of its pods
            yield f"{path}.labels", _invalid(value, "must be no more than 63 characters")
        elif not _LABEL_NAME.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            yield f"{path}.labels", _invalid(f"{key}={value}", rule)
    size = sum(len(key) + len(value) for key, value in (meta.get("annotations") or {}).items())
    if size > 256 * 1024:
        yield f"{path}.annotations", "Too long: may not be more than 262144 bytes"


def _modes(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Cause]:
    mode, per_index = spec["completionMode"], spec.get("backoffLimitPerIndex")
    generated = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
    if not spec.get("manualSelector") and spec["selector"] != generated:
        yield "spec.selector", _invalid(spec["selector"], "`selector` not auto-generated")
    if mode not in {"NonIndexed", "Indexed"}:
        yield "spec.completionMode", _unsupported(mode, "NonIndexed", "Indexed")
    if mode == "Indexed" and spec.get("completions") is None:
        yield "spec.completions", "Required value: when completion mode is Indexed"
    if mode == "Indexed" and spec["parallelism"] > 100_000:
        yield "spec.parallelism", _invalid(spec["parallelism"], "must be less than or equal to 100000")
    if per_index is not None and mode != "Indexed":
        yield "spec.backoffLimitPerIndex", _invalid(per_index, "requires indexed completion mode")
    if per_index is not None and spec["template"]["spec"]["restartPolicy"] != "Never":
        why = 'only "Never" is supported when backoffLimitPerIndex is specified'
        yield f"{_POD}.restartPolicy", _invalid(spec["template"]["spec"]["restartPolicy"], why)
    limit = spec.get("maxFailedIndexes")
    if limit is not None and per_index is None:
        yield "spec.backoffLimitPerIndex", "Required value: when maxFailedIndexes is specified"
    if limit is not None and limit > (spec.get("completions") or 0):
        yield "spec.maxFailedIndexes", _invalid(limit, "must be less than or equal to completions")
    policy, ours = spec["podReplacementPolicy"], spec.get("podFailurePolicy")
    known = ("Failed",) if ours else ("Failed", "TerminatingOrFailed")
    if policy not in known:
        yield "spec.podReplacementPolicy", _unsupported(policy, *known)


def _pod(pod: Mapping[str, Any]) -> Iterator[Cause]:
    if pod["restartPolicy"] not in {"OnFailure", "Never"}:
        yield f"{_POD}.restartPolicy", _unsupported(pod["restartPolicy"], "OnFailure", "Never")
    deadline = pod.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        yield f"{_POD}.activeDeadlineSeconds", _invalid(deadline, "must be between 1 and 2147483647, inclusive")
    volumes = {volume.get("name") for volume in pod.get("volumes") or []}
    containers = pod.get("containers") or []
    if not containers:
        yield f"{_POD}.containers", "Required value"
    if len(containers) > 1:
        yield f"{_POD}.containers[1]", _MISSING
    if pod.get("initContainers"):
        yield f"{_POD}.initContainers", _MISSING
    for at, container in enumerate(containers):
        yield from _container(container, f"{_POD}.containers[{at}]", volumes)


def _container(container: Mapping[str, Any], path: str, volumes: set[Any]) -> Iterator[Cause]:
    name, message = container.get("name") or "", container["terminationMessagePolicy"]
    if len(name) > 63 or not _LABEL.fullmatch(name):
        yield f"{path}.name", _invalid(name, "a lowercase RFC 1123 label is required") if name else "Required value"
    if not container.get("image"):
        yield f"{path}.image", "Required value"
    if message not in {"File", "FallbackToLogsOnError"}:
        yield f"{path}.terminationMessagePolicy", _unsupported(message, "File", "FallbackToLogsOnError")
    for number, variable in enumerate(container.get("env") or []):
        if not variable.get("name") or "=" in variable["name"]:
            yield f"{path}.env[{number}].name", "Required value: a name without ="
        if variable.get("value") and variable.get("valueFrom"):
            where = f"{path}.env[{number}].valueFrom"
            yield where, _invalid("", "may not be specified when `value` is not empty")
        if "resourceFieldRef" in (variable.get("valueFrom") or {}):
            yield f"{path}.env[{number}].valueFrom.resourceFieldRef", _MISSING
    for number, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            yield f"{path}.volumeMounts[{number}].name", f'Not found: "{mount.get("name")}"'


def _failure_policy(spec: Mapping[str, Any]) -> Iterator[Cause]:
    policy = spec.get("podFailurePolicy")
    if not policy:
        return
    restart = spec["template"]["spec"]["restartPolicy"]
    if restart != "Never":
        yield f"{_POD}.restartPolicy", _invalid(restart, 'only "Never" is supported when podFailurePolicy is specified')
    rules = policy.get("rules") or []
    if len(rules) > 20:
        yield "spec.podFailurePolicy.rules", f"Too many: {len(rules)}: must have at most 20 items"
    names = {container.get("name") for container in spec["template"]["spec"].get("containers") or []}
    for at, rule in enumerate(rules):
        path = f"spec.podFailurePolicy.rules[{at}]"
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            yield f"{path}.action", _invalid("FailIndex", "requires the backoffLimitPerIndex to be set")
        yield from _rule(rule, path, names)


def _rule(rule: Mapping[str, Any], path: str, names: set[Any]) -> Iterator[Cause]:
    codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions")
    if rule.get("action") not in _ACTIONS:
        yield f"{path}.action", _unsupported(rule.get("action"), *_ACTIONS)
    if bool(codes) == bool(patterns):
        yield path, "Invalid value: specifying one of OnExitCodes and OnPodConditions is required"
    if codes:
        yield from _exit_codes(codes, f"{path}.onExitCodes", names)
    for number, pattern in enumerate(patterns or []):
        where = f"{path}.onPodConditions[{number}]"
        if not pattern.get("type"):
            yield f"{where}.type", "Required value"
        if pattern["status"] not in {"True", "False", "Unknown"}:
            yield f"{where}.status", _unsupported(pattern["status"], "False", "True", "Unknown")


def _exit_codes(codes: Mapping[str, Any], path: str, names: set[Any]) -> Iterator[Cause]:
    values, operator = codes.get("values") or [], codes.get("operator")
    if operator not in {"In", "NotIn"}:
        yield f"{path}.operator", _unsupported(operator, "In", "NotIn")
    if codes.get("containerName") is not None and codes["containerName"] not in names:
        yield f"{path}.containerName", _invalid(codes["containerName"], "must be one of the container names")
    if not values or len(values) > 255:
        yield f"{path}.values", _invalid(values, "at least one and at most 255 values are required")
    if values != sorted(set(values)):
        yield f"{path}.values", _invalid(values, "must be ordered and without duplicates")
    if operator == "In" and 0 in values:
        yield f"{path}.values[{values.index(0)}]", _invalid(0, "must not be 0 for the In operator")
