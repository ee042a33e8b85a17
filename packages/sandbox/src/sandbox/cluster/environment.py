"""What a container's process is started with: its variables, and its command line with $(NAME) filled in."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from sandbox.cluster.resources import CONFIG_MAPS, SECRETS
from sandbox.cluster.settings import ClusterSettings
from sandbox.cluster.store import Store, Thing

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]+)\))")
_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['([^']+)'\]")


class ConfigMissing(Exception):
    """A ConfigMap, a Secret or a key that the container needs is not there."""


def image_name(image: str) -> str:
    """An image without tag and digest: `registry:5000/etl:1@sha256:…` is `registry:5000/etl`."""
    folder, slash, name = image.partition("@")[0].rpartition("/")
    return folder + slash + name.partition(":")[0]


def command_of(container: Mapping[str, Any], settings: ClusterSettings, variables: Mapping[str, str]) -> list[str]:
    """The command line, `command` in place of the image's own entry point."""
    own = [expanded(word, variables) for word in container.get("command") or []]
    args = [expanded(word, variables) for word in container.get("args") or []]
    return [*(own or settings.images.get(image_name(container["image"]), ())), *args]


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` is replaced where there is such a variable, `$$` is a dollar sign."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else variables.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def variables_of(pod: Thing, container: Mapping[str, Any], store: Store) -> dict[str, str]:
    """The variables of `envFrom`, then of `env`; ConfigMissing if what they refer to is not there."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        for member in ("configMapRef", "secretRef"):
            if member in source:
                data = _data(pod, source[member], store, secret=member == "secretRef") or {}
                found |= {source.get("prefix", "") + key: value for key, value in data.items()}
    for variable in container.get("env") or []:
        if "valueFrom" in variable:
            value = _referred(pod, variable["valueFrom"], store)
        else:
            value = expanded(variable.get("value") or "", found)
        if value is not None:
            found[variable["name"]] = value
    return found


def _referred(pod: Thing, source: Mapping[str, Any], store: Store) -> str | None:
    if "fieldRef" in source:
        return _field(pod.body, source["fieldRef"]["fieldPath"])
    for member in ("configMapKeyRef", "secretKeyRef"):
        if member in source:
            reference, secret = source[member], member == "secretKeyRef"
            data = _data(pod, reference, store, secret=secret)
            if data is not None and reference["key"] not in data and not reference.get("optional"):
                kind = "Secret" if secret else "ConfigMap"
                where = f"{kind} {pod.namespace}/{reference['name']}"
                raise ConfigMissing(f"couldn't find key {reference['key']} in {where}")
            return (data or {}).get(reference["key"])
    return None


def _data(pod: Thing, reference: Mapping[str, Any], store: Store, *, secret: bool) -> dict[str, str] | None:
    thing = store.get(SECRETS if secret else CONFIG_MAPS, pod.namespace, reference["name"])
    if thing is None:
        if reference.get("optional"):
            return None
        raise ConfigMissing(f'{"secret" if secret else "configmap"} "{reference["name"]}" not found')
    data: dict[str, str] = thing.body.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()} if secret else data


def _field(body: Mapping[str, Any], path: str) -> str:
    found: Any = body
    subscript = _SUBSCRIPT.fullmatch(path)
    for key in [*subscript[1].split("."), subscript[2]] if subscript else path.split("."):
        found = (found or {}).get(key)
    return str(found or "")
