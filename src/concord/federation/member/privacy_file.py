"""`privacy.toml`: what a member decides about its own privacy. Read by itself only, never sent.

members/<id>/privacy.toml     beside member.toml and policy.cedar; without it there is no
                              sensitive text, and nothing is audited
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from concord.base.errors import DocumentError
from concord.charter.document import Document, Identifier, describe
from concord.federation.folders import MemberFolder
from concord.train.audit.verdict import AuditLimits
from concord.train.private.gradient import MAX_SHARE

Positive = Annotated[float, Field(gt=0)]


class SensitiveText(Document):
    """A dataset that is trained on document by document, under noise and on a budget.

    It enters the noised sum and nothing else: no pair count, no held-out measure, no loss told.
    """

    dataset: Identifier
    text: Annotated[tuple[str, ...], Field(min_length=1)]
    """Files or folders, as in member.toml; they must not be named there too."""
    text_key: str = "text"
    max_epsilon: Annotated[float, Field(ge=0, le=200)]
    """The budget over the whole life of the dataset. 0 trains nothing."""
    delta: Annotated[float, Field(gt=0, le=1e-3)] = 1e-6
    """Must be below one over the number of documents."""
    noise_multiplier: Positive | None = None
    """z. Without it, the least with which the budget lasts for all steps of the run."""
    clip_norm: Positive = 1.0
    documents_per_step: Positive = 32.0
    """Expected number of documents that a step draws."""
    share: Annotated[float, Field(gt=0, le=MAX_SHARE)] = 0.5
    """Part of every step's gradient that comes from this dataset."""


class AuditSettings(Document):
    """How often, and on how much, the member looks at what its updates would give away."""

    every_rounds: Annotated[int, Field(ge=0)] = 0
    """0 never does. After an update was held back, every round is audited until one passes."""
    canaries: Annotated[int, Field(ge=0, le=20_000)] = 0
    """Documents of chance over the text, half of them by a coin; at most an eighth of the text."""
    canary_tokens: Annotated[int, Field(ge=4, le=1024)] = 24
    rows: Annotated[int, Field(ge=4, le=10_000)] = 24
    """Rows of each kind (of this round, of the text, held out) that are scored twice."""
    limits: AuditLimits = AuditLimits()


class PrivacyFile(Document):
    """The whole file."""

    sensitive: tuple[SensitiveText, ...] = ()
    audit: AuditSettings = AuditSettings()

    @model_validator(mode="after")
    def _checked(self) -> Self:
        names = [one.dataset for one in self.sensitive]
        if len(set(names)) != len(names):
            raise ValueError("sensitive names a dataset twice")
        if sum(one.share for one in self.sensitive) > MAX_SHARE:
            raise ValueError(f"sensitive: the shares add up to more than {MAX_SHARE}")
        return self


def privacy_path(folder: MemberFolder) -> Path:
    """Where a member's file is."""
    return folder.root / "privacy.toml"


def load_privacy(folder: MemberFolder) -> PrivacyFile:
    """Read a member's `privacy.toml`; where there is none, its defaults.

    Raises:
        DocumentError: it cannot be read, is not TOML, or says something impossible.
    """
    path = privacy_path(folder)
    try:
        return PrivacyFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return PrivacyFile()
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}", where=path) from error
    except ValidationError as error:
        raise DocumentError(describe(error), where=path, remedy="correct the field") from error
    except ValueError as error:
        raise DocumentError(
            f"is not TOML: {error}", where=path, remedy="correct that place"
        ) from error
