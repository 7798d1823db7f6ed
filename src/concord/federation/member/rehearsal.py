"""A round for nobody: what would the next update give away? Nothing is sent, charged or kept."""

from __future__ import annotations

from dataclasses import dataclass

from concord.base.digest import digest_bytes
from concord.base.errors import CheckpointError, ShardsCorrupt
from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument
from concord.charter.schedule import first_step, inner_steps
from concord.data.shard_index import read_index
from concord.federation.folders import FederationFolder
from concord.federation.launch import only_one
from concord.federation.member.audit import Hatched, MemberAudit, check_audits
from concord.federation.member.audit_folder import AuditFolder
from concord.federation.member.devices import choose_device
from concord.federation.member.inner import InnerTraining
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.records import RunFolder
from concord.ledger.layouts import base_weights
from concord.model.tensors import read_tensors
from concord.train.audit.verdict import AuditLimits, AuditReport, over_limits


@dataclass(frozen=True)
class Rehearsal:
    """What was found.

    Attributes:
        base: What the current base already knows of the canaries.
        update: What the update of the next round would show.
        commitment: Of the canaries; None without any.
    """

    base: Hatched
    update: AuditReport
    limits: AuditLimits
    commitment: str | None

    @property
    def over(self) -> tuple[str, ...]:
        """Names of the measures that are over their limit."""
        return over_limits(self.update, self.limits)


def rehearse(federation: FederationFolder, run: RunDocument, member: str) -> Rehearsal:
    """Take the next round's steps from the base that a member holds, and audit the update.

    Sensitive text is left out: a rehearsal spends no budget.

    Raises:
        CheckpointError: the member holds no base or no tokens of this run yet.
        FederationError: the run is going on.
    """
    own = federation.member(member)
    check_audits(run, where=run.name)
    folder = RunFolder(federation.root, run.name)
    if not folder.root.exists():
        raise _not_begun(member, run)
    with only_one(folder.root):
        text = _opened(federation, MemberText(own, run))
        state = MemberState(own.open_private("state", run.name), run.digest)
        if state.status.base is None:
            raise _not_begun(member, run)
        inner = InnerTraining(text, device=choose_device(text.file, own.file))
        base = TensorFile(state.base_path)
        round_ = min(state.status.base_round, run.rounds.count - 1)
        steps = inner_steps(run.rounds, round_)
        inner.restore(base, state.load_local(), round_, since=state.local_round)
        audit = MemberAudit(own, text, inner.trainer)
        known = audit.look_at_canaries(first_step(run.rounds, round_))
        audit.look_before(round_, steps)
        inner.take_steps(round_, steps, should_stop=lambda: False)
        trained = read_tensors(inner.trainer.model)
        weights = base_weights(base)
        update = {name: weights[name] - array for name, array in trained.items()}
        report = audit.look_after(round_, steps, weights, update)
        commitment = AuditFolder(own, run).commitment
        return Rehearsal(known, report, audit.settings.limits, commitment)


def _opened(federation: FederationFolder, text: MemberText) -> MemberText:
    try:
        digest = read_index(text.folder.open_private("shards", text.run.name)).tokenizer
    except ShardsCorrupt as error:
        raise _not_begun(text.folder.id, text.run) from error
    data = None if text.continued_folder is not None else federation.objects.get(digest)
    if data is not None and digest_bytes(data) != digest:
        raise CheckpointError("the tokenizer was altered", where=digest)
    text.open(data)
    return text


def _not_begun(member: str, run: RunDocument) -> CheckpointError:
    return CheckpointError(
        f"holds no base of run {run.name} yet",
        where=member,
        remedy="an update comes of a base: begin the run with `concord run`, then audit",
    )
