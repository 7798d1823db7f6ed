"""Who sits at the table: brings each member from its first connection to its seat.

    away ──Joined──► preparing ──Prepared──► prepared ──UseTokenizer──► encoding ──Ready──► ready
                                                                     ready ──TakeBase──► seated

A seated member holds the current base and can be called to a round. A member that comes back goes
the same way again, at any time; nobody waits for it. Messages that are not about seating are
handed to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from concord.base.digest import Digest
from concord.base.errors import (
    ConcordError,
    DataError,
    MemberFailed,
    MessageRefused,
    StorageError,
)
from concord.charter.run import RunDocument
from concord.federation.engine.interface import Engine, Joined, Lost, Received
from concord.federation.frames import Frame
from concord.federation.messages import (
    FROM_MEMBER,
    Failed,
    FromMember,
    Prepare,
    Prepared,
    Ready,
    TakeBase,
    TextCounts,
    UseTokenizer,
    decode_message,
)


class Phase(StrEnum):
    """How far a member has come."""

    AWAY = "away"
    PREPARING = "preparing"
    PREPARED = "prepared"
    ENCODING = "encoding"
    READY = "ready"
    SEATED = "seated"
    GONE = "gone"


@dataclass
class Place:
    """What the coordinator knows of one member."""

    phase: Phase = Phase.AWAY
    text: TextCounts | None = None
    ready: Ready | None = None
    reason: str = "never connected"


@dataclass(frozen=True)
class CurrentBase:
    """The base that a seated member must hold."""

    round: int
    digest: Digest
    path: Path
    included: dict[str, Digest] = field(default_factory=dict)
    """Last update of each member that went into a base."""


@dataclass(frozen=True)
class Tokenizer:
    """The shared tokenizer's file; None where members keep the one of a model folder."""

    digest: Digest | None
    path: Path | None


@dataclass(frozen=True)
class Arrival:
    """A checked message from a member, for the caller."""

    member: str
    message: FromMember
    frame: Frame


@dataclass(frozen=True)
class Departure:
    """A member is gone for now."""

    member: str
    reason: str


class Assembly:
    """The members of one run and their seats.

    Args:
        run: The run document.
        engine: A started engine.
        patient: Before training, a member's failure ends the run at once with its error;
            a patient assembly notes it and goes on with the others.
    """

    def __init__(self, run: RunDocument, engine: Engine, *, patient: bool = False) -> None:
        self._run = run
        self._run_json = run.model_dump(mode="json")
        self.engine = engine
        self.patient = patient
        self.places = {member: Place() for member in run.member_ids}
        self.tokenizer: Tokenizer | None = None
        self.base: CurrentBase | None = None

    def in_phase(self, *phases: Phase) -> tuple[str, ...]:
        """Ids of the members in any of the phases, sorted."""
        return tuple(sorted(m for m, place in self.places.items() if place.phase in phases))

    @property
    def seated(self) -> tuple[str, ...]:
        return self.in_phase(Phase.SEATED)

    @property
    def listening(self) -> tuple[str, ...]:
        """Members that can be told of the log: before there is a tokenizer, those with their text
        ready; afterwards, those seated."""
        return self.in_phase(Phase.PREPARED) if self.tokenizer is None else self.seated

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Give the tokenizer to all who wait for it, and from now on to all who come."""
        self.tokenizer = tokenizer
        for member in self.in_phase(Phase.PREPARED):
            self._send_tokenizer(member)

    def use_base(self, base: CurrentBase) -> None:
        """Seat all who are ready, and from now on all who become so."""
        self.base = base
        for member in self.in_phase(Phase.READY):
            self._seat(member)

    def next(self, timeout_s: float) -> Arrival | Departure | None:
        """Handle one event; return it if it is not about seating.

        Raises:
            MemberFailed, DataError, StorageError: a member cannot take part, and the assembly is
                not patient.
        """
        event = self.engine.next_event(timeout_s)
        if event is None or event.member not in self.places:
            return None
        if isinstance(event, Joined):
            self.places[event.member] = Place(Phase.PREPARING)
            self.engine.send(event.member, Prepare(run=self._run_json))
            return None
        if isinstance(event, Lost):
            return self._lost(event)
        return self._received(event)

    def _lost(self, event: Lost) -> Departure:
        place = self.places[event.member]
        reason = place.reason if place.phase is Phase.GONE else event.reason
        phase = Phase.GONE if event.final or place.phase is Phase.GONE else Phase.AWAY
        self.places[event.member] = Place(phase, text=place.text, reason=reason)
        return Departure(event.member, reason)

    def _received(self, event: Received) -> Arrival | Departure | None:
        member, place = event.member, self.places[event.member]
        try:
            message = decode_message(FROM_MEMBER, event.frame.message, sender=member)
            if isinstance(message, Prepared | Ready | Failed):
                event.frame.drop_payload()
                return self._advance(member, place, message)
        except MessageRefused as error:
            event.frame.drop_payload()
            self.engine.disconnect(member, str(error))
            return None
        return Arrival(member, message, event.frame)

    def _advance(
        self, member: str, place: Place, message: Prepared | Ready | Failed
    ) -> Departure | None:
        match message, place.phase:
            case Prepared(), Phase.PREPARING:
                place.phase, place.text = Phase.PREPARED, message.text
                if self.tokenizer is not None:
                    self._send_tokenizer(member)
            case Ready(), Phase.ENCODING:
                place.phase, place.ready = Phase.READY, message
                if self.base is not None:
                    self._seat(member)
            case Failed(), _:
                return self._failed(member, place, message)
            case _:
                raise MessageRefused(f"{message.kind!r} came while {place.phase}", where=member)
        return None

    def _failed(self, member: str, place: Place, message: Failed) -> Departure:
        if not self.patient:
            raise member_error(member, message)
        place.phase, place.reason = Phase.GONE, f"[{message.code}] {message.message}"
        return Departure(member, place.reason)

    def _send_tokenizer(self, member: str) -> None:
        tokenizer = self.tokenizer
        assert tokenizer is not None  # noqa: S101 - callers checked
        self.places[member].phase = Phase.ENCODING
        self.engine.send(member, UseTokenizer(digest=tokenizer.digest), tokenizer.path)

    def _seat(self, member: str) -> None:
        base, place = self.base, self.places[member]
        assert base is not None  # noqa: S101 - callers checked
        held = place.ready.held if place.ready is not None else None
        payload = None if held == base.digest else base.path
        included = base.included.get(member)
        self.engine.send(
            member, TakeBase(round=base.round, digest=base.digest, included=included), payload
        )
        place.phase = Phase.SEATED


def member_error(member: str, failed: Failed) -> ConcordError:
    """What a member could not do, as an error of the run.

    A fault of its text or its disk keeps the member's own code: that is what has to be mended.
    """
    own: list[type[ConcordError]] = [StorageError, DataError, *DataError.__subclasses__()]
    kinds = {kind.code: kind for kind in own}
    where = f"member {member}"
    if failed.code in kinds:
        return kinds[failed.code](failed.message, where=where)
    return MemberFailed(f"[{failed.code}] {failed.message}", where=where)
