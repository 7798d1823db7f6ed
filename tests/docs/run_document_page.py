"""The tables of docs/run-document.md, made from the run document's own model.

    python tests/docs/run_document_page.py      refresh the page after a change of charter/run.py

Between `<!-- fields: NAME -->` and `<!-- end of fields -->` stand a section's fields: type and
default from the model, meaning from the field's docstring. A field without docstring keeps the
meaning that the page already gives it. Everything else on the page is written by hand.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from fractions import Fraction
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from doclab import Page, read_page, table_rows
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from concord.charter import run as charter

PAGE = "docs/run-document.md"
_TABLE = re.compile(r"(<!-- fields: (\S+) -->\n)(.*?)(<!-- end of fields -->)", re.DOTALL)
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_NAMES = {int: "whole number", float: "number", str: "text", Fraction: "exact fraction"}


def sections() -> dict[str, type[BaseModel]]:
    """Every table of a run document, by its dotted name; `run` is the document itself."""
    return {"run": charter.RunDocument} | dict(_inner_sections(charter.RunDocument, ""))


def _inner_sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        inner = _section_of(field.annotation)
        if inner is not None:
            yield prefix + name, inner
            yield from _inner_sections(inner, f"{prefix}{name}.")


def _section_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if inspect.isclass(candidate) and issubclass(candidate, BaseModel):
            return candidate
    return None


def docstrings() -> dict[tuple[str, str], str]:
    """Docstrings under fields of `charter/run.py`, by class and field."""
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(charter))):
        if isinstance(node, ast.ClassDef):
            for field, after in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                ):
                    found[node.name, field.target.id] = " ".join(str(after.value.value).split())
    return found


def render(page: Page) -> str:
    """The page's text with all tables made anew."""
    return _TABLE.sub(lambda found: found[1] + _table(found[2], found[3]) + found[4], page.text)


def sections_of(page: Page) -> list[str]:
    return [found[1] for found in _TABLE.findall(page.text)]


def _table(name: str, before: str) -> str:
    model = sections()[name]
    known, told = docstrings(), {row[0]: row[-1] for row in table_rows(before)}
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        if _section_of(field.annotation) is None:
            owner = next(c for c in model.__mro__ if key in inspect.get_annotations(c))
            meaning = known.get((owner.__name__, key)) or told.get(f"`{key}`", "")
            values = describe_type(field.annotation, field.metadata)
            lines.append(f"| `{key}` | {values} | {default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def describe_type(annotation: Any, metadata: list[Any]) -> str:
    """The values a field takes, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *found = arguments
        flat = [m for f in found for m in (f.metadata if isinstance(f, FieldInfo) else [f])]
        return describe_type(inner, [*flat, *metadata])
    if origin in (Union, UnionType):
        return " or ".join(describe_type(a, metadata) for a in arguments if a is not NoneType)
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if origin is tuple:
        return f"list of {describe_type(arguments[0], [])}s"
    return " ".join([_NAMES[annotation], *_bounds(metadata)])


def _bounds(metadata: list[Any]) -> Iterator[str]:
    for bound in metadata:
        if isinstance(bound, annotated_types.GroupedMetadata):
            yield from _bounds(list(bound))
        for attribute, sign in _SIGNS.items():
            if hasattr(bound, attribute):
                value = getattr(bound, attribute)
                yield f"{sign} {'2³²' if value == 2**32 else value}"


def default(field: FieldInfo) -> str:
    """A field's default as TOML has it."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None:
        return "left out"
    if isinstance(value, str | Fraction):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    page_ = read_page(PAGE)
    page_.path.write_text(render(page_), encoding="utf-8")
