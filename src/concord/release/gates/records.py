"""Gates on what the log and the objects say; without torch, and the same for every runner."""

from __future__ import annotations

import tempfile
from pathlib import Path

from concord.base.clock import Clock
from concord.base.digest import Digest
from concord.base.errors import VerificationFailed
from concord.base.objects import ObjectStore
from concord.charter.gates import WHOLE
from concord.charter.law import log10
from concord.ledger.archive import Archive
from concord.ledger.state.library import ObjectLibrary
from concord.ledger.verify import Verification
from concord.ledger.verify_terms import Wishes
from concord.release.facts import joint_flop, release_duties
from concord.release.gates.evidence import Details, Measurement

WEIGHTS = "weights"


def integrity(federation: Path, run: str, weights: Digest, clock: Clock) -> Measurement:
    """0 if the log is whole and every base of the run comes out again; else 1.

    Args:
        weights: Of the base, found equal to those that are to be released.
    """
    with tempfile.TemporaryDirectory(prefix="concord-gate-") as workdir:
        found = Verification(federation, workdir=Path(workdir), clock=clock, wishes=Wishes(run=run))
        try:
            found.run()
        except VerificationFailed as error:
            return Measurement({WHOLE: 1.0}, 0, {"where": str(error.where), "why": error.message})
    rounds = sum(len(one.rounds) for one in found.account.runs.values())
    details: Details = {"entries": found.reader.size, "work": found.work, WEIGHTS: weights}
    return Measurement({WHOLE: 0.0}, rounds, details)


def compute(federation: Path) -> Measurement:
    """Decimal logarithm of the joint compute of all members and rounds, in FLOP."""
    archive, objects = _open(federation)
    flop = joint_flop(archive, objects)
    return Measurement({WHOLE: float(log10(flop))}, len(archive.entries), {"flop": str(flop)})


def law(federation: Path, clock: Clock) -> Measurement:
    """Duties of the law files that the evidence in the log does not meet."""
    archive, objects = _open(federation)
    duties = release_duties(archive, objects, now=int(clock.unix_s()))
    unmet = sorted(duty.id for duty in duties if duty.status == "UNMET")
    met = sum(duty.status == "met" for duty in duties)
    return Measurement(
        {WHOLE: float(len(unmet))}, len(duties), {"met": met, "unmet": ", ".join(unmet)[:300]}
    )


def _open(federation: Path) -> tuple[Archive, ObjectStore]:
    objects = ObjectStore(federation / "objects")
    return Archive(federation / "log", ObjectLibrary(objects)), objects
