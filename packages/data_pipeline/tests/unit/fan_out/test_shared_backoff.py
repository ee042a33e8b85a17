import json
import tempfile
import unittest
from pathlib import Path

from structlog.testing import capture_logs

from data_pipeline.fan_out.shared_backoff import (
    BLOCKED_SECONDS,
    MIN_DIFFERENCE_SECONDS,
    READ_EVERY_SECONDS,
    Backoff,
    SharedBackoff,
    SharedBudget,
)
from etl_core.errors import AccessError, BlockedError, StoppedError
from etl_core.lake.port import Body, PutResult
from etl_core.private_folder import PrivateFolder
from etl_core.testing import ManualClock, MemoryStore

KEY = "metadata/sources/site.test-8080/not_before.json"
NOW = 1_000_000.0


class ClosedStore(MemoryStore):
    """A lake that does not answer while ``closed``; ``reads`` counts the reads."""

    closed = False
    reads = 0

    def get(self, key: str) -> bytes | None:
        self.reads += 1
        if self.closed:
            raise AccessError("no access")
        return super().get(key)

    def put(self, key: str, body: Body) -> None:
        if self.closed:
            raise AccessError("no access")
        super().put(key, body)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        raise AssertionError("a backoff is overwritten, not created once")


class BackoffCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock(NOW)
        self.store = ClosedStore()

    def backoff(self) -> SharedBackoff:
        return SharedBackoff(self.store, "Site.test:8080", clock=self.clock)

    def stored(self) -> dict[str, object]:
        found = json.loads(MemoryStore.get(self.store, KEY) or b"{}")
        assert isinstance(found, dict)
        return found


class SharedBackoffTest(BackoffCase):
    def test_without_a_stored_backoff_nobody_waits(self):
        self.assertEqual(self.backoff().current(), Backoff())
        self.backoff().raise_if_blocked()

    def test_every_pod_reads_what_one_published(self):
        one, other = self.backoff(), self.backoff()

        one.publish(Backoff(NOW + 30))

        self.assertEqual((one.current(), other.current()), (Backoff(NOW + 30), Backoff(NOW + 30)))
        self.assertEqual(self.stored(), {"not_before": NOW + 30, "blocked": "", "written": NOW})

    def test_the_lake_is_read_once_every_few_seconds(self):
        one, other = self.backoff(), self.backoff()
        other.current()
        one.publish(Backoff(NOW + 30))
        reads = self.store.reads

        for _ in range(100):
            self.assertEqual(other.current(), Backoff())
        self.clock.now += READ_EVERY_SECONDS
        for _ in range(100):
            self.assertEqual(other.current(), Backoff(NOW + 30))

        self.assertEqual(self.store.reads, reads + 1)

    def test_the_later_of_two_moments_stays(self):
        one, other = self.backoff(), self.backoff()
        one.publish(Backoff(NOW + 30))

        for shorter in (20.0, 30.0, 30.0 + MIN_DIFFERENCE_SECONDS / 2):
            other.publish(Backoff(NOW + shorter))
        self.assertEqual((len(self.store.writes), other.current()), (1, Backoff(NOW + 30)))

        other.publish(Backoff(NOW + 40))
        self.assertEqual(self.stored()["not_before"], NOW + 40)

    def test_a_block_is_written_even_over_a_later_moment(self):
        self.backoff().publish(Backoff(NOW + 2 * BLOCKED_SECONDS))
        self.clock.now += 1

        self.backoff().publish(Backoff(NOW + BLOCKED_SECONDS, "403 by the edge"))

        self.assertEqual(self.backoff().current(), Backoff(NOW + BLOCKED_SECONDS, "403 by the edge"))

    def test_a_block_says_how_long_it_lasts_and_how_to_end_it(self):
        self.backoff().publish(Backoff(NOW + BLOCKED_SECONDS, "403 by the edge."))
        self.clock.now += 600

        with self.assertRaisesRegex(
            BlockedError, f"403 by the edge. Wait another 50 minutes, or delete memory:///{KEY}"
        ):
            self.backoff().raise_if_blocked()
        self.store.delete(KEY)
        self.backoff().raise_if_blocked()

    def test_a_block_ends_after_an_hour(self):
        self.backoff().publish(Backoff(NOW + BLOCKED_SECONDS, "403"))
        self.clock.now += BLOCKED_SECONDS

        self.backoff().raise_if_blocked()

    def test_a_backoff_without_a_reason_is_not_a_block(self):
        self.backoff().publish(Backoff(NOW + 1000))

        self.backoff().raise_if_blocked()

    def test_an_unreadable_backoff_is_ignored_with_a_warning(self):
        for text in (
            b"", b"nonsense", b"[]", b"[1]", b"{}", b"null", b"7", b'{"not_before": "soon", "blocked": ""}', b"\xff",
            b'{"blocked": "x"}', b"[" * 100_000, b'{"not_before": 1e6, "blocked": "", "written": NaN}',
            *(b'{"not_before": %s, "blocked": "", "written": 1e6}' % one
              for one in (b"null", b"Infinity", b"NaN", b"{}", b"1e12")),
        ):  # fmt: skip
            with self.subTest(text=text), capture_logs() as logs:
                self.store.put(KEY, text)
                backoff = self.backoff()
                self.assertEqual(backoff.current(), Backoff())
                backoff.raise_if_blocked()
                self.assertEqual({(log["event"], log["log_level"]) for log in logs}, {
                    ("the shared backoff cannot be read", "warning")
                })  # fmt: skip

    def test_the_last_known_backoff_stays_while_the_lake_does_not_answer(self):
        backoff = self.backoff()
        backoff.publish(Backoff(NOW + 30))
        self.store.closed = True
        self.clock.now += READ_EVERY_SECONDS

        with capture_logs() as logs:
            self.assertEqual(backoff.current(), Backoff(NOW + 30))
            backoff.publish(Backoff(NOW + 90))

        said = [log["event"] for log in logs]
        self.assertEqual(said[0], "the shared backoff cannot be read")
        self.assertEqual(said[-1], "the shared backoff could not be written")

    def test_an_unreadable_backoff_is_overwritten(self):
        self.store.put(KEY, b"nonsense")

        self.backoff().publish(Backoff(NOW + 30))

        self.assertEqual(self.stored()["not_before"], NOW + 30)


class SharedBudgetTest(BackoffCase):
    """Each pod has its own machine, and shares the lake with the others."""

    def setUp(self):
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def pod(self, name: str, **options) -> SharedBudget:
        folder = PrivateFolder(self.folder, name)
        return SharedBudget(8, folder, self.backoff(), clock=self.clock, sleep=self.clock.sleep, **options)

    def take(self, budget: SharedBudget) -> float:
        with budget.slot() as taken:
            return taken

    def test_a_retry_after_reaches_the_other_pods(self):
        one, other = self.pod("one"), self.pod("other")
        self.assertEqual(self.take(other), NOW)

        one.throttled(NOW - 1, 30.0)

        self.assertEqual(self.stored()["not_before"], NOW + 30)
        self.assertEqual(other.allowed, 8, "its share is its own")
        self.clock.now += READ_EVERY_SECONDS
        self.assertGreaterEqual(self.take(other), NOW + 30)
        self.assertLess(self.clock.now, NOW + 31)
        self.assertLessEqual(max(self.clock.slept), 0.5)

    def test_other_pods_follow_within_a_few_seconds(self):
        one, other = self.pod("one"), self.pod("other")
        self.take(other)
        one.throttled(NOW - 1, 30.0)

        asked = []
        while self.clock.now < NOW + 30:
            asked.append(self.take(other))
            self.clock.now += 0.25

        self.assertLess(max(one for one in asked if one < NOW + 30), NOW + READ_EVERY_SECONDS)

    def test_a_short_wait_is_not_published(self):
        self.pod("one").throttled(NOW - 1, 0.5)
        self.pod("one").throttled(NOW - 1, None)

        self.assertEqual(self.store.writes, [])

    def test_a_wait_that_a_pod_sets_itself_is_published(self):
        budget = self.pod("one")
        for _ in range(4):
            self.clock.now += 1
            budget.throttled(self.clock.now, None)

        self.assertEqual(self.stored()["not_before"], budget.held_until)

    def test_a_block_stops_every_pod_for_an_hour(self):
        one, other = self.pod("one"), self.pod("other")
        self.take(other)

        one.block("403 by the edge")

        with self.assertRaisesRegex(BlockedError, "403 by the edge"):
            self.take(one)
        self.clock.now += READ_EVERY_SECONDS
        with self.assertRaisesRegex(BlockedError, "403 by the edge"):
            self.take(other)
        with self.assertRaisesRegex(BlockedError, "403 by the edge"):
            self.take(self.pod("a later one"))
        self.clock.now += BLOCKED_SECONDS
        self.take(self.pod("an hour later"))

    def test_a_wait_longer_than_a_run_waits_for_ends_every_pod(self):
        self.pod("one").throttled(NOW - 1, 7200.0)

        with self.assertRaisesRegex(BlockedError, "no request before .* in 120 min") as caught:
            self.take(self.pod("other"))
        self.assertEqual(caught.exception.retry_after, 7200.0)
        self.assertEqual(self.clock.slept, [])

    def test_a_pod_whose_clock_is_ahead_holds_the_others_no_longer_than_it_was_asked_to(self):
        self.clock.now = NOW + 3000
        self.pod("one").throttled(self.clock.now - 1, 5.0)
        self.clock.now = NOW

        self.assertLess(self.take(self.pod("other")), NOW + 6)

    def test_the_reason_of_a_block_is_printable(self):
        self.pod("one").block("403 \x1b[2J by the edge")
        stored = self.stored() | {"blocked": "403 \x1b[2J by the edge"}
        self.store.put(KEY, json.dumps(stored).encode())
        for read in (lambda: self.take(self.pod("other")), self.backoff().raise_if_blocked):
            with self.assertRaises(BlockedError) as caught:
                read()
            self.assertTrue(str(caught.exception).isprintable())

    def test_a_waiting_pod_can_be_stopped(self):
        def stop() -> None:
            if self.clock.slept:
                raise StoppedError("stopped", signal_number=15)

        self.backoff().publish(Backoff(NOW + 500))

        with self.assertRaises(StoppedError):
            self.take(self.pod("one", check_stop=stop))
        self.assertEqual(self.clock.slept, [0.5])
