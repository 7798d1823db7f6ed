"""A member trains a shared model on at home: killed or not, the same model, and no text in it."""

import dataclasses
import json
import os
import random
import signal

import numpy as np
import pytest
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM
from usinglab import SENTENCES, write_small_folder

from concord.base.errors import CorpusTooSmall, DocumentError
from concord.charter.run_sections import ComparisonSpec, InnerSpec
from concord.cli.main import main
from concord.federation.comparison.arms import sovereign_inner
from concord.release.sovereign.build import Wish, build_sovereign
from concord.release.sovereign.record import OWN, read_record
from concord.release.weights import weights_digest

CANARY = "zanzibar-lighthouse-4711"
STEPS = 12


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_small_folder(tmp_path_factory.mktemp("base") / "model", context=32)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Documents of one language: nobody else's words."""
    rng = random.Random(5)
    words = (SENTENCES[0] + " " + SENTENCES[4]).split()
    path = tmp_path_factory.mktemp("text") / "own.jsonl"
    rows = [" ".join(rng.choices(words, k=60)) for _ in range(150)]
    rows[7] += f" {CANARY}"
    path.write_text("\n".join(json.dumps({"text": row}) for row in rows))
    return path


@pytest.fixture(scope="module")
def parallel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "swh_Latn.txt").write_text((SENTENCES[0] + "\n") * 6)
    (folder / "tha_Thai.txt").write_text((SENTENCES[2] + "\n") * 6)
    return folder


def wish(text, **changes):
    inner = InnerSpec(batch_tokens=256, precision="fp32", lr=0.01, matrix_lr=0.02)
    how = {"heldout_share": 0.2, "tokens": STEPS * 256, "inner": inner}
    return Wish(text=(text,), **(how | changes))


@pytest.fixture(scope="module")
def built(base, text, parallel, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "mine"
    return out, build_sovereign(base, wish(text, parallel=parallel), out)


def test_a_build_gains_on_its_own_text_and_says_what_others_lose(built, text):
    _, record = built
    assert list(record.measured) == [OWN, "swh_Latn", "tha_Thai"]
    assert record.measured[OWN].change < -0.05
    assert record.measured["tha_Thai"].change > record.measured[OWN].change
    assert record.plan.steps == STEPS
    assert record.tokens == STEPS * 256
    assert record.heldout_documents > 10


def test_a_build_loads_as_any_model_and_is_what_its_record_says(built, base):
    out, record = built
    AutoModelForCausalLM.from_pretrained(out)
    assert read_record(out) == record
    assert weights_digest([out / "model.safetensors"]) == record.weights
    assert weights_digest([base / "model.safetensors"]) == record.plan.base.weights
    assert (out / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()


def test_no_text_is_in_a_build_or_left_beside_it(built):
    out, _ = built
    assert [path.name for path in out.parent.iterdir()] == ["mine"]
    for path in out.iterdir():
        assert CANARY.encode() not in path.read_bytes()


@pytest.mark.parametrize(("rank", "killed_after"), [(None, (2, 8)), (2, (8,))])
def test_killed_at_any_step_and_called_again_it_is_the_same_model(
    base, text, tmp_path, rank, killed_after
):
    if rank is not None:
        import peft  # noqa: F401 - takes seconds: once, and not in the child too

    asked = wish(text, lora_rank=rank)
    out = tmp_path / "killed" / "mine"
    out.parent.mkdir()
    for last_step in killed_after:
        child = os.fork()
        if child == 0:

            def die(done, _, last_step=last_step):
                if done == last_step:
                    os.kill(os.getpid(), signal.SIGKILL)

            build_sovereign(base, asked, out, save_every_steps=3, on_step=die)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        assert not out.exists()
    taken = []
    resumed = build_sovereign(base, asked, out, on_step=lambda done, _: taken.append(done))
    assert taken[0] == 7  # of the last snapshot, after step 6
    assert resumed == build_sovereign(base, asked, tmp_path / "whole")
    assert (out / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_adapters_leave_embedding_and_norms_alone(base, text, tmp_path):
    record = build_sovereign(base, wish(text, lora_rank=4), tmp_path / "mine")
    before = load_file(base / "model.safetensors")
    after = load_file(tmp_path / "mine" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if "_proj" in name}
    assert record.plan.inner.optimizer == "adamw"
    assert record.measured[OWN].change < 0


def test_the_same_call_again_finds_it_done_and_another_one_is_refused(built, base, text, parallel):
    out, record = built
    asked = wish(text, parallel=parallel)
    steps = []
    again = build_sovereign(base, asked, out, on_step=lambda *step: steps.append(step))
    assert (again, steps) == (record, [])
    with pytest.raises(DocumentError, match="is there already"):
        build_sovereign(base, dataclasses.replace(asked, seed=1), out)
    assert read_record(out) == record
    assert [path.name for path in out.parent.iterdir()] == ["mine"]  # no cleaned text stays


def test_a_folder_of_something_else_is_left_alone(base, text, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(DocumentError, match="is there already"):
        build_sovereign(base, wish(text), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_text_of_less_than_a_batch_is_refused(base, text, tmp_path):
    inner = InnerSpec(batch_tokens=1 << 20)
    with pytest.raises(CorpusTooSmall):
        build_sovereign(base, wish(text, inner=inner, tokens=None), tmp_path / "mine")


def test_rates_are_those_of_a_comparison():
    inner = InnerSpec(lr=0.1, matrix_lr=0.2, warmup_steps=50)
    found = sovereign_inner(inner, ComparisonSpec(sovereign_rate=0.5), 300)
    assert (found.lr, found.matrix_lr, found.warmup_steps) == (0.05, 0.1, 30)


def test_the_command_builds_and_prints_gains_and_losses(base, text, parallel, tmp_path, capsys):
    words = ["sovereign", "build", str(base), "--text", str(text), "--out", str(tmp_path / "mine")]
    words += ["--parallel", str(parallel), "--tokens", "1024"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "own text" in said.out
    assert "tha_Thai" in said.out
    assert "is of no release" in said.err
    with pytest.raises(SystemExit) as ended:
        main([*words, "--full", "--lora", "4"])
    assert ended.value.code == 2
