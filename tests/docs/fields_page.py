"""Tables of a page that are made from a document's own model, so that they cannot disagree.

Between `<!-- fields: NAME -->` and `<!-- end of fields -->` stand a section's fields: type and
default from the model, meaning from the field's docstring. A field without docstring keeps the
meaning that the page already gives it. Everything else on the page is written by hand.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from doclab import Page, table_rows
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from concord.charter.fields import Day, Duration, Threshold

_TABLE = re.compile(r"(<!-- fields: (\S+) -->\n)(.*?)(<!-- end of fields -->)", re.DOTALL)
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_NAMES = {
    bool: "`true`, `false`",
    int: "whole number",
    float: "number",
    str: "text",
    Fraction: "exact fraction",
    Threshold: "share",
    Decimal: "decimal logarithm, as text",
}
_OWN = {get_args(Duration)[1]: "time", get_args(Day)[1]: "day"}
"""Annotations that a reader knows by a name of their own."""


def sections_of(page: Page) -> list[str]:
    return [found[1] for found in _TABLE.findall(page.text)]


@dataclass(frozen=True)
class FieldsPage:
    """A page about one document."""

    name: str
    root: str
    """Name of the section for the document itself."""
    model: type[BaseModel]
    modules: Sequence[ModuleType]
    """Where its models, and their docstrings, are."""

    def sections(self) -> dict[str, type[BaseModel]]:
        """Every table of the document, by its dotted name."""
        return {self.root: self.model} | dict(_inner_sections(self.model, ""))

    def render(self, page: Page) -> str:
        """The page's text with all tables made anew."""
        return _TABLE.sub(
            lambda found: found[1] + self._table(*found.group(2, 3)) + found[4], page.text
        )

    def _table(self, name: str, before: str) -> str:
        model, known = self.sections()[name], self._docstrings()
        told = {row[0]: row[-1] for row in table_rows(before)}
        lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
        for key, field in model.model_fields.items():
            if _section_of(field.annotation) is None:
                owner = next(c for c in model.__mro__ if key in inspect.get_annotations(c))
                meaning = known.get((owner.__name__, key)) or told.get(f"`{key}`", "")
                values = describe_type(field.annotation, field.metadata)
                lines.append(f"| `{key}` | {values} | {default(field)} | {meaning} |")
        return "\n".join(lines) + "\n"

    def _docstrings(self) -> Mapping[tuple[str, str], str]:
        """Docstrings under fields, by class and field."""
        return {
            found: text
            for module in self.modules
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.ClassDef)
            for found, text in _field_docstrings(node)
        }


def _field_docstrings(node: ast.ClassDef) -> Iterator[tuple[tuple[str, str], str]]:
    for field, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            yield (node.name, field.target.id), " ".join(str(after.value.value).split())


def _inner_sections(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        inner = _section_of(field.annotation)
        if inner is not None:
            yield prefix + name, inner
            yield from _inner_sections(inner, f"{prefix}{name}.")


def _section_of(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if (
            inspect.isclass(candidate)
            and issubclass(candidate, BaseModel)
            and candidate not in _NAMES
        ):
            return candidate
    return None


def describe_type(annotation: Any, metadata: Sequence[Any]) -> str:
    """The values a field takes, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    own = [name for mark, name in _OWN.items() if mark in metadata]
    if own:
        return own[0]
    if origin is Annotated:
        inner, *found = arguments
        flat = [m for f in found for m in (f.metadata if isinstance(f, FieldInfo) else [f])]
        return describe_type(inner, [*flat, *metadata])
    if origin in (Union, UnionType):
        return " or ".join(describe_type(a, metadata) for a in arguments if a is not NoneType)
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if inspect.isclass(annotation) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{value}`" for value in annotation)
    if origin is tuple:
        inner = describe_type(arguments[0], [])
        return f"list of {inner}" if inner.startswith("`") else f"list of {inner}s"
    if origin is dict:
        return f"{describe_type(arguments[0], [])} = {describe_type(arguments[1], [])}"
    return " ".join([_NAMES[annotation], *_bounds(metadata)])


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
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
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str | Fraction):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
