"""Small networks and a tokenizer of bytes, for the tests of every folder."""

from dataclasses import replace

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from concord.model.build import ModelShape, build_model

TINY = ModelShape(
    hidden=32,
    layers=2,
    heads=2,
    kv_heads=1,
    head_dim=16,
    intermediate=48,
    context=32,
    vocabulary_size=64,
    end_id=0,
)


def tiny_model(seed=0, **changes):
    return build_model(replace(TINY, **changes), seed=seed)


def byte_tokenizer(*special):
    """Byte-level BPE without merges: the special tokens, then 256 bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*special, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return tokenizer
