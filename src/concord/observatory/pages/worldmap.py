"""A schematic map of the world, as SVG: dots of land, and a numbered mark for each member.

The numbers, and all that the marks say, stand in the table beside the map. Places are rough, and
no border is drawn.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from concord.observatory.pages.language import Language
from concord.observatory.pages.people import Person

STEP_LONGITUDE = 4
STRETCH = 1.25
"""Of degrees of latitude, so that the temperate zones are not flat."""
NORTH, SOUTH, WEST = 82, -56, -168
MARK_RADIUS = 5.2
ALMOST_SAME = 0.005
"""A change below half a per cent is drawn as none."""


def world_map(found: tuple[Person, ...], language: Language) -> Markup:
    """The map, or nothing if no member's jurisdiction is known."""
    placed = _placed(found)
    if not placed:
        return Markup("")
    height = (NORTH - SOUTH) * STRETCH
    parts = [
        Markup(
            '<svg class="world-map" role="img" viewBox="-170 0 350 {}" '
            'aria-labelledby="map-title map-description"><title id="map-title">{}</title>'
            '<desc id="map-description">{}</desc>'
        ).format(f"{height:.0f}", language.say("map.title"), language.say("map.description")),
        _land(),
    ]
    for number, person, x, y in placed:
        parts.append(
            Markup(
                '<g class="pin {}"><title>{}</title><circle cx="{}" cy="{}" r="{}"/>'
                '<text x="{}" y="{}">{}</text></g>'
            ).format(
                _kind(person),
                person.name,
                f"{x:.1f}",
                f"{y:.1f}",
                MARK_RADIUS,
                f"{x:.1f}",
                f"{y + 2.1:.1f}",
                number,
            )
        )
    return Markup("").join([*parts, Markup("</svg>")])


def _kind(person: Person) -> str:
    ratio = person.gain.against_alone
    if ratio is None:
        return "unknown"
    return "gained" if ratio < 1 - ALMOST_SAME else "lost" if ratio > 1 + ALMOST_SAME else "same"


def _placed(found: tuple[Person, ...]) -> list[tuple[int, Person, float, float]]:
    """Numbers and places of marks; those that would cover each other are moved apart."""
    places = _world()["places"]
    taken: list[tuple[float, float]] = []
    placed = []
    for number, person in enumerate(found, 1):
        at = places.get(person.jurisdiction.upper()[:2])
        if at is None:
            continue
        x, y = float(at[1]), _down(at[0])
        for shift in range(40):
            clear = all(
                (x - other) ** 2 + (y - far) ** 2 >= (2 * MARK_RADIUS) ** 2 for other, far in taken
            )
            if clear:
                break
            x, y = x + MARK_RADIUS * (1, 0, -1, -1, 1)[shift % 5], y + MARK_RADIUS * (shift % 3 - 1)
        taken.append((x, y))
        placed.append((number, person, x, y))
    return placed


def _down(latitude: float) -> float:
    return (NORTH - latitude) * STRETCH


@cache
def _land() -> Markup:
    rows = []
    for latitude, spans in _world()["land"].items():
        y = f"{_down(float(latitude)):.1f}"
        for west, east in spans:
            first = max(WEST, -(-west // STEP_LONGITUDE) * STEP_LONGITUDE)
            if first > east and west < WEST:
                continue
            last = max(first, east // STEP_LONGITUDE * STEP_LONGITUDE)
            rows.append(f"M{first} {y}H{last + 0.1:.1f}")
    return Markup('<path class="land" d="{}"/>').format("".join(rows))


@cache
def _world() -> Any:
    return json.loads(files("concord.observatory.pages").joinpath("world.json").read_text("utf-8"))
