"""`mof.yml` holds by the rules of the framework's own tool, which reads it and computes the class.

The rules are stated here in our words, after schema/mof_schema.json, the module's settings and its
ModelEvaluator in https://github.com/lfai/model_openness_tool (MIT), commit 8b5d30e, May 2026.
"""

import copy
import json
from datetime import date

import pytest
from releaselab import history_with_a_run, made_of, write_again

from concord.release.papers.openness import components, mof_class, mof_document
from concord.release.papers.render import render
from concord.release.papers.sections import sections_of

TYPES = ["", "language", "vision", "image", "audio", "video", "3d", "code", "multimodal", "other"]
ARCHITECTURES = [
    *("", "transformer", "transformer decoder", "transformer encoder-decoder", "decoder"),
    *("encoder", "diffusion", "RNN", "CNN", "LSTM", "NeRF", "hybrid", "undisclosed", "other"),
]
TREATMENTS = ["pre-trained", "instruct fine-tuned", "chat fine-tuned"]
NEEDED = {
    3: {
        *("Model architecture", "Model parameters (Final)", "Model card", "Data card"),
        *("Technical report", "Evaluation results"),
    },
    2: {"Training code", "Inference code", "Evaluation code", "Evaluation data"},
    1: {
        *("Datasets", "Data preprocessing code", "Model parameters (Intermediate)"),
        "Research paper",
    },
}
FREE = {3: {"Sample model outputs"}, 2: {"Supporting libraries and tools"}, 1: {"Model metadata"}}
TEXT = {
    "release": ("name", "version", "origin", "producer", "contact"),
    "component": ("name", "description", "license", "license_path", "component_path"),
}


def faults(document):
    """What the tool's schema refuses, in words."""
    found = []
    framework, release = document.get("framework", {}), document.get("release", {})
    if framework.get("name") != "Model Openness Framework":
        found.append("framework.name")
    found += [f"framework.{key}" for key in ("name", "version", "date") if key not in framework]
    found += [
        f"release.{key}" for key in ("name", "license", "producer", "components")
        if not release.get(key)
    ]  # fmt: skip
    found += [
        f"release.{key}" for key in TEXT["release"] if not isinstance(release.get(key, ""), str)
    ]
    for place in (framework, release):
        try:
            date.fromisoformat(place.get("date", "2026-01-01"))
        except ValueError:
            found.append("date")
    for key, words in (("type", TYPES), ("architecture", ARCHITECTURES), ("treatment", TREATMENTS)):
        if release.get(key, words[0]) not in words:
            found.append(f"release.{key}")
    for kind, given in release.get("license", {}).items():
        if kind in ("distribution", "code", "document", "data"):
            found += [
                f"license.{kind}"
                for value in given.values()
                if type(value) not in (str, type(None))
            ]
    parts = release.get("components", [])
    if len(parts) > 17:
        found.append("release.components")
    known = set().union(*NEEDED.values(), *FREE.values())
    for part in parts:
        found += [
            f"{part.get('name')}.{key}"
            for key in TEXT["component"]
            if not isinstance(part.get(key, ""), str)
        ]
        if part.get("name") not in known:
            found.append(f"component {part.get('name')}")
    return found


def tools_class(document):
    """The class as the tool counts it: all that it and those below it need, openly licensed."""
    given = {part["name"] for part in document["release"]["components"] if part["license"]}
    reached = None
    for level in (3, 2, 1):
        if not NEEDED[level] <= given:
            break
        reached = level
    return reached


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    history, run = history_with_a_run(tmp_path_factory.mktemp("openness"))
    write_again(history)
    return sections_of(made_of(history, run))


def test_the_form_holds_by_the_rules_of_the_tool(given):
    assert faults(json.loads(render(given)["mof.yml"])) == []


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("framework", "name", "Another framework"),
        ("framework", "date", "yesterday"),
        ("release", "producer", ""),
        ("release", "type", "text"),
        ("release", "architecture", "decoder-only"),
        ("release", "treatment", "trained"),
        ("release", "name", None),
        ("release", "components", [{"name": "Model parameters (final)", "license": "MIT"}]),
    ],
)
def test_the_rules_refuse_what_the_tool_refuses(given, place, key, value):
    document = mof_document(given)
    document[place][key] = value
    assert faults(document)


def test_every_component_of_the_framework_is_judged_in_its_class(given):
    found = components(given)
    for level in (3, 2, 1):
        assert {one.name for one in found if one.mof_class == level} == NEEDED[level] | FREE[level]
    assert {one.name for one in found if one.required} == set().union(*NEEDED.values())


def test_the_class_is_what_the_tool_computes_from_the_form(given):
    given = copy.deepcopy(given)
    assert mof_class(components(given)) == tools_class(mof_document(given))
    for one in given["measurements"]:
        one["bits_per_byte"] = "1.5"
    for one in given["members"]:
        facts = {"terms": {}}
        given["datasets"].append({"member": one["id"], "dataset": "news", "facts": facts})
    assert mof_class(components(given)) == tools_class(mof_document(given)) == 3
    given["release"]["licence"] = "LicenseRef-research-only"
    assert mof_class(components(given)) is tools_class(mof_document(given)) is None
