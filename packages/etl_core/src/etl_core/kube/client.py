"""``Cluster``: the calls to a Kubernetes API server that Jobs need; answers are plain dictionaries.

The official client finds the server and the credentials (kubeconfig, or the service account of the pod) and pools
the connections. Its typed objects are not used: building them costs more than everything else done with a list of
thousands of Jobs. Foreign exceptions are translated here.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import urllib3

from etl_core.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    DataError,
    NotFoundError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
)
from etl_core.json_text import parse_json
from etl_core.kube.describe import digest_annotation
from etl_core.logs import get_logger
from etl_core.printable import without_password
from etl_core.retry import Retry, parse_retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# What the API server's own documentation recommends for large lists.
PAGE = 500
# A list is started again this often if the server drops its snapshot between two pages.
MAX_LIST_ATTEMPTS = 5
CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
_RETRYABLE = frozenset({401, 408, 410, 429, 500, 502, 503, 504})  # 401: a token EKS does not know yet

_CREDENTIALS = "The request had no valid credentials: renew those of the kubeconfig or of the service account."

_log = get_logger()


class AlreadyExistsError(ConflictError):
    """An object of that name exists."""


class JobRemovedError(UnavailableError):
    """The name was taken, and then no object had it: another client saw its end and removed it."""


class QuotaError(TemporaryError):
    """The namespace's quota has no room for it now: wait until another Job ends."""

    retryable = False


class _ExpiredError(TemporaryError):
    """410: the snapshot behind a ``continue`` token is gone."""

    retryable = False


class Cluster:
    """One namespace of one cluster. ``calls`` counts requests by verb and resource; ``url`` is for people."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        pool: urllib3.PoolManager,
        retry: Retry,
        user_agent: str,
        authorization: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._base = url.rstrip("/")
        self.url = without_password(self._base)
        self.namespace = namespace
        self.calls: Counter[str] = Counter()
        self._pool = pool
        self._retry = retry
        self._user_agent = user_agent
        self._authorization = authorization

    def create_job(self, body: Mapping[str, Any], *, dry_run: bool = False) -> bool:
        """Create the Job, or adopt the one of that name if it does the same; False means adopted.

        Idempotent: if the server's answer was lost, the retry adopts the Job that the first request created.

        Raises:
            ConflictError: a Job of that name does something else. JobRemovedError: it has just been removed.
            QuotaError: no room now. AccessError: not allowed. DataError: the server rejects the body.

        """
        name = body["metadata"]["name"]
        try:
            self._call("POST", self._jobs, {"fieldValidation": "Strict"} | _dry(on=dry_run), body)
        except AlreadyExistsError:
            existing = self.job(name)
            if existing is None:  # it was removed between the two requests
                raise JobRemovedError(f"Job {name} existed and was removed.") from None
            annotation, digest = digest_annotation(body)
            found = existing["metadata"].get("annotations", {}).get(annotation, "none")
            if found != digest:
                raise ConflictError(
                    f"Job {name} exists in {self.namespace} and does something else: its spec has digest "
                    f"{found}, this one {digest}.",
                    advice="Inspect it with kubectl; delete it, then run again.",
                ) from None
            return False
        return True

    def job(self, name: str) -> dict[str, Any] | None:
        """One Job, or None."""
        with contextlib.suppress(NotFoundError):
            return self._call("GET", f"{self._jobs}/{name}")
        return None

    def jobs(self, selector: str) -> Iterator[dict[str, Any]]:
        """The Jobs with these labels."""
        return self._list(self._jobs, selector)

    def pods(self, selector: str) -> Iterator[dict[str, Any]]:
        """The pods with these labels."""
        return self._list(self._pods, selector)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one object, oldest first."""
        path = f"/api/v1/namespaces/{self.namespace}/events"
        found = self._call("GET", path, {"fieldSelector": f"involvedObject.name={name}"})
        return sorted(found["items"], key=_moment)

    def delete_jobs(self, selector: str) -> None:
        """Delete the Jobs with these labels, their pods after them."""
        self._call("DELETE", self._jobs, {"labelSelector": selector, "propagationPolicy": "Background"})

    def delete_job(self, name: str) -> None:
        """Delete one Job, its pods after it; nothing happens if it is not there."""
        with contextlib.suppress(NotFoundError):
            self._call("DELETE", f"{self._jobs}/{name}", {"propagationPolicy": "Background"})

    def delete_pod(self, name: str) -> None:
        """Delete one pod; its Job counts it by the exit code of its container."""
        with contextlib.suppress(NotFoundError):
            self._call("DELETE", f"{self._pods}/{name}")

    def delete_pods(self, selector: str) -> None:
        """Delete the pods with these labels."""
        self._call("DELETE", self._pods, {"labelSelector": selector})

    def log(self, pod: str, lines: int = 50) -> str:
        """The last lines that a pod wrote."""
        query = {"tailLines": str(lines)}
        return self._retry.call(lambda _attempt: self._once("GET", f"{self._pods}/{pod}/log", query, None)).decode(
            "utf-8", "replace"
        )

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Any other request, such as /version or an access review."""
        return self._call(method, path, None, body)

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def _list(self, path: str, selector: str) -> Iterator[dict[str, Any]]:
        """All pages of one snapshot; a new list if the server dropped it."""
        for _ in range(MAX_LIST_ATTEMPTS):
            found: list[dict[str, Any]] = []
            query = {"labelSelector": selector, "limit": str(PAGE)}
            try:
                while True:
                    page = self._call("GET", path, query)
                    found += page["items"]
                    token = page.get("metadata", {}).get("continue")
                    if not token:
                        return iter(found)
                    query["continue"] = token
            except _ExpiredError:
                continue
        raise UnavailableError(
            f"{self.url}{path}: the server dropped the list {MAX_LIST_ATTEMPTS} times before its end."
        )

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        def once(_attempt: int) -> dict[str, Any]:
            return _parsed(self._once(method, path, query, body))

        def note(attempt: int, error: TemporaryError, wait: float) -> None:
            _log.info(
                "Retrying a request to the cluster", after_attempt=attempt, wait=round(wait, 1), because=str(error)
            )

        return self._retry.call(once, on_retry=note)

    def _once(self, method: str, path: str, query: Mapping[str, str] | None, body: Mapping[str, Any] | None) -> bytes:
        kind = next((word for word in ("jobs", "pods", "events") if f"/{word}" in path), "other")
        self.calls[f"{method} {kind}"] += 1
        url = self._base + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": self._user_agent}
        token = self._authorization()
        if token:
            headers["Authorization"] = token
        try:
            answer = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(
                f"{method} {self.url}{path} failed: {type(error).__name__}: {without_password(error)}"
            ) from error
        if 200 <= answer.status < 300:
            return answer.data
        wait = parse_retry_after(answer.headers.get("Retry-After"))
        request = f"{method} {self.url}{path}"
        if answer.status == 410 and query and "continue" in query:
            raise _ExpiredError(f"{request} answered 410: the list has expired")
        raise _error_of(request, answer.status, _parsed(answer.data), wait)


def _moment(event: Mapping[str, Any]) -> str:
    """When an event last happened; the scheduler fills in other fields than the controllers."""
    series, meta = event.get("series") or {}, event.get("metadata") or {}
    times = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return str(next(filter(None, times), None) or meta.get("creationTimestamp") or "")


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = parse_json(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _dry(*, on: bool) -> dict[str, str]:
    return {"dryRun": "All"} if on else {}


def _error_of(request: str, status: int, answer: Mapping[str, Any], retry_after: float | None) -> Exception:
    reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))[:500]
    text = f"{request} answered {status} {reason}: {message}"
    if status == 403 and "exceeded quota" in message:
        return QuotaError(text)
    if status == 403:
        return AccessError(text, advice=_advice_on(message))
    if status == 404:
        return NotFoundError(text)
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExistsError(text)
    # 409 Conflict: two writers of one quota or object.
    if status == 409 or status in _RETRYABLE:
        return UnavailableError(text, advice=_CREDENTIALS if status == 401 else "", retry_after=retry_after)
    return DataError(text)


def _advice_on(message: str) -> str:
    """What to try after a 403: it may come from authorization or from admission."""
    if "system:anonymous" in message:
        return _CREDENTIALS
    if re.search(r'User "[^"]*" cannot ', message):
        return "Grant that right to the service account or user."
    return "An admission policy of the cluster refuses it: change what the message names, or ask the policy's owner."


def connect(namespace: str, *, default_namespace: str, retry: Retry, user_agent: str) -> Cluster:
    """The cluster of the pod's service account, else that of the kubeconfig's current context.

    ``namespace`` may be empty: that of the context, else ``default_namespace``. ``user_agent``, as product/version,
    names the caller in the server's log.

    Raises:
        ConfigError: neither exists, or the ``kubernetes`` package is missing.

    """
    try:
        from kubernetes import client, config
        from kubernetes.client.rest import RESTClientObject
        from kubernetes.config.kube_config import yaml  # type: ignore[attr-defined] # its errors escape
    except ImportError as error:
        raise ConfigError(
            "the Kubernetes client is not installed.",
            advice="pip install kubernetes",
        ) from error
    settings = client.Configuration()
    chosen = namespace
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        try:
            config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            _, context = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"no cluster is configured: {without_password(error)}",
                advice="Set KUBECONFIG to a kubeconfig with a current context, or run inside a cluster.",
            ) from error
        chosen = chosen or str((context or {}).get("context", {}).get("namespace") or "")

    def authorization() -> str | None:
        found = settings.auth_settings().get("BearerToken", {})
        return found.get("value")

    return Cluster(
        settings.host,
        chosen or default_namespace,
        pool=RESTClientObject(settings).pool_manager,
        retry=retry,
        user_agent=user_agent,
        authorization=authorization,
    )
