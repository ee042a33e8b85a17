"""The kinds of objects that are there, what can be done with each, and the documents that tell a client so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """A kind of object and where it is found."""

    group: str
    plural: str
    kind: str
    verbs: str
    namespaced: bool = True

    @property
    def title(self) -> str:
        """As messages name it: jobs.batch, pods."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"


JOBS = Resource("batch", "jobs", "Job", "create delete deletecollection get list patch")
PODS = Resource("", "pods", "Pod", "delete deletecollection get list")
EVENTS = Resource("", "events", "Event", "get list")
QUOTAS = Resource("", "resourcequotas", "ResourceQuota", "get list")
ACCOUNTS = Resource("", "serviceaccounts", "ServiceAccount", "create delete get list")
CONFIG_MAPS = Resource("", "configmaps", "ConfigMap", "create delete get list")
SECRETS = Resource("", "secrets", "Secret", "create delete get list")
NAMESPACES = Resource("", "namespaces", "Namespace", "get list", namespaced=False)
REVIEWS = Resource(
    "authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "create", namespaced=False
)

_ALL = (JOBS, PODS, EVENTS, QUOTAS, ACCOUNTS, CONFIG_MAPS, SECRETS, NAMESPACES, REVIEWS)
RESOURCES = {(resource.group, resource.plural): resource for resource in _ALL}
_SHORT = {
    "pods": ["po"],
    "events": ["ev"],
    "resourcequotas": ["quota"],
    "serviceaccounts": ["sa"],
    "configmaps": ["cm"],
}


def discovery(path: str) -> dict[str, Any] | None:
    """`/api`, `/apis` and the lists of a group's resources, which kubectl reads before anything else."""
    groups = sorted({resource.group for resource in _ALL if resource.group})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        versions = {group: {"groupVersion": f"{group}/v1", "version": "v1"} for group in groups}
        listed = [{"name": group, "versions": [one], "preferredVersion": one} for group, one in versions.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    for group in ["", *groups]:
        if path == (f"/apis/{group}/v1" if group else "/api/v1"):
            described = [
                {
                    "name": resource.plural,
                    "singularName": resource.kind.lower(),
                    "namespaced": resource.namespaced,
                    "kind": resource.kind,
                    "verbs": resource.verbs.split(),
                    "shortNames": _SHORT.get(resource.plural, []),
                }
                for resource in _ALL
                if resource.group == group
            ]
            if not group:
                described.append(described[0] | {"name": "pods/log", "verbs": ["get"], "kind": "Pod", "shortNames": []})
            version = f"{group}/v1" if group else "v1"
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": described}
    return None
