"""Words in at least six languages, one of them from right to left; others can be brought along."""

import json
import re
from typing import get_args

import pytest

from concord.base.errors import DocumentError
from concord.charter import law
from concord.charter.tally import Result
from concord.ledger.state import release_gates
from concord.ledger.state.model import RunSeat, Standing
from concord.ledger.statements.aftermath import Matter, MatterAnswered
from concord.ledger.statements.evidence import GateEvidence
from concord.ledger.statements.votes import Ballot, Decision
from concord.observatory.pages.language import FIRST, chosen, languages
from concord.observatory.pages.regulator import What

ENGLISH = languages()[FIRST].messages


def test_at_least_six_languages_one_of_them_from_right_to_left():
    found = languages()
    assert len(found) >= 6
    assert {"rtl", "ltr"} == {one.direction for one in found.values()}
    assert next(iter(found)) == FIRST


@pytest.mark.parametrize("code", [code for code in languages() if code != FIRST])
def test_a_language_says_everything_in_its_own_words(code):
    """Names of things (FLOP, SHA-256) are alike everywhere; sentences are not."""
    own = languages()[code].messages
    assert own.keys() == ENGLISH.keys()
    same = [key for key, text in own.items() if text == ENGLISH[key] and len(text.split()) > 2]
    assert same == []


def values_of(document, field):
    return get_args(document.model_fields[field].annotation)


@pytest.mark.parametrize(
    ("prefix", "values"),
    [
        ("standing", get_args(Standing)),
        ("run", values_of(RunSeat, "standing")),
        ("vote", values_of(Ballot, "choice")),
        ("outcome", values_of(Decision, "outcome")),
        ("outcome", [str(one) for one in Result]),
        ("gate", values_of(GateEvidence, "result")),
        ("gate", get_args(release_gates.Status)),
        ("duty", get_args(law.Status)),
        ("objection", values_of(Matter, "sort")),
        ("objection", values_of(MatterAnswered, "outcome")),
        ("ends", get_args(What)),
    ],
)
def test_whatever_a_log_can_say_has_a_word(prefix, values):
    assert values
    assert {f"{prefix}.{value}" for value in values} <= ENGLISH.keys()


@pytest.mark.parametrize("code", list(languages()))
def test_messages_hold_no_markup(code):
    for key, text in languages()[code].messages.items():
        assert not re.search(r"[<>&]", text), (code, key)


def test_numbers_days_and_names_are_written_as_the_language_does():
    found = languages()
    assert found["fr"].number(1234.5, 1) == "1\u202f234,5"
    assert found["en"].number(1234.5, 1) == "1,234.5"
    assert found["es"].day(1_700_000_000) == "14 de noviembre de 2023"
    assert found["sw"].language("am") == "Kiamhari"
    assert found["fr"].territory("KE") == "Kenya"
    assert found["pt"].territory("ET") == "Etiópia"
    assert found["hi"].territory("atlantis") == "atlantis"
    assert found["ar"].moment(-1) == found["ar"].number(None) == "–"


def test_a_gain_is_a_lower_loss():
    english = languages()[FIRST]
    assert english.change(0.92).startswith("+8.0")
    assert english.change(1.1).startswith("−10.0")
    assert english.change(None) == "–"


def write(folder, name, messages):
    path = folder / name
    path.write_text(json.dumps(messages))
    return path


def test_a_language_of_ones_own_is_taken(tmp_path):
    path = write(tmp_path, "de.json", ENGLISH | {"nav.index": "Übersicht"})
    found = chosen(["de"], [path])
    assert list(found) == ["en", "de"]
    assert found["de"].say("nav.index") == "Übersicht"
    assert found["de"].name == "Deutsch"


@pytest.mark.parametrize(
    ("name", "messages", "why"),
    [
        ("xyzzy.json", ENGLISH, "is no language"),
        ("de.json", {k: v for k, v in ENGLISH.items() if k != "nav.index"}, "lacks message"),
        ("de.json", ENGLISH | {"nav.moon": "Mond"}, "has the unknown message"),
        ("de.json", ENGLISH | {"foot.made": "Gemacht."}, "same places"),
        ("de.json", ENGLISH | {"nav.index": 1}, "no JSON of texts"),
        ("de.json", [], "no JSON of texts"),
    ],
)
def test_a_language_that_says_less_or_other_things_is_refused(tmp_path, name, messages, why):
    with pytest.raises(DocumentError, match=why):
        chosen([], [write(tmp_path, name, messages)])


def test_an_unknown_language_is_refused_with_those_that_are_there():
    with pytest.raises(DocumentError, match="no messages in 'tlh'") as refused:
        chosen(["tlh"])
    assert "sw" in (refused.value.remedy or "")
