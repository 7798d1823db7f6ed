"""A round event by event: unlike members, a shared link, and the coordinator's own closing rule.

Every member trains, sends its update, and is sent the step that came of all; `rounds.decide` says
when a round closes, as in a run. A member whose update comes too late begins again from the new
base. Nothing here knows of real time.

    blocking     a member trains on base k when it holds base k
    overlapped   it takes a share of the steps of round k ahead, when it holds base k - 1, and the
                 others when it holds base k; its link carries one thing at a time
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from concord.base.errors import InternalError
from concord.federation.planning.flows import Link
from concord.federation.planning.law import Setting
from concord.federation.rounds import (
    Action,
    ClosingRule,
    RoundState,
    Standing,
    call_round,
    close_round,
    decide,
    record_standing,
)

MAX_ATTEMPTS = 20
Absent = Callable[[int], Collection[int]]


@dataclass(frozen=True)
class SimulatedMember:
    """One member's speed: seconds of training a round, bits per second each way."""

    train_s: float
    link_bits: float


@dataclass(frozen=True)
class SimulatedRound:
    """How one round went."""

    committed_s: float
    accepted: tuple[int, ...]
    left_out: tuple[int, ...]
    reason: str


@dataclass
class _Member:
    """Where a member stands."""

    held: int = 0
    """Newest base that it holds: so many rounds are in it."""
    training: int | None = None
    """Round that it trains for."""
    ahead: int | None = None
    """Round whose first steps it took ahead; it waits for the base to take the others from."""
    trained: int | None = None
    """Round whose update is made, and not sent yet."""
    sent: int = -1
    """Round whose update was sent last."""
    began: int = 0
    """Counts its beginnings: the end of a training that was given up means nothing."""
    coming: list[int] = field(default_factory=list)
    """Bases on their way to it, in order."""


def alike(setting: Setting) -> list[SimulatedMember]:
    """The members of the closed form."""
    return [SimulatedMember(setting.train_s, setting.link_bits)] * setting.members


class Simulator:
    """Rounds of one federation.

    Args:
        setting: Sizes, the coordinator's link and times; `members`, `train_s` and `link_bits` of it
            are not used.
        members: Who they are.
        rule: When a round closes.
        overlap: Share of a round that is trained while the one before is on its way.
        absent: Members that are away in a round.
    """

    def __init__(
        self,
        setting: Setting,
        members: Sequence[SimulatedMember],
        rule: ClosingRule,
        *,
        overlap: float,
        absent: Absent = lambda _: (),
    ) -> None:
        self._setting, self._members, self._rule = setting, members, rule
        self._overlap = overlap
        self._absent = absent
        self._now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._up, self._down = Link(setting.hub_bits), Link(setting.hub_bits)
        self._places = [_Member() for _ in members]
        self._free_s = 0.0
        """When the coordinator has screened all that came."""
        self._wakes_s = -math.inf
        """Last instant at which it asked to be woken."""
        self._merging = False
        self._attempts = 0
        self._done: list[SimulatedRound] = []
        self._state = self._call()

    def run(self, rounds: int) -> list[SimulatedRound]:
        """Go on until so many rounds are committed.

        Raises:
            InternalError: nothing can happen any more, or a round finds no quorum again and again.
        """
        for number in range(len(self._places)):
            self._begin(number)
        while len(self._done) < rounds:
            self._decide()
            self._step()
        return self._done[:rounds]

    # --- time -------------------------------------------------------------------------------

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._events, (self._now_s + seconds, self._order, action))

    def _step(self) -> None:
        """Go to the next instant at which something happens, and let it happen."""
        due_s = self._events[0][0] - self._now_s if self._events else math.inf
        wait_s = min(due_s, self._up.next_s(), self._down.next_s())
        if math.isinf(wait_s):
            raise InternalError("nothing can happen any more")
        self._now_s = self._events[0][0] if wait_s == due_s else self._now_s + wait_s
        for number in self._up.advance(wait_s):
            self._after(self._setting.latency_s, self._arrival(number))
        for number in self._down.advance(wait_s):
            self._after(self._setting.latency_s, self._base_came(number))
        while self._events and self._events[0][0] <= self._now_s:
            heapq.heappop(self._events)[2]()

    # --- members ----------------------------------------------------------------------------

    def _begin(self, number: int) -> None:
        """A member does what it can do next."""
        place = self._places[number]
        if place.coming:
            return
        if place.trained is not None and place.held >= place.trained:
            place.sent, place.trained = place.trained, None
            self._up.begin(number, self._setting.up_bytes, self._members[number].link_bits)
        following = max(place.held, place.sent + 1)
        if place.training is not None or place.trained is not None:
            return
        if number in self._absent(following):
            return
        if place.held >= following:
            share = 1 - self._overlap if place.ahead == following else 1.0
            self._train(number, place, following, share, ahead=False)
        elif self._overlap and place.ahead != following and place.held >= following - 1:
            self._train(number, place, following, self._overlap, ahead=True)

    def _train(
        self, number: int, place: _Member, round_: int, share: float, *, ahead: bool
    ) -> None:
        place.training = round_
        place.began += 1
        began = place.began

        def end() -> None:
            if place.began != began:
                return
            place.training = None
            place.ahead, place.trained = (round_, None) if ahead else (None, round_)
            self._begin(number)

        self._after(share * self._members[number].train_s, end)

    def _arrival(self, number: int) -> Callable[[], None]:
        round_ = self._places[number].sent

        def come() -> None:
            if round_ != self._state.round or self._merging:
                return
            self._free_s = max(self._free_s, self._now_s) + self._setting.screen_s
            self._after(self._free_s - self._now_s, lambda: self._accept(number, round_))

        return come

    def _base_came(self, number: int) -> Callable[[], None]:
        def come() -> None:
            place = self._places[number]
            place.held = place.coming.pop(0)
            if place.coming:
                self._fetch(number)
                return
            if place.training is not None and place.training < place.held:
                place.training = None  # too late for its round: it begins anew
                place.began += 1
            if place.trained is not None and place.trained < place.held:
                place.trained = None
            if place.ahead is not None and place.ahead < place.held:
                place.ahead = None
            self._begin(number)

        return come

    def _fetch(self, number: int) -> None:
        self._up.cancel(number)
        self._down.begin(number, self._setting.down_bytes, self._members[number].link_bits)

    # --- the coordinator --------------------------------------------------------------------

    def _call(self) -> RoundState:
        round_ = len(self._done)
        names = tuple(_name(number) for number in range(len(self._members)))
        state = call_round(round_, names, now_s=self._now_s)
        for number in sorted(self._absent(round_)):
            state = record_standing(
                state, _name(number), Standing.LOST, now_s=self._now_s, reason="away"
            )
        return state

    def _accept(self, number: int, round_: int) -> None:
        if round_ == self._state.round and not self._merging:
            self._state = record_standing(
                self._state, _name(number), Standing.ACCEPTED, now_s=self._now_s
            )

    def _decide(self) -> None:
        if self._merging:
            return
        decision = decide(self._state, self._rule, now_s=self._now_s)
        match decision.action:
            case Action.CLOSE:
                self._state = close_round(self._state)
                self._merging = True
                reason = decision.reason
                self._after(self._setting.merge_s, lambda: self._commit(reason))
            case Action.ABANDON:
                self._again(decision.reason)
            case Action.WAIT if self._wakes_s < decision.ask_again_s < math.inf:
                self._wakes_s = decision.ask_again_s
                self._after(max(0.0, self._wakes_s - self._now_s), lambda: None)

    def _again(self, reason: str) -> None:
        self._attempts += 1
        if self._attempts > MAX_ATTEMPTS:
            raise InternalError(f"round {self._state.round} finds no quorum: {reason}")
        self._state = self._call()
        for number, place in enumerate(self._places):
            self._up.cancel(number)
            place.training = place.trained = place.ahead = None
            place.sent = min(place.sent, self._state.round - 1)
            place.began += 1
            self._begin(number)

    def _commit(self, reason: str) -> None:
        accepted = tuple(_number(name) for name in self._state.accepted)
        left_out = tuple(_number(name) for name in self._state.left_out)
        self._done.append(SimulatedRound(self._now_s, accepted, left_out, reason))
        self._attempts, self._merging = 0, False
        self._state = self._call()
        for number, place in enumerate(self._places):
            place.coming.append(len(self._done))
            if len(place.coming) == 1:
                self._fetch(number)


def _name(number: int) -> str:
    return f"m{number:06}"


def _number(name: str) -> int:
    return int(name[1:])
