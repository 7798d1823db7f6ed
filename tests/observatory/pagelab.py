"""A federation with everything that pages show, hostile words included, and pages as a reader's
browser takes them in."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from concord.charter.dataset import DatasetDocument, record_bytes
from concord.ledger.statements.aftermath import Matter, MatterAnswered
from concord.ledger.statements.evidence import DatasetRecord, GateEvidence
from concord.ledger.statements.votes import Ballot, Comment, Ordinary, Proposal
from concord.testing.history import History

VOID = {"meta", "br", "link", "img", "input", "hr"}
SCRIPT = "</bdi></td><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"
LONG = "overlong " * 1_500
UNSEEN = "\u202egnp\u2066\x1b[2J"
"""No statement may hold these; other files that pages read can."""
DAY = 86_400
SAID = {
    "chad": {"name": SCRIPT, "jurisdiction": "TD"},
    "fiji": {"name": "x" * 300, "jurisdiction": "<b>FJ</b>"},
    "peru": {"name": "بيرو", "jurisdiction": "PE", "speakers": 30},
}
RECORD = {
    "held": {"member": "chad", "dataset": "news"},
    "recorded": "2023-11-01",
    "counts": {"documents": 3, "bytes": 1_000, "languages": {"fr": 3}},
    "personal_data": {
        "scanner": "concord-scan 1",
        "jurisdictions": ["TD"],
        "treatment": "keep",
        "scanned_documents": 3,
        "documents": 0,
    },
    "commitment": {"root": "ab" * 32, "size": 3},
    "terms": {
        "title": SCRIPT,
        "description": f"Papers. {SCRIPT}",
        "languages": ["fr"],
        "sources": ["Paper"],
        "licences": ["CC-BY-4.0"],
        "rights_holder": SCRIPT,
        "origin": ["TD"],
        "sensitivity": "public",
        "tier": "P",
        "purposes": ["public-interest"],
        "stages": ["pretraining"],
        "model_licences": ["Apache-2.0"],
        "residency": ["TD"],
        "expires": "2024-01-05",
        "updates_may_leave": True,
        "consent": "c" * 190,
        "community_review": SCRIPT,
    },
}


def rich_history(root) -> History:
    """Three members, a run of four rounds, votes, words, records, evidence and objections."""
    history = History(root, said=SAID, overseers=("ada",))
    record = DatasetDocument.model_validate(RECORD)
    digest = history.objects.put(record_bytes(record))
    run = history.adopt(rounds={"count": 4, "inner_steps": 4, "quorum": "1/2"})
    for member in ("chad", "fiji", "peru"):
        run.measure(member)
    run.round_of(measured=True)
    run.call()
    run.refuse("peru", f"policy: {SCRIPT}"[:300])
    updates = {member: run.answer(member) for member in ("chad", "fiji")}
    run.commit(updates, left_out={"peru": "declined"})
    run.round_of("chad", "peru", measured=True)
    history.say(DatasetRecord(dataset="news", record=digest), "chad")
    base = history.state.run(run.digest).base
    history.say(GateEvidence(gate="floor", model=base, evidence=digest, result="passed"), "fiji")
    history.vote(Ordinary(), f"Decided {SCRIPT}", peru="no")
    words = Proposal(title=f"Open {SCRIPT}", text=LONG, change=Ordinary(), closes=history.now + DAY)
    proposal = history.say(words, "fiji").statement.digest
    history.say(Comment(proposal=proposal, text=SCRIPT + LONG), "peru")
    history.say(Ballot(proposal=proposal, choice="abstain", reason=SCRIPT), "chad")
    for number, to in enumerate(("chad", "peru")):
        body = Matter(
            sort="opt-out",
            about=digest,
            to=to,
            title=SCRIPT,
            text=SCRIPT,
            due=history.now + (1 + number) * DAY,
        )
        matter = history.say(body, "ada", "overseer").statement.digest
    history.say(MatterAnswered(matter=matter, outcome="upheld", text=SCRIPT), "peru")
    history.publish()
    return history


@dataclass
class Node:
    """An element as it was read."""

    tag: str
    attributes: dict[str, str]
    inside: list[Node]
    """Elements around it, outermost first."""
    text: str = ""


@dataclass
class Parsed(HTMLParser):
    """A page, read strictly: what is opened is closed, in order."""

    html: str
    open: list[Node] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert self.open == [], "something is never closed"

    def __hash__(self) -> int:
        return id(self)

    def handle_starttag(self, tag, attrs):
        node = self._take(tag, attrs)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self._take(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        for node in self.open:
            node.text += data

    def _take(self, tag, attrs) -> Node:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        node = Node(tag, {name: value or "" for name, value in attrs}, list(self.open))
        self.nodes.append(node)
        return node

    def all(self, *tags: str) -> list[Node]:
        return [node for node in self.nodes if node.tag in tags]

    def one(self, tag: str) -> Node:
        (found,) = self.all(tag)
        return found

    @property
    def ids(self) -> list[str]:
        return [node.attributes["id"] for node in self.nodes if "id" in node.attributes]
