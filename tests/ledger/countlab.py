"""A sealed run that learns its tokenizer, said in memory by real pens, without processes."""

import json

from concord.base.digest import digest_bytes
from concord.data.bpe.listed import MergeList
from concord.data.bpe.parallel import cut_words
from concord.data.bpe.words import count_words
from concord.federation.sealed.count_pen import CountPen
from concord.ledger.sealed.book import SealBook
from concord.ledger.sealed.counts import learned_tokenizer, sum_counts
from concord.ledger.state import epochs
from concord.ledger.statements.counting import CountsPlanned, TokenizerLearned
from concord.ledger.statements.rounds import RoundVoid
from concord.ledger.statements.sealing import (
    CohortsDrawn,
    EpochOpened,
    KeysClosed,
    MaskingSet,
    SurvivorSet,
    UpdateCommitted,
)
from concord.ledger.statements.votes import StartRun
from concord.testing.history import History
from concord.testing.run_history import RunHistory
from concord.testing.sealed_history import sealed_run

MEMBERS = ("chad", "fiji", "iran", "laos", "peru")
MODES = '["open", "sealed"]'
LINES = {
    "xx": ["the cat sat on the mat", "the hat and the cat", "then that man sat there"],
    "yy": ["hot tea on the mat", "the tea that ran", "an ant ate the ham"],
    "zz": ["ქართული ენა", "ქართული ანბანი", "ჩემი ენა"],
}
LANGUAGES = {"chad": ("xx",), "fiji": ("xx", "yy"), "iran": ("yy",), "laos": ("xx",)} | {
    "peru": ("zz",)
}
TEXTS = {
    "chad": ["the cat and the hat", "that cat ate"],
    "fiji": ["a man ran to the mat"] * 3,
    "iran": ["tea and ham and tea"] * 2,
    "laos": ["the ant sat on the man"],
    "peru": ["ქართული ანბანი და ენა", "the cat"],
}
MERGES = 30


def list_of(merges=MERGES, lines=None, mode="parity"):
    return MergeList.of(cut_words(lines or LINES), mode=mode, merges=merges)


def words_of(texts):
    return count_words(texts, max_bytes=1 << 30)


def counting_run(members=MEMBERS, languages=None, **seal):
    declared = languages or LANGUAGES
    roster = [{"id": m, "languages": list(declared.get(m, ()))} for m in members]
    return sealed_run(
        members, roster=roster, tokenizer={"merges": MERGES}, seal={"min_survivors": 3, **seal}
    )


class CountedHistory:
    """One run from its adoption up to its tokenizer."""

    def __init__(self, root, run=None, listed=None, members=MEMBERS):
        self.history = History(root, members, modes=MODES)
        self.run, self.listed = run or counting_run(members), listed or list_of()
        document = self.history.replica.library.put_run(self.run)
        self.history.vote(StartRun(document=document), "A run")
        self.digest = self.run.digest
        self.merges = self.history.objects.put(self.listed.encode())
        self.pens = {m: CountPen(root / "counts" / m, m, self.run) for m in members}
        self.vectors = {}

    @property
    def seals(self):
        found = SealBook(self.history.replica.library)
        for entry in self.history.entries:
            found.add(entry)
        return found

    @property
    def epoch(self):
        return self.seals.epochs[self.digest]

    @property
    def book(self):
        return self.seals.counts[self.digest]

    @property
    def seat(self):
        return self.history.state.run(self.digest)

    def say(self, body, member, round_=0):
        return self.history.say(body, member, run=self.digest, round_=round_)

    def coordinator(self, body, round_=0):
        return self.history.coordinator(body, self.digest, round_)

    def keys(self):
        able = epochs.able(self.history.state, self.run, self.history.now)
        number = 0 if self.seat.epoch is None else self.seat.epoch.number + 1
        self.coordinator(EpochOpened(number=number, members=able, reason="a test"), None)
        for member in able:
            self.say(self.pens[member].show_key(self.epoch, self.merges), member, None)
        listed = epochs.on_the_list(self.seat.epoch)
        self.coordinator(KeysClosed(epoch=self.epoch.digest, keys=listed), None)
        for member in able:
            self.say(self.pens[member].show_beacon(self.epoch), member, None)
        cohorts = epochs.drawn_cohorts(self.seat.epoch, self.run)
        self.coordinator(CohortsDrawn(epoch=self.epoch.digest, cohorts=cohorts), None)
        for member in able:
            self.say(self.pens[member].seal_keys(self.epoch), member, None)

    def plan(self, **changes):
        fields = {
            "attempt": self.seat.attempt,
            "term": self.history.state.term,
            "roster": self.run.member_ids,
            "epoch": changes.get("epoch") or self.epoch.digest,
            "merges": self.merges,
        }
        return self.coordinator(CountsPlanned.model_validate(fields | changes))

    def mask(self, *members):
        for member in members:
            self.say(self.pens[member].set_up(self.book), member)
        plan = self.book.plan_digest
        self.coordinator(MaskingSet(plan=plan, cohort=0, members=tuple(sorted(members))))

    def masked(self, member, texts=None):
        """A member's masked counts, which lie among the objects."""
        pen = self.pens[member]
        pen.accept_masking_set(self.book)
        counts = self.listed.counts(words_of(texts or TEXTS[member]))
        made = pen.mask_counts(self.book, self.listed, counts)
        self.vectors[member] = made.path.read_bytes()
        self.history.objects.put(self.vectors[member])
        return made

    def send(self, *members):
        for member in members:
            made = self.masked(member)
            body = UpdateCommitted(
                plan=self.book.plan_digest, base=self.merges, update=made.update, bytes=made.bytes,
                hidden=made.hidden, steps=0, tokens=0, flops=0, train_s=0.0,
            )  # fmt: skip
            self.say(body, member)

    def survive(self, *members):
        plan = self.book.plan_digest
        self.coordinator(SurvivorSet(plan=plan, cohort=0, members=tuple(sorted(members))))

    def unmask(self, *members):
        for member in members:
            self.say(self.pens[member].unmask(self.book), member)

    def void(self):
        self.coordinator(RoundVoid(plan=self.book.plan_digest, reason="a test"))

    def sums(self):
        files = {m: self.history.objects.path(digest) for m, digest in self.sent.items()}
        return sum_counts(self.run, self.book, self.listed, [0], files)[0]

    @property
    def sent(self):
        return {m: self.book.sent[m].update for m in self.book.survivors[0]}

    def learn(self, summed, **changes):
        text = learned_tokenizer(self.run, self.listed, summed)
        fields = {
            "epoch": self.epoch.digest,
            "plan": self.book.plan_digest,
            "merges": self.merges,
            "tokenizer": self.history.objects.put(text.encode()),
            "counts": self.sent,
        }
        body = TokenizerLearned.model_validate(fields | changes)
        self.coordinator(body)
        return body.tokenizer

    def whole(self, *, dropped=()):
        """All steps up to sums that are open; `dropped` are masked and send nothing."""
        self.keys()
        self.plan()
        self.mask(*self.run.member_ids)
        left = [m for m in self.run.member_ids if m not in dropped]
        self.send(*left)
        self.survive(*left)
        self.unmask(*left)
        return self.sums()

    def opened(self, tokenizer):
        return RunHistory(self.history, self.run, tokenizer=tokenizer)


def altered(history, digest, data):
    """Put other bytes in the place of an object."""
    path = history.objects.path(digest)
    path.chmod(0o644)
    path.write_bytes(data)
    return digest_bytes(data)


def merges_of(tokenizer_json):
    return json.loads(tokenizer_json)["model"]["merges"]
