"""Rounds over slow links: real members in network namespaces of their own, over shaped links.

    make bench-links

Each member is a process in its own namespace; coordinator and members talk over TCP through a wire
of a given rate, delay and loss (`shaped_wire`). For each condition: utilisation (training time by
wall time) beside what the link law predicts for the bytes and training times of the run, and the
bytes that the members' interfaces counted beside those in the log.

Utilisation is taken from the commit of the first round to that of the last: what brought members to
their seats belongs to no round. Needs root and TUN devices; elsewhere it says so and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from concord.base.clock import SystemClock
from concord.charter.document import Document
from concord.charter.run import RunDocument, parse_run
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import Coordinator
from concord.federation.engine.event_queue import EventQueue
from concord.federation.engine.interface import Event, Joined, Traffic
from concord.federation.engine.links import Link
from concord.federation.folders import FederationFolder
from concord.federation.frames import Payload
from concord.federation.launch import learn_locally
from concord.federation.messages import encode_message
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.records import RunFolder
from concord.federation.run_tokenizer import tokenizer_part
from concord.federation.vocabulary import wait_until_prepared
from concord.federation.watcher import Watcher
from concord.ledger.log import open_log
from concord.ledger.round_record import RoundRecord
from concord.testing.founded import found

MEMBERS = {"fiji": "na ni ko sa me kei vei", "laos": "ba lae thi nai khong bo di"}
PORT = 7077
HEADER_BYTES = 52
"""IPv4 and TCP with time stamps."""
ROUNDS, STEPS = 3, 40
SETTLE_S = 3.0
"""Until what was sent last is counted."""
HERE = Path(__file__).resolve()


@dataclass(frozen=True)
class Condition:
    """A link, and what the run does about it."""

    name: str
    mbit_per_s: float
    loss: float
    overlap_steps: int = 0
    codec: str = "int4"
    congestion: str = "cubic"
    delay_s: float = 0.075
    """One way: 150 ms there and back."""
    fragments: int = 1
    """Rounds are as many times shorter, and there are as many times more of them."""


CONDITIONS = (
    Condition("100 Mbit/s, waits", 100, 0.0),
    Condition("100 Mbit/s, goes on", 100, 0.0, overlap_steps=20),
    Condition("100 Mbit/s, 1 % loss", 100, 0.01, overlap_steps=20, congestion="bbr"),
    Condition("20 Mbit/s, 1 % loss", 20, 0.01, overlap_steps=20, congestion="bbr"),
    Condition("20 Mbit/s, 1 % loss, sparse", 20, 0.01, 20, "sparse", congestion="bbr"),
    Condition("20 Mbit/s, 1 % loss, in 4 parts", 20, 0.01, 5, congestion="bbr", fragments=4),
)


def document(condition: Condition, rounds: int, steps: int) -> RunDocument:
    """0.7 M parameters, long rounds: the law predicts more than nine tenths."""
    rounds, steps = rounds * condition.fragments, steps // condition.fragments
    overlap = min(condition.overlap_steps, steps - 1)
    return parse_run(
        {
            "name": "links",
            "roster": [{"id": member} for member in MEMBERS],
            "model": {"hidden": 128, "layers": 3, "context": 64},
            "tokenizer": {"mode": "ordinary", "merges": 200, "parallel": None},
            "inner": {"batch_tokens": 512},
            "rounds": {
                "count": rounds,
                "inner_steps": steps,
                "overlap_steps": overlap,
                "overlap_blend": 0.25 if overlap else 0.0,
                "fragments": condition.fragments,
                "min_grace_s": 300.0,
                "quorum": "1",
            },
            "update": {"codec": condition.codec, "down_codec": condition.codec},
            "evaluation": {"every_rounds": 0, "max_bytes": 2_000},
        }
    )


# --- the coordinator's process ----------------------------------------------------------------


class TcpEngine:
    """Members that call in over TCP, each with a line that names it. Nothing is authenticated."""

    def __init__(self, spool: Path, max_payload_bytes: int, congestion: str) -> None:
        self._congestion = congestion
        spool.mkdir(parents=True, exist_ok=True)
        self.max_payload_bytes = max_payload_bytes
        self._spool = spool
        self._events = EventQueue()
        self._links: dict[str, Link] = {}
        self._traffic = {member: Traffic() for member in MEMBERS}
        self._server = socket.create_server(("0.0.0.0", PORT), backlog=8)  # noqa: S104

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            stream, _ = self._server.accept()
            tune(stream, self._congestion)
            member = stream.recv(32, socket.MSG_WAITALL).decode().strip()
            self._links[member] = Link(
                member,
                stream,
                spool=self._spool,
                max_payload_bytes=lambda: self.max_payload_bytes,
                emit=self._events.put,
                traffic=self._traffic[member],
            )
            self._events.put(Joined(member))

    def send(self, member: str, message: Document, payload: Payload = None) -> None:
        self._links[member].send(encode_message(message), payload)

    def next_event(self, timeout_s: float) -> Event | None:
        return self._events.next(timeout_s)

    def disconnect(self, member: str, reason: str) -> None:
        self._links[member].end(reason)

    def traffic(self, member: str) -> Traffic:
        return self._traffic[member]

    def stop(self) -> None:
        for link in self._links.values():
            link.drain(5.0)
            link.end("stopped", announce=False)


class Counting(Watcher):
    """Notes when each round was committed."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, Any]] = []

    def committed(self, record: RoundRecord) -> None:  # noqa: ARG002
        self.rounds.append({"at_s": time.monotonic()})


def counted_bytes() -> dict[str, list[int]]:
    """Of each member's device here: bytes and packets received, bytes and packets sent."""
    shown = subprocess.run(
        ["ip", "-s", "-j", "link"], check=True, capture_output=True, text=True
    ).stdout
    found = {}
    for one in json.loads(shown):
        if one["ifname"].startswith("to-"):
            stats = one["stats64"]
            found[one["ifname"].removeprefix("to-")] = [
                stats[way][what] for way in ("rx", "tx") for what in ("bytes", "packets")
            ]
    return found


def coordinate(root: Path, run: RunDocument, congestion: str) -> None:
    """Run all rounds and print what was measured, as JSON."""
    federation, folder = FederationFolder(root), RunFolder(root, run.name)
    digest = json.loads(tokenizer_part(folder, run).read_bytes())["digest"]
    engine, watcher = TcpEngine(folder.root / "incoming", 1 << 28, congestion), Counting()
    engine.start()
    assembly = Assembly(run, engine)
    wait_until_prepared(assembly)
    with open_log(federation.log) as log:
        Coordinator(
            run,
            folder,
            assembly,
            tokenizer=Tokenizer(digest, folder.objects.path(digest)),
            chronicle=Chronicle(federation, log, SystemClock()),
            clock=SystemClock(),
            watcher=watcher,
        ).run()
    engine.stop()
    time.sleep(SETTLE_S)
    traffic = {m: [engine.traffic(m).up_bytes, engine.traffic(m).down_bytes] for m in MEMBERS}
    ends = {"interfaces": counted_bytes(), "counters": traffic}
    records = [record.model_dump(mode="json") for _, record in folder.records()[1:]]
    print(json.dumps({"rounds": watcher.rounds, "records": records, "ends": ends}))


def tune(stream: socket.socket, congestion: str) -> None:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())


def be_member(root: Path, member: str, address: str, congestion: str) -> None:
    """A real member over TCP."""
    from concord.federation.member.process import main

    deadline_s = time.monotonic() + 60
    while True:
        try:
            stream = socket.create_connection((address, PORT), timeout=20)
            break
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.5)
    stream.settimeout(None)
    tune(stream, congestion)
    stream.sendall(member.encode().ljust(32))
    main(stream, FederationFolder(root).member(member).root)


# --- namespaces -------------------------------------------------------------------------------


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def why_not() -> str:
    """Why no namespaces can be had here; empty if they can."""
    if os.geteuid() != 0:
        return "it needs root"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    name = f"cl{os.getpid()}-try"
    try:
        ip("netns", "add", name)
        ip("netns", "delete", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"`ip netns` fails: {str(getattr(error, 'stderr', '') or error).strip()}"
    return ""


@contextmanager
def shaped(condition: Condition) -> Iterator[dict[str, str]]:
    """Namespaces of hub and members, joined by a wire; gives them by name."""
    spaces = {name: f"cl{os.getpid()}-{name}" for name in ("hub", *MEMBERS)}
    wire = None
    try:
        for space in spaces.values():
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
        config = {
            "links": [
                [[f"to-{member}", spaces["hub"]], [f"up-{member}", spaces[member]]]
                for member in MEMBERS
            ],
            "bits_per_s": condition.mbit_per_s * 1e6,
            "delay_s": condition.delay_s,
            "loss": condition.loss,
            "seed": 0,
        }
        wire = subprocess.Popen(
            [sys.executable, str(HERE.with_name("shaped_wire.py")), json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert wire.stdout is not None
        if wire.stdout.readline().strip() != b"ready":
            raise RuntimeError("the wire did not start")
        for number, member in enumerate(MEMBERS):
            for side, (space, device) in enumerate(
                ((spaces["hub"], f"to-{member}"), (spaces[member], f"up-{member}")), start=1
            ):
                ip("-n", space, "addr", "add", f"10.77.{number}.{side}/30", "dev", device)
                ip("-n", space, "link", "set", device, "up", "mtu", "1500", "txqueuelen", "2000")
        yield spaces
    finally:
        if wire is not None and wire.stdin is not None:
            wire.stdin.close()
            wire.wait(10)
        for space in spaces.values():
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


def inside(space: str, condition: Condition, *words: str) -> list[str]:
    command = [sys.executable, str(HERE), "--congestion", condition.congestion, *words]
    return ["ip", "netns", "exec", space, *command]


def found_federation(root: Path, run: RunDocument) -> None:
    """Members with made-up text, their keys, and the tokenizer of all conditions."""
    federation, draw = FederationFolder(root), random.Random(0)
    for member, words in MEMBERS.items():
        text = root / f"{member}.jsonl"
        lines = [" ".join(draw.choices(words.split(), k=60)) + f" {n}" for n in range(300)]
        text.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
        federation.member(member).write(name=member, text=(f"../../{text.name}",))
    found(root, list(MEMBERS))
    learn_locally(federation, run, watcher=Watcher())


# --- one condition ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What came out, over all rounds but the first."""

    round_s: float
    train_s: float
    link_s: float
    up_bytes: float
    down_bytes: float
    on_interface: float
    """Payload bytes that the interfaces counted from the first connection to the last, by what the
    counters that the log is written from counted in as long."""
    with_headers: float
    overlaps: bool

    @property
    def utilisation(self) -> float:
        return self.train_s / self.round_s

    @property
    def predicted(self) -> float:
        """Of the link law: training by training and transfer, or all where the two overlap."""
        if self.overlaps:
            return min(1.0, self.train_s / self.link_s)
        return 1 / (1 + self.link_s / self.train_s)


def figures(condition: Condition, told: dict[str, Any]) -> Figures:
    rounds, records = told["rounds"], told["records"][1:]
    count, members = len(records), len(MEMBERS)
    up = sum(sum(record["bytes_up"].values()) for record in records)
    down = sum(sum(record["bytes_down"].values()) for record in records)
    moved = told["ends"]["interfaces"].values()
    whole = sum(received + sent for received, _, sent, _ in moved)
    packets = sum(more + out for _, more, _, out in moved)
    counters = sum(sum(both) for both in told["ends"]["counters"].values())
    trained = [c["train_s"] for record in records for c in record["contributions"].values()]
    return Figures(
        round_s=(rounds[-1]["at_s"] - rounds[0]["at_s"]) / count,
        train_s=sum(trained) / len(trained),
        link_s=8 * (up + down) / (count * members) / (condition.mbit_per_s * 1e6),
        up_bytes=up / (count * members),
        down_bytes=down / (count * members),
        on_interface=(whole - HEADER_BYTES * packets) / counters,
        with_headers=whole / counters,
        overlaps=condition.overlap_steps > 0,
    )


def measure(condition: Condition, founded: Path, rounds: int, steps: int) -> Figures:
    """Run a copy of the founded federation over the links, and compare."""
    run = document(condition, rounds, steps)
    with tempfile.TemporaryDirectory() as place, shaped(condition) as spaces:
        root = Path(place)
        shutil.copytree(founded, root, dirs_exist_ok=True)
        adopt_if_all_keys_are_here(FederationFolder(root), run, SystemClock())
        spoken = json.dumps(run.model_dump(mode="json"))
        hub = subprocess.Popen(
            inside(spaces["hub"], condition, "--coordinate", place, "--run", spoken),
            stdout=subprocess.PIPE,
        )
        members = [
            subprocess.Popen(
                inside(
                    spaces[m],
                    condition,
                    *("--member", m, "--root", place, "--address", f"10.77.{n}.1"),
                )
            )
            for n, m in enumerate(MEMBERS)
        ]
        try:
            said, _ = hub.communicate()
        finally:
            for process in (hub, *members):
                process.kill()
                process.wait()
        if hub.returncode:
            raise SystemExit(f"{condition.name}: the coordinator ended with {hub.returncode}")
        return figures(condition, json.loads(said.splitlines()[-1]))


def row(condition: Condition, found: Figures) -> str:
    ratio = found.utilisation / found.predicted
    return (
        f"| {condition.name} | {condition.codec} | {condition.overlap_steps} |"
        f" {found.up_bytes / 1e3:.0f} / {found.down_bytes / 1e3:.0f} | {found.train_s:.1f} |"
        f" {found.round_s:.1f} | {100 * found.predicted:.1f} | {100 * found.utilisation:.1f} |"
        f" {100 * ratio:.1f} | {100 * (found.on_interface - 1):+.2f} |"
        f" {100 * (found.with_headers - 1):+.2f} |"
    )


HEADING = (
    "| link, 150 ms | codec | steps ahead | KB up / down | training, s | round, s | law, % |"
    " measured, % | of the law, % | payload against the log, % | with headers, % |\n"
    "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def measure_all(only: str, rounds: int, steps: int) -> None:
    print(HEADING)
    with tempfile.TemporaryDirectory() as place:
        found_federation(Path(place), document(CONDITIONS[0], rounds, steps))
        for condition in CONDITIONS:
            if only in condition.name:
                found = measure(condition, Path(place), rounds, steps)
                print(row(condition, found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", default="", help="only conditions with this in their name")
    parser.add_argument("--coordinate", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--member", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--congestion", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.coordinate is not None:
        coordinate(given.coordinate, parse_run(json.loads(given.run)), given.congestion)
    elif given.member is not None:
        be_member(given.root, given.member, given.address, given.congestion)
    elif why := why_not():
        print(f"skipped: shaped links need network namespaces, and {why}")
    else:
        measure_all(given.only, given.rounds, given.steps)


if __name__ == "__main__":
    main()
