"""What a report says of where members ran: what is true of every start of the run, and no more."""

import pytest

from concord.federation.evidence import HERE_NOTE, MIXED_NOTE, SITES_NOTE, RunFacts, place_note
from concord.federation.records import RunFolder


def facts(*engines, wall_s=1.0):
    return RunFacts(
        text={}, tokens={}, labels={}, phases={}, wall_s=wall_s, toml=None, engines=engines
    )


def test_only_a_run_of_one_machine_is_said_to_be_on_one_machine():
    assert place_note(["local"]) == HERE_NOTE
    for engines in (["flare"], ["flare", "local"]):
        assert "All members ran on one machine" not in place_note(engines)
    assert "over mutual TLS" in place_note(["flare"])


@pytest.mark.parametrize(
    ("starts", "note"),
    [
        (["local", "local"], HERE_NOTE),
        (["flare", "flare"], SITES_NOTE),
        (["local", "flare"], MIXED_NOTE),
        (["flare", "local"], MIXED_NOTE),
    ],
)
def test_a_resumed_run_remembers_the_engine_of_its_earlier_starts(tmp_path, starts, note):
    folder = RunFolder(tmp_path, "atlas")
    folder.create()
    for engine in starts:
        facts(engine).save(folder)
    saved = RunFacts.load(folder)
    assert saved.wall_s == len(starts)
    assert place_note(saved.engines) == note


def test_facts_that_were_saved_before_engines_were_named_are_of_one_machine(tmp_path):
    folder = RunFolder(tmp_path, "atlas")
    folder.create()
    old = facts("flare").model_dump(mode="json")
    del old["engines"]
    assert place_note(RunFacts.model_validate(old).engines) == HERE_NOTE
