"""Gates on a member's own text, run by the member at home: only counts and sums leave it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from concord.base.digest import digest_file
from concord.base.errors import DocumentError
from concord.charter.gates import Gate
from concord.federation.member.audit import heldout_rows
from concord.ledger.state.release_gates import last_release
from concord.release.gates.bench import Bench
from concord.release.gates.evidence import Details, Measurement
from concord.release.gates.measures import (
    bits_bound,
    rounded,
    true_positive_rate,
)
from concord.train.audit.measures import auc
from concord.train.audit.scores import score_rows

FALSE_POSITIVES = 0.01
Rows = NDArray[np.int64]


def bits_per_byte(bench: Bench, gate: Gate, member: str) -> Measurement:
    """Held-out bits per byte, or by how much they are above another model's; with a bound."""
    text, against = bench.text(member), None
    documents = list(text.heldout())
    ours = bench.document_sums(bench.network, documents, most=gate.samples)
    if not len(ours.nats):
        raise DocumentError("has no held-out document", where=member)
    other = None
    if gate.compare == "previous":
        against = last_release(bench.state)
        if against is None:
            raise DocumentError("there is no release to compare with", where=f"gate {gate.id}")
        other = bench.document_sums(bench.released(against), documents, most=gate.samples)
    elif gate.compare == "alone":
        other = bench.document_sums(bench.alone(member), documents, most=gate.samples)
    found = bits_bound(
        ours,
        other,
        confidence=float(gate.confidence),
        upper=gate.max is not None,
        seed=bench.seed(gate.id),
    )
    details: Details = {
        "estimate": repr(found.value),
        "bits_per_byte": repr(rounded(ours.bits_per_byte)),
        "bytes": int(ours.bytes.sum()),
    }
    if other is not None:
        details["bits_per_byte_of_other"] = repr(rounded(other.bits_per_byte))
    if gate.compare == "alone":
        details["other"] = digest_file(bench.alone_file(member))
    measured = {_slice(bench, gate, member): found.bound}
    return Measurement(measured, len(ours.nats), details, against)


def verbatim(bench: Bench, gate: Gate, member: str) -> Measurement:
    """Share of rows that are continued word for word, above the share of text never trained on."""
    inside, outside = _rows(bench, gate, member)
    said = score_rows(bench.network, inside).by_heart
    control = score_rows(bench.network, outside).by_heart if len(outside) else np.zeros(0, bool)
    above = max(0.0, said.mean() - (control.mean() if len(control) else 0.0))
    return Measurement(
        {_slice(bench, gate, member): rounded(above)},
        len(inside),
        {
            "recited": int(said.sum()),
            "control_rows": len(control),
            "control_recited": int(control.sum()),
        },
    )


def canaries_recited(bench: Bench, gate: Gate, member: str) -> Measurement:
    """Share of planted canaries whose second half is said by heart.

    Raises:
        DocumentError: the member planted none.
    """
    canaries = bench.text(member).canaries
    planted = canaries.rows()[canaries.planted]
    if not len(planted):
        raise DocumentError(
            "planted no canaries in this run", where=member, remedy="see docs/privacy.md"
        )
    said = score_rows(bench.network, planted).by_heart
    return Measurement(
        {_slice(bench, gate, member): rounded(said.mean())},
        len(planted),
        {"recited": int(said.sum())},
    )


def membership(bench: Bench, gate: Gate, member: str) -> Measurement:
    """How well the loss alone tells rows of the text from rows that were held out."""
    inside, outside = _rows(bench, gate, member)
    scores = [-score_rows(bench.network, rows).nats for rows in (inside, outside)]
    found = {
        "membership-auc": auc(*scores),
        "membership-tpr": true_positive_rate(*scores, false_positives=FALSE_POSITIVES),
    }
    if math.isnan(found[gate.metric]):
        raise DocumentError("has too little text on one side", where=member)
    return Measurement(
        {_slice(bench, gate, member): rounded(found[gate.metric])},
        len(inside),
        {"control_rows": len(outside), "auc": repr(rounded(found["membership-auc"]))},
    )


def _rows(bench: Bench, gate: Gate, member: str) -> tuple[Rows, Rows]:
    """Rows from anywhere in the text, and rows that were held out."""
    text, context = bench.text(member), bench.run.model.context
    draw = np.random.default_rng(bench.seed(gate.id))
    starts = draw.integers(0, text.tokens, gate.samples)
    inside: Rows = text.at((starts[:, None] + np.arange(context + 1)) % text.tokens)
    outside = heldout_rows(text.heldout(), text.tokenizer, context=context, count=gate.samples)
    return inside, outside


def _slice(bench: Bench, gate: Gate, member: str) -> str:
    """What the number is of: the member, or the languages of its text."""
    if gate.slice == "member":
        return member
    languages = bench.languages().get(member, ())
    return "_".join(languages) or member
