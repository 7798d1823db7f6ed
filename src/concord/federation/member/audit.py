"""A member's leak audit: a look at its update before it is sent.

    base ──score rows──► inner steps ──score them again──► measures ──► limits ──► send, or refuse
    last merged step ──cosine with the own one─────────────────┘

Rows are of three kinds: of this round, of the member's text anywhere, and held out. What is said
of canaries rests on coins that were fixed before training (`train.audit.canaries`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concord.base.errors import DocumentError
from concord.base.tensors import FloatArray
from concord.charter.run import RunDocument
from concord.charter.schedule import first_step, rate_factor, total_steps
from concord.data.scripts import ScriptCounter
from concord.federation.folders import MemberFolder
from concord.federation.member.audit_folder import NAN, AuditFolder
from concord.federation.member.privacy_file import load_privacy
from concord.federation.member.text import MemberText
from concord.model.tokenizer import Tokenizer
from concord.train.audit.measures import (
    auc,
    kept_share,
    row_movement,
    rows_cosine,
    token_set_auc,
)
from concord.train.audit.one_run import epsilon_one_run
from concord.train.audit.scores import RowScores, score_rows
from concord.train.audit.verdict import LEAST_CANARIES, AuditReport, over_limits
from concord.train.loop import LocalTrainer

KINDS = ("round", "text", "heldout")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Hatched:
    """What a network knows of canaries; NaN where too few were read."""

    read: int
    auc: float
    epsilon: float
    recited: float


def check_audits(run: RunDocument, *, where: object) -> None:
    """Refuse to audit a run whose updates an audit could only see a part of.

    Raises:
        DocumentError: the model is sent in parts.
    """
    if run.rounds.fragments > 1:
        raise DocumentError(
            f"audits look at a whole model, and run {run.name} sends it in"
            f" {run.rounds.fragments} fragments",
            where=where,
            remedy="set audit.every_rounds = 0, or ask for rounds.fragments = 1",
        )


class MemberAudit:
    """The audits of one member in one run.

    Args:
        folder: The member's folder; its `privacy.toml` says how often, how much, and the limits.
        text: Its text, the shards open.
        trainer: The network whose updates are looked at.
    """

    def __init__(self, folder: MemberFolder, text: MemberText, trainer: LocalTrainer) -> None:
        self.settings = load_privacy(folder).audit
        self._kept = AuditFolder(folder, text.run)
        self._text = text
        self._run = text.run
        self._trainer = trainer
        read = trainer.model.get_input_embeddings().weight
        named = trainer.model.named_parameters()
        self._embedding = next(name for name, parameter in named if parameter is read)
        self._heldout: Rows | None = None
        self._script: NDArray[np.bool_] | None = None
        self._before: dict[str, RowScores] = {}
        self._rows: dict[str, Rows] = {}
        self._own_VD: FloatArray | None = None
        self._cosine = NAN
        self._seconds = 0.0
        self._samples_from = 0
        self._held_back = bool(reports := self._kept.reports()) and bool(
            over_limits(reports[-1], self.settings.limits)
        )

    def due(self, round_: int) -> bool:
        """Whether this round's update is looked at before it is sent."""
        every = self.settings.every_rounds
        return bool(every) and (self._held_back or round_ % every == 0)

    def look_before(self, round_: int, steps: int, *, attempt: int = 0) -> None:
        """Score rows by the base, which the trainer holds; `look_after` is told the same round.

        Args:
            attempt: Another one of the round trains on other samples (see `InnerTraining`).
        """
        began_s = time.perf_counter()
        other_samples = attempt * total_steps(self._run.rounds)
        self._samples_from = first_step(self._run.rounds, round_) + other_samples
        self._rows = {
            "round": self._rows_of_round(steps),
            "text": self._rows_of_text(round_),
            "heldout": self._rows_held_out(),
        }
        with self._trainer.scoring():
            self._before = {kind: self._score(rows) for kind, rows in self._rows.items()}
        self._seconds = time.perf_counter() - began_s

    def look_after(
        self,
        round_: int,
        steps: int,
        base: Mapping[str, FloatArray],
        update: Mapping[str, FloatArray],
    ) -> AuditReport:
        """Score the same rows by the trained weights, and say what the update gives away.

        Args:
            base: Weights by name.
            update: Base minus own weights.
        """
        began_s = time.perf_counter()
        with self._trainer.scoring():
            after = {kind: self._score(rows) for kind, rows in self._rows.items()}
        hatched = self.look_at_canaries(first_step(self._run.rounds, round_) + steps)
        gain = {kind: self._before[kind].nats - after[kind].nats for kind in KINDS}
        told = {kind: _share(after[kind].by_heart) for kind in KINDS}
        report = AuditReport(
            round=round_,
            mia_auc=auc(gain["text"], gain["heldout"]),
            round_auc=auc(gain["round"], gain["heldout"]),
            recited=max(0.0, told["round"] - (told["heldout"] if len(gain["heldout"]) else 0.0)),
            recited_heldout=told["heldout"],
            canary_auc=hatched.auc,
            canary_epsilon=hatched.epsilon,
            canaries_recited=hatched.recited,
            token_set_auc=self._token_set(round_, steps, base, update),
            row_cosine=self._cosine,
            rows=len(gain["round"]),
            canaries=hatched.read,
            seconds=self._seconds + time.perf_counter() - began_s,
        )
        self._held_back = bool(over_limits(report, self.settings.limits))
        return report

    def keep(self, report: AuditReport) -> None:
        """Write down what was found; only the member reads it."""
        self._kept.add(report)

    def look_at_canaries(self, steps: int) -> Hatched:
        """What the network that the trainer holds knows of canaries read in the run's first steps.

        Whether a place was read does not depend on the coin that fell for it.
        """
        canaries = self._text.canaries
        read = self._text.were_drawn(canaries.places, steps)
        with self._trainer.scoring():
            found = self._score(canaries.rows()[read])
        planted = canaries.planted[read]
        inside, outside = -found.nats[planted], -found.nats[~planted]
        enough = min(len(inside), len(outside)) >= LEAST_CANARIES
        return Hatched(
            read=int(read.sum()),
            auc=auc(inside, outside) if enough else NAN,
            epsilon=epsilon_one_run(inside, outside) if enough else NAN,
            recited=_share(found.by_heart[planted]),
        )

    def remember(self, update: Mapping[str, FloatArray]) -> None:
        """Keep the own embedding rows until it is known what everybody's sum did to them."""
        if self.settings.every_rounds:
            self._own_VD = update[self._embedding]

    def compare_with(self, decode: Callable[[str], FloatArray], *, included: bool) -> None:
        """Compare what was remembered with the merged step, if the own update is in it.

        Args:
            decode: The step's tensor of a name.
        """
        if self._own_VD is None:
            return
        own_VD, self._own_VD = self._own_VD, None
        if included:
            self._cosine = rows_cosine(decode(self._embedding), own_VD, self._script_rows)

    @property
    def _script_rows(self) -> NDArray[np.bool_]:
        if self._script is None:
            rows = script_rows(self._text.tokenizer, self._text.token_counts)
            more = self._trainer.model.get_input_embeddings().weight.shape[0] - len(rows)
            self._script = np.pad(rows, (0, more))
        return self._script

    def _token_set(
        self,
        round_: int,
        steps: int,
        base: Mapping[str, FloatArray],
        update: Mapping[str, FloatArray],
    ) -> float:
        inner, total = self._run.inner, total_steps(self._run.rounds)
        begin = first_step(self._run.rounds, round_)
        rates = [inner.lr * rate_factor(inner, begin + k, total) for k in range(steps)]
        base_VD = base[self._embedding]
        used_V = np.zeros(len(base_VD), np.bool_)
        for k in range(steps):
            used_V[self._text.batch(self._samples_from + k)] = True
        kept = kept_share(rates, inner.weight_decay)
        return token_set_auc(row_movement(update[self._embedding], base_VD, kept), used_V)

    def _score(self, rows: Rows) -> RowScores:
        return score_rows(self._trainer.model, rows)

    def _rows_of_round(self, steps: int) -> Rows:
        """One row each of steps spread over the round."""
        begin, count = self._samples_from, self.settings.rows
        size = self._text.batch_size
        count = min(count, steps * size)
        found = [(k * steps // count, k % size) for k in range(count)]
        return np.stack([self._text.batch(begin + step)[row] for step, row in found])

    def _rows_of_text(self, round_: int) -> Rows:
        """Rows from anywhere in the text, others in every round."""
        total, width = self._text.tokens, self._run.model.context + 1
        starts = np.random.default_rng(round_).integers(0, total, self.settings.rows)
        return self._text.at((starts[:, None] + np.arange(width)) % total)

    def _rows_held_out(self) -> Rows:
        if self._heldout is None:
            self._heldout = heldout_rows(
                self._text.heldout(),
                self._text.tokenizer,
                context=self._run.model.context,
                count=self.settings.rows,
            )
        return self._heldout


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else NAN


def heldout_rows(
    texts: Iterable[str], tokenizer: Tokenizer, *, context: int, count: int
) -> NDArray[np.int64]:
    """[≤ count, context + 1] Held-out documents, one after the other, cut as training text is."""
    tokens: list[int] = []
    for text in texts:
        tokens += [tokenizer.start_id, *tokenizer.encode(text)]
        if len(tokens) > count * context:
            break
    found = min(count, max(0, (len(tokens) - 1) // context))
    starts = np.arange(found)[:, None] * context
    rows: Rows = np.array(tokens, np.int64)[starts + np.arange(context + 1)]
    return rows


def script_rows(tokenizer: Tokenizer, counts_V: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[vocabulary] Tokens with letters of the script in which most of a member's text is."""
    scripts = [_scripts(tokenizer.text_of(token)) for token in range(tokenizer.size)]
    letters: dict[str, int] = {}
    for found, count in zip(scripts, counts_V.tolist(), strict=False):
        for script, number in found.items():
            letters[script] = letters.get(script, 0) + number * count
    if not any(letters.values()):
        return np.zeros(tokenizer.size, np.bool_)
    main = max(sorted(letters), key=letters.__getitem__)
    return np.array([main in found for found in scripts])


def _scripts(text: str) -> dict[str, int]:
    counter = ScriptCounter()
    counter.add(text)
    return {name: number for name, number in counter.counts().items() if number}
