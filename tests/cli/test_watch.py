"""What a run shows while it goes."""

import io

from rich.console import Console

from concord.cli.watch import TerminalWatcher
from concord.ledger.round_record import Contribution, RoundRecord

DIGEST = "sha256:" + "0" * 64


def committed(number, loss):
    one = Contribution(
        update=DIGEST,
        weight="1",
        steps=1,
        tokens=100,
        flops=1,
        train_s=1.0,
        mean_loss=loss,
        norm=1.0,
        payload_bytes=10,
    )
    return RoundRecord(
        run=DIGEST, round=number, previous=DIGEST, base=DIGEST, contributions={"fiji": one}
    )


def test_a_loss_that_rises_is_told_once_with_a_remedy():
    console = Console(file=io.StringIO(), width=200)
    with TerminalWatcher(console, rounds=40) as watcher:
        for number in range(1, 41):
            watcher.committed(committed(number, 3.0 if number < 20 else 6.0))
    said = console.file.getvalue()
    assert said.count("nats above its lowest") == 1
    assert "lower inner.lr" in said
