"""What a member may publish of its build: whose it is, of what base, and what the gates found.

    {"payload": certificate, "payloadType": …, "signatures": […]}     signed, as one DSSE envelope
    certificate                                                       alone, where nobody signed it

It names each file of the build by digest, so that whoever downloads one can hold it against what
its maker checked; `concord.release.sovereign.verify` does.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from concord.base.canonical import canonical_json, parse_json
from concord.base.errors import ConcordError, VerificationFailed
from concord.charter.document import Document, Identifier, describe
from concord.crypto.dsse import MAX_ENVELOPE_BYTES, Envelope, sign_envelope
from concord.crypto.keys import PrivateKey
from concord.ledger.statements.evidence import SliceName
from concord.ledger.statements.fields import Count, DigestText, Line, Real, UnixTime
from concord.release.manifest import Hex, hash_files
from concord.release.sovereign.record import SovereignRecord
from concord.release.walk import plain_files

PAYLOAD_TYPE = "application/vnd.concord.sovereign-certificate+json"
NAME = "certificate.json"
"""Of the file, in the folder of the build, where no other is asked for."""
MAX_FILES = 256
Result = Literal["passed", "failed", "not run", "not of a build"]


class GateResult(Document):
    """What came of one gate."""

    gate: Identifier
    result: Result
    measured: dict[SliceName, Real] = Field(default_factory=dict)
    limit: Line
    n: Count = 0
    why: Line = ""
    """Why it was not run."""


class Certificate(Document):
    """What is signed."""

    format: Literal["concord-sovereign-certificate/1"] = "concord-sovereign-certificate/1"
    issuer: Identifier | None
    """The member that made the build and ran the gates."""
    federation: DigestText
    charter: DigestText
    at: UnixTime
    record: SovereignRecord
    """Names base and build by digest, and what was gained and lost."""
    files: Annotated[dict[str, Hex], Field(max_length=MAX_FILES)]
    """Every file of the build, by its path."""
    gates: Annotated[tuple[GateResult, ...], Field(max_length=64)]

    def encode(self, signer: PrivateKey | None) -> bytes:
        """The bytes of its file.

        Raises:
            StatementRefused: it is too long to be signed.
        """
        data = canonical_json(self.model_dump(mode="json"))
        if signer is not None:
            data = sign_envelope(data, PAYLOAD_TYPE, [signer]).encode()
        return data + b"\n"


def files_of(build: Path, apart: Collection[Path]) -> dict[str, str]:
    """SHA-256 in hex of every file of a build, by path.

    Args:
        apart: Certificates, which cannot name themselves.

    Raises:
        VerificationFailed: it holds links, or too many files.
        OSError: one cannot be read.
    """
    left_out = {path.resolve() for path in (build / NAME, *apart)}
    paths = [path for path, _ in plain_files(build) if (build / path).resolve() not in left_out]
    if len(paths) > MAX_FILES:
        raise VerificationFailed(f"holds more than {MAX_FILES} files", where=build)
    return {path: digest.partition(":")[2] for path, digest in hash_files(build, paths).items()}


def read_certificate(path: Path) -> tuple[Certificate, Envelope]:
    """Read a signed certificate; its signature is not checked.

    Raises:
        VerificationFailed: it is missing, damaged, or not signed.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_ENVELOPE_BYTES + 2).removesuffix(b"\n")
        value = parse_json(data, where=path)
        if isinstance(value, dict) and "format" in value:
            raise VerificationFailed(
                "is not signed: nobody stands behind it",
                where=path,
                remedy="ask its maker for one made with `concord sovereign check --key`",
            )
        envelope = Envelope.decode(data)
        if envelope.payload_type != PAYLOAD_TYPE:
            raise VerificationFailed("is no certificate of a build", where=path)
        found = Certificate.model_validate(parse_json(envelope.payload, where=path))
        if canonical_json(found.model_dump(mode="json")) != envelope.payload:
            raise VerificationFailed("is not in its one form", where=path)
        return found, envelope
    except OSError as error:
        raise VerificationFailed(
            "cannot be read", where=path, remedy="name the certificate: --certificate"
        ) from error
    except ValidationError as error:
        raise VerificationFailed(describe(error), where=path) from error
    except VerificationFailed:
        raise
    except ConcordError as error:
        raise VerificationFailed(f"is no certificate: {error.message}", where=path) from error
