"""Append to a log until someone kills the process; one server forks writer after writer.

usage: append_until_killed.py FOLDER

For each line on the standard input, the session's number, a writer is forked. Its process id and
then each append that returned are told on the standard output: `pid P` and `done FIRST COUNT`.
Entry i of session s says `i s`, at a length of 20 to 400 bytes.
"""

import os
import random
import sys
from pathlib import Path

from loglab import ORIGIN, publish

from concord.ledger.log import Log


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())  # one write, so that no line is half told


def write(folder: Path, session: int) -> None:
    tell(f"pid {os.getpid()}")
    rng = random.Random(session)
    log = Log.open(folder, ORIGIN)
    while True:
        count = rng.choice([1, 1, 2, 5, 16, 70, 300])
        made = [
            b"%d %d " % (log.size + n, session) + b"." * rng.randrange(380) for n in range(count)
        ]
        first = log.append(made).start
        tell(f"done {first} {count}")
        if rng.random() < 0.4:
            publish(log)


def serve(folder: Path) -> None:
    for line in sys.stdin:
        writer = os.fork()
        if writer == 0:
            write(folder, int(line))
        os.waitpid(writer, 0)
        tell("gone")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
