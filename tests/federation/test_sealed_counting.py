"""A tokenizer from sealed counts, with real processes: who drops out, lies, or comes back where."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sealedlab import SealedFederation, sealed_document

from concord.base.clock import SystemClock
from concord.data.bpe.listed import MergeList
from concord.data.bpe.listed_choice import Summed
from concord.data.bpe.parallel import cut_words
from concord.data.bpe.words import count_words
from concord.federation.sealed.counting import CountingCoordinator
from concord.ledger.entries import Entry
from concord.ledger.reader import LogReader
from concord.ledger.sealed.counts import counted, learned_tokenizer
from concord.ledger.verify import Verification

pytestmark = pytest.mark.processes
MEMBERS = tuple(f"m{number}" for number in range(8))
LINES = {"xx": ["the cat sat on the mat m1", "that cat m2 sat there"], "yy": ["a cat at m3"]}


def document(rounds=1):
    roster = [{"id": m, "languages": ["xx"] if m < "m6" else ["yy"]} for m in MEMBERS]
    return sealed_document(MEMBERS, rounds=rounds, tokenizer={"merges": 12}).model_validate(
        sealed_document(MEMBERS, rounds=rounds, tokenizer={"merges": 12}).model_dump()
        | {"roster": roster}
    )


def listed(run):
    return MergeList.of(cut_words(LINES), mode="parity", merges=run.tokenizer.merges)


def in_the_open(run, members, masked=MEMBERS):
    """The tokenizer by the same members' counts, added up in clear."""
    merges = listed(run)
    known = counted(run, merges, masked)
    texts = [[m, "the cat sat"] for m in members]
    sums = sum(merges.counts(count_words(text, max_bytes=1 << 20)) for text in texts)
    return learned_tokenizer(run, merges, Summed(np.where(known, sums, 0), known))


def said(federation, kind):
    entries = (Entry.parse(data) for data in LogReader(federation.root / "log").entries())
    return [e.statement for e in entries if e.statement.kind == kind]


def verify(federation, workdir):
    workdir.mkdir(exist_ok=True)
    found = Verification(federation.root, workdir=workdir, clock=SystemClock())
    found.run()
    return found.steps[4].found


def test_who_lies_about_length_or_dies_while_counting_is_in_no_sum(tmp_path):
    federation, run = SealedFederation(tmp_path / "f", MEMBERS), document()
    federation.script("m2", lie_about_length=0)
    federation.script("m5", die_at_count=0)
    learned = federation.learn(run, listed(run))
    assert learned.members == ("m0", "m1", "m3", "m4", "m6", "m7")
    assert learned.tokenizer == in_the_open(run, learned.members)
    federation.run(run)
    assert "1 tokenizers from sealed counts" in verify(federation, tmp_path / "work")


def test_who_forbids_it_before_the_set_up_or_right_before_counting_is_in_no_sum(tmp_path):
    federation, run = SealedFederation(tmp_path / "f", MEMBERS), document()
    federation.script("m2", forbid_at_setup=0)
    federation.script("m5", forbid_at_count=0)
    learned = federation.learn(run, listed(run))
    assert learned.members == ("m0", "m1", "m3", "m4", "m6", "m7")
    refusals = said(federation, "refusal")
    assert [one.author.party for one in refusals] == ["m2", "m5"]
    assert all(one.body.reason.startswith("policy: ") for one in refusals)


def test_public_sentences_decide_where_a_sum_cannot_be_opened_and_no_other_is_asked_for(tmp_path):
    federation, run = SealedFederation(tmp_path / "f", MEMBERS), document()
    for member in ("m1", "m2", "m3"):
        federation.script(member, die_at_unmask=0, always=1)
    learned = federation.learn(run, listed(run), max_restarts=9)
    assert learned.members == ()
    assert learned.tokenizer == learned_tokenizer(run, listed(run), Summed.nothing(listed(run)))
    assert len(said(federation, "survivor-set")) == len(said(federation, "count-plan")) == 1


COORDINATOR = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from sealedlab import SealedFederation
from test_sealed_counting import MEMBERS, Dying, CountingCoordinator, document, listed

if __name__ == "__main__":
    federation = SealedFederation.again(Path({root!r}), MEMBERS)
    kind = CountingCoordinator if Path({marker!r}).exists() else Dying
    Dying.marker = Path({marker!r})
    federation.learn(document(), listed(document()), kind)
"""


class Dying(CountingCoordinator):
    """Killed once the survivor set is named, before anybody is asked for shares."""

    marker = Path()

    def _opened(self, book):
        self.marker.touch()
        self._log.publish()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_coordinator_killed_after_the_survivor_set_opens_that_very_sum(tmp_path):
    federation, run = SealedFederation(tmp_path / "f", MEMBERS), document()
    script, marker = tmp_path / "coordinator.py", tmp_path / "died"
    named = {"tests": str(Path(__file__).parent), "root": str(federation.root)}
    script.write_text(COORDINATOR.format(marker=str(marker), **named))
    died = subprocess.run([sys.executable, script], check=False, timeout=120)
    assert died.returncode == -signal.SIGKILL
    subprocess.run([sys.executable, script], check=True, timeout=120)
    (learned,) = said(federation, "tokenizer")
    assert set(learned.body.counts) == set(MEMBERS)
    assert len(said(federation, "survivor-set")) == 1
    kept = federation.root / "objects" / "sha256"
    digest = learned.body.tokenizer.removeprefix("sha256:")
    assert (kept / digest[:2] / digest[2:]).read_text() == in_the_open(run, MEMBERS)
