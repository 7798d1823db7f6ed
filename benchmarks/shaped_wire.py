"""A wire between network namespaces: rate, delay, queue and loss, on any Linux with TUN devices.

What `tc netem` does in kernels that have it, in a process: packets of one TUN device come out of
another, one direction at a time, as late as a link of this rate and delay would deliver them.

    python benchmarks/shaped_wire.py CONFIG     CONFIG: JSON, see `main`

Devices are made here and moved into their namespaces; "ready" is printed when they are there. Ends
with the process that started it (end of its standard input).
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PACKET_BYTES = 65_535
QUEUE_S = 0.25
"""A router's buffer: what would wait longer is dropped."""


@dataclass
class Direction:
    """One way of a link.

    Args:
        into: Device that packets come out of.
    """

    into: int
    bits_per_s: float
    delay_s: float
    loss: float
    draw: random.Random
    free_s: float = 0.0
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self, packet: bytes, now_s: float) -> None:
        """A packet enters, or is lost."""
        starts_s = max(now_s, self.free_s)
        if starts_s - now_s > QUEUE_S or self.draw.random() < self.loss:
            return
        self.free_s = starts_s + 8 * len(packet) / self.bits_per_s
        self.waiting.append((self.free_s + self.delay_s, packet))

    def deliver(self, now_s: float) -> None:
        """Packets whose time has come leave."""
        while self.waiting and self.waiting[0][0] <= now_s:
            os.write(self.into, self.waiting.popleft()[1])

    @property
    def due_s(self) -> float:
        return self.waiting[0][0] if self.waiting else float("inf")


def open_device(name: str, namespace: str) -> int:
    """A TUN device in a namespace; returns its descriptor, which stays here."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    return device


def carry(ways: dict[int, Direction]) -> None:
    """Carry packets for ever; `ways` by the device that they come from."""
    poll = select.epoll()
    for device in ways:
        poll.register(device, select.EPOLLIN)
    while True:
        due_s = min(way.due_s for way in ways.values())
        wait_s = min(1.0, max(0.0, due_s - time.monotonic()))
        for device, _ in poll.poll(wait_s):
            _drain(device, ways[device])
        now_s = time.monotonic()
        for way in ways.values():
            way.deliver(now_s)


def _drain(device: int, way: Direction) -> None:
    for _ in range(64):
        try:
            packet = os.read(device, PACKET_BYTES)
        except (BlockingIOError, OSError):
            return
        way.take(packet, time.monotonic())


def main(config: dict[str, object]) -> None:
    """Make the links of `config`: pairs of [device, namespace], rate, delay, loss, seed."""
    ways: dict[int, Direction] = {}
    links = config["links"]
    assert isinstance(links, list)
    for number, pair in enumerate(links):
        ends = [open_device(name, namespace) for name, namespace in pair]
        for way, (source, into) in enumerate((ends, ends[::-1])):
            ways[source] = Direction(
                into,
                bits_per_s=float(str(config["bits_per_s"])),
                delay_s=float(str(config["delay_s"])),
                loss=float(str(config["loss"])),
                draw=random.Random(f"{config['seed']}/{number}/{way}"),
            )
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print("ready", flush=True)
    carry(ways)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
