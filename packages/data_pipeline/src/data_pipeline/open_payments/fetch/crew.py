"""The threads that work through the windows of a run.

A slice is *opened* (its windows and their counts are determined), its windows are *proved* in any
order by any thread, and the thread that proves the last one *closes* the slice.
"""

from __future__ import annotations

import heapq
import itertools
import operator
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from data_pipeline.open_payments.fetch.task import ReleaseGoneError, WindowTask, reason_of
from data_pipeline.open_payments.ledger.documents import SliceResult
from etl_core.breaker import Breaker
from etl_core.errors import AccessError, BlockedError, PipelineError, StoppedError, TemporaryError, UnavailableError
from etl_core.logs import get_logger
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, SliceAudit

# If the source is down, every window fails. After this many consecutive failures per stream
# the rest is left for the next run.
GIVE_UP_AFTER_PER_STREAM = 2
# These end the run, not only the slice: a stop was requested, or the lake cannot be written.
RUN_ENDING_ERRORS = (StoppedError, AccessError)

_log = get_logger()


class SliceWork(Protocol):
    """What a crew does with slices."""

    def open(self, company: PlannedCompany) -> list[WindowTask]:
        """The windows of a slice with their expected counts; empty if none of them is to be proved here."""
        ...

    def prove(self, task: WindowTask) -> Audit:
        """Prove one window."""
        ...

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit | None:
        """Close a slice; None if windows that another process proves are not proved yet."""
        ...


@dataclass
class _Slice:
    company: PlannedCompany
    windows_left: int = 0
    parts: dict[int, Audit] = field(default_factory=dict)
    tasks: list[WindowTask] = field(default_factory=list)
    errors: list[PipelineError] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """How one slice ended in this run. ``error`` is None if it is proved or another process continues it."""

    company: PlannedCompany
    audit: SliceAudit | None
    error: PipelineError | None
    tally: Tally
    seconds: float

    @property
    def detail(self) -> str:
        """What went wrong, without the reason that ``result`` already has."""
        return str(self.error).removeprefix(f"{self.result.reason}: ")

    @property
    def result(self) -> SliceResult:
        """The line of the manifest."""
        cost = {
            "requests": self.tally.requests,
            "retries": self.tally.retries,
            "seconds": round(self.seconds, 3),
        }
        if self.audit is None:
            reason = reason_of(self.error) if self.error else "missing"
            return SliceResult(
                company_id=self.company.company_id,
                verdict="failed",
                reason=reason,
                rows_expected=self.company.rows,
                **cost,
            )
        return SliceResult.of(self.audit, self.company.rows, **cost)


# How long Ctrl-C may go unnoticed: one that another thread receives, or that comes just before the main thread waits,
# does not wake it.
SIGNAL_SECONDS = 0.5


class Crew:
    """``streams`` threads on one priority queue. A bug in a thread ends the run, a failed window does not.

    ``rank`` turns a row count into a priority, lowest first; by default the largest come first. ``interrupting`` is a
    context in which the threads drop their windows; without one they end after them.
    """

    def __init__(
        self,
        work: SliceWork,
        *,
        streams: int,
        rank: Callable[[int], float] = operator.neg,
        interrupting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._work = work
        self._streams = streams
        self._rank = rank
        self._interrupting = interrupting
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._active = 0
        self._running = 0
        self._outcomes: list[Outcome] = []
        self._fatal: BaseException | None = None
        self._breaker = Breaker(GIVE_UP_AFTER_PER_STREAM * streams)

    def run(self, companies: Sequence[PlannedCompany]) -> list[Outcome]:
        """Work until every slice is closed or has failed.

        Raises:
            StoppedError: a stop was requested; unfinished windows were dropped.
            AccessError: the lake cannot be read or written.

        """
        for company in companies:
            self._push(company.rows or 0, lambda company=company: self._open(_Slice(company)))  # type: ignore[misc]
        threads = [
            threading.Thread(target=self._run_thread, name=f"stream-{number}") for number in range(self._streams)
        ]
        try:
            for thread in threads:
                thread.start()
            self._wait_for(threads)
        except BaseException as error:  # Ctrl-C where nobody has installed a handler, as in a notebook
            self._end(error)
            with self._interrupting():
                self._wait_for(threads)
            raise
        if self._fatal is not None:
            raise self._fatal
        return self._outcomes

    def _wait_for(self, threads: Sequence[threading.Thread]) -> None:
        # Not by ``join`` alone: Python before 3.13 takes a thread for ended once its join was interrupted.
        with self._changed:
            while self._running:
                self._changed.wait(SIGNAL_SECONDS)
        for thread in threads:
            if thread.ident is not None:  # else Ctrl-C came before its start
                thread.join()

    def _run_thread(self) -> None:
        with self._changed:
            self._running += 1
        try:
            self._work_loop()
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _work_loop(self) -> None:
        while True:
            with self._changed:
                while not self._heap and self._active and self._fatal is None:
                    self._changed.wait()
                if self._fatal is not None or not self._heap:
                    return
                _, _, task = heapq.heappop(self._heap)
                self._active += 1
            try:
                task()
            except BaseException as error:  # noqa: BLE001 - a thread must not die silently
                self._end(error)
            finally:
                with self._changed:
                    self._active -= 1
                    self._changed.notify_all()

    def _end(self, error: BaseException) -> None:
        """Let the threads end after the windows they work on."""
        with self._changed:
            self._fatal = self._fatal or error
            self._changed.notify_all()

    def _push(self, rows: int, task: Callable[[], None]) -> None:
        with self._changed:
            heapq.heappush(self._heap, (self._rank(rows), next(self._order), task))
            self._changed.notify()

    def _open(self, one: _Slice) -> None:
        try:
            self._breaker.check()
            one.tasks = self._work.open(one.company)
        except RUN_ENDING_ERRORS:
            raise
        except PipelineError as error:
            one.errors.append(error)
            self._failed(error)
            self._finish(one)
            return
        if not one.tasks:
            self._finish(one)
            return
        one.windows_left = len(one.tasks)
        for task in one.tasks[1:]:
            self._push(task.expected or 0, lambda task=task: self._prove(one, task))  # type: ignore[misc]
        self._prove(one, one.tasks[0])

    def _prove(self, one: _Slice, task: WindowTask) -> None:
        try:
            self._breaker.check()
            audit = self._work.prove(task)
        except RUN_ENDING_ERRORS:
            raise
        except PipelineError as error:
            self._failed(error)
            outcome: Audit | PipelineError = error
        else:
            self._breaker.succeeded()
            outcome = audit
        with self._changed:
            one.windows_left -= 1
            if isinstance(outcome, PipelineError):
                one.errors.append(outcome)
            else:
                one.parts[task.window.number] = outcome
            last = one.windows_left == 0
        if last:
            self._finish(one)

    def _finish(self, one: _Slice) -> None:
        audit: SliceAudit | None = None
        tally = Tally()
        for task in one.tasks:
            tally.add(task.tally)
        if not one.errors:
            try:
                audit = self._work.close(one.company, [one.parts[number] for number in sorted(one.parts)], tally)
            except RUN_ENDING_ERRORS:
                raise
            except PipelineError as error:
                one.errors.append(error)
        # One permanent failure makes the slice's failure permanent: retrying alone will not help.
        worst = min(one.errors, key=lambda error: isinstance(error, TemporaryError), default=None)
        seconds = sum(task.seconds for task in one.tasks)
        outcome = Outcome(one.company, audit, worst, tally, seconds)
        with self._changed:
            self._outcomes.append(outcome)

    def _failed(self, error: PipelineError) -> None:
        if isinstance(error, (BlockedError, ReleaseGoneError)):
            self._breaker.open(error)
        elif isinstance(error, UnavailableError) and self._breaker.failed(error):
            _log.error("the source does not answer; the rest is left for the next run", last_error=str(error))
