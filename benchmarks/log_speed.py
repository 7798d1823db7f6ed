"""The log on one core: signed statements appended and proofs checked per second.

    python benchmarks/log_speed.py [--statements 4096] [--entries 1000000] [--folder DIR]

A statement is a canonical document of about one kilobyte in an envelope with one signature. Each
is signed, encoded, decoded, verified and appended; an append returns after the disk has synced.
Rates are by wall-clock, since waiting for the disk counts; the processor's share is beside them.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from concord.base.canonical import canonical_json
from concord.crypto.dsse import Envelope, sign_envelope
from concord.crypto.keys import PrivateKey
from concord.crypto.merkle import leaf_hash, verify_consistency, verify_inclusion
from concord.crypto.notes import Checkpoint, Note, cosign, sign_checkpoint
from concord.ledger.log import Log
from concord.ledger.reader import LogReader
from concord.ledger.witness import require_quorum

ORIGIN = "log.example/benchmark"
KIND = "application/vnd.in-toto+json"
KEY = PrivateKey.from_seed(bytes(range(32)))
WITNESSES = 16


def statement(number: int) -> bytes:
    updates = [{"member": f"m{n:02}", "digest": f"sha256:{number + n:064x}"} for n in range(8)]
    return canonical_json({"kind": "round-record", "round": number, "updates": updates})


def appended(folder: Path, count: int, batch: int) -> None:
    """Sign, encode, decode, verify and append `count` statements, `batch` to an append."""
    with Log.create(folder, ORIGIN) as log:
        for begin in range(0, count, batch):
            entries = []
            for number in range(begin, begin + batch):
                data = sign_envelope(statement(number), KIND, [KEY]).encode()
                Envelope.decode(data).verify([KEY.public], 1)
                entries.append(data)
            log.append(entries)


def rate(count: int, action: Callable[[], object]) -> list[str]:
    """Per second, microseconds each, and for how many of them the processor worked."""
    begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
    action()
    wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    return [f"{count / wall_s:,.0f}", f"{1e6 * wall_s / count:,.0f}", f"{1e6 * cpu_s / count:,.0f}"]


def append_rows(folder: Path, count: int) -> list[list[str]]:
    rows = []
    for batch in (1, 16, 256):
        place = folder / f"batch{batch}"
        found = rate(count, lambda place=place, batch=batch: appended(place, count, batch))
        rows.append([f"sign, verify, append, synced every {batch}", *found])
    entries = [statement(number) for number in range(count)]
    with Log.create(folder / "bare", ORIGIN) as log:
        found = rate(count, lambda: [log.append([entry]) for entry in entries])
    rows.append(["append alone, synced every 1", *found])
    envelopes = [sign_envelope(entry, KIND, [KEY]).encode() for entry in entries]
    found = rate(count, lambda: [Envelope.decode(e).verify([KEY.public], 1) for e in envelopes])
    rows.append(["decode and verify alone", *found])
    return rows


def long_log(folder: Path, size: int) -> None:
    """A log of small entries with a checkpoint that 16 witnesses cosigned."""
    with Log.create(folder, ORIGIN) as log:
        for begin in range(0, size, 50_000):
            log.append([b"%d" % number for number in range(begin, min(size, begin + 50_000))])
        checkpoint = Checkpoint(ORIGIN, size, log.root)
        lines = [sign_checkpoint(checkpoint, ORIGIN, KEY)]
        lines += [cosign(checkpoint, name, key, 1_795_000_000) for name, key in witnesses()]
        log.publish(Note(checkpoint, tuple(lines)))


def witnesses() -> Iterator[tuple[str, PrivateKey]]:
    return (
        (f"witness.example/{n}", PrivateKey.from_seed(bytes([n]) * 32)) for n in range(WITNESSES)
    )


def proof_rows(folder: Path, size: int) -> list[list[str]]:
    rows: list[list[str]] = []

    def measure(name: str, count: int, action: Callable[[], object]) -> None:
        rows.append([name, *rate(count, action)])

    measure("append small entries, synced every 50,000", size, lambda: long_log(folder, size))
    measure("open for writing", 1, lambda: Log.open(folder, ORIGIN).close())
    measure("open for reading", 1, lambda: LogReader(folder))
    reader = LogReader(folder)
    root = reader.root
    rng = random.Random(0)
    indices = [rng.randrange(size) for _ in range(2_000)]
    measure("make an inclusion proof", 2_000, lambda: [reader.inclusion(i, size) for i in indices])
    proofs = [(leaf_hash(b"%d" % i), i, reader.inclusion(i, size)) for i in indices]
    longest = max(len(path) for _, _, path in proofs)
    measure(
        f"check an inclusion proof of {longest} hashes",
        2_000,
        lambda: [verify_inclusion(leaf, i, size, path, root) for leaf, i, path in proofs],
    )
    olds = [(old, reader.root_at(old), reader.consistency(old, size)) for old in indices[:500]]
    measure(
        "check a consistency proof",
        500,
        lambda: [verify_consistency(old, had, size, root, path) for old, had, path in olds],
    )
    public = {name: key.public for name, key in witnesses()}
    measure(
        f"check a checkpoint with {WITNESSES} cosignatures",
        100,
        lambda: [require_quorum(reader.note, public) for _ in range(100)],
    )
    measure("make the tree again from all entries", size, reader.check)
    return rows


def table(title: str, columns: list[str], rows: list[list[str]], *, markdown: bool) -> None:
    print(f"\n{title}\n")
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = [columns, ["-" * width for width in widths], *rows] if markdown else [columns, *rows]
    for row in lines:
        cells = [
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("| " + " | ".join(cells) + " |" if markdown else "  ".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--statements", type=int, default=4_096)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the logs lie; its disk is measured")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    count = options.statements // 256 * 256
    size = len(sign_envelope(statement(count), KIND, [KEY]).encode())
    print(f"{count:,} statements of {size:,} bytes; a log of {options.entries:,} entries")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        columns = ["signed statements", "per second", "us each", "of them busy"]
        table("Appending", columns, append_rows(folder, count), markdown=options.markdown)
        columns = ["long log", "per second", "us each", "of them busy"]
        rows = proof_rows(folder / "long", options.entries)
        table("Reading and checking", columns, rows, markdown=options.markdown)


if __name__ == "__main__":
    main()
