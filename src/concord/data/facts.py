"""Facts that one member's text holds: a prompt, its true continuation, and false ones of its kind.

Stored as JSON Lines. A model knows a fact if the true continuation is its cheapest (scored in
`concord.train.facts`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from concord.base.canonical import Json, canonical_json, parse_json
from concord.base.errors import CorpusNotFound, CorpusUnreadable, DocumentError
from concord.base.files import atomic_file, storage_errors

MIN_DISTRACTORS = 3
MAX_FACTS_BYTES = 64 << 20


@dataclass(frozen=True)
class Fact:
    """One question of exact choice.

    Args:
        id: Unique in its file.
        holder: Member whose text holds the fact.
        lang: Language code of prompt and options.
        prompt: Text before the options.
        answer: The true continuation, with any leading space.
        distractors: At least three false continuations of the same kind, all different.

    Raises:
        DocumentError: a text is empty, or the options are too few or not all different.
    """

    id: str
    holder: str
    lang: str
    prompt: str
    answer: str
    distractors: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (self.id and self.holder and self.prompt and all(self.options)):
            raise DocumentError("a fact has an empty field", where=self.id[:80])
        if len(self.distractors) < MIN_DISTRACTORS:
            raise DocumentError(
                f"a fact needs {MIN_DISTRACTORS} or more distractors", where=self.id[:80]
            )
        if len(set(self.options)) != len(self.options):
            raise DocumentError("two options of a fact are the same", where=self.id[:80])

    @property
    def options(self) -> tuple[str, ...]:
        """The true answer first."""
        return (self.answer, *self.distractors)


def write_facts(path: Path, facts: Iterable[Fact]) -> int:
    """Write facts, one canonical JSON object a line, whole or not at all; return their number.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    count = 0
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as stream:
        for fact in facts:
            stream.write(canonical_json(asdict(fact)) + b"\n")
            count += 1
    return count


def read_facts(path: Path, *, holder: str | None = None) -> list[Fact]:
    """Read facts, all or those of one holder.

    Raises:
        CorpusNotFound: there is no such file.
        CorpusUnreadable: a line is not a fact, or an id occurs twice; names the line, not its text.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FACTS_BYTES + 1)
    except FileNotFoundError as error:
        raise CorpusNotFound("there is no file of facts", where=path) from error
    except OSError as error:
        raise CorpusUnreadable(f"cannot be read: {error.strerror}", where=path) from error
    if len(data) > MAX_FACTS_BYTES:
        raise CorpusUnreadable("is too large for a file of facts", where=path)
    facts: dict[str, Fact] = {}
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            fact = _fact(parse_json(line))
        except DocumentError as error:
            # Without the cause's text: it may quote the line.
            raise CorpusUnreadable("is not a fact", where=where, remedy=REMEDY) from error
        if fact.id in facts:
            raise CorpusUnreadable("has the id of an earlier fact", where=where, remedy=REMEDY)
        facts[fact.id] = fact
    return [fact for fact in facts.values() if holder is None or fact.holder == holder]


REMEDY = "a line holds id, holder, lang, prompt, answer and three or more distractors"


def _fact(value: Json) -> Fact:
    names = [field.name for field in fields(Fact)]
    if not isinstance(value, dict) or sorted(value) != sorted(names):
        raise DocumentError("has other keys than a fact")
    distractors = value.pop("distractors")
    texts = list(value.values())
    if not isinstance(distractors, list) or not all(
        isinstance(text, str) for text in [*texts, *distractors]
    ):
        raise DocumentError("has a value that is not text")
    return Fact(**value, distractors=tuple(distractors))
