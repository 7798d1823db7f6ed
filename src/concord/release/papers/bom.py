"""The bill of materials: CycloneDX 1.6 with the model, its datasets and its card.

Source: CycloneDX 1.6, types machine-learning-model and data, object modelCard.
"""

from __future__ import annotations

import uuid
from typing import Any

from concord.release.papers.sections import Sections


def bom(given: Sections) -> dict[str, Any]:
    """A valid CycloneDX document; what is not known is left out."""
    release, built = given["release"], given["architecture"]
    ref = f"model:{release['name']}@{release['version']}"
    datasets = [_dataset(one) for one in given["datasets"]]
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "self-supervised"},
            "task": "text generation",
            "architectureFamily": "transformer",
            "modelArchitecture": built["family"] or "continued",
            "datasets": [{"ref": one["bom-ref"]} for one in datasets],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": _metrics(given)},
        "considerations": {
            "useCases": [release["purpose"]],
            "technicalLimitations": ["See papers/model-documentation.md for what is not known."],
        },
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, release['model'] + ref)}",
        "version": 1,
        "metadata": {
            "timestamp": f"{release['day']}T00:00:00Z",
            "component": {
                "type": "machine-learning-model",
                "bom-ref": ref,
                "name": release["name"],
                "version": release["version"],
                "licenses": [{"license": _licence(release["licence"])}],
                "properties": [
                    {"name": "concord:base", "value": release["model"]},
                    {"name": "concord:federation", "value": release["federation"]},
                ],
                "modelCard": card,
            },
        },
        "components": datasets,
        "dependencies": [{"ref": ref, "dependsOn": [one["bom-ref"] for one in datasets]}],
    }


def _licence(name: str) -> dict[str, str]:
    return {"name": name} if name.startswith("LicenseRef-") else {"id": name}


def _dataset(one: dict[str, Any]) -> dict[str, Any]:
    name = f"{one['member']}/{one['dataset']}"
    facts = one["facts"]
    found: dict[str, Any] = {
        "type": "data",
        "bom-ref": f"dataset:{name}",
        "name": name,
        "properties": [{"name": "concord:record", "value": one["record"]}],
        "data": [{"type": "dataset", "name": name, "classification": "not released"}],
    }
    if facts is not None:
        found["description"] = facts["terms"]["description"]
        found["data"][0]["classification"] = facts["terms"]["sensitivity"]
    return found


def _metrics(given: Sections) -> list[dict[str, Any]]:
    found = [
        {
            "type": "bits per byte, held out",
            "value": one["bits_per_byte"],
            "slice": ", ".join(one["languages"]) or one["member"],
        }
        for one in given["measurements"]
        if one["bits_per_byte"] is not None
    ]
    for gate in given["gates"]:
        for measured in gate["measured"].values():
            found += [
                {"type": f"gate {gate['id']}: {gate['metric']}", "value": value, "slice": name}
                for name, value in measured.items()
            ]
    unique = {(one["type"], one["value"], one["slice"]): one for one in found}
    return list(unique.values())
