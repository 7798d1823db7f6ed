"""The probe gate in the log: nobody is left out by it in silence, or against its own values."""

import pytest

from concord.base.errors import StatementRefused
from concord.ledger.statements.gates import GateReport
from concord.ledger.statements.rounds import RunOpening
from concord.testing.history import History
from concord.testing.run_history import granted

MEMBERS = ("chad", "fiji", "iran", "peru")
WHY = {"peru": "quarantined: the probes are 0.100 nats per token better without it"}
GOOD = {"chad": 0.1, "fiji": 0.0, "iran": -0.03, "peru": -0.1}


class Gated:
    """A run with a gate, and a round in which everybody sent an update."""

    def __init__(self, root, **gate):
        self.history = History(root, MEMBERS)
        probes = self.history.objects.put(b'{"x":["one line"]}')
        self.probes = probes
        run = {"gate": {"enabled": True, **gate}, "rounds": {"count": 30}}
        self.run = self.history.adopt(**run, probes=probes)
        self.sent = {}

    def collect(self, members=MEMBERS):
        self.plan = self.run.call()
        for member in members:
            self.run.say(granted(self.plan), member)
        self.sent = {member: self.run.send(member) for member in members}
        return self

    def report(self, benefits=GOOD, quarantined=("peru",), **changes):
        inputs = self.run.inputs
        body = GateReport(
            plan=self.plan,
            base=inputs.base_digest,
            probes=self.probes,
            updates={m: one.update.digest() for m, one in self.sent.items()},
            benefits={m: benefits[m] for m in self.sent},
            values=self.history.objects.put(b"{}"),
            quarantined=quarantined,
        ).model_copy(update=changes)
        return self.run.coordinator(body, inputs.round)

    def commit(self, without=("peru",), left_out=WHY):
        merged = {m: one for m, one in self.sent.items() if m not in without}
        self.run.commit(merged, left_out=left_out)

    @property
    def seat(self):
        return self.history.state.run(self.run.digest)


@pytest.fixture
def gated(tmp_path):
    return Gated(tmp_path).collect()


def test_a_round_without_the_quarantined_is_committed_and_the_strike_kept(gated):
    gated.report()
    gated.commit()
    assert gated.seat.rounds == 1
    assert gated.seat.strikes == {"peru": (1,)}
    assert gated.seat.under_review == ()
    assert "peru" in gated.history.state.bound(gated.history.now), "it takes part again"


def test_a_round_without_a_report_is_refused(gated):
    with pytest.raises(StatementRefused, match="did not report on this round"):
        gated.commit(without=(), left_out={})


def test_leaving_out_somebody_whom_the_report_does_not_name_is_refused(gated):
    gated.report(GOOD | {"peru": 0.1}, quarantined=())
    with pytest.raises(StatementRefused, match="others than the gate's report names"):
        gated.commit()


def test_merging_somebody_whom_the_report_names_is_refused(gated):
    gated.report()
    with pytest.raises(StatementRefused, match="others than the gate's report names"):
        gated.commit(without=(), left_out={})


def test_leaving_out_under_another_pretext_what_was_measured_is_refused(gated):
    gated.report(GOOD | {"peru": 0.1}, quarantined=())
    with pytest.raises(StatementRefused, match="merges others than passed the gate"):
        gated.commit(left_out={"peru": "refused: malformed"})


@pytest.mark.parametrize("named", [(), ("chad",), ("chad", "peru"), ("iran", "peru")])
def test_a_report_names_exactly_those_whom_its_values_speak_against(gated, named):
    with pytest.raises(StatementRefused, match="exactly those whose benefit is under the bound"):
        gated.report(quarantined=named)


def test_a_report_on_other_probes_another_base_or_another_update_is_refused(gated):
    other = "sha256:" + "7" * 64
    for changes in ({"probes": other}, {"base": other}):
        with pytest.raises(StatementRefused, match="another base or other probes"):
            gated.report(**changes)
    updates = {m: one.update.digest() for m, one in gated.sent.items()} | {"peru": other}
    with pytest.raises(StatementRefused, match="'peru' did not send that update"):
        gated.report(updates=updates)


def test_a_second_report_on_a_round_is_refused(gated):
    gated.report()
    with pytest.raises(StatementRefused, match="reported on this plan before"):
        gated.report()


def test_a_run_without_a_gate_has_no_reports_and_names_no_probes(tmp_path):
    gated = Gated.__new__(Gated)
    gated.history = History(tmp_path, MEMBERS)
    gated.probes = "sha256:" + "7" * 64
    gated.run = gated.history.adopt()
    gated.collect()
    with pytest.raises(StatementRefused, match="has no probe gate"):
        gated.report()
    with pytest.raises(StatementRefused, match="others than the gate's report names"):
        gated.commit()


@pytest.mark.parametrize(("enabled", "probes"), [(True, None), (False, "sha256:" + "7" * 64)])
def test_a_run_is_opened_with_probes_if_it_has_a_gate_and_only_then(tmp_path, enabled, probes):
    history = History(tmp_path, MEMBERS)
    with pytest.raises(StatementRefused, match="must name probes"):
        history.adopt(gate={"enabled": enabled}, probes=probes)
    assert RunOpening.KIND in "run-opening"


def test_three_strikes_in_twenty_rounds_ask_for_a_decision_and_expel_nobody(tmp_path):
    gated = Gated(tmp_path)
    for number in range(25):
        gated.collect()
        harmful = number in (0, 4, 9, 24)
        gated.report(GOOD if harmful else GOOD | {"peru": 0.0}, ("peru",) if harmful else ())
        gated.commit(*((("peru",), WHY) if harmful else ((), {})))
        seen = gated.seat.under_review
        assert seen == (("peru",) if 9 <= number < 20 else ()), number
        assert gated.history.state.members["peru"].standing == "full"
    assert gated.seat.strikes == {"peru": (10, 25)}
