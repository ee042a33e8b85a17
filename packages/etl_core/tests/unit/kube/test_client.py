import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import urllib3

from etl_core.errors import (
    AccessError,
    ConflictError,
    DataError,
    NotFoundError,
    PipelineError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
)
from etl_core.kube.client import MAX_LIST_ATTEMPTS, PAGE, AlreadyExistsError, Cluster, QuotaError
from etl_core.kube.describe import JobSpec, PodOptions, job_body
from etl_core.retry import Retry, RetryPolicy
from etl_core.testing import ManualClock

POD = PodOptions("image", "worker")
SPEC = JobSpec("op-1", {"unit": "1"}, ("run",), POD, user_id=1000, annotation_prefix="example.org")
BODY = job_body(SPEC)
JOBS = "/apis/batch/v1/namespaces/team/jobs"
PODS = "/api/v1/namespaces/team/pods"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """One answer; ``lost`` closes the connection instead, when all was done."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


def refuses(status: int, reason: str = "", message: str = "", **headers: str) -> Reply:
    """A ``Status`` object, as the API server sends with every refusal."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return Reply(status, {**body, "code": status}, {name.replace("_", "-"): text for name, text in headers.items()})


def page(*names: str, more: str = "") -> Reply:
    return Reply(body={"metadata": {"continue": more}, "items": [{"metadata": {"name": name}} for name in names]})


class ApiServer(ThreadingHTTPServer):
    """Answers what it is told to, in that order; ``asked`` is what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies: list[Reply] = []
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, ApiServer)
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.asked.append(
            Asked(
                self.command, parts.path, dict(parse_qsl(parts.query)), dict(self.headers), json.loads(raw or b"null")
            )
        )
        reply = server.replies.pop(0) if server.replies else refuses(418, message="nothing to say")
        if reply.lost:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, text in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


class ClientCase(unittest.TestCase):
    server: ApiServer

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = ApiServer()
        thread = threading.Thread(target=cls.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        cls.addClassCleanup(thread.join)
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)

    def setUp(self) -> None:
        self.server.replies.clear()
        self.server.asked.clear()
        self.clock = ManualClock()
        self.cluster = self.client(self.server.url)

    def client(self, url: str, authorization: Callable[[], str | None] = lambda: None) -> Cluster:
        pool = urllib3.PoolManager()
        self.addCleanup(pool.clear)
        retry = Retry(
            RetryPolicy(attempts=4, first_wait_seconds=1.0),
            sleep=self.clock.sleep,
            clock=self.clock,
            chance=lambda: 1.0,
        )
        return Cluster(url, "team", pool=pool, retry=retry, user_agent="etl/1.0", authorization=authorization)

    def answer(self, *replies: Reply) -> None:
        """What comes next."""
        self.assertEqual(self.server.replies, [], "not everything was asked for")
        self.server.replies += replies

    def asked(self) -> list[str]:
        found = [f"{one.method} {one.path}" for one in self.server.asked]
        self.assertEqual(self.server.replies, [], "not everything was asked for")
        return found


class CreateAJob(ClientCase):
    def test_a_job_is_created_with_strict_field_validation(self):
        self.answer(Reply(201, BODY))

        self.assertIs(self.cluster.create_job(BODY), True)

        self.assertEqual(self.asked(), [f"POST {JOBS}"])
        (asked,) = self.server.asked
        self.assertEqual((asked.query, asked.body), ({"fieldValidation": "Strict"}, BODY))
        self.assertEqual(asked.headers["Content-Type"], "application/json")

    def test_a_job_can_be_created_as_a_dry_run(self):
        self.answer(Reply(201, BODY))

        self.assertIs(self.cluster.create_job(BODY, dry_run=True), True)

        self.assertEqual(self.server.asked[0].query, {"fieldValidation": "Strict", "dryRun": "All"})

    def test_an_existing_job_with_the_same_digest_is_adopted(self):
        for_another_run = {**BODY, "status": {"active": 1}}
        self.answer(refuses(409, "AlreadyExists", 'jobs.batch "op-1" already exists'), Reply(body=for_another_run))

        self.assertIs(self.cluster.create_job(BODY), False)

        self.assertEqual(self.asked(), [f"POST {JOBS}", f"GET {JOBS}/op-1"])

    def test_an_existing_job_that_does_something_else_is_a_conflict(self):
        other = job_body(replace(SPEC, pod=PodOptions("other", "worker")))
        digest = other["metadata"]["annotations"]["example.org/spec-sha256"]
        for there, said in ((other, digest), ({"metadata": {"name": "op-1"}}, "none")):
            with self.subTest(said=said):
                self.answer(refuses(409, "AlreadyExists"), Reply(body=there))
                with self.assertRaises(ConflictError) as caught:
                    self.cluster.create_job(BODY)
                self.assertIn(
                    f"Job op-1 exists in team and does something else: its spec has digest {said}",
                    str(caught.exception),
                )
                self.assertIn("delete it, then run again", str(caught.exception))

    def test_a_job_whose_creation_was_not_acknowledged_is_adopted(self):
        self.answer(Reply(lost=True), refuses(409, "AlreadyExists"), Reply(body=BODY))

        self.assertIs(self.cluster.create_job(BODY), False)

        self.assertEqual(self.asked(), [f"POST {JOBS}", f"POST {JOBS}", f"GET {JOBS}/op-1"])
        self.assertEqual(self.clock.slept, [1.0])

    def test_a_job_removed_between_two_requests_is_unavailable(self):
        self.answer(refuses(409, "AlreadyExists"), refuses(404, "NotFound"))

        with self.assertRaisesRegex(UnavailableError, "existed and was removed"):
            self.cluster.create_job(BODY)

    def test_an_exceeded_quota_is_not_retried_by_the_client(self):
        message = (
            'jobs.batch "op-1" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: 2, limited: 2'
        )
        self.answer(refuses(403, "Forbidden", message))

        with self.assertRaisesRegex(QuotaError, "exceeded quota: small") as caught:
            self.cluster.create_job(BODY)

        self.assertIsInstance(caught.exception, TemporaryError)
        self.assertEqual((len(self.asked()), self.clock.slept), (1, []))

    def test_a_missing_right_is_an_access_error(self):
        self.answer(refuses(403, "Forbidden", 'User "x" cannot create resource "jobs" in API group "batch"'))

        with self.assertRaisesRegex(AccessError, 'cannot create resource "jobs".* Grant that right') as caught:
            self.cluster.create_job(BODY)

        self.assertNotIsInstance(caught.exception, TemporaryError)
        self.assertEqual(len(self.asked()), 1)

    def test_the_advice_after_a_403_fits_its_origin(self):
        for message, advice in [
            ('jobs.batch is forbidden: User "system:anonymous" cannot create resource "jobs" in API group "batch"',
             "no valid credentials"),
            ('User "ann" cannot create resource "jobs" in API group "batch"', "Grant that right"),
            ('admission webhook "a.example" denied the request: User "ann" has no team', "An admission policy"),
            ("namespace team is being terminated", "An admission policy"),
        ]:  # fmt: skip
            with self.subTest(message=message):
                self.answer(refuses(403, "Forbidden", message))
                with self.assertRaisesRegex(AccessError, advice):
                    self.cluster.create_job(BODY)
                self.assertEqual(len(self.asked()), 1)
                self.server.asked.clear()

    def test_a_webhook_that_does_not_answer_is_waited_for(self):
        message = 'Internal error occurred: failed calling webhook "a.example": context deadline exceeded'
        self.answer(refuses(500, "InternalError", message), Reply(201, BODY))

        self.assertIs(self.cluster.create_job(BODY), True)

    def test_an_invalid_job_is_a_data_error(self):
        self.answer(refuses(422, "Invalid", "spec.template.spec.restartPolicy: Required value"))

        with self.assertRaisesRegex(DataError, "422 Invalid: spec.template.spec.restartPolicy: Required value"):
            self.cluster.create_job(BODY)

        self.assertEqual(len(self.asked()), 1)


class RetryRequests(ClientCase):
    def test_retry_after_is_obeyed(self):
        self.answer(refuses(429, "TooManyRequests", Retry_After="7"), Reply(body=BODY))

        self.assertEqual(self.cluster.job("op-1"), BODY)

        self.assertEqual(self.clock.slept, [7.1])

    def test_temporary_statuses_are_retried(self):
        for status, reason in [
            (401, "Unauthorized"), (408, ""), (409, "Conflict"), (429, ""), (500, "InternalError"), (502, ""),
            (503, ""), (504, "Timeout"),
        ]:  # fmt: skip
            with self.subTest(status=status):
                self.answer(refuses(status, reason), Reply(body=BODY))
                self.assertEqual(self.cluster.job("op-1"), BODY)

    def test_is_not_for_what_stays(self):
        for reply, error in [
            (refuses(400, "BadRequest"), DataError),
            (refuses(403, "Forbidden"), AccessError),
            (refuses(405), DataError),
            (refuses(422), DataError),
        ]:
            with self.subTest(status=reply.status):
                self.answer(reply)
                with self.assertRaises(error):
                    self.cluster.job("op-1")
        self.assertEqual(self.clock.slept, [])

    def test_of_credentials_that_stay_invalid_ends_with_that_advice(self):
        self.answer(*[refuses(401, "Unauthorized")] * 4)

        with self.assertRaisesRegex(UnavailableError, "no valid credentials: renew"):
            self.cluster.job("op-1")

    def test_ends_with_the_tries(self):
        self.answer(*[refuses(503, "ServiceUnavailable", "etcd is away")] * 4)

        with self.assertRaisesRegex(
            UnavailableError, f"GET {self.server.url}{JOBS}/op-1 answered 503 .*: etcd is away"
        ):
            self.cluster.job("op-1")

        self.assertEqual(len(self.asked()), 4)

    def test_is_for_a_server_that_nobody_is(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        cluster = self.client(f"http://127.0.0.1:{port}")

        with self.assertRaisesRegex(UnreachableError, f"GET http://127.0.0.1:{port}{JOBS}/op-1 failed"):
            cluster.job("op-1")

        self.assertEqual(len(self.clock.slept), 3)

    def test_shows_no_password_of_the_address(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        path = f"{JOBS}/op-1"
        for at, replies, says in (
            (port, [], f"GET http://…@127.0.0.1:{port}{path} failed"),
            (
                self.server.server_port,
                [refuses(422, message="No.")],
                f"/…@127.0.0.1:{self.server.server_port}{path} answered",
            ),
            ("no port", [], "failed: LocationParseError"),
        ):
            with self.subTest(says):
                self.answer(*replies)
                cluster = self.client(f"http://me:s3cret@127.0.0.1:{at}")
                with self.assertRaisesRegex(PipelineError, says) as caught:
                    cluster.job("op-1")
                self.assertNotIn("s3cret", f"{caught.exception} {caught.exception.advice} {cluster.url}")

    def test_is_for_answers_of_others_on_the_way_too(self):
        for body in (b"<html>Bad Gateway</html>", b"", b"[1]"):
            with self.subTest(body=body):
                self.answer(Reply(502, body), Reply(body=BODY))
                self.assertEqual(self.cluster.job("op-1"), BODY)


class AList(ClientCase):
    def test_is_read_page_by_page(self):
        self.answer(page("a", "b", more="token 2"), page("c", more="token 3"), page())

        self.assertEqual([job["metadata"]["name"] for job in self.cluster.jobs("a=b,c in (d,e)")], ["a", "b", "c"])

        self.assertEqual(self.asked(), [f"GET {JOBS}"] * 3)
        first = {"labelSelector": "a=b,c in (d,e)", "limit": str(PAGE)}
        self.assertEqual(
            [one.query for one in self.server.asked],
            [first, {**first, "continue": "token 2"}, {**first, "continue": "token 3"}],
        )

    def test_is_begun_anew_where_the_server_dropped_its_snapshot(self):
        expired = refuses(410, "Expired", "The provided continue parameter is too old")
        self.answer(page("a", more="token"), expired, page("a", more="token"), page("b"))

        self.assertEqual([pod["metadata"]["name"] for pod in self.cluster.pods("x=y")], ["a", "b"])

        self.assertEqual([one.query.get("continue") for one in self.server.asked], [None, "token", None, "token"])
        self.assertEqual((self.asked()[0], self.clock.slept), (f"GET {PODS}", []))

    def test_that_the_server_drops_again_and_again_is_given_up(self):
        self.answer(*[page("a", more="token"), refuses(410, "Expired")] * MAX_LIST_ATTEMPTS)

        with self.assertRaisesRegex(UnavailableError, f"the server dropped the list {MAX_LIST_ATTEMPTS} times"):
            self.cluster.jobs("x=y")

        self.assertEqual(len(self.asked()), 2 * MAX_LIST_ATTEMPTS)

    def test_waits_between_its_pages_where_the_server_is_busy(self):
        self.answer(page("a", more="token"), refuses(429, Retry_After="1"), page("b"))

        self.assertEqual(len(list(self.cluster.jobs("x=y"))), 2)

    def test_of_nothing_is_empty(self):
        self.answer(Reply(body={"items": []}))

        self.assertEqual(list(self.cluster.jobs("x=y")), [])


class OneObject(ClientCase):
    def test_that_is_not_there_is_none(self):
        self.answer(refuses(404, "NotFound", 'jobs.batch "op-1" not found'))

        self.assertIsNone(self.cluster.job("op-1"))

    def test_is_told_of_by_its_events_in_the_order_of_time(self):
        times = ["2026-07-14T12:00:02Z", None, "2026-07-14T12:00:01Z"]
        self.answer(Reply(body={"items": [{"lastTimestamp": time, "message": str(time)} for time in times]}))

        self.assertEqual([event["message"] for event in self.cluster.events("op-1")], ["None", times[2], times[0]])

        self.assertEqual(self.server.asked[0].query, {"fieldSelector": "involvedObject.name=op-1"})

    def test_has_events_whose_times_stand_in_other_fields(self):
        found = [
            {"message": "c", "eventTime": "2026-07-14T12:00:03.000001Z", "lastTimestamp": None},
            {
                "message": "d",
                "eventTime": "2026-07-14T12:00:01Z",
                "series": {"lastObservedTime": "2026-07-14T12:00:04Z"},
            },
            {"message": "a", "metadata": {"creationTimestamp": "2026-07-14T12:00:01Z"}},
            {"message": "b", "lastTimestamp": "2026-07-14T12:00:02Z"},
        ]
        self.answer(Reply(body={"items": found}))

        self.assertEqual([event["message"] for event in self.cluster.events("op-1")], ["a", "b", "c", "d"])

    def test_has_the_last_lines_it_wrote(self):
        self.answer(refuses(503), Reply(body="eine Zeile mit ü\n".encode() + b"\xff"))

        self.assertEqual(self.cluster.log("op-1-x", 3), "eine Zeile mit ü\n\ufffd")

        self.assertEqual(self.asked(), [f"GET {PODS}/op-1-x/log"] * 2)
        self.assertEqual(self.server.asked[0].query, {"tailLines": "3"})


class Deleting(ClientCase):
    def test_takes_the_pods_of_a_job_along(self):
        self.answer(Reply(), Reply())

        self.cluster.delete_job("op-1")
        self.cluster.delete_jobs("a=b")

        self.assertEqual(self.asked(), [f"DELETE {JOBS}/op-1", f"DELETE {JOBS}"])
        self.assertEqual(
            [one.query for one in self.server.asked],
            [{"propagationPolicy": "Background"}, {"labelSelector": "a=b", "propagationPolicy": "Background"}],
        )

    def test_of_what_is_gone_is_no_error(self):
        self.answer(refuses(404, "NotFound"))

        self.cluster.delete_job("op-1")

    def test_of_one_pod_is_by_name(self):
        self.answer(Reply(), refuses(404, "NotFound"))

        self.cluster.delete_pod("op-1-x")
        self.cluster.delete_pod("op-1-x")

        self.assertEqual(self.asked(), [f"DELETE {PODS}/op-1-x"] * 2)

    def test_of_pods_is_by_label(self):
        self.answer(Reply())

        self.cluster.delete_pods("a=b")

        self.assertEqual((self.asked(), self.server.asked[0].query), ([f"DELETE {PODS}"], {"labelSelector": "a=b"}))


class EveryCall(ClientCase):
    def test_carries_the_token_as_it_is_by_then(self):
        tokens = iter(["Bearer one", "Bearer two", None])
        cluster = self.client(self.server.url, lambda: next(tokens))
        self.answer(refuses(401, "Unauthorized"), Reply(body=BODY), Reply(body=BODY))

        cluster.job("op-1")
        cluster.job("op-1")

        self.assertEqual(
            [one.headers.get("Authorization") for one in self.server.asked], ["Bearer one", "Bearer two", None]
        )

    def test_names_the_caller_with_its_version(self):
        self.answer(Reply(body=BODY), Reply(body={"items": []}))

        self.cluster.job("op-1")
        self.cluster.events("op-1")

        self.assertEqual([one.headers["User-Agent"] for one in self.server.asked], ["etl/1.0", "etl/1.0"])

    def test_is_counted_tries_and_all(self):
        self.answer(
            Reply(201), refuses(503), page("a", more="x"), page("b"), page(), Reply(body={"items": []}), Reply()
        )

        self.cluster.create_job(BODY)
        self.cluster.jobs("a=b")
        self.cluster.pods("a=b")
        self.cluster.events("op-1")
        self.cluster.request("GET", "/version")

        self.assertEqual(
            dict(self.cluster.calls), {"POST jobs": 1, "GET jobs": 3, "GET pods": 1, "GET events": 1, "GET other": 1}
        )

    def test_may_be_any_question(self):
        review = {"spec": {"resourceAttributes": {"verb": "create"}}}
        self.answer(Reply(201, {"status": {"allowed": True}}), refuses(404, "NotFound"))

        found = self.cluster.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)

        self.assertEqual((found, self.server.asked[0].body), ({"status": {"allowed": True}}, review))
        with self.assertRaises(NotFoundError):
            self.cluster.request("GET", "/no/such/thing")

    def test_fails_in_our_own_words_only(self):
        for status in (*range(400, 430), 451, 500, 501, 507, 599):
            with self.subTest(status=status):
                self.server.replies[:] = [refuses(status)] * 4
                with self.assertRaises(PipelineError):
                    self.cluster.request("GET", "/version")
        self.assertTrue(issubclass(AlreadyExistsError, ConflictError))

    def test_takes_an_address_that_ends_in_a_slash(self):
        self.answer(Reply())

        self.client(self.server.url + "/").request("GET", "/version")

        self.assertEqual(self.asked(), ["GET /version"])


CONNECT = """
import json, sys
from etl_core.errors import ConfigError
from etl_core.kube.client import connect
from etl_core.retry import Retry
try:
    cluster = connect(sys.argv[1], default_namespace="ours", retry=Retry(), user_agent="etl/1.0")
    print(json.dumps([cluster.url, cluster.namespace, cluster._authorization()]))
except ConfigError as error:
    print(json.dumps(str(error)))
"""


class Connect(unittest.TestCase):
    """Each in a process of its own: the official client reads the environment when it is imported."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def connect(self, asked: str = "", *, text: str = "", **context: str) -> Any:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", **context}}],
            "current-context": "x" if context else "",
        }
        path = self.folder / "kubeconfig"
        path.write_text(text or json.dumps(config))
        ended = subprocess.run(
            [sys.executable, "-c", CONNECT, asked],
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "KUBECONFIG": str(path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(ended.stdout)

    def test_the_default_cluster_is_the_current_context_and_its_namespace(self):
        self.assertEqual(self.connect(namespace="team"), ["http://127.0.0.1:1", "team", "Bearer secret"])

    def test_a_given_namespace_comes_before_that_of_the_context(self):
        self.assertEqual(self.connect("mine", namespace="team")[1], "mine")

    def test_the_default_namespace_is_used_if_the_context_has_none(self):
        self.assertEqual(self.connect(user="u")[1], "ours")

    def test_an_error_without_a_context_says_what_to_do(self):
        for text in ("", "junk", "a: [1", "[]"):
            with self.subTest(text=text):
                said = self.connect(text=text)
                self.assertRegex(said, "(?s)no cluster is configured: .* Set KUBECONFIG to a kubeconfig")
