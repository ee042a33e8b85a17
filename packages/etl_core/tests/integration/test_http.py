"""HttpClient over a real server on loopback."""

import contextlib
import gc
import itertools
import logging
import os
import socket
import ssl
import threading
import time
import traceback

import pytest
import trustme

from etl_core.budget import Budget
from etl_core.errors import (
    AccessError,
    BlockedError,
    ConfigError,
    DataError,
    NotFoundError,
    PipelineError,
    StoppedError,
    UnavailableError,
    UnreachableError,
)
from etl_core.http import STANDARD_STATUSES, HttpClient, HttpPolicy, HttpSettings, make_session
from etl_core.http.client import READ_BYTES
from etl_core.private_folder import PrivateFolder
from etl_core.retry import Retry, RetryPolicy
from etl_core.telemetry import Tally, Telemetry
from etl_core.testing import ManualClock
from packages.etl_core.tests.support.source_server import (
    SourceServer,
    answer,
    chunked,
    drip,
    drip_headers,
    gzipped,
    json_answer,
    raw,
    reset,
    short,
    silent,
)

CSV = b"a,b\n1,2\n"
# A site behind a CDN that blocks with 403 or an HTML page.
SITE = HttpPolicy(
    statuses=STANDARD_STATUSES | {403: "blocked"},
    bodies=((400, "Database error", "temporary"),),
    html_page="blocked",
    advice={"blocked": "Come back in an hour."},
    cache_parameter="fresh",
    metric_prefix="site",
)
# A JSON API that wants a bearer token and twice the wait when it throttles.
API = HttpPolicy(statuses=STANDARD_STATUSES | {503: "temporary"}, throttled_wait_factor=2.0)


class Bench:
    """A client with everything injected, and what was injected."""

    def __init__(
        self, url, folder, *, attempts=4, ceiling=4, read_seconds=20.0, policy=SITE, token="", clock=None, **settings
    ):
        self.clock = ManualClock(1000.0)
        settings |= {"bearer_token": token, "connect_seconds": 5.0, "read_seconds": read_seconds}
        self.settings = HttpSettings(url, "etl-core-tests/1.0", **settings)
        self.session = make_session(self.settings)
        self.session.trust_env = False  # no proxy of this machine
        self.budget = Budget(
            ceiling, PrivateFolder(folder.parent, folder.name), clock=self.clock, sleep=self.clock.sleep
        )
        self.telemetry = Telemetry()
        self.stops_after = itertools.repeat(False)
        self.client = HttpClient(
            self.settings,
            policy,
            session=self.session,
            budget=self.budget,
            retry=Retry(RetryPolicy(attempts=attempts), sleep=self.clock.sleep, clock=self.clock, chance=lambda: 1.0),
            telemetry=self.telemetry,
            clock=clock or self.clock,
            check_stop=self.check_stop,
        )

    def check_stop(self):
        if next(self.stops_after):
            raise StoppedError("stopped", signal_number=15)

    def read(self, path="/data", **options):
        with self.client.stream(path, **options) as one:
            return b"".join(one.chunks)


def slots_in_use(bench):
    """How many slots another process would find taken."""
    taken = 0
    for number in range(bench.budget.ceiling):
        held = bench.budget._lock_now(f"slot-{number:02}")
        if held is None:
            taken += 1
        else:
            os.close(held)
    return taken


@pytest.fixture
def server():
    with SourceServer() as running:
        yield running


@pytest.fixture
def new_bench(server, tmp_path):
    made: list[Bench] = []

    def make(url=None, **options):
        folder = tmp_path / f"budget-{len(made)}"
        made.append(Bench(server.url if url is None else url, folder, **options))
        return made[-1]

    yield make
    for one in made:
        one.session.close()


@pytest.fixture
def bench(new_bench):
    return new_bench()


# ------------------------------------------------------------------------------------------- what is asked


def test_a_request_has_path_parameters_and_user_agent(server, bench):
    server.plan(json_answer({"count": 17}))

    assert bench.client.get_json("/api/1/items", [("a", "x y"), ("a", "é&"), ("b", "")]) == {"count": 17}

    (asked,) = server.asked
    assert asked.path == "/api/1/items"
    assert asked.params == [("a", "x y"), ("a", "é&"), ("b", "")]
    assert asked.headers["user-agent"] == "etl-core-tests/1.0"
    assert "gzip" in asked.headers["accept-encoding"]


def test_a_slash_at_the_end_of_the_address_is_not_doubled(server, new_bench):
    bench = new_bench(server.url + "/")
    server.plan(json_answer({}))
    bench.client.get_json("/x")
    assert server.asked[0].path == "/x"


def test_a_request_bypasses_caches_if_the_caller_says_so(server, bench):
    server.plan(json_answer(1), json_answer(2), json_answer(3), answer(200, CSV, kind="text/csv"))

    bench.client.get_json("/x", [("a", "b")])
    bench.client.get_json("/x", [("a", "b")], bypass_cache=True)
    bench.client.get_json("/x", [("a", "b")], bypass_cache=True)
    bench.read(bypass_cache=True)

    plain, one, two, three = (asked.params for asked in server.asked)
    assert plain == [("a", "b")]
    assert one[0] == two[0] == ("a", "b")
    fresh = [params[-1] for params in (one, two, three)]
    assert {name for name, _ in fresh} == {"fresh"}
    assert len({value for _, value in fresh}) == 3


# ------------------------------------------------------------------------------------------ what is answered


@pytest.mark.parametrize(
    ("status", "error", "retried"),
    [
        (400, DataError, False),
        (401, AccessError, False),
        (403, BlockedError, False),
        (404, NotFoundError, False),
        (410, DataError, False),
        (204, DataError, False),
        (206, DataError, False),
        (304, DataError, False),
        (501, DataError, False),
        (505, DataError, False),
        *((status, UnavailableError, True) for status in (408, 421, 423, 425, 429, 500, 502, 503, 504, 507, 520, 599)),
    ],
)
def test_each_status_is_an_error_by_the_policy(server, status, error, retried, new_bench):
    bench = new_bench(attempts=3)
    server.plan(*[json_answer({"message": "Column \x1b[31mnot\n found.", "status": status}, status)] * 3)

    with pytest.raises(PipelineError) as caught:
        bench.client.get_json("/x", [("a", "b")])

    assert type(caught.value) is error
    assert len(server.asked) == (3 if retried else 1)
    says = "" if status in (204, 304) else "Column [31mnot found."
    asked = "?a=b&fresh=" if retried else "?a=b"
    message = str(caught.value)
    assert message.startswith(f"GET {server.url}/x{asked}"), message
    assert f" answered {status}: {says}" in message
    assert message.isprintable()


def test_a_policy_can_give_a_status_another_meaning_by_its_body(server, bench):
    server.plan(json_answer({"message": "Database error."}, 400), json_answer({"message": "No such column."}, 400))
    with pytest.raises(DataError, match="No such column"):
        bench.client.get_json("/x")
    assert len(bench.clock.slept) == 1


# ------------------------------------------------------------------------------ an API with a bearer token


def test_a_json_api_needs_only_another_policy(server, new_bench):
    bench = new_bench(policy=API, token="s3cret")
    server.plan(answer(429), answer(503), answer(200, b"<html>", kind="text/html"), json_answer([1]))

    assert bench.client.get_json("/customers", [("page", "1")]) == [1]

    assert bench.clock.slept == [1.0, 1.0, 2.0], "the wait after a 429 is doubled"
    assert all(asked.params == [("page", "1")] for asked in server.asked), "no cache-busting parameter"
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer s3cret"}
    assert bench.telemetry.value("http_requests_total") == 4
    assert "s3cret" not in repr(bench.settings)


@pytest.mark.parametrize("status", [401, 403])
def test_denied_access_is_permanent_and_stops_nobody_else(server, new_bench, status):
    bench = new_bench(policy=API, token="s3cret")
    server.plan(json_answer({"message": "token expired"}, status), json_answer([1]))
    with pytest.raises(AccessError, match="token expired") as caught:
        bench.client.get_json("/customers")
    assert "s3cret" not in str(caught.value)
    assert bench.client.get_json("/customers") == [1]


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_server_that_repeats_the_token_does_not_get_it_into_a_message(server, new_bench, status):
    bench = new_bench(policy=API, token="s3cret", attempts=1)
    told = json_answer({"message": "no s3cret is known"}, status)
    server.plan(told, answer(302, Location="/there?token=s3cret"), told)
    for _ in range(2):
        with pytest.raises(PipelineError, match="no … is known") as caught:
            bench.client.get_json("/customers")
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_sends_the_token_elsewhere_does_not_get_it_into_a_message(server, new_bench):
    bench = new_bench(policy=API, token="s3cret")
    server.plan(answer(302, Location="http://localhost:9/there/s3cret"))
    with pytest.raises(DataError, match="redirected to another place: http://localhost:9/there/…") as caught:
        bench.client.get_json("/customers")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_redirect_on_the_host_carries_the_token_and_one_to_another_host_is_refused(server, new_bench):
    bench = new_bench(policy=API, token="s3cret")
    server.plan(answer(302, Location=server.url + "/here"), json_answer([1]))
    assert bench.client.get_json("/customers") == [1]
    assert [asked.headers.get("authorization") for asked in server.asked] == ["Bearer s3cret"] * 2
    server.asked.clear()
    elsewhere = server.url.replace("127.0.0.1", "localhost") + "/there"
    server.plan(answer(302, Location=elsewhere))
    with pytest.raises(DataError, match=f"/customers was redirected to another place: {elsewhere}"):
        bench.client.get_json("/customers")
    assert [asked.path for asked in server.asked] == ["/customers"]
    assert slots_in_use(bench) == 0


@pytest.mark.parametrize("status", [102, 103, 199])
def test_an_interim_answer_is_passed_over_and_the_connection_stays_in_step(server, bench, status):
    def behave(handler):
        handler.wfile.write(f"HTTP/1.1 {status} Early\r\nLink: </style>\r\n\r\n".encode() * 2)
        json_answer(handler.path)(handler)

    server.plan(behave, behave, json_answer("last"))
    assert [bench.client.get_json(path) for path in ("/one", "/two", "/three")] == ["/one", "/two", "last"]
    assert len({asked.connection for asked in server.asked}) == 1


def test_a_switch_to_another_protocol_ends_the_connection(server, bench):
    def behave(handler):
        handler.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")

    server.plan(behave, json_answer(1))
    assert bench.client.get_json("/x") == 1
    assert len({asked.connection for asked in server.asked}) == 2


def test_a_certificate_that_is_not_trusted_is_a_setting_to_correct(server, new_bench, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    bench = new_bench(server.url.replace("http://", "https://"))
    with pytest.raises(ConfigError, match="certificate verify failed") as caught:
        bench.client.get_json("/x")
    assert "REQUESTS_CA_BUNDLE" in caught.value.advice
    assert bench.clock.slept == []

    bench.session.verify = str(tmp_path / "nothing.pem")
    with pytest.raises(ConfigError, match=r"nothing\.pem") as caught:
        bench.client.get_json("/x")
    assert "REQUESTS_CA_BUNDLE" in caught.value.advice

    authority.cert_pem.write_to_path(tmp_path / "trusted.pem")
    bench.session.verify = str(tmp_path / "trusted.pem")
    server.plan(json_answer(1))
    assert bench.client.get_json("/x") == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(200, b'"' + b"x" * 100_000 + b'"', kind="application/json"),
        gzipped(b'"' + b"x" * 100_000 + b'"', "application/json"),
        chunked([b"x" * 1000] * 100),
    ],
    ids=["plain", "packed", "without a length"],
)
def test_a_text_that_is_too_long_is_not_read_to_its_end(server, new_bench, behaviour):
    bench = new_bench(held_bytes=10_000)
    server.plan(behaviour)
    with pytest.raises(DataError, match=r"/x answered more than 0 MB in place of a short text"):
        bench.client.get_json("/x")
    assert bench.telemetry.value("site_bytes_total") <= 20_000
    server.plan(answer(200, CSV * 10_000, kind="text/csv"))
    assert bench.read() == CSV * 10_000


def test_credentials_of_a_netrc_file_are_not_sent(server, new_bench, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pass\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    bench = new_bench()
    bench.session.trust_env = True
    server.plan(json_answer([1]))
    assert bench.client.get_json("/x") == [1]
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "Say \\"no\\""}', 'Say "no"'),
        (b'{"message": 7}', '{"message": 7}'),
        (b'["a"]', '["a"]'),
        (b"<html>\r\n<b>No\x00\x1b[2J</b>", "No [2J"),
        (b"\xff\xfe\xe2\x80\xa8x", "\ufffd\ufffd x"),
        (b"", ""),
        (b"x" * 9000, "x" * 300),
        (b'{"message": "' + b"y" * 5000 + b'"}', '{"message": "' + "y" * 287),
        (b"[" * 9000, "[" * 300),
    ],
)
def test_the_body_of_an_error_is_shortened_and_printable(server, bench, body, said):
    server.plan(answer(400, body))
    with pytest.raises(DataError) as caught:
        bench.client.get_json("/x")
    assert str(caught.value) == f"GET {server.url}/x answered 400: {said}"


def test_the_url_of_an_error_is_written_for_people(server, bench):
    server.plan(answer(400, b"no"))
    with pytest.raises(DataError) as caught:
        bench.client.get_json("/x", [("conditions[0][value]", "UNITED STATES\n")])
    assert str(caught.value) == f"GET {server.url}/x?conditions[0][value]=UNITED STATES answered 400: no"


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "Text/HTML", "application/xhtml+xml"])
@pytest.mark.parametrize("expect", ["json", "csv"])
def test_a_page_with_status_200_is_a_block(server, bench, kind, expect):
    server.plan(answer(200, b"<html>Access denied</html>", kind=kind))

    with pytest.raises(BlockedError) as caught:
        bench.read(expect=expect)

    assert "answered 200 with an HTML page: Access denied" in str(caught.value)
    assert caught.value.advice == "Come back in an hour."


def test_an_html_page_that_was_requested_is_no_block(server, bench):
    server.plan(answer(200, b"<html>", kind="text/html"), answer(200, b"<html>", kind="text/html"))
    assert bench.read(expect="") == b"<html>"
    assert bench.client.get_text("/page") == "<html>"


def test_a_content_type_with_the_expected_word_is_no_html_page(server, bench):
    server.plan(answer(200, CSV, kind="text/csv; profile=html"), answer(200, CSV, kind="application/octet-stream"))
    assert bench.read(expect="csv") == CSV
    assert bench.read(expect="csv") == CSV


@pytest.mark.parametrize(
    "blocked", [answer(403, b"Access Denied"), answer(200, b"<html>", kind="text/html")], ids=["403", "page"]
)
def test_after_a_block_no_request_is_sent(server, bench, blocked):
    server.plan(blocked, json_answer(1))

    with pytest.raises(BlockedError):
        bench.client.get_json("/x")
    with pytest.raises(BlockedError):
        bench.client.get_json("/y")

    assert len(server.asked) == 1
    assert bench.clock.slept == []


def test_redirects_are_followed(server, bench):
    server.plan(answer(302, Location="/there?x=1"), json_answer({"here": True}))
    assert bench.client.get_json("/x") == {"here": True}
    assert [asked.path for asked in server.asked] == ["/x", "/there"]


def test_a_redirect_loop_ends(server, bench):
    server.plan(*[answer(302, Location="/x")] * 40)
    with pytest.raises(UnavailableError, match="Exceeded 30 redirects"):
        bench.read()


# requests forgets the first connection where it cannot read where the redirect leads.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("foo://x\x1b[2J/", DataError),
        ("foo://x\x1b2J/", DataError),
        ("http://[bad/", DataError),
        ("http://x\x1b]0;y\x07z:notaport/", DataError),
        ("http://x\x1by\x07z:notaport/", DataError),
        ("http://a\x00b/", DataError),
        ("http://\xff/", DataError),
        ("http://.example.invalid./", DataError),
        ("http://" + "a" * 300 + ".invalid/", DataError),
        ("http://127.0.0.1:99999/", DataError),
        ("file:///etc/passwd", DataError),
    ],
)
def test_an_invalid_redirect_is_an_error_without_control_characters(server, bench, location, error):
    server.plan(answer(302, Location=location))
    with pytest.raises(error) as caught:
        bench.read()
    assert str(caught.value).isprintable(), repr(str(caught.value))
    assert slots_in_use(bench) == 0
    del caught
    gc.collect()


def test_a_gzipped_body_is_decoded(server, bench):
    body = CSV * 100_000
    server.plan(gzipped(body, "text/csv"), gzipped(b'{"a": 1}', "application/json"))
    assert bench.read(expect="csv") == body
    assert bench.client.get_json("/x") == {"a": 1}
    assert bench.telemetry.value("site_bytes_total") == len(body) + 8


def test_a_broken_gzip_is_unavailable(server, bench):
    server.plan(answer(200, b"\x1f\x8b\x08nonsense", kind="text/csv", Content_Encoding="gzip"))
    with pytest.raises(UnavailableError, match=f"GET {server.url}/data failed"):
        bench.read()


def test_an_answer_has_url_and_headers(server, bench):
    server.plan(answer(200, CSV, kind="text/csv", X_Thing="yes"))
    with bench.client.stream("/data", [("a", "b c")], expect="csv") as one:
        assert one.url == f"{server.url}/data?a=b+c"
        assert one.headers["x-thing"] == "yes"
        assert b"".join(one.chunks) == CSV


def test_chunks_are_at_most_a_quarter_of_a_megabyte(server, bench):
    body = b"0123456789abcdef" * 60_000
    server.plan(chunked([body]), answer(200, body))
    for _ in range(2):
        with bench.client.stream("/data") as one:
            sizes = [len(chunk) for chunk in one.chunks]
        assert sum(sizes) == len(body)
        assert max(sizes) <= READ_BYTES


# ----------------------------------------------------------------------------------------------- broken answers


@pytest.mark.parametrize(
    "behaviour",
    [
        chunked([CSV, CSV], end=False),
        short(CSV, promised=100),
        reset(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 99\r\n\r\na,b\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n"),
    ],
    ids=["cut chunk", "short", "reset", "no chunk"],
)
def test_a_body_that_breaks_off_is_unavailable(server, bench, behaviour):
    server.plan(behaviour)
    with pytest.raises(UnavailableError) as caught:
        bench.read(expect="")
    assert str(caught.value).startswith(f"GET {server.url}/data failed: ")
    assert type(caught.value) in (UnavailableError, UnreachableError)
    assert slots_in_use(bench) == 0


@pytest.mark.parametrize(
    "behaviour",
    [reset(), raw(b""), raw(b"nonsense\r\n\r\n"), raw(b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n")],
    ids=["reset", "nothing", "nonsense", "long header"],
)
def test_an_answer_without_a_valid_start_is_unavailable(server, bench, behaviour):
    server.plan(behaviour)
    with pytest.raises(UnavailableError) as caught:
        bench.read()
    assert str(caught.value).startswith(f"GET {server.url}/data failed: ")
    assert "0x" not in str(caught.value)  # no address of an object
    assert slots_in_use(bench) == 0


def test_a_source_that_does_not_answer_in_time_is_unreachable(server, new_bench):
    bench = new_bench(read_seconds=0.2)
    server.plan(silent)
    with pytest.raises(UnreachableError, match=r"Read timed out. \(read timeout=0.2\)"):
        bench.read()


def test_a_body_that_stops_coming_is_unavailable(server, new_bench):
    bench = new_bench(read_seconds=0.2)
    server.plan(chunked([CSV], hold=True))
    with pytest.raises(UnavailableError, match="timed out"):
        bench.read()


def test_nobody_at_the_address_is_unreachable(new_bench):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bench = new_bench(f"http://127.0.0.1:{port}", attempts=2)
    said = r"failed: NewConnectionError: Failed to establish .* refused\. Check the address and the network"
    with pytest.raises(UnreachableError, match=said):
        bench.client.get_json("/x")
    assert len(bench.clock.slept) == 1


@pytest.mark.parametrize("address", ["http://", "nonsense", "foo://x", "http://[::bad", ""])
def test_an_invalid_url_is_a_data_error(address, new_bench):
    bench = new_bench(address)
    with pytest.raises(DataError, match="is not a valid URL"):
        bench.client.get_json("/x")
    assert bench.clock.slept == []


def test_an_answer_that_takes_too_long_is_aborted(server, bench):
    server.plan(chunked([b"x" * READ_BYTES] * 20, hold=True))
    received = 0

    def read_slowly(chunks):
        nonlocal received
        for chunk in chunks:
            received += len(chunk)
            bench.clock.now += bench.settings.answer_seconds / 2.5

    with pytest.raises(UnavailableError) as caught, bench.client.stream("/data") as one:
        read_slowly(one.chunks)
    assert str(caught.value) == (
        f"GET {server.url}/data was still answering after {bench.settings.answer_seconds:.0f} s"
        f" and {3 * READ_BYTES} bytes"
    )
    assert received == 3 * READ_BYTES


def test_an_answer_at_a_hundred_bytes_a_second_times_out_within_its_first_chunk(server, new_bench):
    bench = new_bench(read_seconds=0.3, clock=time.monotonic)
    server.plan(drip(b"x", every=0.01))
    with pytest.raises(UnavailableError, match=r"/data sent only \d+ bytes a second for 0 s$"):
        bench.read()
    assert slots_in_use(bench) == 0


def test_an_answer_that_drips_is_cut_at_the_time_for_a_whole_answer(server, new_bench):
    bench = new_bench(answer_seconds=0.3, clock=time.monotonic)
    server.plan(drip(b"x" * 100, every=0.01))
    with pytest.raises(UnavailableError, match=r"/data was still answering after 0 s and \d+ bytes$"):
        bench.read()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Thing: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b" \r\n"),
        (b"HTTP/1.1 302 Found\r\nLocation: /", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status line", "header", "many headers", "redirect", "continue"],
)
def test_an_answer_whose_headers_drip_times_out(server, new_bench, start, piece):
    bench = new_bench(read_seconds=0.2)
    server.plan(drip_headers(start, piece, every=0.02), json_answer(1))
    with pytest.raises(UnavailableError, match=r"/data failed: ReadTimeoutError: Read timed out"):
        bench.read()
    assert slots_in_use(bench) == 0
    assert bench.client.get_json("/x") == 1


def test_an_answer_of_a_proxy_whose_headers_drip_times_out(server, new_bench):
    bench = new_bench("http://site.invalid", read_seconds=0.2)
    bench.session.proxies = {"http": server.url}
    server.plan(json_answer(1), *[drip_headers(b"", b"H", every=0.02)] * 2)
    assert bench.client.get_json("/x") == 1
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"/data failed: ReadTimeoutError: Read timed out"):
            bench.read()


def test_only_time_in_which_the_server_is_waited_for_counts_for_the_rate(server, bench):
    server.plan(chunked([b"x" * 10] * 30))
    received = 0
    with bench.client.stream("/data") as one:
        for chunk in one.chunks:
            received += len(chunk)
            bench.clock.now += 60.0  # the lake is slow
    assert received == 300


@pytest.mark.parametrize(("status", "error"), [(403, BlockedError), (400, DataError), (503, UnavailableError)])
def test_an_error_whose_body_drips_is_an_error_by_its_status(server, new_bench, status, error):
    bench = new_bench(read_seconds=0.2, clock=time.monotonic)
    server.plan(drip(b"x", every=0.01, status=status))
    with pytest.raises(error, match=f"/data answered {status}"):
        bench.read()


def test_a_redirect_is_followed_without_reading_its_body(server, bench):
    server.plan(drip(b"x" * 1000, every=0.001, status=302, Location="/there"), json_answer({"here": True}))
    assert bench.client.get_json("/x") == {"here": True}
    assert [asked.path for asked in server.asked] == ["/x", "/there"]


def test_a_stop_is_noticed_between_chunks(server, bench):
    server.plan(chunked([b"x" * READ_BYTES] * 3))
    bench.stops_after = iter([False, False, True])
    received: list[int] = []
    with pytest.raises(StoppedError), bench.client.stream("/data") as one:
        received.extend(len(chunk) for chunk in one.chunks)
    assert slots_in_use(bench) == 0


# ---------------------------------------------------------------------------------------------------- retries


@pytest.mark.parametrize(
    "bad",
    [
        answer(200, b"<not json", kind="application/json"),
        answer(200, b"", kind="application/json"),
        answer(200, b'{"cut": ', kind="application/json"),
        answer(200, b"\xff\xff", kind="application/json"),
        answer(200, b"[" * 100_000, kind="application/json"),
        answer(503, b"busy"),
        chunked([b'{"a":'], kind="application/json", end=False),
        reset(),
    ],
    ids=["garbage", "empty", "cut", "bytes", "brackets", "503", "broken off", "reset"],
)
def test_a_retry_after_a_bad_answer_bypasses_caches(server, bench, bad):
    server.plan(bad, bad, json_answer({"good": 1}))
    tally = Tally()

    assert bench.client.get_json("/x", [("a", "b")], tally=tally) == {"good": 1}

    params = [asked.params for asked in server.asked]
    assert params[0] == [("a", "b")]
    assert params[1][0] == params[2][0] == ("a", "b")
    assert params[1][1][0] == params[2][1][0] == "fresh"
    assert params[1][1][1] != params[2][1][1]
    assert len(bench.clock.slept) == 2
    assert (tally.requests, tally.retries) == (3, 2)
    assert bench.telemetry.value("site_retries_total") == 2


def test_invalid_json_on_every_attempt_is_unavailable(server, new_bench):
    bench = new_bench(attempts=2)
    server.plan(*[answer(200, b"<not json", kind="application/json")] * 2)
    with pytest.raises(UnavailableError, match=r"/x\?fresh=\w{12} answered 9 bytes of invalid JSON"):
        bench.client.get_json("/x")


def test_a_retry_for_text_bypasses_caches(server, bench):
    server.plan(answer(502), answer(200, b"caf\xc3\xa9 \xff", kind="text/plain"))
    tally = Tally()
    assert bench.client.get_text("/x", tally=tally) == "café \ufffd"
    assert [len(asked.params) for asked in server.asked] == [0, 1]
    assert (tally.requests, tally.retries, bench.telemetry.value("site_retries_total")) == (2, 1, 1)


def test_a_stream_is_tried_once(server, bench):
    server.plan(answer(503), answer(200, CSV))
    with pytest.raises(UnavailableError):
        bench.read()
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "value"), [(503, "120"), (429, "7"), (500, "3")])
def test_retry_after_in_seconds_is_obeyed(server, bench, status, value):
    server.plan(answer(status, Retry_After=value), json_answer(1))
    assert bench.client.get_json("/x") == 1
    assert bench.clock.slept == [float(value) + 0.05]


def test_retry_after_as_a_date_is_obeyed(server, bench, new_bench):
    date = {"Date": "Sat, 21 Nov 2020 12:00:00 GMT", "Retry_After": "Sat, 21 Nov 2020 12:01:30 GMT"}
    server.plan(raw(b"HTTP/1.1 503 No\r\nDate: %(Date)s\r\nRetry-After: %(Retry_After)s\r\n\r\n" % {
        name.encode(): value.encode() for name, value in date.items()
    }))  # fmt: skip
    with pytest.raises(UnavailableError) as caught:
        bench.read()
    assert caught.value.retry_after == 90.0, "by the clock of the server"
    server.plan(answer(500, Retry_After="Sat, 21 Nov 2020 12:00:00 GMT"), json_answer(1))
    again = new_bench()
    assert again.client.get_json("/x") == 1
    assert again.clock.slept == [0.05]


@pytest.mark.parametrize("status", [429, 503, 500, 502])
def test_a_retry_after_above_ten_minutes_is_not_waited_for_and_obeyed_by_the_next_command(server, bench, status):
    server.plan(answer(status, b"busy", Retry_After="7200"), json_answer(1))
    for at, minutes in ((1000.0, 120), (4600.0 + 1.0, 60)):  # after an hour, too
        bench.clock.now = at
        with pytest.raises(BlockedError) as caught:
            bench.client.get_json("/x")
        assert "the source asked for no request before 1970-01-01 02:16:40 UTC" in str(caught.value)
        assert f"in {minutes} min. Run the same command again then" in str(caught.value)
        assert caught.value.retry_after == 8200.0 - at
        assert (len(server.asked), bench.clock.slept) == (1, [])
    bench.clock.now = 8200.0
    assert bench.client.get_json("/x") == 1


@pytest.mark.parametrize("value", ["soon", "-1", "\xb2", "1e9", ""])
def test_an_invalid_retry_after_is_ignored(server, bench, value):
    server.plan(answer(503, Retry_After=value), json_answer(1))
    assert bench.client.get_json("/x") == 1
    assert bench.clock.slept == [0.5]


# ---------------------------------------------------------------------------------------- budget and telemetry


@pytest.mark.parametrize(("status", "allowed"), [(429, 2), (503, 2), (500, 4), (502, 4), (404, 4), (200, 4)])
def test_only_throttling_answers_cut_the_budget(server, bench, status, allowed):
    server.plan(answer(status, b"1", Retry_After="3"))
    with contextlib.suppress(PipelineError):
        bench.read()
    assert bench.budget.allowed == allowed
    assert bench.budget._read().not_before == (1003.0 if allowed == 2 else 0.0)


def test_complete_answers_raise_the_budget(server, bench):
    bench.budget.throttled(999.0, 0.0)
    server.plan(*[answer(200, CSV)] * 3, *[chunked([CSV])] * 2, *[gzipped(CSV, "text/csv")] * 2)
    seen = []
    for _ in range(7):
        bench.read()
        seen.append(bench.budget.allowed)
    assert seen == [2, 2, 3, 3, 3, 4, 4]


def test_answers_read_in_part_do_not_raise_the_budget(server, bench):
    bench.budget.throttled(999.0, 0.0)
    server.plan(*[chunked([b"x" * READ_BYTES] * 4)] * 5)
    for _ in range(5):
        with bench.client.stream("/data") as one:
            next(iter(one.chunks))
    assert bench.budget._read().allowed == 2.0


def test_error_answers_do_not_raise_the_budget(server, bench):
    bench.budget.throttled(999.0, 0.0)
    server.plan(*[answer(404)] * 5)
    for _ in range(5):
        with pytest.raises(NotFoundError):
            bench.read()
    assert bench.budget._read().allowed == 2.0


def test_a_slot_is_held_until_the_body_is_read(server, new_bench):
    bench = new_bench(ceiling=1)
    server.plan(answer(200, CSV), answer(200, CSV))
    with bench.client.stream("/data") as one:
        assert slots_in_use(bench) == 1
        b"".join(one.chunks)
        assert slots_in_use(bench) == 1
    assert slots_in_use(bench) == 0
    with pytest.raises(ZeroDivisionError), bench.client.stream("/data"):
        raise ZeroDivisionError
    assert slots_in_use(bench) == 0


def test_never_more_requests_at_once_than_the_budget_allows(server, new_bench):
    bench = new_bench(ceiling=3)
    lock = threading.Lock()
    inside = most = 0
    full = threading.Barrier(3)

    def behave(handler):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        full.wait(20)  # three are under way at once, or this fails
        with lock:
            inside -= 1
        answer(200, CSV)(handler)

    server.plan(*[behave] * 12)
    threads = [threading.Thread(target=bench.read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == 3
    assert len(server.asked) == 12


def test_requests_bytes_retries_and_statuses_are_counted(server, bench):
    tally = Tally()
    server.plan(answer(503, b"busy"), json_answer({"a": 1}), answer(200, CSV * 5), answer(404))
    bench.client.get_json("/x", tally=tally)
    bench.read(tally=tally)
    with pytest.raises(NotFoundError):
        bench.read(tally=tally)
    assert tally == Tally(requests=4, retries=1, bytes=8 + 5 * len(CSV))
    value = bench.telemetry.value
    assert [value("site_requests_total", status=status) for status in ("200", "404", "503")] == [2, 1, 1]
    assert value("site_bytes_total") == tally.bytes
    assert value("site_retries_total") == 1


# ------------------------------------------------------------------------------------------------- connections


def test_a_connection_is_used_again_after_a_body_read_to_its_end(server, bench):
    server.plan(
        answer(200, CSV), chunked([CSV]), gzipped(CSV, "text/csv"), json_answer(1), answer(404, b"x"), answer(200, CSV)
    )
    for _ in range(3):
        bench.read()
    bench.client.get_json("/x")
    with pytest.raises(NotFoundError):
        bench.read()
    bench.read()
    assert [asked.connection for asked in server.asked] == [1] * 6


def test_a_connection_is_not_used_again_after_a_body_read_in_part(server, bench):
    server.plan(chunked([b"x" * READ_BYTES] * 4), answer(200, b"y" * 3 * READ_BYTES), answer(200, CSV))
    for _ in range(2):
        with bench.client.stream("/data") as one:
            assert len(next(iter(one.chunks))) <= READ_BYTES
    assert bench.read() == CSV
    assert [asked.connection for asked in server.asked] == [1, 2, 3]


def test_a_connection_is_not_used_again_after_an_exception(server, bench):
    server.plan(chunked([b"x" * READ_BYTES] * 4), answer(200, CSV))
    with pytest.raises(ZeroDivisionError), bench.client.stream("/data") as one:
        len(next(iter(one.chunks))) / 0
    assert bench.read() == CSV
    assert [asked.connection for asked in server.asked] == [1, 2]


def test_a_connection_closed_by_the_server_is_replaced(server, bench):
    def answer_and_close(handler):
        answer(200, CSV)(handler)
        handler.close_connection = True

    server.plan(*[answer_and_close] * 4)
    for _ in range(4):
        assert bench.client.get_text("/x") == CSV.decode()


def test_many_threads_share_one_pool(server, caplog, new_bench):
    bench = new_bench(ceiling=6)
    server.plan(*[answer(200, CSV)] * 60)
    with caplog.at_level(logging.WARNING, logger="urllib3"):
        threads = [threading.Thread(target=lambda: [bench.read() for _ in range(10)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(server.asked) == 60
    assert max(asked.connection for asked in server.asked) <= 6
    assert caplog.records == []  # "Connection pool is full, discarding connection"


def test_urllib3_repeats_no_request_that_reached_the_source(server, new_bench):
    bench = new_bench(attempts=1)
    for behaviour in (answer(503, Retry_After="0"), reset(), raw(b""), answer(429, Retry_After="0")):
        server.asked.clear()
        server.plan(behaviour, json_answer(1))
        with pytest.raises(UnavailableError):
            bench.client.get_json("/x")
        assert len(server.asked) == 1
        server.behaviours.clear()
        bench.clock.now += 10


def test_one_attempt_is_one_request(server, new_bench):
    bench = new_bench()
    client = HttpClient(
        bench.settings,
        API,
        session=bench.session,
        budget=bench.budget,
        retry=Retry(RetryPolicy(attempts=1)),
        telemetry=bench.telemetry,
    )
    server.plan(answer(500), json_answer(1))
    with pytest.raises(UnavailableError):
        client.get_json("/x")
    assert client.get_json("/x") == 1
