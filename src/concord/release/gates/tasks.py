"""Gates of metric `task`: a task's file is checked against the charter, then a library runs it."""

from __future__ import annotations

from concord.base.errors import DocumentError
from concord.charter.gates import WHOLE, Gate
from concord.release.gates.bench import Bench
from concord.release.gates.evidence import Measurement
from concord.release.gates.measures import rounded
from concord.release.gates.task_file import ChoiceRow, read_task, task_path


def task(bench: Bench, gate: Gate, member: str) -> Measurement:
    """Share of a task's rows that the model gets right.

    Raises:
        DocumentError: the task's file or library is missing, or the library is not supported.
        VerificationFailed: the file is not the one that the charter names.
    """
    library, _, name = (gate.task or "").partition(":")
    if library != "lm-eval" or gate.task_digest is None:
        raise DocumentError(
            f"tasks of {library} are not run yet",
            where=f"gate {gate.id}",
            remedy='declare it as task = "lm-eval:<name>"; see docs/gates.md',
        )
    path = task_path(bench.federation.root, name)
    rows = read_task(path, gate.task_digest, ChoiceRow)[: gate.samples]
    try:
        from concord.release.gates import harness
    except ModuleNotFoundError as error:
        raise DocumentError(
            f"the task needs {error.name}, which is not installed",
            where=f"gate {gate.id}",
            remedy="pip install 'concord[eval]'",
        ) from error
    share = harness.accuracy(bench.network, bench.tokenizer, rows, context=bench.context, name=name)
    return Measurement(
        {member if gate.slice == "member" else WHOLE: rounded(share)},
        len(rows),
        {"task": gate.task_digest, "correct": round(share * len(rows)), "library": harness.TOOL},
    )
