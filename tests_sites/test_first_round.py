"""What a round of four members costs beyond training, at 5 MB up and down for each."""

import time
from itertools import pairwise

import clilab
import faultlab
import pytest
from faultlab import Running, Seen, federation

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]
FOUR = ("chad", "fiji", "laos", "peru")
SIZE = {"hidden": 160, "layers": 3, "intermediate": 832}
DENSE = {"codec": "fp32", "down_codec": "fp32"}
BYTES = 5_000_000
MOST_S = 10.0
"""The target is 3; a machine that runs tests has other things to do."""


class Timed(Seen):
    """When each round was called, and how long the slowest member trained in it."""

    def __init__(self):
        super().__init__()
        self.called_s = []
        self.train_s = []
        self.up_bytes = {}

    def round_called(self, round_, members, inner_steps):
        super().round_called(round_, members, inner_steps)
        self.called_s.append(time.monotonic())

    def committed(self, record):
        super().committed(record)
        self.up_bytes = record.bytes_up
        if record.round:
            self.train_s.append(max(one.train_s for one in record.contributions.values()))


def test_the_first_round_costs_little_beyond_training(tmp_path, monkeypatch):
    monkeypatch.setattr(clilab, "MEMBERS", FOUR)
    monkeypatch.setattr(faultlab, "MEMBERS", FOUR)
    made = federation(tmp_path / "atlas", rounds=6, quorum="1", model=SIZE, update=DENSE)
    run = Running(made)
    run.seen = seen = Timed()
    with run:
        run.wait_for("the run is over", lambda: run.done is not None)
    spent = [after - before for before, after in pairwise(seen.called_s)]
    beyond = [wall_s - train_s for wall_s, train_s in zip(spent, seen.train_s, strict=False)]
    print(f"\nseconds beyond training, round by round: {[round(one, 2) for one in beyond]}")
    assert set(seen.up_bytes) == set(FOUR)
    assert min(seen.up_bytes.values()) > BYTES
    assert beyond[0] < MOST_S
