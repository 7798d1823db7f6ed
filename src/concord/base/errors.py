"""The one tree of errors, each with a stable code and an exit status.

    ConcordError
    ├── DocumentError      (exit 2)  a run document, member file or option says something impossible
    ├── DataError          (exit 3)  text that cannot be read, is empty or too small
    │   ├── CorpusNotFound
    │   ├── CorpusUnreadable
    │   ├── CorpusEmpty
    │   ├── CorpusTooSmall
    │   ├── ShardsCorrupt
    │   └── DatasetsRevoked          a member revoked every dataset that it described
    ├── TokenizerError     (exit 3)  counts or a tokenizer file that cannot be used
    ├── ModelError         (exit 4)  a base of another architecture, a folder that is no model
    │   └── TrainingDiverged         the loss is no longer a finite number
    ├── CheckpointError    (exit 5)  a saved state that is missing, torn or altered
    ├── UpdateError        (exit 6)  an update that cannot be encoded or decoded
    │   └── UpdateRefused            … and is therefore left out of its round, with a reason
    ├── FederationError    (exit 7)  a round that cannot go on
    │   ├── QuorumLost
    │   ├── MessageRefused
    │   ├── MemberFailed
    │   ├── SiteRefused              a site file that is missing, or allows more than it may
    │   └── SiteUnreachable          the coordinator's server cannot be reached, and why
    ├── StorageError       (exit 8)  a full disk, a folder without permission
    │   └── FetchFailed              a host that cannot be reached, or lacks a file
    ├── CryptoError        (exit 9)  a key or a signature that cannot be used
    │   ├── KeyRefused               a key file of the wrong kind, or open to others
    │   ├── SignatureRefused         a signature that is wrong, missing, or by too few
    │   ├── SealRefused              a step of sealed mode that does not fit, or would reveal more
    │   ├── SealVoid                 a sealed sum that cannot be used; who is at fault, where known
    │   └── KitRefused               a start-up kit or a certificate that cannot be used
    ├── LogError           (exit 9)  the log cannot be read or extended
    │   ├── LogCorrupt               its bytes do not make the tree that was signed
    │   ├── LogHeld                  another process writes to it
    │   └── ForkDetected             two signed histories that exclude each other
    ├── StatementRefused   (exit 9)  a statement that is malformed, replayed or not allowed
    ├── CharterError       (exit 2)  a charter, a rule or a policy that cannot be used
    │   ├── CharterRefused           a charter that gives one member too much, or none any power
    │   └── PolicyRefused            rules that would not fail closed
    ├── VerificationFailed (exit 10) what was published does not hold; the first thing that is wrong
    └── InternalError      (exit 70) a defect in Concord itself

A code never changes its meaning; `docs/errors.md` lists them all (checked by a test).
Every error says what is wrong, in which file or field, and what to do about it.
No message carries a member's text.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class ConcordError(Exception):
    """Anything Concord refuses or fails at, told in words a user can act on.

    Args:
        message: What is wrong, in one sentence.
        where: The file, field or member concerned.
        remedy: What the reader can do next.
    """

    code: ClassVar[str] = "C000"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, where: object = None, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = None if where is None else str(where)
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.message}{advice}"


class DocumentError(ConcordError):
    """A document or an option holds an unknown key or an impossible value."""

    code = "C100"
    exit_status = 2


class DataError(ConcordError):
    """Text that cannot be used as it stands."""

    code = "C200"
    exit_status = 3


class CorpusNotFound(DataError):
    """The path of a corpus leads nowhere, or holds no file of a known kind."""

    code = "C201"


class CorpusUnreadable(DataError):
    """A file of a corpus is damaged, of another format, or not UTF-8."""

    code = "C202"


class CorpusEmpty(DataError):
    """A corpus holds no document after cleaning."""

    code = "C203"


class CorpusTooSmall(DataError):
    """A member has less text than one batch, or nothing left to hold out."""

    code = "C204"


class ShardsCorrupt(DataError):
    """Token shards do not match their index."""

    code = "C205"


class DatasetsRevoked(DataError):
    """Every dataset that a member described is revoked: there is nothing that it may use."""

    code = "C206"


class TokenizerError(ConcordError):
    """Pair counts or a tokenizer file that cannot be used."""

    code = "C250"
    exit_status = 3


class ModelError(ConcordError):
    """A model folder that cannot be loaded, or is of another architecture."""

    code = "C300"
    exit_status = 4


class TrainingDiverged(ModelError):
    """Loss or gradient became NaN or infinite: the rate is too high for this network."""

    code = "C301"


class CheckpointError(ConcordError):
    """A saved state is missing, torn or altered."""

    code = "C400"
    exit_status = 5


class UpdateError(ConcordError):
    """An update cannot be encoded or decoded."""

    code = "C500"
    exit_status = 6


class RefusalReason(StrEnum):
    """Why an update was left out of its round; stable, part of the round record."""

    MALFORMED = "malformed"
    WRONG_NAME = "wrong-name"
    WRONG_SHAPE = "wrong-shape"
    WRONG_BASE = "wrong-base"
    WRONG_RUN = "wrong-run"
    WRONG_ROUND = "wrong-round"
    DUPLICATE = "duplicate"
    NON_FINITE = "non-finite"
    NORM_OUT_OF_BOUNDS = "norm-out-of-bounds"
    TOO_LARGE = "too-large"
    NOT_IN_ROSTER = "not-in-roster"


class UpdateRefused(UpdateError):
    """An update is left out of its round; the round goes on."""

    code = "C501"

    def __init__(
        self,
        reason: RefusalReason,
        message: str,
        *,
        where: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.reason = reason


class FederationError(ConcordError):
    """A run cannot go on."""

    code = "C600"
    exit_status = 7


class QuorumLost(FederationError):
    """Too few members are left to close a round."""

    code = "C601"


class MessageRefused(FederationError):
    """A message does not follow its schema, or is larger than agreed."""

    code = "C602"


class MemberFailed(FederationError):
    """A member reported an error before training began, other than of its text or disk."""

    code = "C603"


class SiteRefused(FederationError):
    """A file by which a site decides what a job may do there is missing, or allows too much."""

    code = "C604"


class SiteUnreachable(FederationError):
    """The coordinator's server cannot be reached, or does not let this site in."""

    code = "C605"


class StorageError(ConcordError):
    """The disk is full, or a folder cannot be written."""

    code = "C700"
    exit_status = 8


class FetchFailed(StorageError):
    """A file could not be fetched: its host cannot be reached, or does not have it."""

    code = "C701"


class CryptoError(ConcordError):
    """A key or a signature that cannot be used."""

    code = "C800"
    exit_status = 9


class KeyRefused(CryptoError):
    """A key file of the wrong kind, damaged, or readable by others."""

    code = "C801"


class SignatureRefused(CryptoError):
    """A signature that is wrong or missing, or signatures by too few keys."""

    code = "C802"


class SealRefused(CryptoError):
    """A step of sealed mode that does not fit its instance, or would reveal more than agreed."""

    code = "C803"


class SealVoid(CryptoError):
    """A sealed instance whose sum cannot be used: it is thrown away as a whole.

    Args:
        culprits: Cohort indices of those whose messages show the fault, ascending; empty if the
            messages do not show it.
    """

    code = "C804"

    def __init__(
        self,
        message: str,
        *,
        culprits: tuple[int, ...] = (),
        where: object = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.culprits = culprits


class KitRefused(CryptoError):
    """A start-up kit is altered or another federation's, or its certificate does not count."""

    code = "C805"


class LogError(ConcordError):
    """The log cannot be read or extended."""

    code = "C810"
    exit_status = 9


class LogCorrupt(LogError):
    """The log's bytes do not make the tree that its checkpoint names."""

    code = "C811"


class ForkDetected(LogError):
    """Two signed checkpoints exclude each other: somebody was shown another history."""

    code = "C812"


class LogHeld(LogError):
    """Another process writes to the log."""

    code = "C813"


class StatementRefused(ConcordError):
    """A statement that is malformed, replayed, unsigned or not allowed; the log is unchanged."""

    code = "C820"
    exit_status = 9


class CharterError(ConcordError):
    """A charter, a voting rule or a policy that cannot be used."""

    code = "C830"
    exit_status = 2


class CharterRefused(CharterError):
    """A charter under which one member alone decides or blocks, or a member has no power."""

    code = "C831"


class PolicyRefused(CharterError):
    """Policy rules that do not fit their schema, and so would not fail closed."""

    code = "C832"


class VerificationFailed(ConcordError):
    """What was published does not hold; names the first thing that is wrong, and where."""

    code = "C840"
    exit_status = 10


class InternalError(ConcordError):
    """A defect in Concord itself; please report it."""

    code = "C900"
    exit_status = 70
