"""What one call of the command line is given besides its words: time, and where its lines go."""

from __future__ import annotations

from contextvars import ContextVar

from concord.base.clock import Clock, SystemClock

_clock: ContextVar[Clock | None] = ContextVar("clock", default=None)
_json_alone: ContextVar[bool] = ContextVar("json_alone", default=False)


def begin(given: Clock | None) -> None:
    """A call begins, with this clock or the machine's own."""
    _clock.set(given)
    _json_alone.set(False)


def clock() -> Clock:
    """Time for statements."""
    given = _clock.get()
    return SystemClock() if given is None else given


def json_option(asked: bool) -> bool:
    """`--json`: standard output holds JSON alone, other lines go to standard error."""
    _json_alone.set(asked)
    return asked


def json_alone() -> bool:
    """Whether standard output is to hold JSON alone."""
    return _json_alone.get()
