"""A member's answers while a sealed run learns its tokenizer: keys, set-up, masked counts, shares.

    SealStep(key)     payload: the list of merges ─► key-epoch     SealStep(setup)  ─► seal-setup
    SealStep(beacon, secrets) ─► one each                          SealStep(count)  ─► update-commit
                                                                   SealStep(unmask) ─► unmask

Its policy is asked when it is set up, and again before it counts: a no is a signed refusal. What
does not fit is not answered. Either way the member is in no sum, and the run goes on.
"""

from __future__ import annotations

from typing import Protocol

from concord.base.digest import digest_bytes
from concord.base.errors import SealRefused, SealVoid
from concord.base.files import write_atomic
from concord.charter.run import RunDocument
from concord.data.bpe.listed import MergeList
from concord.data.bpe.pairs import Ints
from concord.federation.folders import MemberFolder
from concord.federation.member.voice import MemberVoice
from concord.federation.messages import SealStep
from concord.federation.sealed.count_pen import CountPen
from concord.federation.sealed.part import Say
from concord.ledger.sealed.book import CountBook
from concord.ledger.statements.sealing import UpdateCommitted


class Counter(Protocol):
    """A member's text, as far as merges are counted in it."""

    def merges_made(self, listed: MergeList) -> Ints:
        """[merges] How often each merge of a list is made in the text."""


class CountingPart:
    """One member's part in learning the tokenizer of one run."""

    def __init__(
        self, folder: MemberFolder, run: RunDocument, counter: Counter, voice: MemberVoice
    ) -> None:
        self._counter, self._voice = counter, voice
        self._digest = run.digest
        private = folder.open_private("counts", run.name)
        self._pen = CountPen(private, folder.id, run)
        self._list_path = private / "list"

    def answer(self, step: SealStep, payload: bytes, say: Say) -> None:
        """One statement, for the step that is asked for.

        Raises:
            MessageRefused, SignatureRefused: the step is not in the log, or not witnessed.
            DocumentError: what came is no list of merges.
            DatasetsRevoked: the text may not be used any more.
        """
        try:
            self._answer(step, payload, say)
        except (SealRefused, SealVoid):
            return

    def _answer(self, step: SealStep, payload: bytes, say: Say) -> None:
        match step.step:
            case "key" | "beacon" | "secrets":
                self._of_epoch(step, payload, say)
            case "setup" | "count":
                book = self._voice.sealed_counts(step, self._digest)
                if (refusal := self._voice.objects_to_counting(step, self._digest)) is not None:
                    say(refusal)
                elif step.step == "setup":
                    say(self._voice.seal_says(self._pen.set_up(book), self._digest, 0))
                else:
                    self._count(book, say)
            case "unmask":
                book = self._voice.sealed_counts(step, self._digest)
                say(self._voice.seal_says(self._pen.unmask(book), self._digest, 0))
            case _:
                raise SealRefused("is no step of learning a tokenizer", where=step.step)

    def _of_epoch(self, step: SealStep, payload: bytes, say: Say) -> None:
        epoch = self._voice.sealed_epoch(step, self._digest)
        if step.step == "key":
            MergeList.decode(payload)
            write_atomic(self._list_path, payload, mode=0o600)
            said = self._pen.show_key(epoch, digest_bytes(payload))
            say(self._voice.seal_says(said, self._digest))
        elif step.step == "beacon":
            say(self._voice.seal_says(self._pen.show_beacon(epoch), self._digest))
        else:
            say(self._voice.seal_says(self._pen.seal_keys(epoch), self._digest))

    def _count(self, book: CountBook, say: Say) -> None:
        """Count with the masking set in the log, and send what was masked."""
        data = self._list_path.read_bytes() if self._list_path.exists() else b""
        if digest_bytes(data) != book.plan.merges:
            raise SealRefused("is not the one that I gave my key for", where="list of merges")
        self._pen.accept_masking_set(book)
        listed = MergeList.decode(data)
        masked = self._pen.mask_counts(book, listed, self._counter.merges_made(listed))
        body = UpdateCommitted(
            plan=book.plan_digest,
            base=book.plan.merges,
            update=masked.update,
            bytes=masked.bytes,
            hidden=masked.hidden,
            steps=0,
            tokens=0,
            flops=0,
            train_s=0.0,
        )
        say(self._voice.seal_says(body, self._digest, 0), masked.path)

    def finish(self) -> None:
        """The tokenizer is there: keys and seeds are removed."""
        self._pen.forget()
