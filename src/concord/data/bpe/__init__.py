"""Byte-level BPE learned from the pair counts of many members, without anyone's text."""

from concord.base.tokenizer_file import END_TOKEN
from concord.data.bpe.alphabet import END_ID
from concord.data.bpe.fairness import Fairness, LanguageCost, measure_fairness
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
    "measure_fairness",
]
