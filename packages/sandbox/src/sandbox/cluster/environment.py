"""What a container's process is started with: its command line and its variables."""

from __future__ import annotations

import base64
from pathlib import Path

from sandbox.cluster.job import Pod
from sandbox.cluster.objects import CONFIG_MAPS, SECRETS, Store
from sandbox.cluster.settings import ClusterSettings


class CannotStart(Exception):
    """Something that the container needs is missing: the reason it waits, and a message."""


def image_name(image: str) -> str:
    """An image without tag and digest: `registry:5000/etl:1@sha256:…` is `registry:5000/etl`."""
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return folder + slash + name.partition(":")[0]


def command_of(pod: Pod, settings: ClusterSettings) -> list[str]:
    """The image's entry point, or the container's own, and its arguments; CannotStart if there is no such image."""
    image = pod.container["image"]
    if image_name(image) not in settings.images:
        raise CannotStart("ErrImagePull", f'failed to pull and unpack image "{image}": not found')
    return [*(pod.container.get("command") or settings.images[image_name(image)]), *pod.container.get("args", [])]


def probed_files(pod: Pod, folder: Path) -> dict[str, str]:
    """The files in a volume that the liveness probe looks at, and where they are: in the pod's folder."""
    mounts = [f"{one['mountPath']}/" for one in pod.container.get("volumeMounts") or []]
    words = pod.container.get("livenessProbe", {}).get("exec", {}).get("command", [])
    return {word: str(folder / Path(word).name) for word in words if word.startswith(tuple(mounts))}


def variables_of(pod: Pod, store: Store) -> dict[str, str]:
    """The variables of `envFrom`, then of `env`, then the index; CannotStart if what they refer to is not there."""
    found: dict[str, str] = {}
    for source in pod.container.get("envFrom") or []:
        ((member, reference),) = source.items()
        resource = SECRETS if member == "secretRef" else CONFIG_MAPS
        item = store.find(resource, pod.namespace).get(reference["name"])
        if item is None:
            raise CannotStart("CreateContainerConfigError", f'{resource.kind.lower()} "{reference["name"]}" not found')
        for key, value in item.body["data"].items():
            found[key] = base64.b64decode(value).decode() if resource is SECRETS else value
    found |= {variable["name"]: variable.get("value") or "" for variable in pod.container.get("env") or []}
    return found | ({} if pod.index is None else {"JOB_COMPLETION_INDEX": str(pod.index)})
