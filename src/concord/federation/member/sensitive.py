"""A member's sensitive text: prepared apart, counted nowhere, trained on under noise and a budget.

    private/sensitive/<dataset>/documents/   cleaned, each document once
    private/sensitive/<dataset>/<run>/       its tokens, document by document
    private/privacy/<dataset>.json           what of the budget is spent

The unit is the document after duplicates within the dataset were left out. A text that also stands
in the member's other text would be learned from there without noise, so preparation refuses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from concord.base.errors import DataError, DocumentError
from concord.charter.run import RunDocument
from concord.charter.schedule import total_steps
from concord.data.batching import batches
from concord.data.document_tokens import DocumentTokens, write_documents
from concord.data.duplicates import DuplicateFilter, Verdict
from concord.data.prepare import prepare_text, read_prepared
from concord.federation.datasets import Dataset
from concord.federation.folders import MemberFolder
from concord.federation.member.budget import Budget
from concord.federation.member.privacy_file import SensitiveText, load_privacy, privacy_path
from concord.ledger.statements.privacy import PrivacySpent
from concord.model.tokenizer import Tokenizer
from concord.train.private.accounting import noise_for
from concord.train.private.gradient import PrivateGradient, PrivateRule
from concord.train.private.randomness import SecretStream

_NO_SPLIT = b"no document is held out"


@dataclass(frozen=True)
class _Dataset:
    settings: SensitiveText
    budget: Budget
    gradient: PrivateGradient


class Sensitive:
    """All sensitive text of one member in one run; usually none."""

    def __init__(self, folder: MemberFolder, run: RunDocument) -> None:
        self._folder = folder
        self._run = run
        self._asked = load_privacy(folder).sensitive
        self._digests: dict[str, str] = {}
        self._ready: list[_Dataset] = []

    def __bool__(self) -> bool:
        return bool(self._asked)

    def prepare(self, ordinary: Iterable[str]) -> None:
        """Clean the documents, and see that none of them stands in the member's other text.

        Raises:
            DataError: one does, or the text cannot be read.
        """
        for one in self._asked:
            summary = prepare_text(
                self._folder.paths(one.text),
                self._documents(one),
                key=_NO_SPLIT,
                heldout_share=0.0,
                text_key=one.text_key,
            )
            self._digests[one.dataset] = summary.train_digest
        if self._asked:
            self._check_apart(ordinary)

    def use_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Encode the documents, fix the noise, and read what of each budget is spent.

        Raises:
            DocumentError: a setting does not fit the run or the text.
            CheckpointError: the record of what was spent is damaged.
        """
        self._ready = []
        for one in self._asked:
            folder = self._folder.open_private("sensitive", one.dataset, self._run.name)
            write_documents(
                self._texts(one),
                folder,
                encode_batch=tokenizer.encode_documents,
                end_id=tokenizer.start_id,
                vocabulary_size=tokenizer.size,
                tokenizer_digest=tokenizer.digest,
                source_digest=self._digests[one.dataset],
            )
            self._ready.append(self._dataset(one, DocumentTokens(folder)))

    def gradients(self) -> tuple[PrivateGradient, ...]:
        """What the inner loop adds to every step."""
        return tuple(one.gradient for one in self._ready)

    def objection(self, steps: int, *, logged: Mapping[str, int]) -> str | None:
        """Why a round of so many steps may not be trained; None if it may.

        Args:
            logged: Steps that the log says were charged to each dataset.
        """
        for one in self._ready:
            name = one.budget.dataset
            if Dataset(self._folder, name).revoked:
                return f"revoked: dataset {name} was revoked"
            if one.budget.steps < logged.get(name, 0):
                return f"budget: the record of what dataset {name} has spent is older than the log"
            if (why := one.budget.objection(one.gradient.mechanism, steps)) is not None:
                return why
        return None

    def charge(self, steps: int) -> None:
        """Count a round's steps as taken, on disk, before the first is taken.

        Raises:
            DocumentError: a budget does not hold them.
        """
        for one in self._ready:
            one.budget.charge(one.gradient.mechanism, steps)

    def statements(self) -> tuple[PrivacySpent, ...]:
        """What the header of an update says of the budgets, by name."""
        ready = sorted(self._ready, key=lambda one: one.budget.dataset)
        return tuple(one.budget.statement(one.settings.clip_norm) for one in ready)

    @property
    def datasets(self) -> frozenset[str]:
        """Their names: text of these is not to be in the ordinary text."""
        return frozenset(one.dataset for one in self._asked)

    def documents_per_step(self) -> float:
        """Expected, of all datasets: for the work that is declared, which no drawing changes."""
        return sum(one.settings.documents_per_step for one in self._ready)

    def _dataset(self, one: SensitiveText, documents: DocumentTokens) -> _Dataset:
        where = privacy_path(self._folder)
        if one.delta >= 1 / len(documents):
            raise DocumentError(
                f"delta {one.delta:g} of dataset {one.dataset} is not below one over its documents",
                where=where,
                remedy="lower delta: at one over the documents, publishing one of them would do",
            )
        rule = PrivateRule(
            noise_multiplier=one.noise_multiplier or self._noise(one, len(documents)),
            clip_norm=one.clip_norm,
            documents_per_step=one.documents_per_step,
            share=one.share,
        )
        gradient = PrivateGradient(
            documents, rule, context=self._run.model.context, stream=SecretStream()
        )
        budget = Budget(
            self._folder.open_private("privacy"),
            one.dataset,
            max_epsilon=one.max_epsilon,
            delta=one.delta,
        )
        return _Dataset(one, budget, gradient)

    def _noise(self, one: SensitiveText, documents: int) -> float:
        if one.max_epsilon == 0:
            return 1.0  # nothing will be trained, so any noise will do
        rate = min(1.0, one.documents_per_step / documents)
        steps = total_steps(self._run.rounds)
        return noise_for(one.max_epsilon, one.delta, sampling_rate=rate, steps=steps)

    def _check_apart(self, ordinary: Iterable[str]) -> None:
        seen = DuplicateFilter()
        for one in self._asked:
            for batch in batches(self._texts(one), len):
                seen.judge(batch)
        for batch in batches(ordinary, len):
            if any(verdict is not Verdict.NEW for verdict in seen.judge(batch)):
                raise DataError(
                    "a document marked sensitive also stands, word for word or nearly, in text"
                    " that is not",
                    where=privacy_path(self._folder),
                    remedy="take it out of the text that member.toml names",
                )

    def _texts(self, one: SensitiveText) -> Iterator[str]:
        return (document.text for document in read_prepared(self._documents(one), "train"))

    def _documents(self, one: SensitiveText) -> Path:
        return self._folder.open_private("sensitive", one.dataset, "documents")
