"""A member's answers in a sealed run: keys of the epoch, set-up, masked update, shares.

    CallRound ─► grant, seal-setup                 SealStep(train)  ─► training, update-commit
    SealStep(key, beacon, secrets) ─► one each     SealStep(unmask) ─► unmask

What does not fit is refused: before an update was sent, by a signed refusal; afterwards by an
error, which ends this process and with it the member's part in the round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from concord.base.errors import ConcordError, SealRefused, SealVoid
from concord.base.files import write_atomic
from concord.base.tensors import FloatArray
from concord.charter.run import RunDocument
from concord.federation.folders import MemberFolder
from concord.federation.frames import Payload
from concord.federation.member.voice import MemberVoice
from concord.federation.messages import CallRound, SealStep
from concord.federation.sealed.pen import Masked, SealPen
from concord.federation.work import Train, UpdateHeader, Withheld
from concord.ledger.entries import Entry
from concord.ledger.sealed.book import RoundBook
from concord.ledger.sealed.coverage import Coverage
from concord.ledger.sealed.rounds import SealedInputs
from concord.ledger.statements.rounds import Refused
from concord.ledger.statements.sealing import UpdateCommitted

Tell = Callable[[int, int], None]
Seal = Callable[[Mapping[str, FloatArray]], Masked]


class SealedTrainer(Protocol):
    """What a member trains with in sealed rounds."""

    @property
    def base_path(self) -> Path:
        """The base that it holds."""

    def coverage(self, parallel: bytes) -> Coverage:
        """Vocabulary rows to be left out, from the lines of the parallel set."""

    def train_sealed(
        self, plan: Train, seal: Seal, *, interrupted: Callable[[], bool], on_progress: Tell
    ) -> tuple[UpdateHeader, Masked] | Withheld | None:
        """Take the round's inner steps and seal what came of them; None if the round ended."""


class Say(Protocol):
    """Sends a statement, with a payload if it has one."""

    def __call__(self, entry: Entry, payload: Payload = None) -> None: ...


class SealedPart:
    """One member's part in the sealed rounds of one run."""

    def __init__(
        self, folder: MemberFolder, run: RunDocument, trainer: SealedTrainer, voice: MemberVoice
    ) -> None:
        self._trainer, self._voice = trainer, voice
        self._digest = run.digest
        self._member = folder.id
        private = folder.open_private("seal", run.name)
        self._pen = SealPen(private, folder.id, run)
        self._coverage_path = private / "coverage"
        self._coverage: Coverage | None = None

    def answer(self, step: SealStep, payload: bytes, say: Say) -> None:
        """One statement, for the step that is asked for.

        Raises:
            SealRefused, SealVoid, MessageRefused, SignatureRefused: it must not be made.
        """
        if step.step == "unmask":
            book = self._voice.sealed_round(step.about, self._digest, step)
            say(self._voice.seal_says(self._pen.unmask(book), self._digest, book.round))
            return
        epoch = self._voice.sealed_epoch(step, self._digest)
        match step.step:
            case "key":
                self._coverage = self._trainer.coverage(payload)
                write_atomic(self._coverage_path, self._coverage.encode(), mode=0o600)
                say(
                    self._voice.seal_says(
                        self._pen.show_key(epoch, self._coverage.digest), self._digest
                    )
                )
            case "beacon":
                say(self._voice.seal_says(self._pen.show_beacon(epoch), self._digest))
            case "secrets":
                say(self._voice.seal_says(self._pen.seal_keys(epoch), self._digest))

    def set_up(self, plan: str, say: Say) -> None:
        """Enter a round that was granted; a signed refusal if that cannot be."""
        book = self._voice.sealed_round(plan, self._digest)
        try:
            say(self._voice.seal_says(self._pen.set_up(book), self._digest, book.round))
        except (SealRefused, SealVoid) as error:
            self._refuse(book, error, say)

    def train(
        self,
        step: SealStep,
        table: bytes,
        say: Say,
        interrupted: Callable[[], bool],
        teller: Callable[[int], Tell],
    ) -> None:
        """Train with the masking set in the log, and send the masked update."""
        book = self._voice.sealed_round(step.about, self._digest, step)
        try:
            self._pen.accept_masking_set(book)
            base, coverage = self._trainer.base_path, self._covered(book)
            sealed = self._pen.open_scales(book, table, base, coverage)
        except (SealRefused, SealVoid) as error:
            self._refuse(book, error, say)
            return
        work = self._work(book)
        refusal = self._voice.ask_again(CallRound(plan=step.about, note=step.note), work)
        if refusal is not None:
            say(refusal)
        else:
            self._train(step, work, book, sealed, say, interrupted, teller)

    def resend(self, step: SealStep, say: Say) -> None:
        """Send what was masked in this attempt before this process was started, byte for byte.

        Nothing if there is none: a second training would make other bytes, and nobody masks twice.

        Raises:
            SealRefused: the file is gone or altered.
        """
        book = self._voice.sealed_round(step.about, self._digest, step)
        kept, granted = self._pen.announced(book), book.granted.get(self._member)
        if kept is None or granted is None or self._member in book.sent:
            return
        call = CallRound(plan=step.about, note=step.note)
        if (refusal := self._voice.ask_again(call, self._work(book), granted)) is not None:
            say(refusal)
            return
        body, path = kept
        say(self._voice.seal_says(body, self._digest, book.round), path)

    def _work(self, book: RoundBook) -> Train:
        return Train(
            run=self._digest,
            round=book.round,
            base=book.plan.base,
            inner_steps=book.plan.inner_steps,
            attempt=book.plan.attempt,
        )

    def _train(
        self,
        step: SealStep,
        work: Train,
        book: RoundBook,
        sealed: SealedInputs,
        say: Say,
        interrupted: Callable[[], bool],
        teller: Callable[[int], Tell],
    ) -> None:
        def seal(tensors: Mapping[str, FloatArray]) -> Masked:
            return self._pen.mask_update(book, sealed, tensors)

        made = self._trainer.train_sealed(
            work, seal, interrupted=interrupted, on_progress=teller(book.round)
        )
        if isinstance(made, Withheld):
            call = CallRound(plan=step.about, note=step.note)
            say(self._voice.withhold(call, work, made))
        if made is None or isinstance(made, Withheld):
            return
        header, masked = made
        body = UpdateCommitted(
            plan=book.plan_digest,
            base=header.base,
            update=masked.update,
            bytes=masked.bytes,
            hidden=masked.hidden,
            steps=header.steps,
            tokens=header.tokens,
            flops=header.flops,
            train_s=header.train_s,
            privacy=header.privacy,
        )
        self._pen.announce(book, body)
        say(self._voice.seal_says(body, self._digest, book.round), masked.path)

    def _refuse(self, book: RoundBook, error: ConcordError, say: Say) -> None:
        body = Refused(plan=book.plan_digest, reason=f"sealed: {error}"[:300])
        say(self._voice.seal_says(body, self._digest, book.round))

    def _covered(self, book: RoundBook) -> Coverage:
        """The rows that I left out when I gave my key, if all the others leave out the same."""
        if self._coverage is None:
            if not self._coverage_path.exists():
                raise SealRefused("is not known here", where="vocabulary rows left out")
            self._coverage = Coverage.decode(self._coverage_path.read_bytes())
        if self._coverage.digest != book.epoch.agreed_coverage:
            raise SealRefused("others leave out other rows", where="vocabulary rows left out")
        return self._coverage
