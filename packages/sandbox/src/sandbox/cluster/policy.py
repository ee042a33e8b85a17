"""What the Job controller decides of finished pods: texts of indexes, and what a failure counts for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


def index_text(indexes: Iterable[int]) -> str:
    """Sorted indexes as Kubernetes writes them: 0, 1, 2, 3, 7 is "0-3,7"; two neighbours are "4,5"."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(
        str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}" for first, last in runs
    )


class Matched(NamedTuple):
    """The rule that a failed pod met."""

    action: str  # Ignore, Count, FailIndex, FailJob
    message: str


def matched(policy: Mapping[str, Any] | None, pod: Mapping[str, Any]) -> Matched | None:
    """The first rule that fits a failed pod; None leaves it to the count of retries."""
    where = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    for at, rule in enumerate((policy or {}).get("rules") or []):
        action, tail = rule["action"], f"matching {rule['action']} rule at index {at}"
        if codes := rule.get("onExitCodes"):
            for status in pod["status"].get("containerStatuses") or []:
                if _exit_code_fits(codes, status):
                    code = status["state"]["terminated"]["exitCode"]
                    return Matched(
                        action, f"Container {status['name']} for {where} failed with exit code {code} {tail}"
                    )
        for pattern in rule.get("onPodConditions") or []:
            for condition in pod["status"].get("conditions") or []:
                if (condition["type"], condition["status"]) == (pattern["type"], pattern.get("status", "True")):
                    return Matched(action, f"P{where[1:]} has condition {condition['type']} {tail}")
    return None


def _exit_code_fits(codes: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    code = (status["state"].get("terminated") or {}).get("exitCode", 0)
    wanted = codes.get("containerName")
    if code == 0 or (wanted is not None and wanted != status["name"]):
        return False
    return bool((code in codes["values"]) == (codes["operator"] == "In"))
