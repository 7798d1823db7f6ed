"""The report of a run: raw sums, the figures that follow from them, and the document of both."""

from concord.federation.report.document import RunReport, build_report, load_report, write_report
from concord.federation.report.figures import Figures, derive_figures
from concord.federation.report.parts import (
    Arm,
    Evidence,
    FactCounts,
    ParallelCount,
    Point,
    ReportMember,
    ReportRound,
    RunCard,
    Sums,
    TokenizerPart,
    alone,
    sovereign,
)

__all__ = [
    "Arm",
    "Evidence",
    "FactCounts",
    "Figures",
    "ParallelCount",
    "Point",
    "ReportMember",
    "ReportRound",
    "RunCard",
    "RunReport",
    "Sums",
    "TokenizerPart",
    "alone",
    "build_report",
    "derive_figures",
    "load_report",
    "sovereign",
    "write_report",
]
