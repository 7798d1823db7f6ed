"""Evidence of a gate as a file: an in-toto test result in an envelope that its runner signed.

What stands in the log is the digest of this file and the numbers that are held against the limit;
here are counts, seeds and versions beside them. No text of anybody's is in it.

Source: in-toto attestation framework, predicate test-result v0.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from concord import __version__
from concord.base.canonical import canonical_json, parse_canonical
from concord.base.digest import Digest, digest_json
from concord.base.errors import ConcordError, VerificationFailed
from concord.charter.document import Document, Identifier, describe
from concord.charter.gates import Gate
from concord.crypto.dsse import MAX_ENVELOPE_BYTES, Envelope, sign_envelope
from concord.crypto.keys import PrivateKey
from concord.ledger.statements.evidence import SliceName
from concord.ledger.statements.fields import Count, DigestText, Line, Real

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
STATEMENT = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
Details = dict[str, str | int]


@dataclass(frozen=True)
class Measurement:
    """What came of running a gate."""

    measured: Mapping[str, float]
    """What is held against the limit, by slice."""
    n: int
    """Of how many documents, rows, samples or pairs."""
    details: Details = field(default_factory=dict)
    """Counts and point estimates; numbers with a point as text."""
    against: Digest | None = None
    """The released model that it was compared with."""


class _Descriptor(Document):
    name: Line
    digest: dict[Literal["sha256"], str]


class _Own(Document):
    gate: Identifier
    runner: Identifier
    measured: dict[SliceName, Real]
    against: DigestText | None = None
    n: Count
    details: dict[Line, str | int]
    tool: Line


class _Predicate(Document):
    result: Literal["PASSED", "FAILED"]
    configuration: tuple[_Descriptor, ...]
    passed_tests: tuple[str, ...] = Field(alias="passedTests")
    warned_tests: tuple[str, ...] = Field(alias="warnedTests")
    failed_tests: tuple[str, ...] = Field(alias="failedTests")
    concord: _Own


class TestResult(Document):
    """The signed payload."""

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[_Descriptor, ...], Field(min_length=1, max_length=1)]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = Field(
        alias="predicateType"
    )
    predicate: _Predicate

    @property
    def model(self) -> Digest:
        return f"sha256:{self.subject[0].digest['sha256']}"

    @property
    def passed(self) -> bool:
        return self.predicate.result == "PASSED"

    def ran_under(self, gate: Gate, charter: Digest) -> bool:
        """Whether its runner says that this gate, as it reads in this charter, was run."""
        said = [one.model_dump(mode="json") for one in self.predicate.configuration]
        return said == _configuration(gate, charter)

    @property
    def own(self) -> _Own:
        """What in-toto has no field for."""
        return self.predicate.concord


def sign_evidence(
    gate: Gate,
    model: Digest,
    found: Measurement,
    *,
    runner: str,
    charter: Digest,
    keys: Sequence[PrivateKey],
) -> bytes:
    """The file: an envelope with a signature of each key."""
    passed = sorted(name for name, value in found.measured.items() if gate.within(value))
    failed = sorted(found.measured.keys() - set(passed))
    payload: dict[str, Any] = {
        "_type": STATEMENT,
        "subject": [_descriptor("model", model)],
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": "PASSED" if gate.passes(found.measured) else "FAILED",
            "configuration": _configuration(gate, charter),
            "passedTests": passed,
            "warnedTests": [],
            "failedTests": failed,
            "concord": {
                "gate": gate.id,
                "runner": runner,
                "measured": {name: repr(value) for name, value in found.measured.items()},
                "against": found.against,
                "n": found.n,
                "details": found.details,
                "tool": f"concord {__version__}",
            },
        },
    }
    return sign_envelope(canonical_json(payload), PAYLOAD_TYPE, keys).encode()


def read_evidence(data: bytes, *, where: object) -> tuple[TestResult, Envelope]:
    """Read a file of evidence; signatures are not checked.

    Raises:
        VerificationFailed: it is none.
    """
    try:
        envelope = Envelope.decode(data)
        value = parse_canonical(envelope.payload, where=where, max_bytes=MAX_ENVELOPE_BYTES)
        return TestResult.model_validate(value), envelope
    except ValidationError as error:
        raise VerificationFailed(describe(error), where=where) from error
    except ConcordError as error:
        raise VerificationFailed(f"is no evidence: {error.message}", where=where) from error


def _configuration(gate: Gate, charter: Digest) -> list[dict[str, Any]]:
    declaration = digest_json(gate.model_dump(mode="json"))
    return [_descriptor("gate", declaration), _descriptor("charter", charter)]


def _descriptor(name: str, digest: Digest) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
