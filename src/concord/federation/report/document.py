"""`report.json`: what was measured and the figures that follow from it, in one document.

The figures are kept beside the sums for those who only read; loading computes them again and
refuses a document whose figures do not follow from its own sums.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, model_validator

from concord.base.canonical import Json, canonical_json, parse_json
from concord.base.digest import Digest, digest_json
from concord.base.errors import DocumentError
from concord.base.files import write_atomic
from concord.charter.document import Document, describe
from concord.federation.report.figures import Figures, derive_figures
from concord.federation.report.parts import Evidence

MAX_REPORT_BYTES = 64 << 20
RELATIVE_TOLERANCE = 1e-9
"""Room for another machine's order of additions; far below any figure that is shown."""


class RunReport(Document):
    """The report of one run."""

    format: Literal["concord-report/1"] = "concord-report/1"
    evidence: Evidence
    figures: Figures

    @model_validator(mode="after")
    def _checked(self) -> Self:
        expected = derive_figures(self.evidence).model_dump(mode="json")
        fault = _difference(self.figures.model_dump(mode="json"), expected, "figures")
        if fault is not None:
            raise ValueError(f"{fault} does not follow from the report's own sums")
        return self

    def to_json(self) -> bytes:
        """The report as JSON for people and scripts: sorted keys, indented, always the same bytes.

        Raises:
            DocumentError: a part holds what JSON cannot carry exactly.
        """
        value = parse_json(canonical_json(self.model_dump(mode="json")), max_bytes=MAX_REPORT_BYTES)
        text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    @property
    def digest(self) -> Digest:
        """Digest of the canonical JSON."""
        return digest_json(self.model_dump(mode="json"))


def build_report(evidence: Evidence) -> RunReport:
    """Compute the figures and put them beside what was measured."""
    return RunReport(evidence=evidence, figures=derive_figures(evidence))


def write_report(report: RunReport, path: Path) -> None:
    """Write `report.json`, whole or not at all.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    write_atomic(path, report.to_json())


def load_report(path: Path) -> RunReport:
    """Read a report and check it.

    Raises:
        DocumentError: it cannot be read, is damaged, of another format, or its figures do not
            follow from its sums.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(
            f"cannot be read: {error.strerror}", where=path, remedy="`concord run` writes a report"
        ) from error
    value = parse_json(data, where=path, max_bytes=MAX_REPORT_BYTES)
    try:
        return RunReport.model_validate(value)
    except ValidationError as error:
        raise DocumentError(
            f"is not a report of this version: {describe(error)}",
            where=path,
            remedy="write it again with `concord report`, or restore a copy",
        ) from error


def _difference(found: Json, expected: Json, place: str) -> str | None:
    """Path of the first value that differs by more than rounding, or None."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            return place
        faults = (_difference(found[key], expected[key], f"{place}.{key}") for key in expected)
        return next((fault for fault in faults if fault is not None), None)
    if isinstance(expected, float) and isinstance(found, float | int):
        same = math.isclose(found, expected, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
        return None if same else place
    return None if found == expected else place
