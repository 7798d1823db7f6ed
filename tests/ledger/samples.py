"""One body of every kind of statement, and of every change that can be proposed."""

from foldlab import NOON, granted, member_entry, public, some

from concord.ledger.statements import (
    aftermath,
    evidence,
    gates,
    membership,
    oversight,
    rounds,
    sealing,
    votes,
)
from concord.ledger.statements.statement import Author, Binding, Statement


def coordinator(member):
    return membership.CoordinatorEntry(member=member, log_key=public(f"{member}/log"))


CHANGES = [
    votes.Amend(before=some("old"), charter=some("new")),
    votes.StartRun(document=some("run")),
    votes.Admit(application=some("application"), member="laos"),
    votes.Suspend(member="togo", until=NOON),
    votes.Expel(member="togo"),
    votes.ReleaseModel(version="1.0", model=some("model")),
    votes.LiftHalt(halt=some("halt")),
    votes.Ordinary(),
]
SAMPLES = [
    membership.Founding(
        name="atlas",
        nonce="0" * 32,
        charter=some("charter"),
        members=(member_entry("chad"), member_entry("fiji", owner="ocean")),
        overseers=(membership.OverseerEntry(id="ada", key=public("ada")),),
        coordinator=coordinator("chad"),
    ),
    membership.Join(member=member_entry("laos", speakers=7)),
    membership.Leave(past_work="removed", reason="We go on alone."),
    membership.KeyRotation(purpose="witness", old=public("a"), new=public("b")),
    membership.KeyRevocation(party="fiji", key=public("fiji"), replacement=public("fiji 2")),
    membership.Handover(manner="handover", term=1, coordinator=coordinator("fiji")),
    membership.Handover(manner="takeover", term=2, coordinator=coordinator("fiji")),
    *(votes.Proposal(title="A title", change=one, closes=NOON) for one in CHANGES),
    votes.Comment(proposal=some("p"), text="Why?", reply_to=some("comment")),
    votes.Ballot(proposal=some("p"), choice="yes", reason="It is sound."),
    votes.Decision(
        proposal=some("p"),
        outcome="adopted",
        rule="ordinary",
        ballots={"chad": some("ballot")},
        effective=NOON,
    ),
    votes.Ratification(ratified=some("charter")),
    oversight.Halt(scope="all", ground="fire", reason="It burns.", until=NOON + 3600),
    oversight.HaltExtension(halt=some("halt"), until=NOON),
    oversight.Resume(halt=some("halt"), decision=some("decision")),
    rounds.RunOpening(first_base=some("base"), record=some("record")),
    rounds.RoundPlan(
        attempt=1,
        term=0,
        base=some("base"),
        roster=("chad", "fiji", "togo"),
        inner_steps=3,
        codec="int4",
        quorum="1/2",
    ),
    granted(some("plan"), rules=("permit-pretraining",)),
    rounds.Refused(plan=some("plan"), reason="the budget is spent"),
    rounds.UpdateSent(
        plan=some("plan"),
        base=some("base"),
        update=some("update"),
        bytes=1000,
        steps=3,
        tokens=300,
        flops=10**6,
        train_s="1.5",
        mean_loss="2.25",
    ),
    rounds.RoundCommitted(
        plan=some("plan"),
        base_before=some("base"),
        base=some("base 2"),
        step=some("step"),
        record=some("record"),
        merged={m: {"update": some(m), "weight": "1/2", "norm": "1.0"} for m in ("chad", "fiji")},
        left_out={"togo": "late"},
    ),
    gates.GateReport(
        plan=some("plan"),
        base=some("base"),
        probes=some("probes"),
        updates={"chad": some("u1"), "fiji": some("u2")},
        benefits={"chad": "0.25", "fiji": "-0.5"},
        values=some("values"),
        quarantined=("fiji",),
    ),
    rounds.RoundVoid(plan=some("plan"), reason="no quorum"),
    rounds.Measured(base=some("base"), nats="1500.0", bytes=1000, tokens=300, documents=3),
    rounds.MeasureRefused(base=some("base"), reason="policy: news: expired", rules=("expired",)),
    rounds.RunClosed(base=some("base")),
    sealing.EpochOpened(number=0, members=("chad", "fiji", "togo"), reason="the run begins"),
    sealing.KeyShown(epoch=some("epoch"), content="AAAA", coverage=some("rows")),
    sealing.KeysClosed(epoch=some("e"), keys={m: some(m) for m in ("chad", "fiji", "togo")}),
    sealing.BeaconShown(epoch=some("epoch"), beacon="ab" * 32),
    sealing.CohortsDrawn(epoch=some("epoch"), cohorts=(("chad", "fiji", "togo"),)),
    sealing.KeysSealed(epoch=some("epoch"), content="AAAA"),
    sealing.SealSetUp(plan=some("plan"), content="AAAA"),
    sealing.MaskingSet(plan=some("plan"), cohort=0, members=("chad", "fiji", "togo")),
    sealing.UpdateCommitted(
        plan=some("plan"),
        base=some("base"),
        update=some("update"),
        bytes=1000,
        hidden="cd" * 32,
        steps=3,
        tokens=300,
        flops=10**6,
        train_s="1.5",
    ),
    sealing.SurvivorSet(plan=some("plan"), cohort=0, members=("chad", "fiji", "togo")),
    sealing.Unmasked(plan=some("plan"), content="AAAA"),
    evidence.DatasetRecord(dataset="news", record=some("record")),
    evidence.GateEvidence(gate="floor", model=some("m"), evidence=some("e"), result="passed"),
    evidence.GateEvidence(
        gate="floor",
        model=some("m"),
        evidence=some("e"),
        result="failed",
        measured={"sw": "0.25", "hi": "-1.5"},
        against=some("before"),
    ),
    evidence.Release(version="1.0", model=some("m"), manifest=some("f"), decision=some("d")),
    aftermath.Recall(version="1.0", model=some("m"), ground="leak", reason="It leaks."),
    aftermath.Advisory(version="1.0", model=some("m"), severity="high", title="Dates", text="No."),
    aftermath.Matter(
        sort="opt-out",
        title="A text",
        about=some("record"),
        document=some("letter"),
        to="fiji",
        due=NOON,
    ),
    aftermath.MatterAnswered(matter=some("matter"), outcome="upheld", text="It is left out."),
]


def statement_of(body, seq=1, time=NOON):
    """The body in a frame that fits its kind."""
    return Statement(
        body=body,
        binding=Binding(
            federation=None if body.KIND == "founding" else some("federation"),
            charter=some("charter"),
            run=some("run") if body.NEEDS_RUN else None,
            round=4 if body.NEEDS_ROUND else None,
        ),
        author=Author(role="member", party="chad"),
        seq=seq,
        time=time,
    )
