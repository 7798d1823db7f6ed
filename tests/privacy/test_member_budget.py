"""A member's privacy budget: counted before it is spent, and when it is spent, training stops."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from privacylab import Lab, write_texts

from concord.base.errors import CheckpointError, DataError, DocumentError
from concord.federation.member.budget import Budget
from concord.train.private.accounting import SampledNoise, epsilon

HOW = SampledNoise(1.0, 0.1)


def privacy(max_epsilon=50.0, *, noise="noise_multiplier = 1.0", **more):
    fields = {"documents_per_step": 6, "share": 0.5, "delta": 1e-4} | more
    lines = "\n".join(f"{name} = {value}" for name, value in fields.items())
    return (
        f'[[sensitive]]\ndataset = "clinics"\ntext = ["clinics.jsonl"]\n'
        f"max_epsilon = {max_epsilon}\n{noise}\n{lines}\n"
    )


def lab(folder, max_epsilon=50.0, **options):
    settings = privacy(max_epsilon, **options.pop("settings", {}))
    return Lab(folder, privacy=settings, sensitive=60, **options)


def budget(folder, max_epsilon=50.0):
    return Budget(folder / "privacy", "clinics", max_epsilon=max_epsilon, delta=1e-4)


def test_what_was_charged_is_known_after_a_restart(tmp_path):
    budget(tmp_path).charge(HOW, 3)
    again = budget(tmp_path)
    assert again.spent == {HOW: 3}
    again.charge(HOW, 4)
    again.charge(SampledNoise(2.0, 0.1), 1)
    assert budget(tmp_path).spent == {HOW: 7, SampledNoise(2.0, 0.1): 1}
    assert budget(tmp_path).epsilon == epsilon({HOW: 7, SampledNoise(2.0, 0.1): 1}, 1e-4)


def test_a_spent_budget_is_refused_by_name_and_nothing_is_charged(tmp_path):
    enough = epsilon({HOW: 5}, 1e-4) + 1e-6
    own = budget(tmp_path, enough)
    own.charge(HOW, 5)
    why = own.objection(HOW, 1)
    assert why is not None and "dataset clinics is spent" in why
    with pytest.raises(DocumentError, match="clinics"):
        own.charge(HOW, 1)
    assert budget(tmp_path, enough).spent == {HOW: 5}


def test_a_budget_of_zero_holds_nothing(tmp_path):
    assert "clinics" in budget(tmp_path, 0.0).objection(SampledNoise(1000.0, 0.001), 1)


def test_a_charge_survives_sigkill(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from concord.federation.member.budget import Budget\n"
        "from concord.train.private.accounting import SampledNoise\n"
        "own = Budget(Path(sys.argv[1]), 'clinics', max_epsilon=50.0, delta=1e-4)\n"
        "own.charge(SampledNoise(1.0, 0.1), 4)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "privacy")]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    assert budget(tmp_path).spent == {HOW: 4}


def test_steps_are_charged_before_the_first_is_taken_and_for_good(tmp_path):
    member, found = lab(tmp_path), []
    record = member.folder.private / "privacy" / "clinics.json"

    def look():
        found.append(record.read_bytes())
        return True

    assert member.train(interrupted=look) is None
    assert found[0] == b'{"dataset":"clinics","steps":[[1,0.1,4]]}'
    header, _ = member.train()
    assert header.privacy[0].steps == 8


@pytest.mark.parametrize("torn", [b"", b'{"dataset":"clinics"', b'{"dataset":"other","steps":[]}'])
def test_a_damaged_record_stops_the_member_rather_than_forgiving_it(tmp_path, torn):
    budget(tmp_path).charge(HOW, 1)
    (tmp_path / "privacy" / "clinics.json").write_bytes(torn)
    with pytest.raises(CheckpointError, match="cannot be spent again"):
        budget(tmp_path)


def test_an_older_record_that_is_put_back_is_found_out_by_the_log(tmp_path):
    member = lab(tmp_path)
    member.train()
    assert member.training.objection(4, logged={"clinics": 4}) is None
    assert "older than the log" in member.training.objection(4, logged={"clinics": 8})


def test_the_header_says_what_is_spent_and_anyone_can_compute_it_again(tmp_path):
    member = lab(tmp_path)
    header, _ = member.train()
    (told,) = header.privacy
    taken = {SampledNoise(o.noise_multiplier, o.sampling_rate): o.steps for o in told.taken}
    assert told.epsilon == epsilon(taken, told.delta)
    assert taken == {SampledNoise(1.0, 6 / 60): 4}
    assert header.tokens == 4 * 128  # nothing that depends on who was drawn


def test_a_member_with_a_budget_of_zero_objects_and_trains_nothing(tmp_path):
    member = lab(tmp_path, 0.0, settings={"noise": ""})
    assert "clinics" in member.training.objection(4, logged={})
    with pytest.raises(DocumentError, match="clinics"):
        member.train()


def test_without_a_noise_multiplier_the_budget_lasts_for_the_run(tmp_path):
    member = lab(tmp_path, 3.0, settings={"noise": ""})
    steps = [member.training.objection(steps, logged={}) for steps in (16, 20)]
    assert steps[0] is None and "clinics" in steps[1]


def test_two_trainings_of_a_round_differ_by_their_noise(tmp_path):
    member = lab(tmp_path)
    updates = []
    for _ in range(2):
        member.training.state.settle(None)
        header, path = member.train()
        updates.append((header.payload_digest, path.read_bytes()))
    assert updates[0][0] != updates[1][0]


def test_text_that_is_sensitive_and_not_at_once_is_refused(tmp_path):
    Lab(tmp_path)
    folder = tmp_path / "fiji"
    (folder / "privacy.toml").write_text(privacy())
    write_texts(folder / "clinics.jsonl", 10, seed=0)  # as text.jsonl begins
    with pytest.raises(DataError, match="marked sensitive also stands"):
        Lab(tmp_path)


def test_sensitive_text_is_in_no_count_and_no_held_out_measure(tmp_path):
    plain, private = Lab(tmp_path / "a"), lab(tmp_path / "b")
    assert plain.text.prepare() == private.text.prepare()
    assert plain.text.tokens == private.text.tokens
    assert np.array_equal(plain.text.token_counts, private.text.token_counts)
    assert list(plain.text.heldout()) == list(private.text.heldout())


def test_a_revoked_dataset_is_trained_on_no_more(tmp_path):
    member = lab(tmp_path)
    revoked = member.folder.open_private("datasets", "clinics") / "revoked"
    revoked.touch()
    assert member.training.objection(4, logged={}) == "revoked: dataset clinics was revoked"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"delta": 0.5}, "delta"), ({"share": 0.99}, "share"), ({"max_noise": 1}, "unknown key")],
)
def test_impossible_settings_name_their_field(tmp_path, change, said):
    with pytest.raises(DocumentError, match=said):
        lab(tmp_path, settings=change)


def test_a_delta_at_which_publishing_a_document_would_do_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="one over its documents"):
        Lab(tmp_path, privacy=privacy(delta=1e-3, documents_per_step=20), sensitive=1200)
