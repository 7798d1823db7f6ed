"""A federation comes to be: keys for all whose folders lie here, a charter, and the first entry."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from concord.base.clock import Clock
from concord.charter.bundle import load_bundle, store_bundle
from concord.charter.lint import refuse_unfair
from concord.charter.rules import Elector
from concord.crypto.merkle import EMPTY_ROOT
from concord.crypto.notes import Checkpoint, Note, sign_checkpoint
from concord.federation.folders import FederationFolder
from concord.federation.office import Office
from concord.ledger.entries import Entry
from concord.ledger.keyring import MEMBER_KEYS, OVERSEER_KEYS
from concord.ledger.log import Log
from concord.ledger.names import log_origin
from concord.ledger.statements.membership import (
    CoordinatorEntry,
    Founding,
    MemberEntry,
    MemberKind,
    OverseerEntry,
)
from concord.ledger.statements.statement import Author, Binding, Statement
from concord.ledger.witness import WitnessStore


@dataclass(frozen=True)
class Founder:
    """What is said of a founding member besides its keys."""

    name: str = ""
    owner: str | None = None
    jurisdiction: str = ""
    speakers: int = 1
    population: int = 1
    kind: MemberKind = "unstated"


def found_federation(
    federation: FederationFolder,
    name: str,
    founders: Mapping[str, Founder],
    *,
    overseers: Mapping[str, str],
    coordinator: str,
    clock: Clock,
) -> Office:
    """Make all keys, adopt the charter in `charter/`, and write the founding statement.

    Args:
        name: The federation's name.
        founders: Members by id; their folders lie in the federation's.
        overseers: Jurisdiction of each of the oversight body, by id.
        coordinator: The member that runs the coordinator first.

    Raises:
        CharterRefused: the charter gives one member too much power, or none to another.
        KeyRefused: a key lies there and cannot be used.
    """
    bundle = load_bundle(federation.charter)
    refuse_unfair(
        bundle.charter,
        [
            Elector(
                id=member, speakers=one.speakers, population=one.population, owner=one.owner or ""
            )
            for member, one in sorted(founders.items())
        ],
    )
    digest = store_bundle(bundle, federation.objects)
    members, keys = [], []
    for member, one in sorted(founders.items()):
        ring = federation.member(member).keys
        public = ring.create(*MEMBER_KEYS)
        keys.append(ring.load("identity"))
        members.append(
            MemberEntry(
                id=member,
                name=one.name,
                owner=one.owner,
                jurisdiction=one.jurisdiction,
                kind=one.kind,
                speakers=one.speakers,
                population=one.population,
                key=public["identity"].text,
                witness_key=public["witness"].text,
            )
        )
    body = Founding(
        name=name,
        nonce=secrets.token_hex(16),
        charter=digest,
        members=tuple(members),
        overseers=tuple(_overseer(federation, i, place) for i, place in sorted(overseers.items())),
        coordinator=CoordinatorEntry(
            member=coordinator,
            log_key=federation.member(coordinator).keys.load("log").public.text,
        ),
    )
    statement = Statement(
        body=body,
        binding=Binding(federation=None, charter=digest),
        author=Author(role="founders", party=name),
        seq=0,
        time=int(clock.unix_s()),
    )
    origin = log_origin(name)
    for member in sorted(founders):
        own = federation.member(member)
        own.open_private("ledger")
        own.write_default_policy()
        WitnessStore.create(own.witness, origin)
    with Log.create(federation.log, origin) as log:
        empty = Checkpoint(origin, 0, EMPTY_ROOT)
        key = federation.member(coordinator).keys.load("log")
        log.publish(Note(empty, (sign_checkpoint(empty, origin, key),)))
    office = Office(federation, clock)
    office.file(Entry.sign(statement, keys))
    return office


def _overseer(federation: FederationFolder, overseer: str, jurisdiction: str) -> OverseerEntry:
    public = federation.overseer_keys(overseer).create(*OVERSEER_KEYS)
    return OverseerEntry(id=overseer, jurisdiction=jurisdiction, key=public["identity"].text)
