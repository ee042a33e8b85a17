"""What to try, per reason for which a Job failed or does not start. Pure."""

from __future__ import annotations

from etl_core.errors import EXIT_STATUSES

ADVICE = {
    "disrupted": "It is retried without counting as an attempt; if it continues, check spot capacity.",
    "evicted": "It is retried without counting as an attempt; if it continues, check node pressure.",
    "deadline": "Raise --timeout-hours.",
    "out_of_memory": "Raise --memory.",
    "image_pull": "Correct --image, or give the nodes access to the registry.",
    "slow_pull": "Wait, or use a smaller image or a nearer registry.",
    "pod_sandbox": "It is waited for; see the node's network plugin and runtime.",
    "volume_mount": "It is waited for; create what the message names.",
    "configuration": "Create the ConfigMap, Secret, service account or program that the message names.",
    "refused": "Change what the message names: --cpu, --memory, --pod-label; or ask who owns the cluster's policies.",
    "not_created": "It is waited for; see the message.",
    "starting": "It is waited for.",
    "ended": "Other containers of the pod may keep it: keep them out with --pod-label or --pod-annotation.",
    "unschedulable": "Wait for nodes, or request less with --cpu and --memory.",
    "quota": "Wait until other Jobs end, lower --max-in-flight, or raise the quota.",
    "job_failed": "Read the logs of its pods.",
    "lost": "Run the same command again.",
    "never_started": "Check the events and the quota of the namespace.",
    "no_audit": "Workers must write to the submitter's lake: compare their LAKE_URL.",
    **{f"exit_{status.code}": f"Who acts: {status.who_acts}." for status in EXIT_STATUSES},
}


def advice_for(reason: str) -> str:
    """One sentence; for an unknown exit status, where to look."""
    return ADVICE.get(reason, "Read the log of the pod." if reason.startswith("exit_") else "")
