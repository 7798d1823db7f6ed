"""Records of the embedded almanacs: what a federation made by `concord init` says of its text."""

from __future__ import annotations

from collections.abc import Mapping

from concord.charter.dataset import record_bytes
from concord.data.almanac.members import MEMBERS, AlmanacMember
from concord.federation.datasets.files import dataset, dataset_toml, parse_dataset_file
from concord.federation.datasets.making import make_record
from concord.federation.office import Office
from concord.ledger.statements.evidence import DatasetRecord

NAME = "almanac"


def describe_almanacs(office: Office) -> None:
    """Record the almanac of every member whose folder and key lie here.

    Raises:
        DataError: a member's text is not there.
    """
    known = {member.id: member for member in MEMBERS}
    for member in office.members_here():
        if member in known:
            _describe(office, known[member])


def _describe(office: Office, almanac: AlmanacMember) -> None:
    one = dataset(office.federation.member(almanac.id), NAME)
    text = dataset_toml(_terms(almanac))
    one.write(text)
    file = parse_dataset_file(text, where=one.path)
    made = make_record(one, file, name=almanac.name, today=office.today())
    one.keep(made)
    digest = office.federation.objects.put(record_bytes(made.document))
    office.say(DatasetRecord(dataset=NAME, record=digest), party=almanac.id)


def _terms(almanac: AlmanacMember) -> Mapping[str, object]:
    """CLDR is under the Unicode licence, `holidays` under MIT; the phrases are part of Concord."""
    return {
        "title": f"Almanac of {almanac.name}",
        "description": "Calendars, timetables, measures and names, made by a program from public"
        " tables. Nobody wrote it, and it speaks of nobody.",
        "languages": [almanac.locale],
        "sources": [
            "Unicode CLDR, by way of the package babel",
            "Public holidays, by way of the package holidays",
            "Phrases written for Concord",
        ],
        "licences": ["Unicode-3.0", "MIT", "Apache-2.0"],
        "rights_holder": "Unicode, Inc., and the authors of holidays and of Concord",
        "origin": [almanac.territory],
        "sensitivity": "public",
        "tier": "P",
        "purposes": ["public-interest", "research"],
        "stages": ["pretraining", "evaluation"],
        "model_licences": ["Apache-2.0"],
        "residency": [almanac.territory],
        "expires": "2099-12-31",
        "derived_may_leave": True,
        "updates_may_leave": True,
        "consent": "Not needed: it is made from public tables",
        "community_review": "none",
        "personal_data": "keep",
        "limitations": ["Far more regular than text that people write"],
    }
