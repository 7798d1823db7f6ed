"""The audit before sending: who learned its text by heart is held back, and who did not is not."""

import json

import numpy as np
import pytest
from privacylab import Lab

from concord.base.errors import DocumentError
from concord.federation.member.audit import heldout_rows, script_rows
from concord.federation.member.audit_folder import AuditFolder
from concord.federation.member.privacy_file import AuditSettings
from concord.federation.work import Withheld
from concord.model.tokenizer import END_TOKEN, Tokenizer
from concord.train.audit.canaries import commitment
from concord.train.audit.verdict import AuditLimits, AuditReport, over_limits, rules_of
from tinymodels import byte_tokenizer

AUDIT = "[audit]\nevery_rounds = 1\ncanaries = 40\ncanary_tokens = 8\nrows = 16\n"
SHORT = AUDIT.replace("canary_tokens = 8", "canary_tokens = 4")
LEAKY = {
    "model": {"hidden": 64, "heads": 4, "kv_heads": 2},
    "inner": {"batch_tokens": 704, "lr": 0.02, "matrix_lr": 0.02, "decay_share": 0.3},
    "rounds": {"count": 1, "inner_steps": 115},
}
"""A text of some 1,400 tokens: 50 epochs in one round."""


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    member = Lab(tmp_path_factory.mktemp("leaky"), documents=34, privacy=SHORT, **LEAKY)
    assert 115 * 704 / member.text.tokens >= 50
    return member, member.train()


def reports(member):
    return AuditFolder(member.folder, member.run).reports()


def test_fifty_epochs_on_a_text_are_held_back_and_the_refusal_says_why(leaky):
    _, made = leaky
    assert isinstance(made, Withheld)
    assert {"audit.canaries_recited", "audit.recited"} <= set(made.rules)
    assert "canaries_recited" in made.reason


def test_what_it_was_held_back_for_is_kept_at_home_and_does_not_leave(leaky):
    member, made = leaky
    (report,) = reports(member)
    assert report.canaries_recited > 0.5 and report.mia_auc > 0.9 and report.canary_epsilon > 1
    told = made.reason + "".join(made.rules)
    assert not any(character.isdigit() for character in told)


def test_an_update_that_is_held_back_leaves_no_state_to_go_on_from(leaky):
    member, _ = leaky
    assert member.training.state.status.pending is None


def test_an_honest_member_passes(tmp_path):
    member = Lab(tmp_path, privacy=AUDIT)
    header, path = member.train()
    assert header.steps == 4 and path.exists()
    (report,) = reports(member)
    assert report.recited == 0 and not over_limits(report, AuditLimits())
    assert report.mia_auc == pytest.approx(0.5, abs=0.3)
    assert 0 <= report.token_set_auc <= 1


def test_after_an_update_was_held_back_every_round_is_audited_until_one_passes(tmp_path):
    strict = AUDIT.replace("every_rounds = 1", "every_rounds = 3") + "[audit.limits]\nmia_auc = 0\n"
    member = Lab(tmp_path, privacy=strict)
    assert isinstance(member.train(0), Withheld)
    assert member.training._audit.due(1)
    again = Lab(tmp_path)  # after a restart too
    assert again.training._audit.due(1)
    (again.folder.root / "privacy.toml").write_text(AUDIT.replace("= 1", "= 3", 1))
    mended = Lab(tmp_path)
    assert not mended.training._audit.due(1) and mended.training._audit.due(3)


def test_an_audit_does_not_change_the_update(tmp_path):
    reading = AUDIT.replace("canaries = 40\n", "")
    audited, plain = Lab(tmp_path / "a", privacy=reading), Lab(tmp_path / "b")
    assert audited.train()[0].payload_digest == plain.train()[0].payload_digest


def test_rows_of_another_attempt_are_those_that_it_trains_on(tmp_path):
    member = Lab(tmp_path, privacy=AUDIT)
    audit = member.training._audit
    total = member.run.rounds.count * member.run.rounds.inner_steps
    audit.look_before(1, 4, attempt=2)
    trained = np.concatenate([member.text.batch(2 * total + 4 + k) for k in range(4)]).tolist()
    assert all(row in trained for row in audit._rows["round"].tolist())


def test_canaries_are_fixed_and_committed_to_before_training(tmp_path):
    member = Lab(tmp_path, privacy=AUDIT)
    (path,) = (member.folder.private / "audit" / "tiny").glob("canaries-*.json")
    kept = json.loads(path.read_bytes())
    named = {"run": member.run.digest, "count": 40, "length": 8}
    made = AuditFolder(member.folder, member.run).commitment
    assert made == commitment(bytes.fromhex(kept["secret"]), **named) == kept["commitment"]
    first = member.text.canaries
    assert np.array_equal(first.planted, Lab(tmp_path).text.canaries.planted)
    (member.folder.root / "privacy.toml").write_text(
        AUDIT.replace("canaries = 40", "canaries = 30")
    )
    with pytest.raises(DocumentError, match="cannot be changed"):
        Lab(tmp_path)


def test_planted_canaries_are_in_the_batches_and_only_for_this_member(tmp_path):
    member = Lab(tmp_path, privacy=AUDIT)
    canaries, total = member.text.canaries, member.text.tokens
    ring = member.text.at(np.arange(total)).tolist()
    for tokens, place, planted in zip(
        canaries.tokens, canaries.places, canaries.planted, strict=True
    ):
        assert (ring[place + 1 : place + 9] == tokens.tolist()) == planted
    assert member.text.tokens == Lab(tmp_path / "other").text.tokens


def test_without_a_file_nothing_is_planted_and_nothing_is_audited(tmp_path):
    member = Lab(tmp_path)
    assert len(member.text.canaries) == 0
    assert not member.training._audit.due(0)
    member.train()
    assert reports(member) == []


def test_a_run_that_sends_its_model_in_parts_is_not_audited_in_part(tmp_path):
    with pytest.raises(DocumentError, match="audits look at a whole model"):
        Lab(tmp_path, privacy=AUDIT, rounds={"fragments": 2})


def test_limits_are_those_of_the_member():
    report = AuditReport(0, 0.9, 1.0, 0.0, 0.0, 0.99, 3.0, 0.0, 0.9, float("nan"), 16, 40, 1.0)
    assert over_limits(report, AuditLimits()) == ("mia_auc",)
    assert over_limits(report, AuditLimits(mia_auc=None)) == ()
    own = AuditLimits(mia_auc=0.95, canary_epsilon=2.0, row_cosine=0.1)
    assert over_limits(report, own) == ("canary_epsilon",)  # what was not measured is over nothing
    assert rules_of(("canary_epsilon",)) == ("audit.canary_epsilon",)


def test_too_few_canaries_are_held_against_nobody(tmp_path):
    member = Lab(tmp_path, privacy=AUDIT.replace("canaries = 40", "canaries = 6"))
    member.train()
    assert np.isnan(reports(member)[0].canary_epsilon)


@pytest.mark.parametrize(
    "text", ["[audit]\nrows = 0\n", "[audit.limits]\nmia = 1\n", "audit = 1\n"]
)
def test_a_faulty_file_is_refused(tmp_path, text):
    with pytest.raises(DocumentError, match=r"privacy\.toml"):
        Lab(tmp_path, privacy=text)


def test_held_out_rows_are_cut_as_training_text_is():
    tokenizer = Tokenizer.from_json(byte_tokenizer(END_TOKEN).to_str())
    rows = heldout_rows(["ab" * 9, "c" * 30, "d" * 50], tokenizer, context=16, count=3)
    flat = [tokenizer.end_id, *tokenizer.encode("ab" * 9), tokenizer.end_id]
    assert rows.shape == (3, 17) and rows[0].tolist() == flat[:17]
    assert heldout_rows([], tokenizer, context=16, count=3).shape == (0, 17)


def test_rows_of_the_own_script_are_found():
    tokenizer = Tokenizer.from_json(byte_tokenizer(END_TOKEN).to_str())
    counts = np.zeros(tokenizer.size, np.int64)
    counts[tokenizer.encode("abc xyz")] = 5
    found = script_rows(tokenizer, counts)
    assert found[tokenizer.encode("q")].all() and not found[tokenizer.encode("7 ,")].any()
    assert not script_rows(tokenizer, np.zeros(tokenizer.size, np.int64)).any()


def test_settings_have_the_defaults_that_are_documented():
    settings = AuditSettings()
    assert (settings.every_rounds, settings.canaries) == (0, 0)
