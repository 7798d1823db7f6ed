"""A whole run with processes: one member is held back by its audit, one has no budget left."""

import json
import random

import pytest

from concord.base.clock import SystemClock
from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.records import RunFolder
from concord.federation.watcher import Watcher
from concord.ledger.entries import Entry
from concord.ledger.reader import LogReader
from concord.ledger.verify import Verification
from concord.testing.founded import found

MEMBERS = {
    "fiji": "na ni ko sa me kei",
    "laos": "ບໍ່ ແລະ ທີ່ ໃນ ຂອງ",
    "peru": "mana huk iskay kimsa tawa",
    "togo": "le la na ku kple",
}
RUN = {
    "name": "tiny",
    "roster": [{"id": member} for member in MEMBERS],
    "model": {
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 16,
        "intermediate": 64,
        "context": 16,
    },
    "tokenizer": {"mode": "ordinary", "merges": 30, "parallel": None},
    "inner": {"batch_tokens": 64, "warmup_steps": 2},
    "rounds": {"count": 2, "inner_steps": 3, "min_grace_s": 60.0},
    "evaluation": {"every_rounds": 0, "heldout_share": 0.2},
}
SENSITIVE = """
[[sensitive]]
dataset = "{name}"
text = ["../../{name}.jsonl"]
max_epsilon = {budget}
delta = 1e-3
noise_multiplier = 1.0
documents_per_step = 4
"""
PRIVACY = {
    "laos": "[audit]\nevery_rounds = 1\ncanaries = 4\n[audit.limits]\nmia_auc = 0.0\n",
    "peru": SENSITIVE.format(name="clinics", budget="0"),
    "togo": SENSITIVE.format(name="courts", budget="60"),
}


def write(path, words, seed):
    draw = random.Random(seed)
    lines = [" ".join(draw.choices(words.split(), k=40)) + f" {n}" for n in range(60)]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    root = tmp_path_factory.mktemp("federation")
    federation, run = FederationFolder(root), parse_run(RUN)
    for number, (member, words) in enumerate(MEMBERS.items()):
        write(root / f"{member}.jsonl", words, number)
        federation.member(member).write(name=member, text=(f"../../{member}.jsonl",))
        if member in PRIVACY:
            (federation.member(member).root / "privacy.toml").write_text(PRIVACY[member])
    for seed, name in enumerate(("clinics", "courts")):
        write(root / f"{name}.jsonl", "rima simi yachay sonqo", 10 + seed)
    found(root, list(MEMBERS))
    run_locally(federation, run, resume=False, watcher=Watcher())
    return root, run


def said(root, kind, member):
    entries = (Entry.parse(data).statement for data in LogReader(root / "log").entries())
    return [s.body for s in entries if s.author.party == member and kind == s.body.KIND]


@pytest.mark.processes
def test_a_refusal_names_the_limit_and_the_round_goes_on_without_it(atlas):
    root, run = atlas
    records = [record for _, record in RunFolder(root, run.name).records()][1:]
    assert [sorted(record.contributions) for record in records] == [["fiji", "togo"]] * 2
    assert len(said(root, "grant", "laos")) == 2 and not said(root, "update-header", "laos")
    for refusal in said(root, "refusal", "laos"):
        assert refusal.rules == ("audit.mia_auc",)
        assert refusal.reason.endswith("own limit of mia_auc")


@pytest.mark.processes
def test_a_budget_of_zero_is_refused_by_name_before_anything_is_trained(atlas):
    root, _ = atlas
    refusals = said(root, "refusal", "peru")
    assert len(refusals) == 2 and not said(root, "grant", "peru")
    assert all("dataset clinics is spent" in refusal.reason for refusal in refusals)


@pytest.mark.processes
def test_what_a_member_spends_is_in_the_log_and_grows(atlas):
    root, _ = atlas
    told = [header.privacy[0] for header in said(root, "update-header", "togo")]
    assert [one.steps for one in told] == [3, 6]
    assert 0 < told[0].epsilon < told[1].epsilon <= 60


@pytest.mark.processes
def test_a_stranger_verifies_it_all(atlas, tmp_path):
    root, _ = atlas
    found = Verification(root, workdir=tmp_path, clock=SystemClock())
    found.run()
    assert all(step.passed for step in found.steps)
