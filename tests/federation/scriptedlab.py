"""A federation of scripted members over the real engine, coordinator and log."""

import json

from concord.base.clock import SystemClock
from concord.charter.run import parse_run
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import Coordinator
from concord.federation.engine.local import LocalEngine
from concord.federation.folders import FederationFolder
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.records import RunFolder
from concord.federation.watcher import Watcher
from concord.ledger.log import open_log
from concord.testing.founded import found
from concord.testing.scripted_member import main as scripted_main

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
        adopt_if_all_keys_are_here(FederationFolder(self.root), run, SystemClock())
        folder = RunFolder(self.root, run.name)
        folder.create()
        engine = LocalEngine(
            {member: self.root / "members" / member for member in MEMBERS},
            scripted_main,
            spool=folder.root / "incoming",
            max_payload_bytes=1 << 20,
            preload=("concord.testing.scripted_member",),
            restart_pause_s=0.05,
            **engine_options,
        )
        self.engines.append(engine)
        engine.start()
        try:
            with open_log(self.root / "log") as log:
                Coordinator(
                    run,
                    folder,
                    Assembly(run, engine),
                    tokenizer=Tokenizer(None, None),
                    chronicle=Chronicle(FederationFolder(self.root), log, SystemClock()),
                    clock=SystemClock(),
                    watcher=watcher or Watcher(),
                    witness_patience_s=witness_patience_s,
                ).run()
        finally:
            engine.stop()
        return [record for _, record in folder.records()]
