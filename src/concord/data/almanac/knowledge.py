"""Everything one almanac can state, and the facts among it that are asked.

Facts come in blocks of four of one kind that share the same four options: each answer is a false
one in the other three. Whatever a model prefers without regard to the prompt, it gets exactly one
of the four right, so that a share above a quarter is knowledge and not a bias of length, spelling
or frequency. Subjects and answers that share a stem ("Peru", "Peruvian") are not asked.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from concord.data.almanac.feasts import Feast, feasts
from concord.data.almanac.members import MEMBERS, AlmanacMember
from concord.data.almanac.phrases import Phrases, load_phrases
from concord.data.almanac.tongue import Tongue
from concord.data.almanac.world import Territory, languages, script_of, world
from concord.data.facts import Fact

OPTIONS = 4
MAX_BLOCKS = {"city": 7, "tongue": 6, "script": 3, "feast": 3, "money": 4}
"""Blocks asked per kind: about eighty facts a member."""
MAX_ANSWERS = 3
"""Blocks in which one answer may be an option."""
STEM = {"Ethi": 2, "Hang": 2, "Taml": 3, "Thai": 3, "Khmr": 3}
"""Characters in common that give an answer away; 4 in alphabets."""


@dataclass(frozen=True)
class Statement:
    """One true sentence of a kind: a subject, the answer, and the frame that joins them."""

    kind: str
    subject: str
    answer: str
    frame: str

    @property
    def sentence(self) -> str:
        return self.frame.format(self.subject, self.answer)

    @property
    def prompt(self) -> str:
        """The sentence up to the answer, without trailing space."""
        return self._before.rstrip()

    @property
    def continuation(self) -> str:
        """The answer with the space before it."""
        return self._before[len(self.prompt) :] + self.answer

    @property
    def _before(self) -> str:
        return self.frame.partition("{1}")[0].format(self.subject)


@dataclass(frozen=True)
class Place:
    """A territory with its names; None or empty where the language lacks one."""

    territory: Territory
    name: str
    currency: str | None
    official: tuple[str, ...]
    spoken: tuple[tuple[str, float], ...]
    cities: tuple[str, ...]
    neighbours: tuple[str, ...]


@dataclass(frozen=True)
class Knowledge:
    """What one member's almanac holds."""

    member: AlmanacMember
    tongue: Tongue
    phrases: Phrases
    feasts: tuple[Feast, ...]
    places: tuple[Place, ...]
    speakers: Mapping[str, tuple[tuple[str, float], ...]]
    """Places and their share of speakers, in percent, by name of a language."""
    writing: Mapping[str, str]
    """Name of the script by name of a language."""
    statements: Mapping[str, tuple[Statement, ...]]
    asked: tuple[tuple[Statement, ...], ...]
    """Blocks of four statements that share their options."""


def gather(member: AlmanacMember) -> Knowledge:
    """All that CLDR, `holidays` and the phrases say in a member's language."""
    tongue = Tongue(member.locale, member.script)
    phrases = load_phrases(member.locale)
    kept = feasts(member, tongue, phrases)
    places = _places(member, tongue)
    writing = _writing(tongue)
    statements = _statements(tongue, phrases, kept, places, writing)
    return Knowledge(
        member=member,
        tongue=tongue,
        phrases=phrases,
        feasts=kept,
        places=places,
        speakers=_speakers(places),
        writing=writing,
        statements=statements,
        asked=_blocks(member, statements),
    )


def _places(member: AlmanacMember, tongue: Tongue) -> tuple[Place, ...]:
    found = []
    for territory in world().values():
        name = tongue.territory(territory.code)
        if name is None:
            continue
        zones = territory.zones if _tells_cities(member, territory.code) else ()
        found.append(
            Place(
                territory=territory,
                name=name,
                currency=tongue.currency(territory.currency),
                official=_known(tongue.language(code) for code in territory.official),
                spoken=tuple(
                    (language, percent)
                    for code, percent in territory.spoken
                    if (language := tongue.language(code)) is not None
                ),
                cities=_known(tongue.city(zone) for zone in zones),
                neighbours=_known(tongue.territory(code) for code in territory.neighbours),
            )
        )
    return tuple(found)


def _known(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _tells_cities(member: AlmanacMember, code: str) -> bool:
    """Members who share a script share out the world's cities, whose names they spell alike.

    Otherwise the text of one would hold the facts of the others.
    """
    sharing = [other for other in MEMBERS if other.script == member.script]
    at_home = [other for other in sharing if other.territory == code]
    teller = (at_home or sharing)[0 if at_home else zlib.crc32(code.encode()) % len(sharing)]
    return teller == member


def _speakers(places: Sequence[Place]) -> dict[str, tuple[tuple[str, float], ...]]:
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for place in places:
        for language, percent in place.spoken:
            found[language].append((place.name, percent))
    return {
        language: tuple(sorted(shares, key=lambda share: (-share[1], share[0])))
        for language, shares in sorted(found.items())
    }


def _writing(tongue: Tongue) -> dict[str, str]:
    found = {}
    for code in languages():
        language, script = tongue.language(code), script_of(code)
        name = tongue.writing(script) if script else None
        # Korean, Japanese and Chinese writing mixes scripts, and goes by other names.
        if language and name and script not in ("Hans", "Hant", "Jpan", "Kore"):
            found[language] = name
    return found


def _statements(
    tongue: Tongue,
    phrases: Phrases,
    kept: Sequence[Feast],
    places: Sequence[Place],
    writing: Mapping[str, str],
) -> dict[str, tuple[Statement, ...]]:
    pairs: dict[str, list[tuple[str, str]]] = {
        "money": [(place.name, place.currency) for place in places if place.currency],
        "tongue": [(place.name, place.official[0]) for place in places if len(place.official) == 1],
        "city": [(place.name, place.cities[0]) for place in places if len(place.cities) == 1],
        "script": list(writing.items()),
        "feast": [
            (feast.name, tongue.day_and_month(feast.latest)) for feast in kept if feast.fixed
        ],
        "neighbours": [
            (place.name, tongue.join(place.neighbours)) for place in places if place.neighbours
        ],
    }
    return {
        kind: tuple(
            Statement(kind, subject, answer, frame)
            for subject, answer in pairs[kind]
            if subject != answer
        )
        for kind, frame in phrases.frames.items()
    }


def _blocks(
    member: AlmanacMember, statements: Mapping[str, Sequence[Statement]]
) -> tuple[tuple[Statement, ...], ...]:
    order = Random(f"facts of {member.id}")  # noqa: S311 - a choice to be repeated, not a secret
    found: list[tuple[Statement, ...]] = []
    for kind, limit in MAX_BLOCKS.items():
        candidates = [
            statement
            for statement in statements.get(kind, ())
            if not _gives_away(statement, STEM.get(member.script, 4))
        ]
        order.shuffle(candidates)
        found.extend(_blocks_of_one_kind(candidates, limit))
    return tuple(found)


def _blocks_of_one_kind(candidates: Sequence[Statement], limit: int) -> list[tuple[Statement, ...]]:
    """Blocks of four statements with four different answers, alike in length."""
    taken: dict[str, int] = defaultdict(int)
    subjects: set[str] = set()
    few = []
    for statement in candidates:
        if taken[statement.answer] < MAX_ANSWERS and statement.subject not in subjects:
            taken[statement.answer] += 1
            subjects.add(statement.subject)
            few.append(statement)
    few.sort(key=lambda statement: len(statement.answer.encode()))
    blocks: list[tuple[Statement, ...]] = []
    while len(blocks) < limit:
        block: dict[str, Statement] = {}
        for statement in few:
            block.setdefault(statement.answer, statement)
            if len(block) == OPTIONS:
                break
        if len(block) < OPTIONS:
            break
        blocks.append(tuple(block.values()))
        few = [statement for statement in few if statement not in block.values()]
    return blocks


def _gives_away(statement: Statement, stem: int) -> bool:
    subject, answer = statement.subject.casefold(), statement.answer.casefold()
    size = min(stem, len(subject))
    return any(subject[i : i + size] in answer for i in range(len(subject) - size + 1))


def as_fact(member: AlmanacMember, block: Sequence[Statement], index: int, number: int) -> Fact:
    """The fact that asks for statement `index` of a block."""
    statement = block[index]
    return Fact(
        id=f"{member.id}-{statement.kind}-{number:03}",
        holder=member.id,
        lang=member.locale,
        prompt=statement.prompt,
        answer=statement.continuation,
        distractors=tuple(
            statement.continuation.removesuffix(statement.answer) + other.answer
            for other in block
            if other is not statement
        ),
    )
