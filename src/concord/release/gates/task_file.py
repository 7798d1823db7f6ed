"""Tasks of evaluation libraries, as rows of text in a file that the charter names by its digest.

    tasks/<name>.jsonl in the federation's folder, one JSON object a line:

    {"input": "…", "choices": ["…", "…"], "target": 0}     for `lm-eval:<name>`
    {"input": "…", "target": "…"}                          for `inspect:<name>`

Text alone: a task in the libraries' own form can be a template or a program, and nothing that a
charter names is run as code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from concord.base.digest import Digest, digest_bytes
from concord.base.errors import DocumentError, VerificationFailed
from concord.charter.document import Document, describe

FOLDER = "tasks"
MAX_TASK_BYTES = 64 << 20
Text = Annotated[str, Field(max_length=1 << 20)]
Filled = Annotated[str, Field(min_length=1, max_length=1 << 20)]


class ChoiceRow(Document):
    """A beginning, and the continuations of which the target is the right one."""

    input: Text
    choices: Annotated[tuple[Filled, ...], Field(min_length=2, max_length=100)]
    target: Annotated[int, Field(ge=0)]
    """0-based."""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.target >= len(self.choices):
            raise ValueError("target is none of the choices")
        return self


class AnswerRow(Document):
    """A question, and what the answer has to contain."""

    input: Filled
    target: Filled


Row = TypeVar("Row", ChoiceRow, AnswerRow)


def task_path(federation: Path, name: str) -> Path:
    """Where a task's file lies, whose name the charter has checked."""
    return federation / FOLDER / f"{name}.jsonl"


def read_task(path: Path, digest: Digest, kind: type[Row]) -> list[Row]:
    """The rows of a task, if its file is the one that the charter names.

    Raises:
        DocumentError: it cannot be read, or a line is malformed; names the line.
        VerificationFailed: it is another file than the charter's.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_TASK_BYTES + 1)
    except OSError as error:
        raise DocumentError(
            "the task's file cannot be read",
            where=path,
            remedy=f"put the file with digest {digest} there",
        ) from error
    if len(data) > MAX_TASK_BYTES:
        raise DocumentError(f"is longer than {MAX_TASK_BYTES:,} bytes", where=path)
    if digest_bytes(data) != digest:
        raise VerificationFailed(
            f"is not the task that the charter names, {digest}",
            where=path,
            remedy="get the members' file, or amend the charter",
        )
    rows = [_row(line, number, path, kind) for number, line in enumerate(data.splitlines(), 1)]
    if not rows:
        raise DocumentError("holds no row", where=path)
    return rows


def _row(line: bytes, number: int, path: Path, kind: type[Row]) -> Row:
    where = f"{path}, line {number}"
    try:
        return kind.model_validate(json.loads(line))
    except ValidationError as error:
        raise DocumentError(describe(error), where=where) from error
    except (ValueError, RecursionError) as error:
        raise DocumentError("is no JSON object", where=where) from error
