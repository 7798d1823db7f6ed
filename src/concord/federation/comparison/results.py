"""Results of arms as the report takes them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from concord.base.canonical import parse_json
from concord.base.digest import digest_file
from concord.base.errors import DocumentError
from concord.charter.document import describe
from concord.charter.run import RunDocument
from concord.federation.comparison.outcome import ArmResult
from concord.federation.comparison.pool import arm_key
from concord.federation.evidence import MeasuredArm
from concord.federation.records import RunFolder
from concord.federation.report import Sums


def measured_arms(folder: RunFolder, run: RunDocument) -> list[MeasuredArm]:
    """All arms on disk that belong to this run and its final base.

    Raises:
        DocumentError: a result is damaged.
    """
    records = [record for _, record in folder.records()]
    keys = {
        kind: arm_key(run, records[0] if kind in ("pooled", "alone") else records[-1], kind)
        for kind in ("pooled", "alone", "sovereign", "shared")
    }
    found = []
    for path in sorted((folder.root / "comparison").glob("*.json")):
        result = _read(path)
        if keys.get(result.arm.partition("/")[0]) == result.key:
            found.append(_measured(result))
    return found


def alone_weights(folder: RunFolder, run: RunDocument, member: str) -> Path:
    """Tensor file of the model that a member trained alone, in this very run.

    Raises:
        DocumentError: there is none, what lies there is of another run document, first base or
            member, its weights are not those that were measured, or its result is damaged.
    """
    result = folder.root / "comparison" / f"alone-{member}.json"
    path, remedy = result.with_suffix(".tensors"), "concord run --resume --compare trains one"
    if not (result.is_file() and path.is_file()):
        message = "there is no model trained alone to compare with"
        raise DocumentError(message, where=path, remedy=remedy)
    records, measured = folder.records(), _read(result)
    if not records or measured.key != arm_key(run, records[0][1], "alone"):
        raise DocumentError("was trained alone in another run", where=path, remedy=remedy)
    if measured.arm != f"alone/{member}" or digest_file(path) != measured.weights:
        message = "is not the model that was trained alone and measured"
        raise DocumentError(message, where=path, remedy=f"remove {result}; {remedy}")
    return path


def _read(path: Path) -> ArmResult:
    try:
        return ArmResult.model_validate(parse_json(path.read_bytes(), where=path))
    except ValidationError as error:
        raise DocumentError(
            describe(error), where=path, remedy="remove it: concord run --resume --compare"
        ) from error


def _measured(result: ArmResult) -> MeasuredArm:
    return MeasuredArm(
        name=result.arm,
        tokens=result.tokens,
        flops=result.flops,
        steps=result.steps,
        seconds=result.seconds,
        sums={
            member: Sums(nats=sums.nats, bytes=sums.bytes, tokens=sums.tokens)
            for member, sums in result.sums.items()
        },
        facts={member: (known.known, known.asked) for member, known in result.facts.items()},
    )
