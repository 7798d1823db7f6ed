"""What a member does with each message: the member's half of the protocol.

    Prepare ─► Prepared        CountPairs ─► PairCounts        UseTokenizer ─► Ready
    SendBase ─► FirstBase      TakeBase, Committed: apply      TakeDocuments: keep
    ExtendLog ─► Cosigned      Evaluate ─► Said(evaluation), or Said(evaluation-refusal)
    CallRound ─► Said(refusal), or Said(grant), Progress…, Said(update-header), or Said(refusal)
                 once more, where the member's audit of the update is against sending it
    in a sealed run (see `sealing`):
    CallRound ─► Said(refusal), or Said(grant), Said(seal-setup)
    SealStep  ─► Said(key-epoch), Said(seal-beacon), Said(key-seal), Said(unmask), or
                 Progress…, Said(update-commit)
    before there is a tokenizer (see `count_part`): SealStep ─► the same, and masked counts
    SealStep(resend) ─► Said(update-commit) once more, if this attempt's was kept, or nothing

Before text is read for a round, a measurement or sealed counts, the member's policy is asked
(`consent`).

Messages are handled one after another. Training stops early when another message waits: then the
round is over, or the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from concord.base.clock import Clock
from concord.base.digest import digest_file
from concord.base.errors import CheckpointError, MessageRefused
from concord.charter.document import Document
from concord.charter.run import RunDocument, parse_run
from concord.federation.datasets import datasets
from concord.federation.folders import MemberFolder
from concord.federation.frames import Frame, Payload
from concord.federation.member.devices import check_devices
from concord.federation.member.group import Group, form_group
from concord.federation.member.sealing import NetworkTrainer
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.member.training import MemberTraining
from concord.federation.member.voice import MemberVoice
from concord.federation.messages import (
    CallRound,
    Committed,
    CountPairs,
    Evaluate,
    ExtendLog,
    Failed,
    Finish,
    FirstBase,
    PairCounts,
    Prepare,
    Prepared,
    Progress,
    Ready,
    Said,
    SealStep,
    SendBase,
    TakeBase,
    TakeDocuments,
    ToMember,
    UseTokenizer,
)
from concord.federation.sealed.count_part import CountingPart
from concord.federation.sealed.part import SealedPart
from concord.federation.work import Train, Withheld
from concord.ledger.entries import Entry
from concord.ledger.statements.rounds import Measured

PROGRESS_EVERY_S = 0.5


class Outbox(Protocol):
    """Sends to the coordinator; may block."""

    def __call__(self, message: Document, payload: Payload = None) -> None: ...


class MemberSession:
    """One member's part in one run.

    Args:
        folder: The member's folder.
        send: Sends to the coordinator.
        interrupted: True when another message waits.
        clock: Time, handed in.
        on_loss: Called from another thread when a process of one of the member's further devices
            has ended, or has told why it failed: this one cannot go on either.
    """

    def __init__(
        self,
        folder: MemberFolder,
        send: Outbox,
        interrupted: Callable[[], bool],
        clock: Clock,
        *,
        on_loss: Callable[[Failed | None], None],
    ) -> None:
        self._folder = folder
        self._send = send
        self._interrupted = interrupted
        self._clock = clock
        self._on_loss = on_loss
        self._group: Group | None = None
        self._text: MemberText | None = None
        self._training: MemberTraining | None = None
        self._voice = MemberVoice(folder, clock)
        self._sealed: SealedPart | None = None
        self._counting: CountingPart | None = None
        self._sent: Train | None = None
        """The round whose update is on its way, while there is something to do meanwhile."""

    def handle(self, message: ToMember, frame: Frame) -> bool:
        """Handle one message; False when the run is over.

        Raises:
            ConcordError: this member cannot go on.
        """
        match message:
            case Prepare():
                self._prepare(message)
            case CountPairs():
                answer = self._prepared.answer_counts(frame.read_payload())
                self._send(PairCounts(), answer)
            case UseTokenizer():
                self._use_tokenizer(message, frame)
            case SendBase():
                path, digest = self._ready.first_base()
                self._send(FirstBase(digest=digest), path)
            case TakeBase():
                self._take_base(message, frame)
            case TakeDocuments():
                self._voice.take_documents(frame.read_payload())
            case ExtendLog():
                self._send(self._voice.extend(message, frame.read_payload()))
                for entry in self._voice.waiting():
                    self._say(entry)
            case CallRound():
                self._sent = None
                self._train(message)
            case SealStep():
                self._seal_step(message, frame)
            case Committed():
                self._apply(message, frame)
            case Evaluate():
                self._evaluate(message)
            case Finish():
                return False
        return True

    def close(self) -> None:
        """End the processes of further devices, if there are any."""
        if self._group is not None:
            self._group.close()

    @property
    def _prepared(self) -> MemberText:
        if self._text is None:
            raise MessageRefused("text is not prepared yet")
        return self._text

    @property
    def _ready(self) -> MemberTraining:
        if self._training is None:
            raise MessageRefused("no tokenizer was given yet")
        return self._training

    def _prepare(self, message: Prepare) -> None:
        run = parse_run(message.run, where="plan")
        self._text = MemberText(self._folder, run)
        used = [one.name for one in datasets(self._folder) if not one.revoked]
        self._voice.use_datasets(used or None)
        check_devices(self._text)
        self._send(Prepared(text=self._text.prepare()))

    def _use_tokenizer(self, message: UseTokenizer, frame: Frame) -> None:
        if self._group is not None:
            raise MessageRefused("the tokenizer was given already")
        text = self._prepared
        if text.run.mode == "sealed":
            self._counting_part.finish()
        tokenizer = frame.read_payload() or None
        text.use_tokenizer(tokenizer, message.digest)
        self._voice.use_canaries(text.canaries_commitment)
        run = text.run
        state = MemberState(self._folder.open_private("state", run.name), run.digest)
        self._group = form_group(text, tokenizer, self._on_loss)
        self._training = MemberTraining(text, state, self._group)
        _, first_base = self._training.first_base()
        self._send(
            Ready(
                tokens=text.tokens,
                first_base=first_base,
                held=state.status.base,
                held_round=state.status.base_round,
            )
        )

    def _take_base(self, message: TakeBase, frame: Frame) -> None:
        training = self._ready
        held = training.state.status.base == message.digest
        if frame.payload is not None:
            if digest_file(frame.payload) != message.digest:
                frame.drop_payload()
                raise CheckpointError("the base that came does not match its digest")
            training.check_file(frame.payload)
            training.state.adopt_base(frame.payload, message.digest, message.round)
        training.state.settle(message.included, undecided=held)
        training.check_base(message.digest)

    def _train(self, call: CallRound) -> None:
        training = self._ready
        run = training.run
        steps = self._voice.planned_steps(run)
        entry, work = self._voice.answer(
            call,
            run=run.digest,
            base=training.state.status.base,
            objection=training.objection(steps, logged=self._voice.charged()),
        )
        self._say(entry)
        if work is None:
            return
        if training.run.mode == "sealed":
            self._sealed_part.set_up(call.plan, self._say)
            return
        refusal = self._voice.ask_again(call, work)
        if refusal is not None:
            self._say(refusal)
            return
        made = training.train(
            work, interrupted=self._ends_round(run), on_progress=self._teller(work.round)
        )
        if isinstance(made, Withheld):
            self._say(self._voice.withhold(call, work, made))
        elif made is not None:
            header, payload = made
            size = payload.stat().st_size
            self._say(self._voice.announce(call, work, header, size), payload)
            self._sent = work

    def _ends_round(self, run: RunDocument) -> Callable[[], bool]:
        """When to stop training: a message that waits says that the round is over.

        Where updates may come one round late, a round that was begun is brought to its end; one
        that was over before it began is not begun.
        """
        if run.update.late == "refuse":
            return self._interrupted
        over = self._interrupted()
        return lambda: over

    def use_idle_time(self) -> None:
        """Go on with the next round while an update travels, as long as no message waits.

        The member's policy is asked first: the grant was for the round before.
        """
        training, sent = self._training, self._sent
        if training is None or sent is None:
            return
        allowed = self._voice.still_allows(sent)
        if not allowed or not training.go_ahead(interrupted=self._interrupted):
            self._sent = None

    def _seal_step(self, step: SealStep, frame: Frame) -> None:
        if self._training is None:
            self._counting_part.answer(step, frame.read_payload(), self._say)
            return
        part = self._sealed_part
        if step.step == "train":
            part.train(step, frame.read_payload(), self._say, self._interrupted, self._teller)
        elif step.step == "resend":
            part.resend(step, self._say)
        else:
            part.answer(step, frame.read_payload(), self._say)

    @property
    def _counting_part(self) -> CountingPart:
        text = self._prepared
        if text.run.mode != "sealed":
            raise MessageRefused("the run is in open mode")
        if self._counting is None:
            self._counting = CountingPart(self._folder, text.run, text, self._voice)
        return self._counting

    @property
    def _sealed_part(self) -> SealedPart:
        training = self._ready
        if self._sealed is None:
            trainer = NetworkTrainer(self._prepared, training)
            self._sealed = SealedPart(self._folder, training.run, trainer, self._voice)
        return self._sealed

    def _teller(self, round_: int) -> Callable[[int, int], None]:
        told_s = self._clock.monotonic_s()

        def tell(steps: int, tokens: int) -> None:
            nonlocal told_s
            now_s = self._clock.monotonic_s()
            if now_s - told_s >= PROGRESS_EVERY_S:
                told_s = now_s
                self._send(Progress(round=round_, steps=steps, tokens=tokens))

        return tell

    def _say(self, entry: Entry, payload: Payload = None) -> None:
        self._send(Said(entry=entry.data.decode()), payload)

    def _apply(self, message: Committed, frame: Frame) -> None:
        self._ready.apply(message, frame)
        frame.drop_payload()

    def _evaluate(self, message: Evaluate) -> None:
        training = self._ready
        training.check_base(message.base)
        refusal = self._voice.objects_to_measuring(
            message.base, run=training.run.digest, round_=message.round
        )
        if refusal is not None:
            self._say(refusal)
            return
        sums = training.evaluate()
        body = Measured(
            base=message.base,
            nats=sums.nats,
            bytes=sums.bytes,
            tokens=sums.tokens,
            documents=sums.documents,
        )
        self._say(self._voice.measured(body, run=training.run.digest, round_=message.round))
