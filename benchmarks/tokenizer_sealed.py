"""What it costs to seal the tokenizer's counts: open, sealed and no counts, side by side.

    make bench-tokenizer-sealed CORPORA=<folder>

Corpora as of `tokenizer.py`. Sums are added up in clear here: under their masks they are the same
integers (`tests/ledger/test_sealed_counts.py`). Nothing is random.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from tokenizer import member_argument, read_lines, sample

from concord.base.tokenizer_file import load_tokenizer
from concord.charter.run import RunDocument, parse_run
from concord.data.bpe import CountingMember, MergeSession, measure_fairness
from concord.data.bpe.files import tokenizer_json
from concord.data.bpe.listed import MergeList
from concord.data.bpe.listed_choice import Flags, Summed, choose_merges
from concord.data.bpe.parallel import cut_words
from concord.data.bpe.words import count_words
from concord.ledger.sealed.counts import counted

EVERY_BYTE = 1 << 62
Texts = dict[str, list[str]]


def main() -> None:
    options = parsed_options()
    languages = {name: tuple(own.split("+")) for name, own in options.members}
    train = options.corpora / "train"
    texts = {m: sample(train / f"{m}.jsonl.gz", options.sample_bytes) for m in languages}
    heldout = options.corpora / "heldout"
    held = {m: sample(heldout / f"{m}.jsonl.gz", options.held_out_bytes) for m in languages}
    codes = sorted({code for own in languages.values() for code in own})
    lines = {c: list(read_lines(options.corpora / "parallel" / f"{c}.txt.gz")) for c in codes}
    learn = {code: found[: options.build_lines] for code, found in lines.items()}
    measure = {code: found[options.build_lines :] for code, found in lines.items()}
    began_s = time.process_time()
    listed = MergeList.of(cut_words(learn), mode="parity", merges=options.merges)
    made_s = time.process_time() - began_s
    began_s = time.process_time()
    sums = sum(listed.counts(count_words(t, max_bytes=EVERY_BYTE)) for t in texts.values())
    counted_s = (time.process_time() - began_s) / len(texts)
    declared = counted(run_of(languages), listed, languages)
    everything = np.ones(len(listed), np.bool_)
    began_s = time.process_time()

    def chosen(known: Flags) -> str:
        summed = Summed(np.where(known, sums, 0), known)
        found = choose_merges(listed, summed, mode="parity", merges=options.merges)
        return tokenizer_json(found)

    arms = {
        "open": open_parity(texts, languages, learn, options.merges),
        "sealed, every merge counted": chosen(everything),
        "sealed, three declare": chosen(declared),
        "public sentences alone": chosen(~everything),
    }
    print(f"list {len(listed):,} merges, {int(declared.sum()):,} that three members declare;")
    print(f"made in {made_s:.1f} CPU-s, counted in {counted_s:.1f} CPU-s by a member")
    for name, tokenizer in arms.items():
        fairness, own = measure_fairness(tokenizer, measure), own_tokens(tokenizer, held)
        row = {"arm": name, "max/min": round(fairness.premium_max_min, 3)}
        print(json.dumps(row | {"parallel": fairness.total_tokens, "own": own}))


def run_of(languages: dict[str, tuple[str, ...]]) -> RunDocument:
    """A sealed run of these members."""
    roster = [{"id": m, "languages": list(own)} for m, own in sorted(languages.items())]
    value = {"name": "bench", "roster": roster, "seal": {"min_survivors": 3}}
    return parse_run(value | {"update": {"codec": "ring16", "owner_cap": "1"}})


def open_parity(
    texts: Texts, languages: dict[str, tuple[str, ...]], lines: Texts, merges: int
) -> str:
    """What open mode learns."""
    session = MergeSession(mode="parity", merges=merges, parallel=lines, member_languages=languages)
    members = {m: CountingMember(t, max_bytes=EVERY_BYTE) for m, t in texts.items()}
    answers: dict[str, bytes] = {}
    while (request := session.next_request(answers)) is not None:
        answers = {name: member.answer(request) for name, member in members.items()}
    return session.tokenizer_json()


def own_tokens(tokenizer: str, texts: Texts) -> int:
    """Tokens of all members' own held-out text."""
    encode = load_tokenizer(tokenizer).encode_batch_fast
    encoded = (encode(found, add_special_tokens=False) for found in texts.values())
    return sum(len(one) for batch in encoded for one in batch)


def parsed_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--members", nargs="+", type=member_argument, required=True)
    parser.add_argument("--merges", type=int, default=4_000)
    parser.add_argument("--sample-bytes", type=int, default=1_500_000)
    parser.add_argument("--held-out-bytes", type=int, default=300_000)
    parser.add_argument("--build-lines", type=int, default=997)
    return parser.parse_args()


if __name__ == "__main__":
    main()
