"""A federation of scripted members over the real engine, coordinator and log."""

import json

from concord.charter.run import parse_run
from concord.federation.coordinator import Coordinator
from concord.federation.records import RunFolder
from concord.testing.founded import found
from concord.testing.scripted_run import coordinating, scripted_engine

MEMBERS = ("chad", "fiji", "laos", "peru")
ROUNDS = 6


def document(**rounds):
    value = {
        "name": "test",
        "roster": [{"id": member} for member in MEMBERS],
        "rounds": {"count": ROUNDS, "inner_steps": 2, "min_grace_s": 30.0, **rounds},
        "evaluation": {"every_rounds": 2},
        "inner": {"state": {"mode": "local"}, "batch_tokens": 128},
    }
    return parse_run(value)


class Federation:
    def __init__(self, root, **choices):
        self.root = root
        self.engines = []
        self.office = found(root, MEMBERS, **{"witness_over": "1/4", **choices})

    def script(self, member, **deeds):
        folder = self.root / "members" / member
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "script.json").write_text(json.dumps(deeds))

    def run(self, run=None, watcher=None, witness_patience_s=30.0, **engine_options):
        run = run or document()
        engine = scripted_engine(self.root, run, restart_pause_s=0.05, **engine_options)
        self.engines.append(engine)
        options = {"watcher": watcher, "witness_patience_s": witness_patience_s}
        with coordinating(self.root, run, engine, Coordinator, **options) as coordinator:
            coordinator.run()
        return [record for _, record in RunFolder(self.root, run.name).records()]
