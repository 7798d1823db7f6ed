"""A member that speaks the real protocol over the real connection, and misbehaves on command.

It reads no text and trains nothing: its update is a pseudo-random function of member, round and
base, so that a test can tell which updates went into a base. `script.json` in its folder says what
it does wrong, and in which round.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from concord.base.clock import SystemClock
from concord.base.digest import Digest, digest_bytes, digest_file
from concord.base.tensors import FloatArray, TensorFile, TensorSpec, write_tensors
from concord.charter.document import Document
from concord.charter.run import RunDocument, parse_run
from concord.data.bpe.listed import MergeList
from concord.data.bpe.pairs import Ints
from concord.data.bpe.words import count_words
from concord.federation.folders import MemberFolder
from concord.federation.frames import ConnectionLost, Frame, Payload, receive_frame, send_frame
from concord.federation.member.voice import MemberVoice
from concord.federation.messages import (
    TO_MEMBER,
    CallRound,
    Committed,
    Evaluate,
    ExtendLog,
    Failed,
    Finish,
    FirstBase,
    Prepare,
    Prepared,
    Ready,
    Said,
    SealStep,
    SendBase,
    TakeBase,
    TakeDocuments,
    TextCounts,
    UseTokenizer,
    decode_message,
    encode_message,
)
from concord.federation.sealed.count_part import CountingPart
from concord.federation.sealed.part import Seal, SealedPart, Tell
from concord.federation.sealed.pen import Masked
from concord.federation.work import Train, UpdateHeader, Withheld
from concord.ledger.entries import Entry
from concord.ledger.layouts import step_layout, update_layout
from concord.ledger.sealed.coverage import EVERYTHING, Coverage
from concord.ledger.statements.rounds import Measured
from concord.testing.mutations import infinite
from concord.update.combine import apply_step
from concord.update.payload import UpdateFile, UpdateIdentity, encode_update

SPECS = [TensorSpec("embed_tokens.weight", (8, 16)), TensorSpec("layer.weight", (16, 16))]
MAX_PAYLOAD_BYTES = 1 << 24
PACE_S = 0.2
"""A round takes this long, so that a member which was started again finds one to join."""


def main(stream: socket.socket, folder: Path) -> None:
    """Run a scripted member; the signature of a member's process."""
    serve(ScriptedMember(stream, folder))


def serve(member: ScriptedMember) -> None:
    """Let it answer until the run is over, or the coordinator is gone."""
    try:
        while member.serve():
            pass
    except ConnectionLost:
        os._exit(3)


class ScriptedMember:
    """The member's half of the protocol, with numbers in place of training."""

    def __init__(self, stream: socket.socket, folder: Path) -> None:
        self._stream = stream
        self._folder = folder
        self._id = folder.name
        self._run: RunDocument | None = None
        self._base: Digest | None = None
        path = folder / "script.json"
        self._script: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        spool = folder / "spool"
        spool.mkdir(exist_ok=True)
        self._spool = spool
        self._voice = MemberVoice(MemberFolder(folder), SystemClock())
        self._sealed: SealedPart | None = None
        self._counting: CountingPart | None = None
        self._encoding = False
        self._held: tuple[CallRound, Train] | None = None
        """What it sends when it is called to the next round."""

    def serve(self) -> bool:
        """Handle one message; False at the end of the run."""
        frame = receive_frame(self._stream, self._spool, max_payload_bytes=MAX_PAYLOAD_BYTES)
        message = decode_message(TO_MEMBER, frame.message, sender="coordinator")
        match message:
            case Prepare():
                self._prepare(message)
            case UseTokenizer():
                self._encoding = True
                first = self._first_base()[1]
                self._send(Ready(tokens=1, first_base=first, held=None, held_round=0))
            case SendBase():
                path, digest = self._first_base()
                self._send(FirstBase(digest=digest), path)
            case TakeBase():
                self._take(frame, message.digest)
            case TakeDocuments():
                self._voice.take_documents(frame.read_payload())
            case ExtendLog():
                self._send(self._voice.extend(message, frame.read_payload()))
            case CallRound():
                self._answer(message)
            case SealStep():
                self._seal_step(message, frame)
            case Committed():
                self._apply(message, frame)
            case Evaluate():
                self._evaluate(message)
            case Finish():
                return False
        return True

    def _send(self, message: Document, payload: Payload = None) -> None:
        send_frame(self._stream, encode_message(message), payload)

    def _does(self, deed: str, round_: int) -> bool:
        """Whether the script names this deed for this round; each is done once, or always."""
        done = self._folder / f"done-{deed}"
        if self._script.get(deed) != round_ or (done.exists() and "always" not in self._script):
            return False
        done.touch()
        return True

    def _prepare(self, message: Prepare) -> None:
        self._run = parse_run(message.run)
        if "fail_to_prepare" in self._script:
            self._send(Failed(code="C203", message="holds no document"))
            return
        counts = dict.fromkeys(TextCounts.model_fields.keys() - {"scripts", "languages"}, 1)
        self._send(Prepared(text=TextCounts.model_validate(counts)))

    def _first_base(self) -> tuple[Path, Digest]:
        path = self._folder / "first.tensors"
        return path, write_tensors(path, SPECS, (np.ones(s.shape, np.float32) for s in SPECS))

    def _take(self, frame: Frame, digest: Digest) -> None:
        assert frame.payload is not None  # noqa: S101 - it never says that it holds a base
        frame.payload.replace(self._folder / "base.tensors")
        self._base = digest

    def _say(self, entry: Entry, payload: Payload = None) -> None:
        if payload is not None and self._does("die_at_sending", entry.statement.binding.round or 0):
            os._exit(9)
        if isinstance(payload, Path) and self._does("lie_about_length", 0):
            payload.write_bytes(payload.read_bytes() + b"\0\0\0\0")
        self._send(Said(entry=entry.data.decode()), payload)

    def _answer(self, call: CallRound) -> None:
        assert self._run is not None  # noqa: S101 - prepared before
        round_ = self._voice.round_of(self._run.digest)
        if self._held is not None:
            # The update of the round before, and nothing to this call.
            held, self._held = self._held, None
            self._send_update(*held)
            return
        objection = "no grant for this use" if self._does("refuse", round_) else None
        entry, work = self._voice.answer(
            call, run=self._run.digest, base=self._base, objection=objection
        )
        self._say(entry)
        if work is None:
            return
        if self._run.mode == "sealed":
            if self._does("die_in_set_up", round_):
                os._exit(9)
            self._part.set_up(call.plan, self._say)
            return
        if self._does("change_policy", round_):
            self._write_policy("// changed\n")
        refusal = self._voice.ask_again(call, work)
        if refusal is not None:
            self._say(refusal)
        else:
            self._train(call, work)

    def _write_policy(self, more: str) -> None:
        policy = self._folder / "policy.cedar"
        policy.write_text(policy.read_text() + more)

    # --- sealed mode ------------------------------------------------------------------------

    @property
    def _part(self) -> SealedPart:
        assert self._run is not None  # noqa: S101 - prepared before
        if self._sealed is None:
            folder = MemberFolder(self._folder)
            self._sealed = SealedPart(folder, self._run, self, self._voice)
        return self._sealed

    def _seal_step(self, step: SealStep, frame: Frame) -> None:
        assert self._run is not None  # noqa: S101 - prepared before
        round_ = self._voice.round_of(self._run.digest)
        if self._does(f"die_at_{step.step}", round_):
            os._exit(9)
        if self._does(f"forbid_at_{step.step}", round_):
            self._write_policy("forbid (principal, action, resource);\n")
        if not self._encoding:
            self._counts.answer(step, frame.read_payload(), self._say)
            return
        if step.step == "train" and self._does("change_policy", round_):
            self._write_policy("// changed\n")
        payload = frame.read_payload()
        if step.step == "train":
            self._part.train(step, payload, self._say, lambda: False, lambda _: lambda *_: None)
        elif step.step == "resend":
            self._part.resend(step, self._say)
            (self._folder / "resent").touch()
        else:
            self._part.answer(step, payload, self._say)

    @property
    def _counts(self) -> CountingPart:
        assert self._run is not None  # noqa: S101 - prepared before
        if self._counting is None:
            folder = MemberFolder(self._folder)
            self._counting = CountingPart(folder, self._run, self, self._voice)
        return self._counting

    def merges_made(self, listed: MergeList) -> Ints:
        """Counts in the words that the script holds."""
        return listed.counts(count_words([self._id, "the cat sat"], max_bytes=1 << 20))

    @property
    def base_path(self) -> Path:
        return self._folder / "base.tensors"

    def coverage(self, parallel: bytes) -> Coverage:  # noqa: ARG002 - it has no tokenizer
        """No row is left out."""
        return EVERYTHING

    def train_sealed(
        self, plan: Train, seal: Seal, *, interrupted: Callable[[], bool], on_progress: Tell
    ) -> tuple[UpdateHeader, Masked] | Withheld | None:
        """Numbers in place of training, masked as a real member's."""
        del interrupted, on_progress
        time.sleep(2.0 if self._does("be_slow", plan.round) else PACE_S)
        if self._does("wait_for_resend", plan.round):
            self._wait_for_resend()
        if self._does("die", plan.round):
            os._exit(9)
        arrays = {
            spec.name: self._difference(spec, plan) for spec in TensorFile(self.base_path).specs
        }
        masked = seal(arrays)
        if self._does("die_before_sending", plan.round):
            os._exit(9)
        header = UpdateHeader(
            round=plan.round,
            base=plan.base,
            payload_digest=masked.update,
            steps=plan.inner_steps,
            tokens=1,
            flops=1,
            train_s=0.0,
            mean_loss=1.0,
        )
        return header, masked

    def _wait_for_resend(self) -> None:
        """Keep the round open until a member that was killed has sent once more."""
        for _ in range(600):
            if list(self._folder.parent.glob("*/resent")):
                return
            time.sleep(0.1)

    def _train(self, call: CallRound, plan: Train) -> None:
        if self._does("die", plan.round):
            os._exit(9)
        if self._does("hang", plan.round):
            time.sleep(3600)
        if self._does("send_rubbish", plan.round):
            self._stream.sendall(b"\x00" * 64)
            return
        if self._does("send_unknown_message", plan.round):
            send_frame(self._stream, b'{"kind":"run_this"}')
            return
        if self._does("send_one_round_late", plan.round):
            self._held = call, plan
            return
        time.sleep(2.0 if self._does("be_slow", plan.round) else PACE_S)
        self._send_update(call, plan)

    def _send_update(self, call: CallRound, plan: Train) -> None:
        assert self._run is not None  # noqa: S101 - prepared before
        base = TensorFile(self._folder / "base.tensors")
        arrays = {spec.name: self._difference(spec, plan) for spec in base.specs}
        named = "sha256:" + "0" * 64 if self._does("name_another_base", plan.round) else plan.base
        path = self._folder / "update.part"
        layout = update_layout(self._run, base.specs, plan.round)
        identity = UpdateIdentity(plan.run, plan.round, named, self._id)
        encode_update(path, layout, identity, arrays)
        data = path.read_bytes()
        if self._does("send_nan", plan.round):
            data = infinite(data)
        if self._does("truncate", plan.round):
            data = data[: len(data) // 2]
        header = UpdateHeader(
            round=plan.round,
            base=plan.base,
            payload_digest=digest_bytes(data),
            steps=plan.inner_steps,
            tokens=1,
            flops=1,
            train_s=0.0,
            mean_loss=1.0,
        )
        entry = self._voice.announce(call, plan, header, len(data))
        self._say(entry, data)
        if self._does("send_twice", plan.round):
            self._say(entry, data)

    def _difference(self, spec: TensorSpec, plan: Train) -> FloatArray:
        again = f" {plan.attempt}" if plan.attempt else ""
        text = f"{self._id} {plan.round} {plan.base} {spec.name}{again}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        scale = 1e6 if self._does("send_huge", plan.round) else 1.0
        return np.random.default_rng(seed).normal(0, scale, spec.shape).astype(np.float32)

    def _apply(self, message: Committed, frame: Frame) -> None:
        assert self._run is not None  # noqa: S101 - prepared before
        assert frame.payload is not None  # noqa: S101 - every commit carries its step
        path = self._folder / "base.tensors"
        base = TensorFile(path)
        step = UpdateFile(frame.payload, step_layout(self._run, base.specs, message.round - 1))
        prepared = self._folder / "base.part"
        digest = apply_step(base, step, prepared)
        frame.drop_payload()
        if digest != message.base:
            raise AssertionError("a member's base differs from the coordinator's")
        prepared.replace(path)
        self._base = digest

    def _evaluate(self, message: Evaluate) -> None:
        assert self._run is not None  # noqa: S101 - prepared before
        found = digest_file(self._folder / "base.tensors")
        refusal = self._voice.objects_to_measuring(
            found, run=self._run.digest, round_=message.round
        )
        if refusal is not None:
            self._say(refusal)
            return
        body = Measured(base=found, nats=1.0, bytes=8, tokens=2, documents=1)
        self._say(self._voice.measured(body, run=self._run.digest, round_=message.round))
