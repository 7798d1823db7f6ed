"""Tiny models as folders: one that can be continued, one that cannot."""

import torch
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from tinymodels import byte_tokenizer

BEGIN, END = "<s>", "</s>"


def begin_and_end_tokenizer():
    """256 bytes, a begin token and another end token."""
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(BEGIN, END), bos_token=BEGIN, eos_token=END
    )


def save_gpt2(folder, rows=272):
    """A causal model whose embedding has more rows than its tokenizer has tokens."""
    torch.manual_seed(0)
    tokenizer = begin_and_end_tokenizer()
    config = GPT2Config(
        vocab_size=rows,
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_bert(folder):
    """An encoder."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=272,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    begin_and_end_tokenizer().save_pretrained(folder)
