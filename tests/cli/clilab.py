"""A small federation on disk, and the command line called as a user calls it."""

import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from concord.base.canonical import parse_json
from concord.cli.main import main
from concord.testing.founded import found

MEMBERS = ("chad", "fiji", "peru")
SECTIONS = {
    "model": {
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 16,
        "intermediate": 64,
        "context": 32,
    },
    "tokenizer": {"mode": "ordinary", "merges": 200},
    "inner": {"batch_tokens": 128, "warmup_steps": 4},
    "rounds": {"count": 6, "inner_steps": 3, "quorum": "1", "min_grace_s": 60.0},
    "evaluation": {"every_rounds": 3, "max_bytes": 2000},
}


def documents(seed, count=150):
    """Made-up words of a made-up language, each seed its own."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("aeiouklmnprst", k=rng.randint(2, 8))) for _ in range(300)]
    return [" ".join(rng.choices(words, k=rng.randint(60, 110))) for _ in range(count)]


def write_jsonl(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n")


def toml(value):
    return json.dumps(value)


class Federation:
    """`<root>/atlas`, with each member's text in `<root>/text`."""

    def __init__(self, root):
        self.root = root
        self.folder = root / "atlas"
        self.run_folder = self.folder / "runs" / "first"
        self.run_file = self.folder / "runs" / "first.toml"
        self.roster = [{"id": member} for member in MEMBERS]
        self.sections = copy.deepcopy(SECTIONS)

    def make(self):
        for seed, member in enumerate(MEMBERS):
            write_jsonl(self.text(member), documents(seed))
            self.write_member(member, text=[f"../../../text/{member}.jsonl"])
        self.write_run()
        found(self.folder, list(MEMBERS))
        return self

    def copy_to(self, root):
        shutil.copytree(self.root, root, symlinks=True, dirs_exist_ok=True)
        other = Federation(root)
        other.roster, other.sections = self.roster, copy.deepcopy(self.sections)
        return other

    def text(self, member):
        return self.root / "text" / f"{member}.jsonl"

    def member(self, member):
        return self.folder / "members" / member

    def write_member(self, member, **values):
        folder = self.member(member)
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {toml(value)}\n" for key, value in values.items()]
        (folder / "member.toml").write_text("".join(lines))

    def write_run(self, **changes):
        """Write the run document; `section__key=value` changes a value, None leaves it out."""
        for name, value in changes.items():
            section, _, key = name.partition("__")
            self.sections.setdefault(section, {})[key] = value
        lines = ['name = "first"']
        for entry in self.roster:
            lines += ["[[roster]]", *(f"{key} = {toml(value)}" for key, value in entry.items())]
        for section, values in self.sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {toml(v)}" for key, v in values.items() if v is not None]
        self.run_file.parent.mkdir(parents=True, exist_ok=True)
        self.run_file.write_text("\n".join(lines) + "\n")

    def record(self, number):
        return self.run_folder / "records" / f"{number:06d}.json"

    def bases(self):
        """Digest of the base of each committed round."""
        paths = sorted((self.run_folder / "records").glob("[0-9]*.json"))
        return [parse_json(path.read_bytes())["base"] for path in paths]

    def object(self, digest):
        digits = digest.removeprefix("sha256:")
        return self.folder / "objects" / "sha256" / digits[:2] / digits[2:]

    def tree(self):
        """Every path in the federation's folder, with the content of files."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes() if path.is_file() else b""
            for path in sorted(self.folder.rglob("*"))
        }

    def half_written(self):
        return [path for path in self.folder.rglob("*.part") if path.name.startswith(".")]

    def start(self, *arguments):
        """`concord run` as a process group of its own."""
        return start(["run", str(self.folder), *arguments])


@dataclass
class Said:
    status: int
    out: str
    err: str


def concord(capsys, *arguments):
    """Call the command in this process."""
    capsys.readouterr()
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as done:
        status = done.code or 0
    captured = capsys.readouterr()
    return Said(status, captured.out, captured.err)


def start(arguments):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    return subprocess.Popen(
        [sys.executable, "-m", "concord.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
        # A shell that runs the tests in the background ignores interrupts, and so would we.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def finish(process, timeout_s=90):
    out, err = process.communicate(timeout=timeout_s)
    return Said(process.returncode, out, err)


def wait_for(condition, timeout_s=60.0):
    ends_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends_s:
            raise AssertionError("it did not happen in time")
        time.sleep(0.005)
