"""What a verification found, as data: printed with `--json`, and drawn by the command line."""

from __future__ import annotations

from typing import Any

from concord.base.errors import ConcordError
from concord.ledger.account import RunAccount
from concord.ledger.verify import Verification


def verdict(found: Verification, error: ConcordError | None = None) -> dict[str, Any]:
    """Everything worth telling; what the failed step and those after it would show is left out.

    Args:
        error: What ended the verification, if it failed.
    """
    passed = {step.name for step in found.steps if step.passed}
    told: dict[str, Any] = {
        "ok": error is None,
        "steps": [
            {
                "number": step.number,
                "name": step.name,
                "title": step.title,
                "passed": step.passed,
                "found": step.found,
                "seconds": round(step.seconds, 3),
            }
            for step in found.steps
        ],
    }
    if "files" in passed:
        told["log"] = _log(found)
    if "statements" in passed:
        told |= _state(found)
    if "checkpoint" in passed:
        told["cosigned"] = dict(sorted(found.cosigned.items()))
    if "objects" in passed:
        told["runs"] = [_run(found, run) for run in found.account.runs.values()]
    if "bases" in passed:
        told["parameters_times_updates"] = found.work
    if error is not None:
        told["error"] = {
            "code": error.code,
            "where": error.where,
            "message": error.message,
            "meaning": error.remedy,
        }
    return told


def _log(found: Verification) -> dict[str, Any]:
    checkpoint = found.note.checkpoint
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "statements": dict(sorted(found.account.kinds.items())),
    }


def _state(found: Verification) -> dict[str, Any]:
    state = found.state
    return {
        "federation": {"digest": state.federation, "name": state.name},
        "state": state.digest,
        "charter": state.charter,
        "members": {name: seat.standing for name, seat in state.members.items()},
        "coordinator": state.coordinator.member,
        "term": state.term,
        "witness_keys": state.witness_keys(),
        "flops": state.flops,
    }


def _run(found: Verification, run: RunAccount) -> dict[str, Any]:
    seat = found.state.runs[run.document]
    return {
        "name": seat.name,
        "document": run.document,
        "standing": seat.standing,
        "rounds": seat.rounds,
        "base": run.base,
        "computed_again": run.document in found.replayed,
        "flops": seat.flops,
    }
