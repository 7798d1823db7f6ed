"""A member with a policy file, and a federation's state, for tests of decisions."""

from concord.base.digest import digest_bytes
from concord.base.objects import ObjectStore
from concord.charter.dataset import DatasetDocument, record_bytes
from concord.charter.run import parse_run
from concord.federation.folders import MemberFolder
from concord.federation.founding import Founder
from concord.federation.member.consent import MemberConsent
from concord.ledger.permission import RoundAsked
from concord.ledger.state.model import SpentSeat
from concord.ledger.statements.evidence import DatasetRecord
from concord.testing.founded import found

TERMS = {
    "title": "News",
    "description": "News of one year.",
    "languages": ["fj"],
    "sources": ["A newspaper"],
    "licences": ["CC-BY-4.0"],
    "rights_holder": "The newspaper",
    "origin": ["FJ"],
    "sensitivity": "public",
    "tier": "P",
    "purposes": ["public-interest"],
    "stages": ["pretraining"],
    "model_licences": ["Apache-2.0"],
    "residency": ["FJ"],
    "expires": "2031-12-31",
    "updates_may_leave": True,
    "consent": "Contract of 2025",
    "community_review": "None",
}
NOON = 1_790_000_000
FOUNDERS = {
    "chad": Founder(jurisdiction="TD", kind="public-institution"),
    "fiji": Founder(jurisdiction="FJ", kind="public-institution"),
    "peru": Founder(jurisdiction="PE", kind="public-institution"),
}
OPEN = '@id("open") permit (principal, action, resource);\n'


def record(dataset, member, **terms):
    """Bytes of a dataset record."""
    value = {
        "held": {"member": member, "dataset": dataset},
        "recorded": "2026-01-01",
        "terms": TERMS | terms,
        "counts": {"documents": 3, "bytes": 1_000},
        "personal_data": {
            "scanner": "none",
            "jurisdictions": [],
            "treatment": "keep",
            "scanned_documents": 3,
            "documents": 0,
        },
        "commitment": {"root": "ab" * 32, "size": 3},
    }
    return record_bytes(DatasetDocument.model_validate(value))


def keep_record(folder, dataset, data):
    """Put a record where the member's machine finds it."""
    own = folder.open_private("datasets", dataset)
    (own / "record.json").write_bytes(data)


class Clock:
    """Time by hand."""

    def __init__(self, now=NOON):
        self.now = now

    def unix_s(self):
        return float(self.now)

    def monotonic_s(self):
        return float(self.now)


class Member:
    """Fiji, among three."""

    def __init__(self, root, *, founders=FOUNDERS, **choices):
        self.clock = Clock()
        self.office = found(root, sorted(founders), founders=founders, clock=self.clock, **choices)
        self.folder = MemberFolder(root / "members" / "fiji")
        self.consent = MemberConsent(self.folder)
        self.objects = ObjectStore(root / "objects")

    def write(self, text):
        self.folder.policy.write_text(text)
        return digest_bytes(text.encode())

    def describe(self, dataset="news", *, revoked=False, party="fiji", keep=True, **terms):
        """A record of a dataset, at the member, and the statement about it."""
        data = record(dataset, party, **terms)
        if keep:
            keep_record(self.folder, dataset, data)
        digest = digest_bytes(data)
        self.office.say(DatasetRecord(dataset=dataset, record=digest, revoked=revoked), party=party)
        return digest

    def ask(
        self,
        action="train",
        *,
        stale=False,
        mode="open",
        round_=7,
        roster=None,
        datasets=None,
        spent=None,
        **use,
    ):
        run = parse_run({"name": "x", "roster": [{"id": m} for m in FOUNDERS], "use": use})
        state = self.office.state
        if spent is not None:
            seats = {name: SpentSeat(epsilon=repr(float(e)), steps=1) for name, e in spent.items()}
            state = state.model_copy(update={"privacy": {"fiji": seats}})
        asked = RoundAsked(run, round_, roster or tuple(state.seated()), mode)
        return self.consent.ask(
            state,
            self.office.library,
            asked,
            action=action,
            now=self.clock.now,
            stale=stale,
            datasets=datasets,
        )
