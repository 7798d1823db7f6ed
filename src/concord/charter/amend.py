"""What a proposal would change in a charter, and which rule decides about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff

from concord.charter.bundle import CharterBundle
from concord.charter.compute import duties_at
from concord.charter.constitution import Charter, Kind
from concord.charter.paths import LAW, covers, flat, is_file_path


@dataclass(frozen=True)
class FieldChange:
    """One field of charter.toml, before and after; None where it is left out."""

    path: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class FileChange:
    """One file, as a unified diff."""

    path: str
    diff: str


@dataclass(frozen=True)
class Change:
    """The exact difference of two charters."""

    files: tuple[FileChange, ...]
    fields: tuple[FieldChange, ...]
    entrenched: tuple[str, ...]
    """Changed fields and files that the old charter entrenches."""

    @property
    def paths(self) -> tuple[str, ...]:
        """All that is changed: files, then fields."""
        return tuple(c.path for c in self.files) + tuple(c.path for c in self.fields)


def difference(old: CharterBundle, new: CharterBundle) -> Change:
    """Compare two charters. Comments are compared as text; values as what they mean."""
    files = tuple(_file_changes(old, new))
    fields = tuple(_field_changes(old.charter, new.charter))
    paths = [file.path for file in files] + [field.path for field in fields]
    return Change(files, fields, tuple(entrenched_among(old.charter, paths)))


def touches_entrenched(old: CharterBundle, new: CharterBundle) -> list[str]:
    """Changed fields and files that only the old charter's entrenched rule may change."""
    return list(difference(old, new).entrenched)


def entrenched_among(charter: Charter, paths: Iterable[str]) -> list[str]:
    """Which of these fields and files the charter entrenches.

    The list of entrenched paths and the rule that may change them are entrenched themselves;
    else two ordinary amendments could do what one may not.
    """
    held = ("entrenched", f"rule.{charter.entrenched.rule}", *charter.entrenched.paths)
    return [path for path in paths if any(_holds(one, path) for one in held)]


def choose_rule(charter: Charter, kind: Kind, *, changed: Iterable[str] = (), flop: int = 0) -> str:
    """Name of the rule that decides about a proposal.

    Args:
        charter: The charter in force.
        kind: What the proposal is about.
        changed: Paths that an amendment changes (`Change.paths`).
        flop: Joint compute that a new run would reach, or that a release has used.
    """
    if kind is Kind.AMEND and entrenched_among(charter, changed):
        return charter.entrenched.rule
    if kind in (Kind.RUN, Kind.RELEASE):
        stronger = duties_at(charter, flop)[1]
        if stronger is not None:
            return stronger
    return charter.uses[kind]


def _holds(entrenched: str, path: str) -> bool:
    if entrenched == LAW:
        return path.startswith(LAW)
    return path == entrenched if is_file_path(entrenched) else covers(entrenched, path)


def _file_changes(old: CharterBundle, new: CharterBundle) -> Iterator[FileChange]:
    for path in sorted(old.files.keys() | new.files.keys()):
        before, after = old.files.get(path), new.files.get(path)
        if before != after:
            yield FileChange(path, _diff(path, before, after))


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    lines = unified_diff(
        _lines(before),
        _lines(after),
        "/dev/null" if before is None else f"a/{path}",
        "/dev/null" if after is None else f"b/{path}",
    )
    marked = (
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
    return "".join(marked)


def _lines(data: bytes | None) -> list[str]:
    return [] if data is None else data.decode("utf-8").splitlines(keepends=True)


def _field_changes(old: Charter, new: Charter) -> Iterator[FieldChange]:
    before, after = (flat(charter.model_dump(mode="json")) for charter in (old, new))
    for path in [*before, *(path for path in after if path not in before)]:
        if before.get(path) != after.get(path):
            yield FieldChange(path, before.get(path), after.get(path))
