"""One member with a text, a tokenizer of bytes and a tiny network, outside of any federation."""

import json
import random

from concord.base.digest import digest_bytes
from concord.charter.run import parse_run
from concord.federation.folders import MemberFolder
from concord.federation.member.state import MemberState
from concord.federation.member.text import MemberText
from concord.federation.member.training import MemberTraining
from concord.federation.work import Train
from concord.model.tokenizer import END_TOKEN
from tinymodels import byte_tokenizer

WORDS = ("na", "ni", "ko", "sa", "me", "kei", "vua", "yani", "dua", "rua", "tolu", "va", "lima")


def document(draw, words=12):
    return " ".join(draw.choices(WORDS, k=words)) + f" {draw.randrange(10**6)}"


def write_texts(path, count, *, seed=0, words=12):
    draw = random.Random(seed)
    lines = [json.dumps({"text": document(draw, words)}) for _ in range(count)]
    path.write_text("\n".join(lines) + "\n")


def run_document(**changes):
    value = {
        "name": "tiny",
        "roster": [{"id": "fiji"}, {"id": "laos"}],
        "model": {
            "hidden": 32,
            "layers": 1,
            "heads": 2,
            "kv_heads": 1,
            "head_dim": 16,
            "intermediate": 64,
            "context": 32,
        },
        "tokenizer": {"mode": "ordinary", "merges": 0, "parallel": None},
        "inner": {"batch_tokens": 128, "warmup_steps": 2, "precision": "fp32", "lr": 0.01},
        "rounds": {"count": 4, "inner_steps": 4},
        "evaluation": {"every_rounds": 0, "heldout_share": 0.2},
    }
    for section, fields in changes.items():
        value[section] = value.get(section, {}) | fields
    return parse_run(value)


class Lab:
    """A member that is ready for its first round."""

    def __init__(self, folder, *, documents=400, privacy="", sensitive=0, **changes):
        self.folder = MemberFolder(folder / "fiji")
        self.run = run_document(**changes)
        if not self.folder.file.exists():
            self.folder.write(name="Fiji", text=("text.jsonl",))
            write_texts(self.folder.root / "text.jsonl", documents)
            if sensitive:
                write_texts(self.folder.root / "clinics.jsonl", sensitive, seed=1, words=9)
            (self.folder.open_private() / "split.key").write_bytes(bytes(32))
            (self.folder.root / "privacy.toml").write_text(privacy)
        self.text = MemberText(self.folder, self.run)
        self.text.prepare()
        tokenizer = byte_tokenizer(END_TOKEN).to_str().encode()
        self.text.use_tokenizer(tokenizer, digest_bytes(tokenizer))
        state = MemberState(self.folder.open_private("state", "tiny"), self.run.digest)
        self.training = MemberTraining(self.text, state)
        path, digest = self.training.first_base()
        state.adopt_base(path, digest, 0)

    def train(self, round_=0, *, interrupted=lambda: False):
        plan = Train(
            run=self.run.digest,
            round=round_,
            base=self.training.state.status.base,
            inner_steps=self.run.rounds.inner_steps,
        )
        return self.training.train(plan, interrupted=interrupted, on_progress=lambda *_: None)
