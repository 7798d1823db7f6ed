"""Results of arms as the report takes them."""

from __future__ import annotations

from concord.base.canonical import parse_json
from concord.charter.run import RunDocument
from concord.federation.comparison.outcome import ArmResult
from concord.federation.comparison.pool import arm_key
from concord.federation.evidence import MeasuredArm
from concord.federation.records import RunFolder
from concord.federation.report import Sums


def measured_arms(folder: RunFolder, run: RunDocument) -> list[MeasuredArm]:
    """All arms on disk that belong to this run and its final base."""
    records = [record for _, record in folder.records()]
    keys = {
        kind: arm_key(run, records[0] if kind in ("pooled", "alone") else records[-1], kind)
        for kind in ("pooled", "alone", "sovereign", "shared")
    }
    found = []
    for path in sorted((folder.root / "comparison").glob("*.json")):
        result = ArmResult.model_validate(parse_json(path.read_bytes(), where=path))
        if keys.get(result.arm.partition("/")[0]) == result.key:
            found.append(_measured(result))
    return found


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
