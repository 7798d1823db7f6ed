"""A GGUF file's network and tokenizer, from the file alone: numpy, and nothing of Concord's."""

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

PORO_CHAT = r" ?[^(\s|.,!?…。，、।۔،)]+"


class GgufNetwork:
    """The architecture `qwen3` as llama.cpp computes it: RMS norms, rotary halves, SwiGLU."""

    def __init__(self, path):
        reader = GGUFReader(path)
        self.fields = {name: field.contents() for name, field in reader.fields.items()}
        self.kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
        self.tensors = {
            tensor.name: dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            for tensor in reader.tensors
        }
        shape = {key.removeprefix("qwen3."): value for key, value in self.fields.items()}
        self.blocks = shape["block_count"]
        self.heads = shape["attention.head_count"]
        self.kv_heads = shape["attention.head_count_kv"]
        self.head = shape["attention.key_length"]
        self.epsilon = shape["attention.layer_norm_rms_epsilon"]
        self.base = shape["rope.freq_base"]

    def logits(self, ids):
        """[T, vocabulary] Logits after each token."""
        weights = self.tensors
        x = weights["token_embd.weight"][np.asarray(ids)]
        for block in range(self.blocks):
            x = x + self._attention(block, self._norm(x, f"blk.{block}.attn_norm"))
            x = x + self._feed_forward(block, self._norm(x, f"blk.{block}.ffn_norm"))
        head = weights.get("output.weight", weights["token_embd.weight"])
        return self._norm(x, "output_norm") @ head.T

    def perplexity(self, rows):
        nats = []
        for ids in rows:
            logits = self.logits(ids[:-1]).astype(np.float64)
            logits -= logits.max(1, keepdims=True)
            logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            nats += [-logs[place, token] for place, token in enumerate(ids[1:])]
        return float(np.exp(np.mean(nats)))

    def _norm(self, x, name):
        scale = np.sqrt(np.mean(x * x, -1, keepdims=True) + self.epsilon)
        return x / scale * self.tensors[f"{name}.weight"]

    def _attention(self, block, x):
        def heads(name, count):
            return (x @ self.tensors[f"blk.{block}.{name}.weight"].T).reshape(-1, count, self.head)

        q = self._turn(self._norm(heads("attn_q", self.heads), f"blk.{block}.attn_q_norm"))
        k = self._turn(self._norm(heads("attn_k", self.kv_heads), f"blk.{block}.attn_k_norm"))
        v = heads("attn_v", self.kv_heads)
        k, v = (np.repeat(part, self.heads // self.kv_heads, axis=1) for part in (k, v))
        scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(self.head)
        scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("hts,shd->thd", scores / scores.sum(-1, keepdims=True), v)
        return mixed.reshape(len(x), -1) @ self.tensors[f"blk.{block}.attn_output.weight"].T

    def _turn(self, x):
        half = self.head // 2
        frequencies = self.base ** (-np.arange(half) / half)
        angles = np.arange(len(x))[:, None, None] * frequencies
        first, second = x[..., :half], x[..., half:]
        return np.concatenate(
            (
                first * np.cos(angles) - second * np.sin(angles),
                second * np.cos(angles) + first * np.sin(angles),
            ),
            axis=-1,
        ).astype(np.float32)

    def _feed_forward(self, block, x):
        gate = x @ self.tensors[f"blk.{block}.ffn_gate.weight"].T
        up = x @ self.tensors[f"blk.{block}.ffn_up.weight"].T
        return (gate / (1 + np.exp(-gate)) * up) @ self.tensors[f"blk.{block}.ffn_down.weight"].T

    def tokenizer(self):
        """As llama.cpp cuts and merges, from the file's lists."""
        assert self.fields["tokenizer.ggml.model"] == "gpt2"
        assert self.fields["tokenizer.ggml.pre"] == "poro-chat"
        tokens = self.fields["tokenizer.ggml.tokens"]
        merges = [tuple(pair.split(" ")) for pair in self.fields["tokenizer.ggml.merges"]]
        found = Tokenizer(
            models.BPE(vocab={text: number for number, text in enumerate(tokens)}, merges=merges)
        )
        found.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PORO_CHAT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        return found
