"""What a statement says, in one plain sentence: for the log's readers and for whoever signs.

The author stands before the sentence: "kenya proposes …". Every kind has one (tested).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from concord.base.digest import Digest
from concord.ledger.statements.aftermath import Advisory, Matter, MatterAnswered, Recall
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence, Release
from concord.ledger.statements.fields import Body
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.membership import (
    Founding,
    Handover,
    Join,
    KeyRevocation,
    KeyRotation,
    Leave,
)
from concord.ledger.statements.oversight import Halt, HaltExtension, Resume
from concord.ledger.statements.rounds import (
    Granted,
    Measured,
    MeasureRefused,
    Refused,
    RoundCommitted,
    RoundPlan,
    RoundVoid,
    RunClosed,
    RunOpening,
    UpdateSent,
)
from concord.ledger.statements.sealing import (
    BeaconShown,
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    KeyShown,
    KeysSealed,
    MaskingSet,
    SealSetUp,
    SurvivorSet,
    Unmasked,
    UpdateCommitted,
)
from concord.ledger.statements.statement import Author, Statement
from concord.ledger.statements.votes import (
    Admit,
    Amend,
    Ballot,
    Change,
    Comment,
    Decision,
    Expel,
    LiftHalt,
    Ordinary,
    Proposal,
    Ratification,
    ReleaseModel,
    StartRun,
    Suspend,
)

SHOWN_DIGITS = 10
SHOWN_NAMES = 8
SHOWN_TEXT = 160


def sentence(statement: Statement) -> str:
    """What the author says, without the author."""
    body, run, round_ = statement.body, statement.binding.run, statement.binding.round
    if run is not None:
        place = (
            f" in run {short(run)}" if round_ is None else f" in run {short(run)}, round {round_}"
        )
        return _of_a_run(body) + place
    match body:
        case Proposal() | Comment() | Ballot() | Decision() | Ratification():
            return _of_a_vote(body)
        case Halt() | HaltExtension() | Resume():
            return _of_a_halt(body)
        case DatasetRecord() | GateEvidence() | Release():
            return _of_evidence(body)
        case Recall() | Advisory() | Matter() | MatterAnswered():
            return _of_aftermath(body)
    if isinstance(body, Handover) and body.coordinator.member == statement.author.party:
        return _of_a_new_coordinator(body)
    return _of_membership(body)


def author_words(author: Author) -> str:
    """Who speaks, and in which role if it is not that of a member."""
    return author.party if author.role == "member" else f"{author.party} ({author.role})"


def short(digest: Digest) -> str:
    """The first digits of a digest: enough to tell statements of one log apart."""
    return digest.removeprefix("sha256:")[:SHOWN_DIGITS]


def moment(unix_s: int) -> str:
    """A time as people write it, UTC to the minute."""
    if not 0 <= unix_s < 253_402_300_800:  # the end of year 9999
        return f"{unix_s} s after 1970"
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M} UTC"


def change_words(change: Change) -> str:
    """What a proposal would do."""
    match change:
        case Amend():
            return f"amend the charter from {short(change.before)} to {short(change.charter)}"
        case StartRun():
            return f"start run {short(change.document)}"
        case Admit():
            return f"admit {change.member} by application {short(change.application)}"
        case Suspend():
            return f"suspend {change.member} until {moment(change.until)}"
        case Expel():
            return f"expel {change.member}"
        case ReleaseModel():
            return f"release model {short(change.model)} as version {change.version}"
        case LiftHalt():
            return f"lift halt {short(change.halt)}"
        case Ordinary():
            return "resolve what its text says"


def _of_a_vote(body: Proposal | Comment | Ballot | Decision | Ratification) -> str:
    match body:
        case Proposal():
            until = moment(body.closes)
            return (
                f'proposes to {change_words(body.change)}: "{cut(body.title)}"; open until {until}'
            )
        case Comment():
            reply = "" if body.reply_to is None else f", in answer to {short(body.reply_to)}"
            return f'comments on proposal {short(body.proposal)}{reply}: "{cut(body.text)}"'
        case Ballot():
            return f"votes {body.choice} on proposal {short(body.proposal)}{_because(body.reason)}"
        case Decision():
            votes = f"{len(body.ballots)} ballot{'s' * (len(body.ballots) != 1)}"
            effect = (
                f", in effect from {moment(body.effective)}" if body.outcome == "adopted" else ""
            )
            return (
                f"finds proposal {short(body.proposal)} {body.outcome} by rule {body.rule}"
                f" over {votes}{effect}"
            )
        case Ratification():
            return f"ratifies charter {short(body.ratified)}"


def _of_a_halt(body: Halt | HaltExtension | Resume) -> str:
    match body:
        case Halt():
            whom = "itself" if body.scope == "self" else "all members"
            until = moment(body.until)
            return f'halts {whom} until {until} on ground {body.ground}: "{cut(body.reason)}"'
        case HaltExtension():
            return f"extends halt {short(body.halt)} until {moment(body.until)}"
        case Resume():
            by = "" if body.decision is None else f", by decision {short(body.decision)}"
            return f"ends halt {short(body.halt)}{by}"


def _of_evidence(body: DatasetRecord | GateEvidence | Release) -> str:
    match body:
        case DatasetRecord():
            does = "revokes the record" if body.revoked else "records the description"
            return f"{does} of dataset {body.dataset}: {short(body.record)}"
        case GateEvidence():
            return f"ran gate {body.gate} on model {short(body.model)}: {body.result}"
        case Release():
            return (
                f"publishes model {short(body.model)} as version {body.version},"
                f" by decision {short(body.decision)}"
            )


def _of_aftermath(body: Recall | Advisory | Matter | MatterAnswered) -> str:
    match body:
        case Recall():
            instead = f"; use {body.replaced_by}" if body.replaced_by else ""
            return (
                f'withdraws version {body.version} on ground {body.ground}: "{cut(body.reason)}"'
                f"{instead}"
            )
        case Advisory():
            return f'advises on version {body.version}, {body.severity}: "{cut(body.title)}"'
        case Matter():
            about = "" if body.version is None else f" about version {body.version}"
            about += "" if body.about is None else f" about {short(body.about)}"
            by = "" if body.to is None else f", to be answered by {body.to}"
            return f'opens {_a(body.sort)}{about}{by}, due {moment(body.due)}: "{cut(body.title)}"'
        case MatterAnswered():
            return f'answers matter {short(body.matter)}, {body.outcome}: "{cut(body.text)}"'


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"


def _of_a_new_coordinator(body: Handover) -> str:
    does = (
        "takes the coordinator's role over" if body.manner == "takeover" else "runs the coordinator"
    )
    key = _key(body.coordinator.log_key)
    return f"{does} from here on, term {body.term}, log key {key}{_because(body.reason)}"


def _of_membership(body: Body) -> str:
    match body:
        case Founding():
            return (
                f"found federation {body.name} of {listed(m.id for m in body.members)}"
                f" under charter {short(body.charter)}; coordinator: {body.coordinator.member}"
            )
        case Join():
            return f"applies to join as {body.member.id}, legal owner {body.member.legal_owner}"
        case Leave():
            return f"leaves; its past work {_stays(body)}{_because(body.reason)}"
        case KeyRotation():
            return f"changes its {body.purpose} key from {_key(body.old)} to {_key(body.new)}"
        case KeyRevocation():
            instead = "" if body.replacement is None else f"; {_key(body.replacement)} replaces it"
            return f"revokes key {_key(body.key)} of {body.party}{instead}{_because(body.reason)}"
        case Handover():
            how = (
                "takes the coordinator's role over for"
                if body.manner == "takeover"
                else "hands the coordinator's role to"
            )
            return f"{how} {body.coordinator.member}, term {body.term}{_because(body.reason)}"
    return f"says something of kind {body.KIND}"


def _steps(body: RoundPlan) -> str:
    fewest = min(body.steps.values(), default=body.inner_steps)
    most = f"{body.inner_steps}"
    return most if fewest == body.inner_steps else f"{fewest} to {most}, each by its speed,"


def _of_a_run(body: Body) -> str:
    match body:
        case RunOpening():
            return f"opens the run from base {short(body.first_base)}"
        case RoundPlan():
            again = f" (attempt {body.attempt + 1})" if body.attempt else ""
            return (
                f"calls {listed(body.roster)} to {_steps(body)} steps"
                f" from base {short(body.base)}{again}"
            )
        case Granted():
            rules = f" by {listed(body.rules)}" if body.rules else ""
            return f"takes part{rules}"
        case Refused():
            rules = f" by {listed(body.rules)}" if body.rules else ""
            return f'does not take part{rules}: "{cut(body.reason)}"'
        case UpdateSent():
            return (
                f"sent update {short(body.update)} of {body.bytes:,} bytes"
                f" after {body.steps} steps on {body.tokens:,} tokens{_spent(body)}"
            )
        case GateReport():
            out = f"; quarantined: {listed(body.quarantined)}" if body.quarantined else ""
            return f"measured {len(body.updates)} updates on probes {short(body.probes)}{out}"
        case RoundCommitted():
            out = f", without {listed(body.left_out)}" if body.left_out else ""
            return f"merged {listed(body.merged)}{out} into base {short(body.base)}"
        case RoundVoid():
            return f'gave the round up: "{cut(body.reason)}"'
        case Measured():
            bits = (
                ""
                if not body.bytes
                else f", {body.nats / body.bytes / 0.6931471805599453:.3f} bits per byte"
            )
            return f"measured base {short(body.base)} on {body.bytes:,} bytes of its own text{bits}"
        case MeasureRefused():
            rules = f" by {listed(body.rules)}" if body.rules else ""
            return f'does not measure base {short(body.base)}{rules}: "{cut(body.reason)}"'
        case RunClosed():
            return f"closes the run at base {short(body.base)}"
    return _of_sealed_mode(body)


def _of_sealed_mode(body: Body) -> str:
    match body:
        case EpochOpened():
            why = _because(body.reason)
            return f"asks {listed(body.members)} for keys of epoch {body.number}{why}"
        case KeyShown():
            return f"gives a key for epoch {short(body.epoch)}, and a commitment to a beacon"
        case KeysClosed():
            return f"closes the list of keys: {listed(body.keys)}"
        case BeaconShown():
            return f"shows its beacon for the draw of epoch {short(body.epoch)}"
        case CohortsDrawn():
            drawn = "; ".join(listed(cohort) for cohort in body.cohorts)
            return f"draws who is masked with whom: {drawn}"
        case KeysSealed():
            return "gives each other member of its cohort a sealed secret"
        case SealSetUp():
            return "is set up: tags, commitments and encrypted shares, and no update yet"
        case MaskingSet():
            return f"names the masking set of cohort {body.cohort}: {listed(body.members)}"
        case UpdateCommitted():
            return (
                f"sent masked update {short(body.update)} of {body.bytes:,} bytes"
                f" after {body.steps} steps on {body.tokens:,} tokens"
            )
        case SurvivorSet():
            return f"names the survivor set of cohort {body.cohort}: {listed(body.members)}"
        case Unmasked():
            return "gives its shares, which take masks out of the sum and out of nothing else"
        case CountsPlanned():
            return (
                f"asks {listed(body.roster)} for sealed counts of the merges of list"
                f" {short(body.merges)}"
            )
        case TokenizerLearned():
            whose = f"counts of {listed(body.counts)}" if body.counts else "public sentences alone"
            return f"learns tokenizer {short(body.tokenizer)} from {whose}"
    return f"says something of kind {body.KIND}"


def _spent(body: UpdateSent) -> str:
    """Privacy budgets, where there are some."""
    told = [f"{o.dataset} {o.epsilon:.4g} of {o.max_epsilon:g}" for o in body.privacy]
    return f"; epsilon spent: {listed(told)}" if told else ""


def listed(names: Iterable[str]) -> str:
    """Names with commas, the first few of many."""
    found = list(names)
    shown = ", ".join(found[:SHOWN_NAMES])
    return shown if len(found) <= SHOWN_NAMES else f"{shown} and {len(found) - SHOWN_NAMES} more"


def cut(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_TEXT else f"{line[: SHOWN_TEXT - 1]}…"


def _because(reason: str) -> str:
    return f', because "{cut(reason)}"' if reason else ""


def _stays(body: Leave) -> str:
    return "stays in the base" if body.past_work == "stays" else "is to be removed"


def _key(text: str) -> str:
    return text.removeprefix("ed25519:")[:SHOWN_DIGITS]
