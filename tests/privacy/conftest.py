"""A federation whose members have privacy settings of their own, run once for the folder."""

import json
import random

import pytest

from concord.charter.run import parse_run
from concord.federation.folders import FederationFolder
from concord.federation.launch import run_locally
from concord.federation.watcher import Watcher
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
    "tokenizer": {"mode": "ordinary", "merges": 30},
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


def _toml(value):
    """The run document as its file; JSON's scalars and lists of strings are TOML's too."""
    lines = [f"{k} = {json.dumps(v)}" for k, v in value.items() if isinstance(v, str)]
    lines += [f'[[roster]]\nid = "{member["id"]}"' for member in value["roster"]]
    for section, fields in value.items():
        if isinstance(fields, dict):
            lines += [f"[{section}]", *(f"{k} = {json.dumps(v)}" for k, v in fields.items())]
    return "\n".join(lines) + "\n"


def _write(path, words, seed):
    draw = random.Random(seed)
    lines = [" ".join(draw.choices(words.split(), k=40)) + f" {n}" for n in range(60)]
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))


@pytest.fixture(scope="session")
def atlas(tmp_path_factory):
    root = tmp_path_factory.mktemp("federation")
    federation, run = FederationFolder(root), parse_run(RUN)
    federation.write_run(_toml(RUN), run.name)
    for number, (member, words) in enumerate(MEMBERS.items()):
        _write(root / f"{member}.jsonl", words, number)
        federation.member(member).write(name=member, text=(f"../../{member}.jsonl",))
        if member in PRIVACY:
            (federation.member(member).root / "privacy.toml").write_text(PRIVACY[member])
    for seed, name in enumerate(("clinics", "courts")):
        _write(root / f"{name}.jsonl", "rima simi yachay sonqo", 10 + seed)
    found(root, list(MEMBERS))
    run_locally(federation, run, resume=False, watcher=Watcher())
    return root, run
