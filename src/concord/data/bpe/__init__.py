"""Byte-level BPE learned from the pair counts of many members, without anyone's text."""

from concord.data.bpe.alphabet import END_ID, END_TOKEN
from concord.data.bpe.fairness import Fairness, LanguageCost, gini, measure_fairness
from concord.data.bpe.files import load_tokenizer
from concord.data.bpe.member import CountingMember
from concord.data.bpe.session import MergeSession, SessionReport

__all__ = [
    "END_ID",
    "END_TOKEN",
    "CountingMember",
    "Fairness",
    "LanguageCost",
    "MergeSession",
    "SessionReport",
    "gini",
    "load_tokenizer",
    "measure_fairness",
]
