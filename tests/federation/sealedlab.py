"""A sealed federation of real processes that train nothing, and misbehave on command."""

import json

from concord.charter.run import parse_run
from concord.federation.records import RunFolder
from concord.federation.sealed.coordinator import SealedCoordinator
from concord.federation.sealed.counting import CountingCoordinator
from concord.federation.vocabulary import wait_until_prepared
from concord.testing.founded import found
from concord.testing.scripted_run import coordinating, scripted_engine

MEMBERS = ("chad", "fiji", "iran", "laos", "peru", "togo")


def sealed_document(members=MEMBERS, *, rounds=3, **sections):
    value = {
        "name": "test",
        "roster": [{"id": member} for member in members],
        "rounds": {"count": rounds, "inner_steps": 2, "min_grace_s": 5.0, "quorum": "1/2"},
        "evaluation": {"every_rounds": 0},
        "inner": {"state": {"mode": "local"}, "batch_tokens": 128, "lr": 1.0, "matrix_lr": 1.0,
                  "warmup_steps": 0, "decay_share": 0},
        "update": {"codec": "ring16", "down_codec": "fp32"},
        "seal": {"min_survivors": 4},
    }  # fmt: skip
    for name, section in sections.items():
        value[name] = {**value.get(name, {}), **section}
    return parse_run(value)


class SealedFederation:
    def __init__(self, root, members=MEMBERS, **choices):
        self.root, self.members = root, members
        self.engines = []
        usual = {"witness_over": "1/4", "modes": '["open", "sealed"]'}
        self.office = found(root, members, **{**usual, **choices})

    @classmethod
    def again(cls, root, members=MEMBERS):
        """One that was founded before."""
        found_before = cls.__new__(cls)
        found_before.root, found_before.members, found_before.engines = root, members, []
        return found_before

    def script(self, member, **deeds):
        folder = self.root / "members" / member
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "script.json").write_text(json.dumps(deeds))

    def learn(self, run, listed, coordinator=CountingCoordinator, **engine_options):
        """Learn a tokenizer alone, with processes of its own."""
        return self.run(run, None, coordinator, learn=listed, **engine_options)

    def run(
        self, run=None, watcher=None, coordinator=SealedCoordinator, learn=None, **engine_options
    ):
        run = run or sealed_document(self.members)
        engine = scripted_engine(self.root, run, restart_pause_s=0.05, **engine_options)
        self.engines.append(engine)
        with coordinating(self.root, run, engine, coordinator, watcher=watcher) as made:
            if learn is not None:
                wait_until_prepared(made._assembly)
                return made.learn(learn)
            made.run()
        return [record for _, record in RunFolder(self.root, run.name).records()]
