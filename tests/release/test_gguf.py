"""A GGUF file, read back with the `gguf` library, computes what `transformers` computes."""

import json

import numpy as np
import pytest
import torch
from gguf_network import GgufNetwork
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel
from usinglab import SENTENCES, write_small_folder

from concord.base.digest import digest_file
from concord.base.errors import ModelError, StorageError, TokenizerError
from concord.cli.main import main
from concord.model.folder import load_folder, save_folder
from concord.release.gguf import KINDS, Origin, export_gguf


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_folder(tmp_path_factory.mktemp("gguf") / "model")


@pytest.fixture(scope="module")
def files(folder):
    found = {}
    for kind in KINDS:
        out = folder.parent / f"{kind}.gguf"
        export_gguf(folder, out, kind, origin=Origin(name="atlas", licence="Apache-2.0"))
        found[kind] = GgufNetwork(out)
    return found


@pytest.fixture(scope="module")
def model(folder):
    return load_folder(folder).model.eval()


@pytest.fixture(scope="module")
def own_words(model):
    """[32, 48] Tokens that the model itself draws: text of low surprise, as held-out text is."""
    torch.manual_seed(1)
    begin = torch.zeros(32, 1, dtype=torch.int64)
    drawn = model.generate(
        begin,
        attention_mask=torch.ones_like(begin),
        do_sample=True,
        top_k=0,
        max_new_tokens=47,
        min_new_tokens=47,
        pad_token_id=0,
    )
    return drawn.tolist()


def test_f16_logits_are_those_of_transformers_within_a_hundredth(files, model):
    numbers = np.random.default_rng(7)
    for _ in range(100):
        ids = numbers.integers(0, 400, numbers.integers(1, 24)).tolist()
        with torch.inference_mode():
            wanted = model(torch.tensor([ids])).logits[0].numpy()
        assert wanted.std() > 0.5
        np.testing.assert_allclose(files["f16"].logits(ids), wanted, atol=1e-2)


def test_eight_bits_cost_under_one_percent_of_perplexity_and_four_bits_more(files, own_words):
    half, eight, four = (files[kind].perplexity(own_words) for kind in KINDS)
    assert half < 200  # of 400 tokens: the model does predict its own words
    assert eight / half < 1.01
    assert abs(eight / half - 1) < abs(four / half - 1)


def test_matrices_are_cut_into_blocks_and_norms_stay_whole(files):
    assert set(files["f16"].kinds.values()) == {"F16", "F32"}
    assert files["q8_0"].kinds["blk.1.ffn_up.weight"] == "Q8_0"
    assert files["q4_0"].kinds["blk.1.ffn_up.weight"] == "Q4_0"
    assert files["q4_0"].kinds["token_embd.weight"] == "Q8_0"  # noqa: S105
    for network in files.values():
        assert network.kinds["blk.0.attn_q_norm.weight"] == "F32"
        assert "output.weight" not in network.kinds


def test_rows_that_make_no_whole_block_stay_in_half_precision(tmp_path):
    folder = write_small_folder(tmp_path / "model", hidden=48, intermediate=64)
    export_gguf(folder, tmp_path / "q4.gguf", "q4_0")
    kinds = GgufNetwork(tmp_path / "q4.gguf").kinds
    assert kinds["blk.0.ffn_up.weight"] == "F16"
    assert kinds["blk.0.ffn_down.weight"] == "Q4_0"


def test_the_file_holds_tokens_merges_and_where_it_comes_from(files, folder):
    fields = files["q8_0"].fields
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert fields["tokenizer.ggml.tokens"][1:] == sorted(vocabulary, key=vocabulary.get)[1:]
    assert fields["tokenizer.ggml.token_type"][:2] == [3, 1]
    assert fields["tokenizer.ggml.eos_token_id"] == fields["tokenizer.ggml.bos_token_id"] == 0
    assert fields["general.license"] == "Apache-2.0"
    assert fields["general.name"] == "atlas"
    weights = digest_file(folder / "model.safetensors")
    assert fields["concord.weights.model.safetensors"] == weights


@pytest.mark.parametrize("text", SENTENCES)
def test_text_is_cut_into_the_same_tokens_from_the_file_alone(files, folder, text):
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if "ไทย" in text:  # over 24 letters without a space: the one difference, see docs/use.md
        text = text[:20]
    assert files["f16"].tokenizer().encode(text).ids == own.encode(text).ids


def test_the_same_folder_gives_the_same_bytes(folder, tmp_path):
    first = export_gguf(folder, tmp_path / "a.gguf", "q8_0")
    assert export_gguf(folder, tmp_path / "b.gguf", "q8_0") == first
    assert first == digest_file(tmp_path / "a.gguf")


def test_the_command_writes_the_file_and_names_its_digest(folder, tmp_path, capsys):
    out = tmp_path / "atlas.gguf"
    words = ["release", "export-gguf", str(folder), str(out), "--kind", "q4_0", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["digest"] == digest_file(out)
    with pytest.raises(SystemExit) as ended:
        main([*words[:5], "q3"])
    assert ended.value.code == 2
    assert "f16, q8_0, q4_0" in capsys.readouterr().err


def test_a_network_of_another_architecture_is_refused(folder, tmp_path):
    config = GPT2Config(vocab_size=400, n_positions=8, n_embd=8, n_layer=1, n_head=1)
    files = {"tokenizer.json": (folder / "tokenizer.json").read_text()}
    save_folder(tmp_path / "gpt2", GPT2LMHeadModel(config), files)
    with pytest.raises(ModelError, match="Qwen3ForCausalLM"):
        export_gguf(tmp_path / "gpt2", tmp_path / "x.gguf", "f16")
    assert not list(tmp_path.glob("*x.gguf*"))


def test_words_that_llama_cpp_cannot_cut_are_refused(folder, tmp_path):
    copy = load_folder(folder)
    document = json.loads(copy.tokenizer_files["tokenizer.json"])
    document["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": r"\w{1,5}|."}
    save_folder(
        tmp_path / "model",
        copy.model,
        {**copy.tokenizer_files, "tokenizer.json": json.dumps(document)},
    )
    with pytest.raises(TokenizerError, match="no name for"):
        export_gguf(tmp_path / "model", tmp_path / "x.gguf", "f16")


def test_a_weight_beyond_half_precision_is_refused_and_nothing_is_left(folder, tmp_path):
    copy = load_folder(folder)
    with torch.no_grad():
        copy.model.model.layers[0].mlp.up_proj.weight[0, 0] = 1e6
    save_folder(tmp_path / "model", copy.model, copy.tokenizer_files)
    with pytest.raises(ModelError, match=r"up_proj.*half precision"):
        export_gguf(tmp_path / "model", tmp_path / "x.gguf", "f16")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_place_that_cannot_be_written_is_named(folder, tmp_path):
    with pytest.raises(StorageError, match="No such file"):
        export_gguf(folder, tmp_path / "missing" / "x.gguf", "f16")
