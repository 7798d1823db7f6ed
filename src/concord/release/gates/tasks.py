"""Gates of metric `task`: a task's file is checked against the charter, then a library runs it."""

from __future__ import annotations

from pathlib import Path

from concord.base.digest import Digest
from concord.base.errors import DocumentError
from concord.charter.gates import WHOLE, Gate
from concord.release.gates.bench import Bench
from concord.release.gates.evidence import Measurement
from concord.release.gates.measures import rounded
from concord.release.gates.task_file import AnswerRow, ChoiceRow, read_task, task_path


def task(bench: Bench, gate: Gate, member: str) -> Measurement:
    """Share of a task's rows that the model gets right.

    Raises:
        DocumentError: the task's file or library is missing, or a row is malformed.
        VerificationFailed: the file is not the one that the charter names.
    """
    library, _, name = (gate.task or "").partition(":")
    path, digest = task_path(bench.federation.root, name), gate.task_digest or ""
    run = _choices if library == "lm-eval" else _answers
    try:
        share, count, tool = run(bench, path, digest, gate.samples)
    except ModuleNotFoundError as error:
        raise DocumentError(
            f"the task needs {error.name}, which is not installed",
            where=f"gate {gate.id}",
            remedy="pip install 'concord[eval]'",
        ) from error
    return Measurement(
        {member if gate.slice == "member" else WHOLE: rounded(share)},
        count,
        {"task": digest, "correct": round(share * count), "library": tool},
    )


def _choices(bench: Bench, path: Path, digest: Digest, most: int) -> tuple[float, int, str]:
    rows = read_task(path, digest, ChoiceRow)[:most]
    from concord.release.gates import harness

    asked = (bench.network, bench.tokenizer, rows)
    share = harness.accuracy(*asked, context=bench.context, name=path.stem)
    return share, len(rows), harness.TOOL


def _answers(bench: Bench, path: Path, digest: Digest, most: int) -> tuple[float, int, str]:
    rows = read_task(path, digest, AnswerRow)[:most]
    from concord.release.gates import inspector

    asked = (bench.network, bench.tokenizer, rows)
    share = inspector.accuracy(*asked, context=bench.context, name=path.stem)
    return share, len(rows), inspector.TOOL
