"""The probe gate in a real run: damage is left out, the honest are not, slander is found out."""

import json
import random

import pytest
from clilab import MEMBERS, Federation, concord, documents, write_jsonl

from concord.base.clock import SystemClock
from concord.charter.run import load_run
from concord.federation.assembly import Assembly, Tokenizer
from concord.federation.chronicle import Chronicle
from concord.federation.coordinator import Coordinator
from concord.federation.engine.local import LocalEngine
from concord.federation.folders import FederationFolder
from concord.federation.gating import Gate, probe_set
from concord.federation.office import adopt_if_all_keys_are_here
from concord.federation.preflight import parallel_set
from concord.federation.probing import NetworkProber
from concord.federation.records import RunFolder
from concord.federation.vocabulary import learn_tokenizer, wait_until_prepared
from concord.federation.watcher import Watcher
from concord.federation.workers import PRELOADED
from concord.ledger.log import open_log
from concord.testing.founded import found
from concord.testing.hostile_member import main as hostile_main

pytestmark = pytest.mark.processes
ROUNDS = 4
FACTOR = -3.0


class Seen(Watcher):
    def __init__(self):
        self.notes, self.refusals = [], []

    def note(self, text):
        self.notes.append(text)

    def refused(self, member, round_, reason):
        self.refusals.append((member, reason))


def planted(root, **hostile):
    """A federation with languages and a parallel set; some members turn their updates around."""
    federation = Federation(root)
    federation.roster = [{"id": member, "languages": [member]} for member in MEMBERS]
    for seed, member in enumerate(MEMBERS):
        texts = documents(seed, 120)
        write_jsonl(federation.text(member), texts)
        federation.write_member(member, text=[f"../../../text/{member}.jsonl"])
        if member in hostile:
            (federation.member(member) / "hostile.json").write_text(
                json.dumps({"factor": hostile[member]})
            )
        lines = [" ".join(random.Random(n).choices(texts[n % 5].split(), k=8)) for n in range(12)]
        path = federation.folder / "parallel" / f"{member}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    federation.write_run(
        rounds__count=ROUNDS,
        rounds__inner_steps=6,
        rounds__quorum="1/2",
        gate__enabled=True,
        gate__lines=6,
        inner__warmup_steps=0,
        evaluation__every_rounds=0,
    )
    found(federation.folder, list(MEMBERS), quorum="1/4")
    return federation


def run(federation, prober, watcher=None):
    document, home = load_run(federation.run_file), FederationFolder(federation.folder)
    folder = RunFolder(federation.folder, document.name)
    folder.create()
    engine = LocalEngine(
        {member: federation.member(member) for member in document.member_ids},
        hostile_main,
        spool=folder.root / "incoming",
        max_payload_bytes=1 << 26,
        preload=(*PRELOADED, "concord.testing.hostile_member"),
    )
    engine.start()
    try:
        assembly = Assembly(document, engine)
        wait_until_prepared(assembly)
        session = learn_tokenizer(
            document,
            assembly,
            parallel=None,
            member_languages=dict.fromkeys(MEMBERS, ()),
            watcher=Watcher(),
        )
        digest = folder.objects.put(session.tokenizer_json().encode())
        probes = folder.objects.put(probe_set(parallel_set(home, document).measure, document))
        adopt_if_all_keys_are_here(home, document, SystemClock())
        with open_log(home.log) as log:
            Coordinator(
                document,
                folder,
                assembly,
                tokenizer=Tokenizer(digest, folder.objects.path(digest)),
                chronicle=Chronicle(home, log, SystemClock()),
                clock=SystemClock(),
                watcher=watcher or Watcher(),
                gate=Gate(probes, folder.objects.path(probes), prober),
            ).run()
    finally:
        engine.stop()
    return [record for _, record in folder.records()][1:]


def test_a_member_that_turns_its_updates_around_is_left_out_and_not_expelled(tmp_path, capsys):
    federation, watcher = planted(tmp_path, fiji=FACTOR), Seen()
    records = run(federation, NetworkProber(), watcher)
    out = [set(record.left_out) for record in records]
    assert sum("fiji" in one for one in out) >= 3, "in most rounds; early ones harm little"
    assert not any(one - {"fiji"} for one in out), "no honest member is ever left out"
    assert any("3 times in 20 rounds" in note and "fiji" in note for note in watcher.notes)
    verified = concord(capsys, "verify", federation.folder)
    assert verified.status == 0, verified.err
    shown = concord(capsys, "gate", "show", federation.folder, "--json")
    value = json.loads(shown.out)
    assert len(value["reports"]) == ROUNDS
    assert set(value["under_review"]["first"]) == {"fiji"}
    checked = concord(capsys, "gate", "check", federation.folder)
    assert checked.status == 0, checked.err
    assert f"{ROUNDS} reports measured again" in checked.out
    public = federation.root / "public"
    assert concord(capsys, "publish", federation.folder, public).status == 0
    assert concord(capsys, "gate", "check", public).status == 0, "a stranger has all it takes"


class Slanderer:
    """A coordinator's prober that says of one member what is not so."""

    def __init__(self, victim):
        self.victim, self.honest = victim, NetworkProber()

    def benefits(self, case):
        said = {member: dict(row) for member, row in self.honest.benefits(case).items()}
        said[self.victim] = dict.fromkeys(said[self.victim], -0.5)
        return said


def test_a_coordinator_that_fakes_a_gate_failure_is_found_out(tmp_path, capsys):
    federation = planted(tmp_path)
    federation.write_run(rounds__count=1)
    (record,) = run(federation, Slanderer("peru"))
    assert record.left_out["peru"].startswith("quarantined")
    assert concord(capsys, "verify", federation.folder).status == 0, "the rules were kept"
    checked = concord(capsys, "gate", "check", federation.folder)
    assert checked.status == 10
    assert "gate report, peru" in checked.err
    assert "is said to be -0.5000, and is" in checked.err


def test_a_gate_without_languages_is_refused_before_anything_starts(tmp_path, capsys):
    federation = planted(tmp_path)
    federation.roster = [{"id": member} for member in MEMBERS]
    federation.write_run()
    said = concord(capsys, "run", federation.folder)
    assert said.status == 2
    assert "in every language of the roster" in said.err
