"""The state that the processes of one ``Budget`` share, as a value, and how answers of the source change it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from etl_core.retry import LONGEST_RETRY_AFTER_SECONDS

# The pause after the second throttled answer in a row that names no time; doubles up to the longest.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# A state without a pause that nobody changed for so long is ignored.
STATE_TTL_SECONDS = 3600.0
# A state that says more was not written by us: 1 KB is usual.
LARGEST_STATE_BYTES = 16 * 1024
LONGEST_REASON = 1000

# Seconds since the epoch, up to the year 9999: later ones cannot be printed as a date.
Time = Annotated[float, Field(ge=0.0, le=253_402_300_000.0)]


class State(BaseModel):
    """Times are seconds since the epoch: the only clock that processes share and that outlives a restart.

    ``block`` names the last block of the source, so that a process can tell one from before its start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    allowed: float = Field(ge=1.0, le=10_000.0)
    not_before: Time = 0.0
    last_cut: Time = 0.0
    throttled_in_a_row: int = Field(0, ge=0)
    block: str = Field("", max_length=32)
    blocked_why: str = Field("", max_length=LONGEST_REASON)
    updated: Time = 0.0

    def changed(self, **values: object) -> State:
        """A copy with other values."""
        return self.model_copy(update=values)


def parse(body: bytes | None, now: float, ceiling: int) -> State:
    """What was stored, as of ``now``; a new state if that is missing, invalid or old."""
    fresh = State(allowed=float(ceiling))
    if body is None:
        return fresh
    try:
        state = State.model_validate_json(body)
    except ValidationError:
        return fresh
    state = as_of(state, now)
    state = state.changed(not_before=min(state.not_before, now + LONGEST_RETRY_AFTER_SECONDS))
    is_current = now - state.updated < STATE_TTL_SECONDS or now < state.not_before
    return state if is_current else fresh


def as_of(state: State, now: float) -> State:
    """The state, in which a pause is no longer than when it was written.

    A state of the future was written while the clock was wrong, or is read while it is: its times are shifted as if it
    had been written now.
    """
    late = state.updated - now
    if late <= 0:
        return state
    shifted = {name: max(0.0, getattr(state, name) - late) for name in ("not_before", "last_cut", "updated")}
    return state.changed(**shifted)


def raised(state: State, ceiling: int) -> State:
    """After a complete answer: one more per round of answers."""
    allowed = min(float(ceiling), state.allowed + 1.0 / state.allowed)
    return state.changed(allowed=max(allowed, state.allowed), throttled_in_a_row=0)


def cut(state: State, now: float, taken: float, retry_after: float | None) -> State:
    """After a throttled answer to a request whose slot was taken at ``taken``: half as many, and maybe a pause."""
    allowed, in_a_row, last_cut = state.allowed, state.throttled_in_a_row, state.last_cut
    if taken > last_cut:
        allowed, in_a_row, last_cut = max(1.0, allowed / 2), in_a_row + 1, now
    pause = retry_after or 0.0
    if retry_after is None and in_a_row > 1:
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(in_a_row - 2, 10), LONGEST_PAUSE_SECONDS)
    return state.changed(
        allowed=allowed,
        throttled_in_a_row=in_a_row,
        last_cut=last_cut,
        not_before=max(state.not_before, now + pause),
    )
