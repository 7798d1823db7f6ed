"""Every message that crosses a member's boundary: JSON of known schema, plus at most one payload.

What a member decides or measures crosses as a signed statement of the ledger (`Said`); the rest is
what it takes to get there.

Nothing executable travels and nothing is free-form: a message of unknown kind, with an unknown
key, or longer than its limit is refused. Payloads are arrays described by the run document, pair
counts, a tokenizer file or a tensor file; who receives one checks it against what it expects.
No field may carry a member's text; the only words a member sends are those of its error codes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import ConcordError, MessageRefused
from concord.charter.document import Document, describe

MAX_MESSAGE_BYTES = 2 << 20
MAX_ENTRY_BYTES = 65_535
MAX_NOTE_BYTES = 1 << 20
Count = Annotated[int, Field(ge=0, lt=2**53)]
Sum = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(max_length=256)]
Note = Annotated[str, Field(max_length=MAX_NOTE_BYTES)]
DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


# --- from the coordinator to a member -------------------------------------------------------


class Prepare(Document):
    """Read your text for this run; nothing of it leaves, only counts."""

    kind: Literal["prepare"] = "prepare"
    run: dict[str, Any]


class CountPairs(Document):
    """Answer a request of the tokenizer session; payload: the request."""

    kind: Literal["count_pairs"] = "count_pairs"


class UseTokenizer(Document):
    """Encode your text with this tokenizer; payload: `tokenizer.json`, or none with a folder."""

    kind: Literal["use_tokenizer"] = "use_tokenizer"
    digest: DigestText | None


class SendBase(Document):
    """Send the seeded first base, which every member can build and check."""

    kind: Literal["send_base"] = "send_base"


class TakeBase(Document):
    """Take this base whole; payload: the tensor file."""

    kind: Literal["take_base"] = "take_base"
    round: Count
    digest: DigestText
    included: DigestText | None
    """Digest of the last update of this member that went into a base, if any."""


class TakeDocuments(Document):
    """Charters and run documents that the log names by digest; payload: the documents, joined."""

    kind: Literal["take_documents"] = "take_documents"


class ExtendLog(Document):
    """Entries of the log that the member has not seen, and the checkpoint after them.

    Payload: the entries, joined. The member checks every one, and cosigns.
    """

    kind: Literal["extend_log"] = "extend_log"
    start: Count
    note: Note


class CallRound(Document):
    """The plan with this digest is in the log, under this cosigned checkpoint: take part?"""

    kind: Literal["call_round"] = "call_round"
    plan: DigestText
    note: Note


class SealStep(Document):
    """Take the next step of sealed mode; what about is in the log, under this cosigned checkpoint.

    `key`, `beacon`, `secrets`: of the epoch that is open; payload of `key`: the parallel set, or
    before there is a tokenizer the list of merges.
    `setup`, `count`: of the plan for counts that is open; `unmask` too.
    `train`, `unmask`: of the round that is open; payload of `train`: its table of scales.
    `resend`: once more what was masked in that round before this process was started, if anything.
    """

    kind: Literal["seal_step"] = "seal_step"
    step: Literal["key", "beacon", "secrets", "setup", "count", "train", "resend", "unmask"]
    about: DigestText
    """The epoch, or the plan."""
    note: Note


class Committed(Document):
    """A round was committed; payload: the encoded outer step, to be applied to your base."""

    kind: Literal["committed"] = "committed"
    round: Count
    base_before: DigestText
    base: DigestText
    payload_digest: DigestText
    included: dict[Name, DigestText]


class Evaluate(Document):
    """Measure the current base on your held-out text and send sums."""

    kind: Literal["evaluate"] = "evaluate"
    round: Count
    base: DigestText


class Finish(Document):
    """The run is over."""

    kind: Literal["finish"] = "finish"


# --- from a member to the coordinator -------------------------------------------------------


class TextCounts(Document):
    """What a member tells of its text: counts only."""

    documents: Count
    bytes: Count
    exact_duplicates: Count
    near_duplicates: Count
    train_documents: Count
    train_bytes: Count
    heldout_documents: Count
    heldout_bytes: Count
    scripts: dict[Name, Count] = Field(default_factory=dict)
    languages: dict[Name, Count] = Field(default_factory=dict)


class Prepared(Document):
    """The text is read and cleaned."""

    kind: Literal["prepared"] = "prepared"
    text: TextCounts


class PairCounts(Document):
    """Answer of the tokenizer session; payload: counts of pairs."""

    kind: Literal["pair_counts"] = "pair_counts"


class Ready(Document):
    """Shards are written and the network is built.

    `first_base` is the digest of the seeded first base; `held` is the base this member already
    holds from an earlier start of the same run.
    """

    kind: Literal["ready"] = "ready"
    tokens: Count
    first_base: DigestText
    held: DigestText | None
    held_round: Count


class FirstBase(Document):
    """The seeded first base; payload: the tensor file."""

    kind: Literal["first_base"] = "first_base"
    digest: DigestText


class Said(Document):
    """A statement that the member signed: a grant, a refusal, an update or a measurement.

    `entry` is the envelope as the log will hold it; payload: the encoded tensors of an update, or
    its masked file.
    """

    kind: Literal["said"] = "said"
    entry: Annotated[str, Field(max_length=MAX_ENTRY_BYTES)]


class Cosigned(Document):
    """The member's witness saw no other history than this checkpoint's."""

    kind: Literal["cosigned"] = "cosigned"
    size: Count
    line: Annotated[str, Field(max_length=1000)]


class Progress(Document):
    """How far local training has come, for people who watch."""

    kind: Literal["progress"] = "progress"
    round: Count
    steps: Count
    tokens: Count


class Failed(Document):
    """The member cannot go on; the code of its error, and words that hold no text of its own."""

    kind: Literal["failed"] = "failed"
    code: Annotated[str, Field(max_length=8)]
    message: Annotated[str, Field(max_length=2000)]


ToMember = Annotated[
    Prepare
    | CountPairs
    | UseTokenizer
    | SendBase
    | TakeBase
    | TakeDocuments
    | ExtendLog
    | CallRound
    | SealStep
    | Committed
    | Evaluate
    | Finish,
    Field(discriminator="kind"),
]
FromMember = Annotated[
    Prepared | PairCounts | Ready | FirstBase | Said | Cosigned | Progress | Failed,
    Field(discriminator="kind"),
]
TO_MEMBER: TypeAdapter[ToMember] = TypeAdapter(ToMember)
FROM_MEMBER: TypeAdapter[FromMember] = TypeAdapter(FromMember)
AnyMessage = TypeVar("AnyMessage")


def encode_message(message: Document) -> bytes:
    """Canonical JSON of a message."""
    return canonical_json(message.model_dump(mode="json"))


class Encoder:
    """Writes messages out; one that goes to many, one after another, only once."""

    def __init__(self) -> None:
        self._last: tuple[Document | None, bytes] = None, b""

    def __call__(self, message: Document) -> bytes:
        if message is not self._last[0]:
            self._last = message, encode_message(message)
        return self._last[1]


def decode_message(schema: TypeAdapter[AnyMessage], data: bytes, *, sender: str) -> AnyMessage:
    """Parse and check a message.

    Raises:
        MessageRefused: it is not of the schema; the reason names the field, not the value.
    """
    try:
        value = parse_json(data, where=sender, max_bytes=MAX_MESSAGE_BYTES)
        return schema.validate_python(value)
    except ValidationError as error:
        raise MessageRefused(f"message refused: {describe(error)}", where=sender) from error
    except ConcordError as error:
        raise MessageRefused(f"message refused: {error.message}", where=sender) from error
