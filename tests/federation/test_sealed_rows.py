"""Which rows a member leaves out, with a real tokenizer and lines of a parallel set."""

from concord.charter.run import parse_run
from concord.data.bpe.files import tokenizer_json
from concord.data.bpe.vocabulary import Vocabulary
from concord.federation.member.sealing import covered_rows
from concord.model.tokenizer import Tokenizer

LINES = {"ell": ["δα", "δαβ"], "eng": ["a b", "the"], "sco": ["a b", "the loch"]}


def run_of(**seal):
    roster = [
        {"id": "greece", "languages": ["ell"]},
        *({"id": m, "languages": ["eng"]} for m in ("fiji", "kenya", "malta")),
        {"id": "scotland", "languages": ["sco"]},
    ]
    return parse_run({"name": "t", "roster": roster, "update": {"codec": "ring16"}, "seal": seal})


def tokenizer():
    vocabulary = Vocabulary()
    byte = {vocabulary.spelling(n): n for n in range(len(vocabulary))}
    for first, second in [(b"t", b"h"), (b"\xce", b"\xb4"), (b"l", b"o"), (b"q", b"u")]:
        vocabulary.add((byte[first], byte[second]))
    return Tokenizer.from_json(tokenizer_json(vocabulary)), byte


def test_rows_follow_from_who_declares_the_languages_of_a_token():
    made, byte = tokenizer()
    left_out = covered_rows(run_of(), made, LINES).rows
    th, delta, lo, qu = range(257, 261)
    assert not left_out[th], "three members declare English"
    assert left_out[delta], "one member declares Greek"
    assert left_out[lo], "one member declares Scots"
    assert left_out[qu], "it is in no line"
    assert not left_out[made.end_id], "everyone ends documents"
    assert not left_out[byte[b"\n"]], "a line end is no language's, and in no line"


def test_a_named_language_gets_its_rows_and_no_others():
    made, byte = tokenizer()
    left_out = covered_rows(run_of(lone_languages={"ell": 1}), made, LINES).rows
    assert not left_out[258], "its digraph"
    assert left_out[259], "Scots was not named"
    assert left_out[byte[b"\xe0"]], "no language has this byte"
