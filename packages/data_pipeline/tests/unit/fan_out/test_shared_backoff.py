import json
import tempfile
import unittest
from pathlib import Path

from structlog.testing import capture_logs

from data_pipeline.fan_out.shared_backoff import (
    BLOCKED_SECONDS,
    READ_EVERY_SECONDS,
    WORTH_TELLING_SECONDS,
    Board,
    Notice,
    SharedBudget,
)
from etl_core.errors import AccessError, BlockedError, StoppedError
from etl_core.lake.port import Body, PutResult
from etl_core.testing import ManualClock, MemoryStore

KEY = "metadata/sources/site.test-8080/not_before.json"
NOW = 1_000_000.0


class ClosedStore(MemoryStore):
    """A lake that lets nobody in while ``closed``; ``reads`` counts who asked."""

    closed = False
    reads = 0

    def get(self, key: str) -> bytes | None:
        self.reads += 1
        if self.closed:
            raise AccessError("no entry")
        return super().get(key)

    def put(self, key: str, body: bytes) -> None:
        if self.closed:
            raise AccessError("no entry")
        super().put(key, body)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        raise AssertionError("a notice is replaced, it is no fact")


class NoticeCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock(NOW)
        self.store = ClosedStore()

    def board(self) -> Board:
        return Board(self.store, "Site.test:8080", clock=self.clock)

    def hung(self) -> dict[str, object]:
        found = json.loads(MemoryStore.get(self.store, KEY) or b"{}")
        assert isinstance(found, dict)
        return found


class ABoard(NoticeCase):
    def test_without_a_notice_holds_nobody(self):
        self.assertEqual(self.board().current(), Notice())
        self.board().must_not_be_blocked()

    def test_shows_what_was_told(self):
        one, other = self.board(), self.board()

        one.tell(Notice(NOW + 30))

        self.assertEqual((one.current(), other.current()), (Notice(NOW + 30), Notice(NOW + 30)))
        self.assertEqual(self.hung(), {"not_before": NOW + 30, "blocked": ""})

    def test_is_read_every_few_seconds_and_no_oftener(self):
        one, other = self.board(), self.board()
        other.current()
        one.tell(Notice(NOW + 30))
        reads = self.store.reads

        for _ in range(100):
            self.assertEqual(other.current(), Notice())
        self.clock.now += READ_EVERY_SECONDS
        for _ in range(100):
            self.assertEqual(other.current(), Notice(NOW + 30))

        self.assertEqual(self.store.reads, reads + 1)

    def test_keeps_the_longer_of_two_holds(self):
        one, other = self.board(), self.board()
        one.tell(Notice(NOW + 30))

        for shorter in (20.0, 30.0, 30.0 + WORTH_TELLING_SECONDS / 2):
            other.tell(Notice(NOW + shorter))
        self.assertEqual((len(self.store.writes), other.current()), (1, Notice(NOW + 30)))

        other.tell(Notice(NOW + 40))
        self.assertEqual(self.hung()["not_before"], NOW + 40)

    def test_shows_a_block_however_long_others_hold(self):
        self.board().tell(Notice(NOW + 2 * BLOCKED_SECONDS))

        self.board().tell(Notice(NOW + BLOCKED_SECONDS, "403 by the edge"))

        self.assertEqual(self.board().current(), Notice(NOW + BLOCKED_SECONDS, "403 by the edge"))

    def test_says_for_how_long_a_block_is_heeded_and_how_to_end_it(self):
        self.board().tell(Notice(NOW + BLOCKED_SECONDS, "403 by the edge."))
        self.clock.now += 600

        with self.assertRaisesRegex(
            BlockedError, f"403 by the edge. Wait another 50 minutes; .* delete memory:///{KEY}"
        ):
            self.board().must_not_be_blocked()
        self.store.delete(KEY)
        self.board().must_not_be_blocked()

    def test_forgets_a_block_after_its_hour(self):
        self.board().tell(Notice(NOW + BLOCKED_SECONDS, "403"))
        self.clock.now += BLOCKED_SECONDS

        self.board().must_not_be_blocked()

    def test_is_no_block_where_pods_are_only_held(self):
        self.board().tell(Notice(NOW + 1000))

        self.board().must_not_be_blocked()

    def test_ignores_a_notice_that_says_nothing_sensible(self):
        for text in (
            b"", b"nonsense", b"[]", b"[1]", b"{}", b"null", b"7", b'{"not_before": "soon", "blocked": ""}', b"\xff",
            b'{"not_before": null, "blocked": ""}', b'{"not_before": Infinity, "blocked": ""}',
            b'{"not_before": NaN, "blocked": ""}', b'{"blocked": "x"}', b'{"not_before": {}, "blocked": ""}',
        ):  # fmt: skip
            with self.subTest(text=text), capture_logs() as logs:
                self.store.put(KEY, text)
                board = self.board()
                self.assertEqual(board.current(), Notice())
                board.must_not_be_blocked()
                self.assertEqual({(log["event"], log["log_level"]) for log in logs}, {
                    ("the notice of the source cannot be read", "warning")
                })  # fmt: skip

    def test_keeps_what_it_knew_where_the_lake_does_not_answer(self):
        board = self.board()
        board.tell(Notice(NOW + 30))
        self.store.closed = True
        self.clock.now += READ_EVERY_SECONDS

        with capture_logs() as logs:
            self.assertEqual(board.current(), Notice(NOW + 30))
            board.tell(Notice(NOW + 90))

        said = [log["event"] for log in logs]
        self.assertEqual(said[0], "the notice of the source cannot be read")
        self.assertEqual(said[-1], "the others could not be told to wait")

    def test_replaces_a_broken_notice(self):
        self.store.put(KEY, b"nonsense")

        self.board().tell(Notice(NOW + 30))

        self.assertEqual(self.hung()["not_before"], NOW + 30)


class ASharedBudget(NoticeCase):
    """Each pod has a machine of its own, and the lake with the others."""

    def setUp(self):
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def pod(self, name: str, **options) -> SharedBudget:
        return SharedBudget(8, self.folder / name, self.board(), clock=self.clock, sleep=self.clock.sleep, **options)

    def take(self, budget: SharedBudget) -> float:
        with budget.slot() as taken:
            return taken

    def test_tells_the_others_what_it_was_told_to_wait(self):
        one, other = self.pod("one"), self.pod("other")
        self.assertEqual(self.take(other), NOW)

        one.throttled(NOW - 1, 30.0)

        self.assertEqual(self.hung()["not_before"], NOW + 30)
        self.assertEqual(other.allowed, 8, "its share is its own")
        self.clock.now += READ_EVERY_SECONDS
        self.assertGreaterEqual(self.take(other), NOW + 30)
        self.assertLess(self.clock.now, NOW + 31)
        self.assertLessEqual(max(self.clock.slept), 0.5)

    def test_heeds_a_word_within_a_few_seconds(self):
        one, other = self.pod("one"), self.pod("other")
        self.take(other)
        one.throttled(NOW - 1, 30.0)

        asked = []
        while self.clock.now < NOW + 30:
            asked.append(self.take(other))
            self.clock.now += 0.25

        self.assertLess(max(one for one in asked if one < NOW + 30), NOW + READ_EVERY_SECONDS)

    def test_tells_nobody_of_a_moment(self):
        self.pod("one").throttled(NOW - 1, 0.5)
        self.pod("one").throttled(NOW - 1, None)

        self.assertEqual(self.store.writes, [])

    def test_tells_of_the_holds_it_gives_itself(self):
        budget = self.pod("one")
        for _ in range(4):
            self.clock.now += 1
            budget.throttled(self.clock.now, None)

        self.assertEqual(self.hung()["not_before"], budget.held_until)

    def test_stops_every_pod_by_a_block(self):
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

    def test_notices_a_stop_while_it_is_held(self):
        def stop() -> None:
            if self.clock.slept:
                raise StoppedError("stopped", signal_number=15)

        self.board().tell(Notice(NOW + 1000))

        with self.assertRaises(StoppedError):
            self.take(self.pod("one", check_stop=stop))
        self.assertEqual(self.clock.slept, [0.5])
