"""Checkpoints: resumed bit for bit, whole at any instant, refused when damaged."""

import json
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from trainlab import batches, tiny_model, trainer

from concord.base.errors import CheckpointError, StorageError
from concord.model.tensors import read_tensors
from concord.train.checkpoint import DOCUMENT, load_checkpoint, read_checkpoint, save_checkpoint


def same(one, two):
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_cut_in_two_ends_with_the_same_bits(tmp_path, optimizer):
    options = {"optimizer": optimizer, "precision": "bf16"}
    whole = trainer(**options)
    whole.run(batches, first_step=0, count=12)

    first = trainer(**options)
    first.run(batches, first_step=0, count=5)
    save_checkpoint(tmp_path / "state", first, step=5, note={"round": 1})
    second = trainer(tiny_model(seed=99), **options)
    loaded = load_checkpoint(tmp_path / "state", second)
    assert (loaded.step, loaded.note) == (5, {"round": 1})
    second.run(batches, first_step=loaded.step, count=7)

    assert same(read_tensors(whole.model), read_tensors(second.model))
    assert same(whole.optimizer.read_state(), second.optimizer.read_state())


def test_only_the_newest_checkpoint_is_kept_and_only_its_owner_reads_it(tmp_path):
    member = trainer()
    for step in range(3):
        member.run(batches, first_step=step, count=1)
        save_checkpoint(tmp_path / "state", member, step=step + 1)
    assert read_checkpoint(tmp_path / "state").step == 3
    assert len(os.listdir(tmp_path / "state")) == 2
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_a_write_that_never_finished_leaves_the_earlier_checkpoint(tmp_path):
    member = trainer()
    save_checkpoint(tmp_path / "state", member, step=1)
    (tmp_path / "state" / "new.safetensors").write_bytes(b"half of it")
    (tmp_path / "state" / f".{DOCUMENT}.12345678.part").write_bytes(b"{")
    assert load_checkpoint(tmp_path / "state", trainer()).step == 1
    save_checkpoint(tmp_path / "state", member, step=2)
    assert read_checkpoint(tmp_path / "state").step == 2


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def tensors_of(folder):
    return next(folder.glob("*.safetensors"))


def change_step(folder):
    document = json.loads((folder / DOCUMENT).read_text())
    document["step"] += 1
    (folder / DOCUMENT).write_text(json.dumps(document))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / DOCUMENT).unlink(),
        lambda folder: (folder / DOCUMENT).write_text("{"),
        lambda folder: (folder / DOCUMENT).write_text("[]"),
        change_step,
        lambda folder: tensors_of(folder).unlink(),
        lambda folder: tensors_of(folder).write_bytes(tensors_of(folder).read_bytes()[:-4]),
        lambda folder: flip(tensors_of(folder), -1),
        lambda folder: flip(tensors_of(folder), 20),
    ],
    ids=["no-document", "torn", "list", "step", "no-tensors", "short", "last-bit", "header"],
)
def test_a_damaged_checkpoint_is_refused_by_name_with_a_remedy(tmp_path, damage):
    folder = tmp_path / "state"
    save_checkpoint(folder, trainer(), step=1)
    damage(folder)
    member = trainer(tiny_model(seed=5))
    before = read_tensors(member.model)
    with pytest.raises(CheckpointError, match="state") as caught:
        load_checkpoint(folder, member)
    assert str(folder) in str(caught.value) and caught.value.remedy
    assert same(before, read_tensors(member.model))


def test_a_checkpoint_of_another_optimiser_is_refused(tmp_path):
    save_checkpoint(tmp_path / "state", trainer(optimizer="adamw"), step=1)
    with pytest.raises(CheckpointError, match="another optimiser"):
        load_checkpoint(tmp_path / "state", trainer(optimizer="muon"))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        save_checkpoint(tmp_path / "file" / "state", trainer(), step=1)


@contextmanager
def files_limited_to(size):
    """What a full disk does: writing beyond this size fails in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_leaves_the_earlier_checkpoint(tmp_path):
    member = trainer()
    save_checkpoint(tmp_path / "state", member, step=1)
    before = sorted(os.listdir(tmp_path / "state"))
    member.run(batches, first_step=1, count=1)
    with files_limited_to(20_000), pytest.raises(StorageError, match="state"):
        save_checkpoint(tmp_path / "state", member, step=2)
    assert sorted(os.listdir(tmp_path / "state")) == before
    assert load_checkpoint(tmp_path / "state", trainer()).step == 1


@pytest.mark.processes
def test_a_process_killed_while_saving_resumes_to_the_same_bits(tmp_path):
    script = Path(__file__).with_name("train_until_killed.py")
    command = [sys.executable, str(script), str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(6):  # several saves were made; the next is on its way
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    resumed = trainer(tiny_model(seed=5))
    step = load_checkpoint(tmp_path / "state", resumed).step
    assert step >= 6
    resumed.run(batches, first_step=step, count=3)
    undisturbed = trainer()
    undisturbed.run(batches, first_step=0, count=step + 3)
    assert same(read_tensors(undisturbed.model), read_tensors(resumed.model))
