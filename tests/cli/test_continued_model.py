"""A run that continues a model folder: it trains, and the result keeps the folder's tokenizer."""

import json

import numpy as np
import pytest
from clilab import MEMBERS, Federation, concord
from modellab import save_gpt2
from transformers import AutoModelForCausalLM, AutoTokenizer

from concord.data.shards import TokenShards

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    federation = Federation(tmp_path_factory.mktemp("continued")).make()
    save_gpt2(federation.root / "base")
    federation.write_run(
        model__continue_from="../base",
        rounds__count=2,
        update__rows="token_counts",
        inner__vocabulary="seen",
    )
    return federation


def test_a_run_continues_a_model_with_a_padded_vocabulary(capsys, continued):
    said = concord(capsys, "run", continued.folder, "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["evidence"]["rounds"][-1]["participants"] == list(MEMBERS)
    assert len(continued.bases()) == 3

    source, made = continued.root / "base", continued.run_folder / "model"
    assert (made / "tokenizer.json").read_bytes() == (source / "tokenizer.json").read_bytes()
    before = AutoModelForCausalLM.from_pretrained(source)
    after = AutoModelForCausalLM.from_pretrained(made)
    assert type(after) is type(before)
    assert after.config.vocab_size == 272
    assert any((a != b).any() for a, b in zip(after.parameters(), before.parameters(), strict=True))

    said = concord(capsys, "chat", continued.folder, "ka", "--max-new-tokens", 4)
    assert said.status == 0, said.err
    assert said.out.startswith("ka")

    tokenizer = AutoTokenizer.from_pretrained(made)
    shards = TokenShards(continued.member("chad") / "private" / "shards" / "first")
    tokens = shards.at(np.arange(shards.token_count)).tolist()
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert tokens[0] == begin
    assert tokens[-1] == end
    assert tokens.count(begin) == tokens.count(end) == shards.summary.documents


def test_its_tokenizer_cannot_be_learned(capsys, continued):
    said = concord(capsys, "tokenizer", "learn", continued.folder)
    assert said.status == 2
    assert "model.continue_from" in said.err
