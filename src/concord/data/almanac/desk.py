"""Where pages are written: what the member knows, chance, and decks to draw subjects from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Generic, TypeVar

from concord.data.almanac.feasts import YEARS
from concord.data.almanac.knowledge import Knowledge, Place, Statement

T = TypeVar("T")
ASKED_SHARE = 0.6
"""Share of a kind's sentences that are statements asked as facts."""
MIN_SPEAKERS = 4
"""Places a language must be spoken in to have pages of its own: fewer make but one page."""


@dataclass(frozen=True)
class Page:
    """A document: a title and lines."""

    title: str
    lines: Sequence[str]

    @property
    def text(self) -> str:
        return "\n".join([self.title, "", *self.lines])


class Deck(Generic[T]):
    """Cards in random order; all come before one comes again."""

    def __init__(self, cards: Sequence[T], rng: Random) -> None:
        self._cards, self._rng = list(cards), rng
        self._left: list[T] = []

    def __bool__(self) -> bool:
        return bool(self._cards)

    def draw(self) -> T:
        if not self._left:
            self._left = self._cards.copy()
            self._rng.shuffle(self._left)
        return self._left.pop()

    def draw_different(self, count: int) -> list[T]:
        """Up to `count` cards, none twice."""
        return list(dict.fromkeys(self.draw() for _ in range(count)))


class Desk:
    """The state of one member's writing.

    Args:
        knowledge: What can be told.
        rng: Chance; the pages are a function of both.
    """

    def __init__(self, knowledge: Knowledge, rng: Random) -> None:
        self.knowledge, self.tongue, self.rng = knowledge, knowledge.tongue, rng
        self.labels = knowledge.phrases.labels
        self.asked = frozenset(statement for block in knowledge.asked for statement in block)
        self.told: Counter[Statement] = Counter()
        """In how many pages each statement stands as a full sentence."""
        self._on_page: set[Statement] = set()
        self.decks = {
            kind: Deck(self._weighted(statements), rng)
            for kind, statements in knowledge.statements.items()
            if statements
        }
        self.kinds = Deck(
            [
                kind
                for kind in self.decks
                for _ in range(4 + sum(s.kind == kind for s in self.asked))
            ],
            rng,
        )
        self.of_subject: dict[str, list[Statement]] = {}
        for statements in knowledge.statements.values():
            for statement in statements:
                self.of_subject.setdefault(statement.subject, []).append(statement)
        asked = {statement.subject for statement in self.asked}
        self.places = Deck([p for p in knowledge.places for _ in range(1 + (p.name in asked))], rng)
        self.languages = Deck(
            [name for name, places in knowledge.speakers.items() if len(places) >= MIN_SPEAKERS],
            rng,
        )

    def _weighted(self, statements: Sequence[Statement]) -> list[Statement]:
        asked = sum(statement in self.asked for statement in statements)
        others = len(statements) - asked
        cards = max(1, round(ASKED_SHARE / (1 - ASKED_SHARE) * others / max(1, asked)))
        return [s for s in statements for _ in range(cards if s in self.asked else 1)]

    def tell(self, statement: Statement) -> str:
        """The sentence, counted for this page."""
        self._on_page.add(statement)
        return statement.sentence

    def finish_page(self) -> None:
        self.told.update(self._on_page)
        self._on_page.clear()

    def drop_page(self) -> None:
        self._on_page.clear()

    def label(self, kind: str) -> str | None:
        return self.labels.get(kind)

    def year(self) -> int:
        return self.rng.choice(YEARS)

    @cached_property
    def cities(self) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(city for place in self.knowledge.places for city in place.cities)
        )

    @cached_property
    def money_places(self) -> tuple[Place, ...]:
        return tuple(place for place in self.knowledge.places if place.currency is not None)

    def miscellany(self, count: int) -> list[str]:
        """Sentences of several kinds."""
        statements = dict.fromkeys(self.decks[self.kinds.draw()].draw() for _ in range(count))
        return [self.tell(statement) for statement in statements]
