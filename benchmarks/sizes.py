"""Lines per file and per function, for reading; see docs/adr for why we look."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"


def function_lengths(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (node.end_lineno - node.lineno + 1, f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def show(title: str, rows: list[tuple[int, str]]) -> None:
    lengths = sorted(length for length, _ in rows)
    ninth = lengths[int(0.9 * (len(lengths) - 1))]
    median = statistics.median(lengths)
    print(f"{title}: {len(rows)}, median {median:.0f} lines, 9 in 10 under {ninth + 1}")
    for length, name in sorted(rows, reverse=True)[:12]:
        print(f"{length:6d}  {name}")


def main() -> None:
    files = sorted(SOURCE.rglob("*.py"))
    counted = [
        (len(path.read_text(encoding="utf-8").splitlines()), str(path.relative_to(SOURCE)))
        for path in files
    ]
    show("files", counted)
    show("functions", [row for path in files for row in function_lengths(path)])


if __name__ == "__main__":
    main()
