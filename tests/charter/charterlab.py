"""Nations as electors, and random rules: what the tests of the charter share."""

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st

from concord.charter.fields import Threshold
from concord.charter.rules import Elector, Key, Rule

LAWS = settings(max_examples=60, deadline=None)

PEOPLE = {
    "india": 1_428_628_000,
    "brazil": 216_422_000,
    "kenya": 55_101_000,
    "switzerland": 8_797_000,
    "estonia": 1_323_000,
    "indonesia": 277_534_000,
    "cameroon": 28_647_000,
    "new-zealand": 5_228_000,
    "ethiopia": 126_527_000,
    "germany": 83_295_000,
    "japan": 123_295_000,
    "tonga": 108_000,
}
"""Population in mid-2023: United Nations, World Population Prospects 2022, medium variant."""


def nations(count):
    """The first so many nations; its people stand for its speakers too."""
    return [Elector(name, people, people) for name, people in list(PEOPLE.items())[:count]]


def equals(count):
    return [Elector(f"m{number:02}", 1_000, 1_000) for number in range(count)]


def rule(*keys, **fields):
    """A rule from short keys: `("one", "min", "2/3")`, with a cap as fourth part."""
    made = [
        {"by": by, sign: share} | ({"cap": cap[0]} if cap else {}) for by, sign, share, *cap in keys
    ]
    return Rule.model_validate({"all": made, **fields})


def shares_of(denominator=12):
    return st.integers(1, denominator).map(lambda n: Fraction(n, denominator))


def thresholds():
    return st.one_of(
        shares_of().map(lambda s: Threshold(min=s)),
        st.integers(0, 11).map(lambda n: Threshold(over=Fraction(n, 12))),
    )


MEASURES = ["one", "speakers", "population", "sqrt:speakers", "sqrt:population"]


@st.composite
def keys(draw, measures=MEASURES):
    share = draw(thresholds())
    cap = draw(st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 4), Fraction(2, 5)]))
    return Key(by=draw(st.sampled_from(measures)), over=share.over, min=share.min, cap=cap)


@st.composite
def rules(draw, measures=MEASURES, max_keys=3):
    made = draw(st.lists(keys(measures), min_size=1, max_size=max_keys))
    mixed = len({key.by == "one" for key in made}) == 2
    return Rule(
        all=tuple(made),
        quorum=draw(st.one_of(st.just(Fraction(0)), shares_of(6))),
        of=draw(st.sampled_from(["all", "cast"])),
        abstain=draw(st.sampled_from(["against", "for", "none"])),
        excludes=draw(st.sampled_from(["nobody", "subject"])),
        blocking=draw(st.none() | st.integers(1, 5)) if mixed else None,
        veto=draw(st.none() | st.integers(1, 5)),
    )


def electors(min_size=1, max_size=7, largest=10**6):
    sizes = st.tuples(st.integers(1, largest), st.integers(1, largest))
    return st.lists(sizes, min_size=min_size, max_size=max_size).map(
        lambda found: [Elector(f"m{i:02}", *pair) for i, pair in enumerate(found)]
    )
