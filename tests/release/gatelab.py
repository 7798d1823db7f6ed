"""One member's text and small networks whose probabilities can be computed by hand."""

import json
import math
import random

import numpy as np
import torch

from concord.base.digest import digest_bytes
from concord.charter.gates import Gate
from concord.charter.run import parse_run
from concord.data.bpe.files import tokenizer_config_json
from concord.federation.folders import FederationFolder
from concord.federation.member.network import build_network
from concord.federation.member.text import MemberText
from concord.ledger.state.model import State
from concord.model.folder import save_folder
from concord.model.tensors import save_tensors
from concord.model.tokenizer import END_TOKEN, Tokenizer
from concord.release.gates.bench import Bench
from concord.release.gates.run import Runner
from concord.testing.hand_clock import HandClock
from tinymodels import byte_tokenizer

TOKENIZER = byte_tokenizer(END_TOKEN).to_str()
LINES = {"fij": "abc defgh ijkl mabc", "lao": "nop qrstu vwxy znop"}
"""Languages that share no letter, so that each letter is one member's."""
WORDS = ("na", "ni", "ko", "sa", "me", "kei", "vua", "yani", "dua", "rua", "tolu", "lima")
RUN = {
    "name": "tiny",
    "roster": [{"id": "fiji", "languages": ["fij"]}, {"id": "laos", "languages": ["lao"]}],
    "model": {
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 16,
        "intermediate": 32,
        "context": 32,
    },
    "tokenizer": {"mode": "ordinary", "merges": 0, "parallel": "parallel"},
    "inner": {"batch_tokens": 128},
    "evaluation": {"heldout_share": 0.2},
}


class BigramLab:
    """A federation's folder with a model in it, and the benches that gates are run on."""

    def __init__(self, root, seed=1):
        self.federation = FederationFolder(root)
        self.run = parse_run(RUN)
        self.tokenizer = Tokenizer.from_json(TOKENIZER)
        self.network = self.bigram(seed)
        (root / "parallel").mkdir(parents=True)
        for code, line in LINES.items():
            (root / "parallel" / f"{code}.txt").write_text(f"{line}\n" * 60)

    def bigram(self, seed):
        """A network in which only the last token decides what follows."""
        network = build_network(self.run, self.tokenizer, None)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            network.get_input_embeddings().weight.normal_(0, 0.3, generator=draw)
            layer = network.model.layers[0]
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        return network

    def walking(self, letters, seed=1):
        """A bigram network that says each letter after the one before it.

        Embeddings get longer from letter to letter, and each holds so much of the one before that
        it is the likeliest after it.
        """
        network = self.bigram(seed)
        ids = [self.tokenizer.encode(letter)[0] for letter in letters]
        with torch.no_grad():
            rows = network.get_input_embeddings().weight
            rows.mul_(0.1)
            axes = torch.eye(rows.shape[1])
            for place, token in enumerate(ids):
                rows[token] = 2.0**place * axes[place]
                if place:
                    rows[token] += 1.5 * rows[ids[place - 1]].norm() * axes[place - 1]
        return network

    def save(self, path, network):
        files = {"tokenizer.json": TOKENIZER, "tokenizer_config.json": tokenizer_config_json()}
        save_folder(path, network, files)

    def runner(self, network=None, **state):
        """Gates on a model that lies in the folder as the base of the run."""
        network = network or self.network
        file = self.federation.root / "base.tensors"
        save_tensors(file, network)
        model = self.federation.objects.put(file.read_bytes())
        self.save(self.federation.root / "runs" / "tiny" / "model", network)
        return Runner(Bench(self.federation, self.run, model, State(**state)), HandClock(), {})

    def write_text(self, member="fiji", *, privacy=""):
        """Give a member text, and prepare it."""
        folder, draw = self.federation.member(member), random.Random(4)
        folder.write(name=member, text=("text.jsonl",))
        texts = [" ".join(draw.choices(WORDS, k=20)) + f" {n}" for n in range(200)]
        lines = [json.dumps({"text": text}) for text in texts]
        (folder.root / "text.jsonl").write_text("\n".join(lines) + "\n")
        (folder.open_private() / "split.key").write_bytes(bytes(32))
        (folder.root / "privacy.toml").write_text(privacy)
        text = MemberText(folder, self.run)
        text.prepare()
        text.use_tokenizer(TOKENIZER.encode(), digest_bytes(TOKENIZER.encode()))
        return text


def log_chances(network):
    """[token, next] Natural logarithms, from the embeddings alone."""
    rows = network.get_input_embeddings().weight.detach().numpy().astype(np.float64)
    epsilon = network.config.rms_norm_eps
    last = rows / np.sqrt((rows**2).mean(1, keepdims=True) + epsilon)
    logits = last @ rows.T
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def bits_per_byte(network, texts, encode, start):
    """Of some documents, token by token."""
    table, nats, size = log_chances(network), 0.0, 0
    for text in texts:
        ids = [start, *encode(text)]
        nats -= table[ids[:-1], ids[1:]].sum()
        size += len(text.encode())
    return nats / math.log(2) / size


def declared(lab, data, **said):
    """A gate by a task whose file lies in the federation's folder."""
    path = lab.federation.root / "tasks" / "proverbs.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return gate("task", **({"task": "lm-eval:proverbs"} | said), task_digest=digest_bytes(data))


def gate(metric, **said):
    limit = {} if "min" in said else {"max": "1"}
    return Gate.model_validate({"id": "asked", "metric": metric, **limit, **said})
