"""What the two ends of a line ask each other: a small JSON header of known schema, then bytes.

question              who asks      answer
hello                 member        Welcome: wait, go, or refused and why
say                   both          Heard: a message is here; its payload follows, or is offered
fetch                 both          bytes of what was offered, from a position on
took                  both          Heard: a payload is complete, its sender may let it go
beat                  member        Heard: still there
bye                   both          Heard: this line ends, and why
"""

from __future__ import annotations

import struct
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import ConcordError, MessageRefused
from concord.charter.document import Document, describe
from concord.federation.messages import Count, DigestText

HEADER = struct.Struct("<I")
MAX_HEADER_BYTES = 4096
Session = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Hint = Annotated[str, Field(max_length=300)]
Cause = Literal["over", "restarting", "storage", "refused"]
CAUSES: dict[str, str] = {
    "over": "it ended the line",
    "restarting": "its process ended and starts again",
    "storage": "its disk is full or cannot be written",
    "refused": "it refused what it was sent",
}
"""What a `bye` says, in words; nothing else of a site's troubles leaves it."""


class Hello(Document):
    """A member's process is ready to be connected, under a session that nobody used before."""

    protocol: int
    session: Session


class Welcome(Document):
    """What a member that says hello is told."""

    state: Literal["wait", "go", "refused"]
    reason: Hint = ""


class Offer(Document):
    """A payload that is too large to travel with its message."""

    digest: DigestText
    bytes: Count


class OfLine(Document):
    """What is said on a line, which its session tells from earlier ones."""

    session: Session


class Say(OfLine):
    """A message, numbered from 0 within its session and direction."""

    number: Count
    message_bytes: Count
    offer: Offer | None = None


class Fetch(OfLine):
    """Bytes `start` to `start + length` of what message `number` offered."""

    number: Count
    start: Count
    length: Annotated[int, Field(ge=1, le=1 << 24)]


class Took(OfLine):
    """What message `number` offered is here, whole."""

    number: Count


class Beat(OfLine):
    """Still there."""


class Bye(OfLine):
    """The line ends."""

    cause: Cause


class Heard(Document):
    """`unknown`: there is no such line (any more); start anew."""

    state: Literal["ok", "unknown"]


Word = TypeVar("Word", bound=Document)
OK = Heard(state="ok")
UNKNOWN = Heard(state="unknown")


def pack(header: Document, *parts: bytes | memoryview) -> bytes:
    """A header and what follows it."""
    data = canonical_json(header.model_dump(mode="json", exclude_none=True))
    return b"".join((HEADER.pack(len(data)), data, *parts))


def unpack(kind: type[Word], data: memoryview, *, sender: str) -> tuple[Word, memoryview]:
    """The header and what follows it.

    Raises:
        MessageRefused: the header is not of the schema; the reason names the field, not the value.
    """
    if len(data) < HEADER.size:
        raise MessageRefused("is too short to be of this protocol", where=sender)
    (size,) = HEADER.unpack(data[: HEADER.size])
    if size > MAX_HEADER_BYTES or HEADER.size + size > len(data):
        raise MessageRefused("has a header of impossible length", where=sender)
    end = HEADER.size + size
    try:
        value = parse_json(bytes(data[HEADER.size : end]), where=sender)
        return kind.model_validate(value), data[end:]
    except ValidationError as error:
        raise MessageRefused(describe(error), where=sender) from error
    except ConcordError as error:
        raise MessageRefused(error.message, where=sender) from error
