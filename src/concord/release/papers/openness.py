"""How open a release is, computed from what is in it: MOF class, and the claim of OSAID.

Classes as the Model Openness Framework defines them: a class needs all components of those below.
Text that never leaves its member is not released, so class I is out of reach as it is scored.

Source: Model Openness Framework (LF AI & Data); names, classes and the YAML form as its own tool
has them, https://github.com/lfai/model_openness_tool, May 2026.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from concord.release.papers.sections import Sections

CODE, DATA, DOCUMENT = "Apache-2.0", "CDLA-Permissive-2.0", "CC-BY-4.0"
OPTIONAL = frozenset({"Supporting libraries and tools", "Model metadata", "Sample model outputs"})
OPEN_WEIGHTS = frozenset({"Apache-2.0", "MIT", "CDLA-Permissive-2.0", "CC-BY-4.0", "BSD-3-Clause"})


@dataclass(frozen=True)
class Component:
    """One component of the framework."""

    name: str
    """As the framework's tool spells it: it knows components by name."""
    description: str
    mof_class: int
    licence: str | None
    """None: it is not released, or under no open licence."""
    where: str

    @property
    def required(self) -> bool:
        """Whether a class needs it."""
        return self.name not in OPTIONAL


def components(given: Sections) -> tuple[Component, ...]:
    """All that the framework asks for, with what is there."""
    licence = given["release"]["licence"]
    weights = licence if licence in OPEN_WEIGHTS else None
    described = all(one["facts"] is not None for one in given["datasets"]) and given["datasets"]
    measured = any(one["bits_per_byte"] is not None for one in given["measurements"])
    source = "https://pypi.org/project/concord"
    rows = (
        ("Model architecture", "Code of the network", 3, CODE, "transformers"),
        ("Model parameters (Final)", "The weights", 3, weights, "model.safetensors"),
        ("Model card", "What it is and how it does", 3, DOCUMENT, "README.md"),
        ("Data card", "Records of every dataset", 3, DOCUMENT if described else None, "croissant/"),
        ("Technical report", "How it was made", 3, DOCUMENT, "papers/model-documentation.md"),
        (
            "Evaluation results",
            "Measured by the members",
            3,
            DOCUMENT if measured else None,
            "README.md",
        ),
        ("Sample model outputs", "None are in the release", 3, None, ""),
        ("Training code", "What members and coordinator run", 2, CODE, source),
        ("Inference code", "What runs the model", 2, CODE, "transformers"),
        ("Evaluation code", "What measures it", 2, CODE, source),
        ("Evaluation data", "Held-out text stays at its member", 2, None, ""),
        ("Supporting libraries and tools", "What it stands on", 2, CODE, source),
        ("Datasets", "Text stays at its member", 1, None, ""),
        ("Model metadata", "In the log, which nobody put under a licence", 1, None, ""),
        ("Data preprocessing code", "Cleaning, duplicates, personal data", 1, CODE, source),
        ("Research paper", "There is none yet", 1, None, ""),
        ("Model parameters (Intermediate)", "Rebuilt from the log's updates", 1, None, ""),
    )
    return tuple(Component(*row) for row in rows)


def mof_class(found: Collection[Component]) -> int | None:
    """3, 2 or 1; None if not even the least is met."""
    reached = None
    for level in (3, 2, 1):
        if lacking(found, level):
            break
        reached = level
    return reached


def lacking(found: Collection[Component], level: int) -> list[str]:
    """What a class needs and the release does not have."""
    return [
        one.name for one in found if one.licence is None and one.required and one.mof_class >= level
    ]


def openness_words(given: Sections) -> str:
    """The class in words, and what stands in the way of the next one."""
    found = components(given)
    reached = mof_class(found)
    names = {3: "class III (Open Model)", 2: "class II (Open Tooling)", 1: "class I (Open Science)"}
    next_level = 3 if reached is None else reached - 1
    missing = lacking(found, next_level)
    said = "no MOF class" if reached is None else f"MOF {names[reached]}"
    way = f"; {names[next_level]} lacks: {', '.join(missing)}" if next_level and missing else ""
    return said + way


def osaid_words(given: Sections) -> str:
    """Whether the Open Source AI Definition 1.0 can be claimed, by what it asks for."""
    undescribed = sorted(
        {one["id"] for one in given["members"]}
        - {one["member"] for one in given["datasets"] if one["facts"] is not None}
    )
    if given["release"]["licence"] not in OPEN_WEIGHTS:
        return "not Open Source AI: the licence of the weights is not open"
    if undescribed:
        return (
            "Open Source AI cannot be claimed: the text of "
            f"{', '.join(undescribed)} is not described"
        )
    return (
        "Open Source AI by OSAID 1.0, as far as it asks for a full description of data that cannot"
        " be shared, code, and parameters (the definition's words were not verified)"
    )


def mof_document(given: Sections) -> dict[str, Any]:
    """The framework's own form."""
    release = given["release"]
    return {
        "framework": {
            "name": "Model Openness Framework",
            "version": "1.0",
            "date": "2024-12-15",
        },
        "release": {
            "name": f"{release['name']}-{release['version']}",
            "version": release["version"],
            "date": release["day"],
            "license": {"distribution": {"name": release["licence"], "path": "LICENSE"}},
            "type": "language",
            "architecture": "transformer decoder",
            "treatment": "pre-trained",
            "origin": release["name"],
            "producer": ", ".join(one["owner"] for one in given["members"]),
            "contact": "papers/copyright-policy.md",
            "components": [
                {
                    "name": one.name,
                    "description": one.description,
                    "license": one.licence,
                    "component_path": one.where,
                }
                for one in components(given)
                if one.licence is not None
            ],
        },
    }
