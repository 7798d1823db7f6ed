"""A whole run in one process: the product's members and its merging, one after the other.

For experiments, where the text of all members lies in one place, and six processes would only wait
for one core. Nothing is computed here: members train, encode and apply as `MemberTraining` does,
updates are screened and merged as `OpenMerge` does, so a run ends with the bits that `concord run`
would end with. What is left out is what an engine brings: processes, lateness, failures.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from concord.base.digest import Digest
from concord.base.errors import UpdateRefused
from concord.base.files import private_folder
from concord.base.tensors import FloatArray, TensorFile, write_tensors
from concord.charter.pace import next_times, paced_steps
from concord.charter.run import RunDocument
from concord.charter.schedule import inner_steps
from concord.federation.frames import Frame
from concord.federation.gating import Findings, Gate, findings
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.member.training import MemberTraining
from concord.federation.merging import OpenMerge, RunState
from concord.federation.messages import Committed
from concord.federation.records import RunFolder
from concord.federation.work import Train, UpdateHeader, Withheld
from concord.ledger.round_record import RoundRecord
from concord.train.evaluate import HeldoutSums, heldout_sums


@dataclass(frozen=True)
class Sent:
    """An update on its way to the merge."""

    member: str
    """Whose connection it comes over."""
    header: UpdateHeader
    path: Path


Adversary = Callable[[RunState, Sequence[Sent]], Sequence[Sent]]
"""Sees all that members made in a round, and says what is sent instead."""


class SimulatedMember(MemberTraining):
    """A member whose own model can be measured before it is averaged away."""

    def measure_own(self) -> HeldoutSums:
        """Sums over its held-out text for the network as the last inner steps left it."""
        return heldout_sums(
            self._trainer.model,
            self._text.heldout(),
            self._text.tokenizer.encode,
            start_id=self._text.tokenizer.end_id,
            context=self.run.model.context,
            max_bytes=self.run.evaluation.max_bytes,
        )


class Simulation:
    """The rounds of one run document.

    Args:
        run: The run document.
        texts: Each member's text, its shards open.
        folder: A new folder, for bases, updates and the members' saved state.
        weights: What the first base holds instead of seeded weights, as after training elsewhere;
            all of them, by name.
        gate: The probe gate, with a prober in this process; it reads the tokenizer from the
            objects, where the caller has to put it.
        step_s: Seconds that each member's inner step takes by what it declares; without it, what
            was measured.

    Raises:
        DocumentError, StorageError: as members and coordinator raise them.
    """

    def __init__(
        self,
        run: RunDocument,
        texts: Mapping[str, MemberText],
        folder: Path,
        *,
        weights: Mapping[str, FloatArray] | None = None,
        gate: Gate | None = None,
        step_s: Mapping[str, float] | None = None,
    ) -> None:
        self.run = run
        self._step_s = step_s
        self._times_us: dict[str, int] = {}
        self._gate = gate
        self.gate_findings: list[Findings] = []
        """What the probe gate found, round by round."""
        self.members = {
            member: SimulatedMember(
                texts[member], MemberState(private_folder(folder / "state" / member), run.digest)
            )
            for member in run.member_ids
        }
        records = RunFolder(folder, run.name)
        records.create()
        giver = self.members[run.member_ids[0]]
        path, digest = giver.first_base()
        if weights is not None:
            digest = _replace_weights(path, weights)
        tokenizer = texts[run.member_ids[0]].tokenizer.digest
        self.state = RunState.found(run, records, path, digest, tokenizer)
        for member in self.members.values():
            self._hand_over(member.state, digest)

    def train(
        self,
        *,
        on_trained: Callable[[str, SimulatedMember], None] = lambda *_: None,
        adversary: Adversary | None = None,
    ) -> RoundRecord:
        """Run the next round: everybody trains, everybody is heard, everybody applies the step.

        Args:
            on_trained: Told each member after its inner steps, before anything is merged.
            adversary: Changes what is sent; what is then refused is left out of the round.

        Raises:
            TrainingDiverged, UpdateRefused: a member's update is useless; nothing is committed.
        """
        merge = self.state.open_round(started_s=0.0)
        before = self.state.current.digest
        round_ = self.state.committed
        steps = paced_steps(self.run, round_, self.run.member_ids, self._times_us)
        merge.plan(steps)
        sent = []
        for name, member in self.members.items():
            plan = Train(
                run=self.run.digest,
                round=round_,
                base=before,
                inner_steps=steps.get(name, inner_steps(self.run.rounds, round_)),
            )
            made = member.train(plan, interrupted=lambda: False, on_progress=lambda *_: None)
            on_trained(name, member)
            if made is not None and not isinstance(made, Withheld):
                header, path = made
                sent.append(Sent(name, self._declared(name, header), path))
        left_out = self._hear(merge, sent, adversary) | self._gated(merge)
        record = merge.commit(
            left_out=left_out, closed_because="simulated", now_s=0.0, bytes_up={}, bytes_down={}
        )
        merged = {m: (c.train_s, c.steps) for m, c in record.contributions.items()}
        self._times_us = next_times(self.run, self._times_us, merged=merged, missed=())
        self._apply(record, before)
        return record

    def _declared(self, member: str, header: UpdateHeader) -> UpdateHeader:
        if self._step_s is None:
            return header
        return replace(header, train_s=self._step_s[member] * header.steps)

    def _hear(
        self, merge: OpenMerge, sent: Sequence[Sent], adversary: Adversary | None
    ) -> dict[str, str]:
        """Screen what was sent; returns who is left out and why."""
        refused: dict[str, str] = {}
        for one in sent if adversary is None else adversary(self.state, sent):
            try:
                merge.accept(one.member, one.header, Frame(b"", one.path))
            except UpdateRefused as error:
                if adversary is None:
                    raise
                refused[one.member] = f"refused: {error.reason}"
        return {member: why for member, why in refused.items() if member not in merge.accepted}

    def _gated(self, merge: OpenMerge) -> dict[str, str]:
        """Who is left out by the probe gate, if there is one."""
        if self._gate is None:
            return {}
        members = sorted(merge.accepted)
        found = findings(self._gate.prober.benefits(merge.gate_case(self._gate)), members, self.run)
        self.gate_findings.append(found)
        merge.quarantine(found.quarantined)
        return dict.fromkeys(found.quarantined, "quarantined")

    def evaluate(self) -> dict[str, HeldoutSums]:
        """Each member's sums over its held-out text, for the current base."""
        return {name: member.evaluate() for name, member in self.members.items()}

    def _apply(self, record: RoundRecord, before: Digest) -> None:
        assert record.step is not None  # noqa: S101 - every committed round has one
        message = Committed(
            round=record.round,
            base_before=before,
            base=record.base,
            payload_digest=record.step,
            included={name: one.update for name, one in record.contributions.items()},
        )
        step = self.state.folder.objects.path(record.step)
        for member in self.members.values():
            member.apply(message, Frame(b"", step))

    def _hand_over(self, state: MemberState, digest: Digest) -> None:
        copy = state.temporary_path("base")
        shutil.copyfile(self.state.current.path, copy)
        state.adopt_base(copy, digest, 0)


def _replace_weights(path: Path, weights: Mapping[str, FloatArray]) -> Digest:
    """Write the base anew with other weights; what it shares of the inner state stays."""
    base = TensorFile(path)
    return write_tensors(path, base.specs, (weights.get(n.name, a) for n, a in base.items()))
