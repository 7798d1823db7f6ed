"""The scan for personal data: found of what was planted, false alarms on real text, and speed.

Planted texts are made from a seed with known answers. On real text nobody knows the answer: places
found are counted per member, once with the member's own jurisdiction and once with all that are
known, which is the worst case. `--show` prints places with a few letters around them, to be judged
by eye; do not publish that.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from concord.data.personal import Scanner, Treated, known_jurisdictions
from concord.testing.personal import PLACES, planted

OWN = {
    "brazil": "BR",
    "china": "CN",
    "greece": "GR",
    "iceland": "IS",
    "japan": "JP",
    "kenya": "KE",
    "kerala": "IN",
    "korea": "KR",
    "sapmi": "NO",
    "south_africa": "ZA",
    "thailand": "TH",
    "ukraine": "UA",
}
AROUND = 12


def documents(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def on_planted(seed: int, count: int) -> Iterator[str]:
    scanner = Scanner(PLACES)
    right: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for document in planted(seed, count):
        wanted = Counter(document.places)
        found = Counter(
            (f.kind, document.text[f.begin : f.end]) for f in scanner.find(document.text)
        )
        right.update(kind for kind, _ in (wanted & found).elements())
        missed.update(kind for kind, _ in (wanted - found).elements())
        wrong.update(kind for kind, _ in (found - wanted).elements())
    yield "| kind | planted | recall | precision |"
    yield "|---|--:|--:|--:|"
    for kind in sorted(right | missed | wrong):
        yield _row(kind, right[kind], missed[kind], wrong[kind])
    yield _row("all", right.total(), missed.total(), wrong.total())


def _row(kind: str, right: int, missed: int, wrong: int) -> str:
    recall = right / max(1, right + missed)
    precision = right / max(1, right + wrong)
    return f"| {kind} | {right + missed:,} | {recall:.1%} | {precision:.1%} |"


def on_corpora(folder: Path, *, show: bool) -> Iterator[str]:
    yield "| member | documents | MB | MB/s | found, own jurisdiction | found, all jurisdictions |"
    yield "|---|--:|--:|--:|---|---|"
    size, seconds, counts = 0, 0.0, [Treated(), Treated()]
    for path in sorted((folder / "train").glob("*.jsonl.gz")):
        member = path.name.split(".")[0]
        texts = documents(path)
        own = [OWN[member]] if member in OWN else []
        began = time.process_time()
        scanned = _scanned(texts, Scanner(own), counts[0], show=show)
        took = time.process_time() - began
        every = _scanned(texts, Scanner(known_jurisdictions()), counts[1], show=False)
        mb = scanned.scanned_bytes / 1e6
        size, seconds = size + scanned.scanned_bytes, seconds + took
        yield (
            f"| {member} {own[0] if own else ''} | {scanned.scanned:,} | {mb:.1f} | {mb / took:.0f}"
            f" | {_kinds(scanned)} | {_kinds(every)} |"
        )
    yield (
        f"| all | {counts[0].scanned:,} | {size / 1e6:.1f} | {size / 1e6 / seconds:.0f}"
        f" | {_kinds(counts[0])} | {_kinds(counts[1])} |"
    )


def _scanned(texts: list[str], scanner: Scanner, total: Treated, *, show: bool) -> Treated:
    one = Treated()
    for text in texts:
        found = scanner.find(text)
        for counts in (one, total):
            counts.add(found, size=len(text.encode()))
        for place in found if show else ():
            print(place.kind, repr(text[max(0, place.begin - AROUND) : place.end + AROUND]))
    return one


def _kinds(counts: Treated) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in counts.found.most_common()) or "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpora", type=Path, default=Path("../shared/corpora"))
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    print("\n".join(on_planted(options.seed, options.documents)))
    if (options.corpora / "train").is_dir():
        print()
        print("\n".join(on_corpora(options.corpora, show=options.show)))


if __name__ == "__main__":
    main()
