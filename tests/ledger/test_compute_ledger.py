"""Joint compute and evidence, read from the log."""

import pytest

from concord.base.tensors import TensorFile
from concord.ledger.compute import compute_ledger, evidence_shown
from concord.ledger.entries import Entry
from concord.ledger.layouts import parameter_count
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence
from concord.ledger.statements.rounds import UpdateSent
from concord.ledger.statements.sealing import UpdateCommitted
from concord.testing.history import SPECS, History

WEIGHTS = sum(spec.size for spec in SPECS)


@pytest.fixture
def history(tmp_path):
    return History(tmp_path)


def weights(history):
    return lambda base: parameter_count(TensorFile(history.objects.path(base)).specs)


def declare(history, member, name="dpia", result="passed", of=None):
    model = of or history.state.federation
    body = GateEvidence(gate=name, model=model, evidence=model, result=result)
    return history.say(body, member).statement.time


def shown(history, *about):
    return evidence_shown(history.state, history.entries, about or [history.state.federation])


def test_compute_is_six_times_weights_times_tokens_of_every_update(history):
    run = history.adopt()
    run.round_of("chad", "fiji", "peru")
    run.round_of("chad", "fiji")
    (found,) = compute_ledger(history.state, history.entries, weights(history))
    sent = [e.statement.body for e in history.entries if isinstance(e.statement.body, UpdateSent)]
    assert len(sent) == 5
    assert found.parameters == WEIGHTS
    assert found.tokens == sum(body.tokens for body in sent)
    assert found.flop == max(6 * WEIGHTS * found.tokens, sum(body.flops for body in sent))


def test_members_that_declare_less_than_they_did_change_nothing(history):
    history.adopt().round_of("chad", "fiji")
    (found,) = compute_ledger(history.state, history.entries, lambda _: 10**9)
    assert found.flop == 6 * 10**9 * found.tokens > found.declared_flop


def test_without_the_base_what_members_declared_counts(history):
    history.adopt().round_of("chad", "fiji")
    (found,) = compute_ledger(history.state, history.entries, lambda _: None)
    assert found.flop == found.declared_flop > 0


def test_masked_updates_count_too(history):
    run = history.adopt()
    run.round_of("chad", "fiji")
    digest = "sha256:" + "1" * 64
    body = UpdateCommitted(
        plan=digest, base=digest, update=digest, bytes=9, hidden="0" * 64, steps=1,
        tokens=1_000, flops=7, train_s="0.5",
    )  # fmt: skip
    statement = history.statement(body, "fiji", run=run.run.digest, round_=1)
    masked = Entry.sign(statement, [history.key("fiji")])
    (before,) = compute_ledger(history.state, history.entries, lambda _: 5)
    (after,) = compute_ledger(history.state, [*history.entries, masked], lambda _: 5)
    assert after.tokens - before.tokens == 1_000
    assert after.declared_flop - before.declared_flop == 7


def test_a_run_that_has_not_begun_cost_nothing(history):
    history.adopt()
    (found,) = compute_ledger(history.state, history.entries, lambda _: 5)
    assert (found.tokens, found.flop) == (0, 0)


def test_evidence_is_shown_at_the_time_of_its_last_statement(history):
    declare(history, "chad")
    history.now += 100
    last = declare(history, "fiji")
    assert shown(history) == {"dpia": last}


def test_one_member_that_found_it_to_have_failed_keeps_it_out(history):
    declare(history, "chad")
    declare(history, "fiji", result="failed")
    declare(history, "peru")
    assert shown(history) == {}
    at = declare(history, "fiji")
    assert shown(history) == {"dpia": at}


def test_a_warning_shows_nothing_and_keeps_nothing_out(history):
    declare(history, "chad", result="warned")
    assert shown(history) == {}
    at = declare(history, "fiji")
    assert shown(history) == {"dpia": at}


def test_evidence_about_another_model_counts_nothing(history):
    other = "sha256:" + "7" * 64
    at = declare(history, "chad", of=other)
    assert shown(history) == {}
    assert shown(history, other) == {"dpia": at}


def test_the_data_is_described_once_every_member_has_a_record_that_stands(history):
    record = "sha256:" + "5" * 64
    for member in ("chad", "fiji", "peru"):
        assert "data-description" not in shown(history)
        history.say(DatasetRecord(dataset="news", record=record), member)
    assert "data-description" in shown(history)
    history.say(DatasetRecord(dataset="news", record=record, revoked=True), "peru")
    assert "data-description" not in shown(history)
