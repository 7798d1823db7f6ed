"""Model folders: what `transformers` can do with ours, and which of others' are refused."""

import json
import os
import resource

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    pipeline,
)

from concord.base.errors import ModelError, StorageError
from concord.model.folder import load_folder, load_tokenizer, save_folder
from concord.model.generate import continue_text
from concord.model.tensors import read_tensors
from tinymodels import byte_tokenizer, tiny_model

END = "<|end|>"


def byte_tokenizer_files():
    """The end token and 256 bytes, as files."""
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}
    tokenizer = byte_tokenizer(END)
    return {"tokenizer.json": tokenizer.to_str(), "tokenizer_config.json": json.dumps(settings)}


def small_model(seed=3):
    return tiny_model(seed, vocabulary_size=257)


@pytest.fixture
def saved(tmp_path):
    save_folder(tmp_path / "model", small_model(), byte_tokenizer_files())
    return tmp_path / "model"


def test_transformers_loads_and_runs_a_saved_folder(saved):
    model = AutoModelForCausalLM.from_pretrained(saved)
    tokenizer = AutoTokenizer.from_pretrained(saved)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    ours = read_tensors(small_model())
    assert all(np.array_equal(ours[name], array) for name, array in read_tensors(model).items())
    assert tokenizer.decode(tokenizer("Ọjọ́ ዓለም")["input_ids"]) == "Ọjọ́ ዓለም"
    assert tokenizer.eos_token_id == 0
    made = pipeline("text-generation", model=model, tokenizer=tokenizer)(
        "abc", max_new_tokens=3, do_sample=False, return_full_text=True
    )
    assert made[0]["generated_text"].startswith("abc")


def test_a_folder_survives_loading_and_saving(saved, tmp_path):
    loaded = load_folder(saved)
    save_folder(tmp_path / "copy", loaded.model, loaded.tokenizer_files)
    again = load_folder(tmp_path / "copy")
    assert again.tokenizer_files == loaded.tokenizer_files == byte_tokenizer_files()
    first, second = read_tensors(loaded.model), read_tensors(again.model)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_saving_replaces_the_earlier_folder_and_leaves_nothing_beside_it(saved):
    save_folder(saved, small_model(seed=4), byte_tokenizer_files())
    assert os.listdir(saved.parent) == ["model"]
    expected = read_tensors(small_model(seed=4))["model.norm.weight"]
    assert np.array_equal(read_tensors(load_folder(saved).model)["model.norm.weight"], expected)


def test_another_causal_family_can_be_continued_from(tmp_path):
    config = GPT2Config(vocab_size=257, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    config.eos_token_id = config.bos_token_id = 0
    save_folder(tmp_path / "gpt2", GPT2LMHeadModel(config), byte_tokenizer_files())
    loaded = load_folder(tmp_path / "gpt2")
    assert "lm_head.weight" not in read_tensors(loaded.model)
    assert loaded.model.dtype == torch.float32


def test_an_encoder_is_refused(tmp_path):
    config = BertConfig(
        vocab_size=257,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    save_folder(tmp_path / "bert", BertForMaskedLM(config), byte_tokenizer_files())
    with pytest.raises(ModelError, match="BertForMaskedLM is not a causal language model"):
        load_folder(tmp_path / "bert")


def damage_no_folder(folder):
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def damage_config(folder):
    (folder / "config.json").write_text("{")


def damage_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config))


def damage_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def damage_weights_absent(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def damage_weights_torn(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def damage_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    config["num_hidden_layers"], config["layer_types"] = 3, ["full_attention"] * 3
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_no_folder, "config.json cannot be read"),
        (damage_config, "config.json: is damaged"),
        (damage_code, "run code of its own"),
        (damage_tokenizer, "no tokenizer.json"),
        (damage_weights_absent, "no weights in safetensors"),
        (damage_weights_torn, "weights cannot be loaded"),
        (damage_layers, "lacks 11 weights"),
    ],
)
def test_a_damaged_folder_is_refused_by_name_with_a_remedy(saved, damage, says):
    damage(saved)
    with pytest.raises(ModelError, match=says) as caught:
        load_folder(saved)
    assert str(saved) in str(caught.value)
    assert caught.value.remedy


def test_a_damaged_tokenizer_is_refused(saved):
    (saved / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="tokenizer cannot be loaded"):
        load_tokenizer(saved)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        save_folder(tmp_path / "file" / "model", small_model(), byte_tokenizer_files())


def test_a_full_disk_is_told_and_leaves_the_earlier_folder(saved):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(StorageError, match="model"):
            save_folder(saved, small_model(seed=4), byte_tokenizer_files())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(saved.parent) == ["model"]
    expected = read_tensors(small_model(seed=3))["model.embed_tokens.weight"]
    found = read_tensors(load_folder(saved).model)["model.embed_tokens.weight"]
    assert np.array_equal(found, expected)


def test_a_file_name_cannot_leave_the_folder(tmp_path):
    with pytest.raises(ModelError, match="plain file name"):
        save_folder(tmp_path / "model", small_model(), {"../escape": "x"})
    assert os.listdir(tmp_path) == []


class TestContinueText:
    def test_greedy_continuation_is_what_transformers_generates(self, saved):
        loaded, tokenizer = load_folder(saved), load_tokenizer(saved)
        made = continue_text(loaded.model, tokenizer, "ab", max_new_tokens=8, temperature=0)
        inputs = torch.tensor([[0, *tokenizer.encode("ab", add_special_tokens=False)]])
        expected = loaded.model.generate(inputs, max_new_tokens=8, do_sample=False, pad_token_id=0)
        assert made == tokenizer.decode(expected[0, 3:], skip_special_tokens=True)

    def test_a_seed_decides_the_text_and_pieces_join_to_it(self, saved):
        loaded, tokenizer = load_folder(saved), load_tokenizer(saved)
        pieces = []
        first = continue_text(
            loaded.model, tokenizer, "ab", max_new_tokens=20, seed=5, on_token=pieces.append
        )
        assert first == "".join(pieces)
        assert first == continue_text(loaded.model, tokenizer, "ab", max_new_tokens=20, seed=5)
        assert first != continue_text(loaded.model, tokenizer, "ab", max_new_tokens=20, seed=6)

    def test_text_longer_than_the_context_goes_on(self, saved):
        loaded, tokenizer = load_folder(saved), load_tokenizer(saved)
        made = continue_text(loaded.model, tokenizer, "ab" * 40, max_new_tokens=80, top_k=0)
        assert made

    def test_a_prompt_in_any_script_or_none_at_all(self, saved):
        loaded, tokenizer = load_folder(saved), load_tokenizer(saved)
        for prompt in ("", "ሰላም", "🙂"):
            continue_text(loaded.model, tokenizer, prompt, max_new_tokens=2)

    def test_a_foreign_tokenizer_is_refused(self, saved):
        class Foreign:
            def encode(self, text, *, add_special_tokens):
                return [9999]

        with pytest.raises(ModelError, match="do not belong together"):
            continue_text(load_folder(saved).model, Foreign(), "ab")
