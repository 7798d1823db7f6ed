"""A sealed run verified by a stranger: every base again from masked files, sets and shares."""

import numpy as np
import pytest
from forger import Forger
from verifylab import verified

from concord.base.digest import digest_bytes
from concord.base.errors import VerificationFailed
from concord.base.tensors import TensorFile
from concord.crypto.base64text import from_base64, to_base64
from concord.crypto.notes import cosign
from concord.ledger.names import witness_name
from concord.testing.history import History, key
from concord.testing.sealed_history import SealedHistory, sealed_run

MEMBERS = ("chad", "fiji", "iran", "laos", "peru", "togo")
MODES = '["open", "sealed"]'


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    history = History(tmp_path_factory.mktemp("sealed"), MEMBERS, modes=MODES)
    run = SealedHistory(history, sealed_run(MEMBERS))
    run.open_epoch()
    run.round_of()
    run.round_of(dropped=["iran"])
    return run


def forged(sealed, root, *colluding):
    return Forger(sealed.history, root, colluding=colluding)


def publish(forger):
    """Under a checkpoint that all witnesses sign: they see form, not sums."""
    name = forger.state.name
    forger.lines = tuple(
        cosign(forger.checkpoint, witness_name(name, m), key(m, "witness"), forger.state.time)
        for m in MEMBERS
    )
    return forger.publish()


def test_a_sealed_run_with_a_drop_out_verifies(sealed):
    found = verified(sealed.history.publish())
    assert found.steps[4].found == "2 bases computed again from 11 updates"


def test_the_base_is_that_of_the_plain_mean(tmp_path):
    """Held against the members' own numbers, which the log does not know."""
    history = History(tmp_path, MEMBERS, modes=MODES)
    outer = {"lr": 1.0, "embedding_lr": 2.0, "momentum": 0.0}
    run = SealedHistory(history, sealed_run(MEMBERS, update={"outer": outer}))
    run.open_epoch()
    before = {spec.name: np.array(array) for spec, array in TensorFile(run.rounds.base).items()}
    run.call()
    taking = [m for m in MEMBERS if m != "iran"]
    values = {m: run.values(m) for m in taking}
    table = run.inputs.table
    step = {one.name: one.clip / table.ring.largest for one in table.tensors}
    run.set_up(*MEMBERS)
    run.name_masking_set(*MEMBERS)
    run.send(*taking)
    run.name_survivors(*taking)
    run.unmask(*taking)
    run.commit()
    after = TensorFile(run.rounds.base)
    for name, array in before.items():
        rate = 2.0 if name.startswith("embed") else 1.0
        mean = sum(values[m][name] for m in taking) / len(taking)
        assert np.abs(after[name] - (array - rate * mean)).max() <= 1.001 * rate * step[name]


def test_an_altered_masked_vector_is_named(sealed, tmp_path):
    forger = forged(sealed, tmp_path)
    index = forger.find("update-commit", "laos")
    path = forger.object(forger.entry(index).statement.body.update)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(VerificationFailed, match="have another digest") as caught:
        verified(publish(forger))
    assert "update of laos" in str(caught.value.where)


def test_a_masked_vector_exchanged_with_its_statement_is_named(sealed, tmp_path):
    """The member lends its key: file, digest and statement agree, and the sum cannot be."""
    forger = forged(sealed, tmp_path, "laos")
    index = forger.find("update-commit", "laos")
    old = forger.entry(index).statement.body.update
    data = bytearray(forger.object(old).read_bytes())
    data[-1] ^= 64  # a check element
    new = digest_bytes(bytes(data))
    path = forger.object(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    forger.restate(index, body={"update": new})
    record = forger.find("round-record")
    merged = forger.entry(record).statement.body.model_dump(mode="json")["merged"]
    merged["laos"]["update"] = new
    forger.restate(record, body={"merged": merged})
    with pytest.raises(VerificationFailed, match="the sum cannot be right") as caught:
        verified(publish(forger))
    assert "round 1" in str(caught.value.where)
    assert "cohort 0" in str(caught.value.where)


def test_a_garbled_statement_with_shares_is_named(sealed, tmp_path):
    forger = forged(sealed, tmp_path)
    index = forger.find("unmask", "peru")
    forger.restate(index, body={"content": _altered(forger.entry(index).statement.body.content)})
    with pytest.raises(VerificationFailed) as caught:
        verified(publish(forger))
    assert f"entry {index} (unmask by peru" in str(caught.value.where)


def test_a_wrong_share_of_a_lying_member_is_named_and_the_base_holds(sealed, tmp_path):
    forger = forged(sealed, tmp_path, "peru")
    index = forger.find("unmask", "peru")
    forger.restate(index, body={"content": _altered(forger.entry(index).statement.body.content)})
    found = verified(publish(forger)).steps[4].found
    assert "shares that do not hold: round 1, cohort 0: peru revealed a wrong share" in found


def test_wrong_shares_of_too_many_members_are_named(sealed, tmp_path):
    forger = forged(sealed, tmp_path, "peru", "laos")
    for member in ("peru", "laos"):
        index = forger.find("unmask", member)
        content = _altered(forger.entry(index).statement.body.content)
        forger.restate(index, body={"content": content})
    with pytest.raises(VerificationFailed, match="4 good shares of member 0, 5 are needed") as c:
        verified(publish(forger))
    assert "laos, peru" in str(c.value)


def test_an_altered_survivor_set_is_named(sealed, tmp_path):
    forger = forged(sealed, tmp_path)
    index = forger.find("survivor-set", number=-1)
    forger.restate(index, body={"members": MEMBERS})
    with pytest.raises(VerificationFailed, match="'iran' sent no update") as caught:
        verified(publish(forger))
    assert f"entry {index} (survivor-set" in str(caught.value.where)


def test_a_survivor_set_that_leaves_a_sender_out_is_named(sealed, tmp_path):
    """It is large enough and of members that sent; but shares and record are for another."""
    forger = forged(sealed, tmp_path)
    index = forger.find("survivor-set")
    forger.restate(index, body={"members": MEMBERS[:5]})
    with pytest.raises(VerificationFailed) as caught:
        verified(publish(forger))
    assert "togo" in str(caught.value.where) or "togo" in str(caught.value)


def test_an_altered_masking_set_is_named(sealed, tmp_path):
    forger = forged(sealed, tmp_path)
    index = forger.find("masking-set", number=-1)
    members = [m for m in MEMBERS if m != "iran"]
    forger.restate(index, body={"members": members})
    with pytest.raises(VerificationFailed, match="the sum cannot be right") as caught:
        verified(publish(forger))
    assert "round 2): cohort 0" in str(caught.value.where)


def test_another_base_than_the_sum_leads_to_is_named(sealed, tmp_path):
    forger = forged(sealed, tmp_path)
    index = forger.find("round-record", number=-1)
    forger.restate(index, body={"step": "sha256:" + "0" * 64})
    with pytest.raises(VerificationFailed, match="outer step is claimed to be"):
        verified(publish(forger))


def test_other_scales_than_follow_from_the_rounds_are_named(tmp_path):
    history = History(tmp_path, MEMBERS, modes=MODES)
    run = SealedHistory(history, sealed_run(MEMBERS))
    run.open_epoch()
    run.round_of()
    honest = dict(run.clips)
    run.clips = {name: clip * 2 for name, clip in honest.items()}
    for pen in run.pens.values():
        pen._clips = None
    run.round_of()
    with pytest.raises(VerificationFailed, match="scales are claimed to be"):
        verified(history.publish())


def _altered(content):
    """The first share, one bit changed: behind ctx, set, member, count, dealer, kind and nonce."""
    data = bytearray(from_base64(content))
    data[32 + 32 + 4 + 3 + 32] ^= 1
    return to_base64(bytes(data))
