"""A member with a policy file, and a federation's state, for tests of decisions."""

from concord.base.digest import digest_bytes
from concord.base.objects import ObjectStore
from concord.charter.run import parse_run
from concord.federation.folders import MemberFolder
from concord.federation.founding import Founder
from concord.federation.member.consent import MemberConsent
from concord.ledger.permission import RoundAsked
from concord.ledger.statements.evidence import DatasetRecord
from concord.testing.founded import found

NOON = 1_790_000_000
FOUNDERS = {
    "chad": Founder(jurisdiction="TD", kind="public-institution"),
    "fiji": Founder(jurisdiction="FJ", kind="public-institution"),
    "peru": Founder(jurisdiction="PE", kind="public-institution"),
}
OPEN = '@id("open") permit (principal, action, resource);\n'


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

    def describe(self, dataset="news", *, revoked=False, party="fiji"):
        """A statement about a dataset; its record is nowhere."""
        record = digest_bytes(dataset.encode())
        self.office.say(DatasetRecord(dataset=dataset, record=record, revoked=revoked), party=party)
        return record

    def ask(self, action="train", *, stale=False, mode="open", round_=7, roster=None, **use):
        run = parse_run({"name": "x", "roster": [{"id": m} for m in FOUNDERS], "use": use})
        state = self.office.state
        asked = RoundAsked(run, round_, roster or tuple(state.seated()), mode)
        return self.consent.ask(
            state, self.office.library, asked, action=action, now=self.clock.now, stale=stale
        )
