"""What check.html loads: the log in small files, each a call of one function with plain JSON.

    data/log.js               checkpoint, keys, counts
    data/index/<digits>.js    numbers of the entries that speak of a digest, by its first digits
    data/entries/<n>.js       entries as the log holds them, 64 to a file
    data/tile/<level>/<n>.js  hashes of the tree: 256 to a file, as in the log's own tiles
    data/releases.js          manifests of releases, for files that they name

A page that lies in a folder may load a script beside it, but no JSON: hence calls. They are ASCII
and hold text, numbers and lists alone; that what they hold is true is what the page then checks.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from concord.crypto.keys import PublicKey
from concord.ledger.entries import Entry
from concord.ledger.names import log_origin, witness_name
from concord.ledger.sentences import author_words, sentence
from concord.ledger.statements.membership import (
    Founding,
    Handover,
    Join,
    KeyRevocation,
    KeyRotation,
)
from concord.observatory.pages.releases import papers
from concord.observatory.pages.source import Source

BUNDLE = 64
BRING_KEYS = (Founding, Join, KeyRotation, KeyRevocation, Handover)
"""Statements that bring public keys in: the page takes keys from these alone."""
TILE_BITS = 8
MAX_INDEXED = 200
"""Entries that are named for one digest; how many more there are is said."""
SHARD_DIGESTS = 400


@dataclass(frozen=True)
class _Key:
    key: str
    party: str


def check_files(source: Source) -> Iterator[tuple[str, bytes]]:
    """Every file below `data/`."""
    index = _index(source)
    digits = 0 if len(index) <= SHARD_DIGESTS else 1 if len(index) <= 16 * SHARD_DIGESTS else 2
    yield "data/log.js", _call("log", _log(source, digits))
    shards: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for digest, found in index.items():
        shards[digest[:digits]][digest] = [len(found), *found[:MAX_INDEXED]]
    names = [f"{n:0{digits}x}" for n in range(16**digits)] if digits else [""]
    for name in names:
        yield f"data/index/{name or 'all'}.js", _call("index", name, shards.get(name, {}))
    for begin in range(0, len(source.entries), BUNDLE):
        part = [_told(entry) for entry in source.entries[begin : begin + BUNDLE]]
        yield f"data/entries/{begin // BUNDLE}.js", _call("entries", begin // BUNDLE, part)
    for level, number, hashes in _tiles(source):
        yield f"data/tile/{level}/{number}.js", _call("tile", level, number, hashes)
    yield "data/releases.js", _call("releases", _releases(source))


def _told(entry: Entry) -> list[str]:
    statement = entry.statement
    return [entry.data.decode(), author_words(statement.author), sentence(statement)]


def _index(source: Source) -> dict[str, list[int]]:
    """Numbers of entries by the digests, in hex, that they speak of."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(source.entries):
        statement = entry.statement
        named = {statement.digest, *statement.subjects().values()}
        for digest in named:
            found[digest.removeprefix("sha256:")].append(number)
    return found


def _log(source: Source, digits: int) -> dict[str, Any]:
    archive = source.archive
    state = archive.state
    revoked = set(state.revoked)
    witnesses = {
        witness_name(state.name, member): [PublicKey.parse(key).raw.hex(), member]
        for member, key in sorted(state.witness_keys().items())
        if key not in revoked
    }
    keys = {
        PublicKey.parse(one.key).key_id: [PublicKey.parse(one.key).raw.hex(), one.party]
        for one in _keys(source)
    }
    return {
        "format": 1,
        "name": state.name,
        "federation": state.federation,
        "origin": log_origin(state.name),
        "size": archive.note.checkpoint.size,
        "checkpoint": archive.note.encode().decode(),
        "log_key": PublicKey.parse(state.coordinator.log_key).raw.hex(),
        "witnesses": witnesses,
        "quorum": archive.replica.quorum_needed(),
        "keys": keys,
        "key_entries": [
            number
            for number, entry in enumerate(source.entries)
            if isinstance(entry.statement.body, BRING_KEYS)
        ],
        "digits": digits,
        "bundle": BUNDLE,
    }


def _keys(source: Source) -> Iterator[_Key]:
    """Every key that a party ever signed statements with."""
    for entry in source.entries:
        body, party = entry.statement.body, entry.statement.author.party
        match body:
            case Founding():
                yield from (_Key(one.key, one.id) for one in body.members)
                yield from (_Key(one.key, one.id) for one in body.overseers)
            case Join():
                yield _Key(body.member.key, body.member.id)
            case KeyRotation():
                yield _Key(body.old, party)
                yield _Key(body.new, party)
            case KeyRevocation() if body.replacement is not None:
                yield _Key(body.replacement, body.party)


def _tiles(source: Source) -> Iterator[tuple[int, int, str]]:
    """Tiles of the tree, each as base64 of its hashes."""
    replica, size = source.archive.replica, source.archive.note.checkpoint.size
    level = 0
    while size >> TILE_BITS * level:
        count = size >> TILE_BITS * level
        for number in range(-(-count >> TILE_BITS)):
            begin = number << TILE_BITS
            width = min(1 << TILE_BITS, count - begin)
            hashes = replica.hashes(TILE_BITS * level, begin, width)
            yield level, number, base64.b64encode(b"".join(hashes)).decode()
        level += 1


def _releases(source: Source) -> list[dict[str, str]]:
    found = papers(source.root, source.book.releases)
    return [
        {"version": one.version, "manifest": one.manifest, "data": one.data}
        for one in found
        if one.data
    ]


def _call(function: str, *values: Any) -> bytes:
    """`concord.<function>(…)`: the values as ASCII JSON, which is a script's own form too."""
    told = ",".join(json.dumps(value, ensure_ascii=True, separators=(",", ":")) for value in values)
    return f"concordData.{function}({told.replace('<', chr(92) + 'u003c')});\n".encode()
