"""Law as data: duties that are n/a, met or UNMET, and nothing that permits."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import PolicyRefused
from concord.charter.bundle import bundle_from
from concord.charter.law import ReleaseFacts, artifacts_of, jurisdictions, law_matrix, log10
from concord.charter.paths import LAW, SCHEMA
from concord.charter.template import default_charter

ATLAS = default_charter("Atlas", members=5)
DAY = 86_400
NOW = int(datetime(2026, 11, 26, tzinfo=UTC).timestamp())
ALL = {name for rule in ATLAS.rules.values() for name in artifacts_of(rule)}
EVERYTHING = dict.fromkeys(ALL, NOW - DAY)


def facts(**changes):
    found = ReleaseFacts(
        now=NOW,
        flop=4 * 10**23,
        licence="Apache-2.0",
        markets=("EU", "BR", "US"),
        evidence=EVERYTHING,
    )
    return replace(found, **changes)


def standing(bundle=ATLAS, **changes):
    """Status by duty."""
    return {duty.id: duty.status for duty in law_matrix(bundle, facts(**changes))}


def unmet(**changes):
    return {name for name, status in standing(**changes).items() if status == "UNMET"}


def without(*names):
    return {name: at for name, at in EVERYTHING.items() if name not in names}


# --- the five scenarios -------------------------------------------------------------------------


def test_with_all_evidence_nothing_is_unmet():
    assert unmet() == set()
    assert standing()["EU-53-1-d"] == "met"


def test_a_missing_complaint_contact_blocks_and_opens_again():
    assert unmet(evidence=without("complaint-contact")) == {"EU-COP-complaints"}
    assert unmet(evidence=EVERYTHING) == set()


def test_little_compute_makes_the_rows_of_the_ai_act_not_apply():
    found = standing(flop=10**17, evidence={})
    european = {name for name in found if name.startswith("EU-")}
    assert len(european) > 10
    assert {found[name] for name in european} == {"n/a"}
    assert found["GDPR-35"] == "UNMET", "data protection asks for no compute"


def test_systemic_risk_brings_annex_xi_and_ends_the_exemption_of_open_models():
    new = unmet(evidence={}, log10_flop=Decimal("25.1")) - unmet(evidence={})
    assert new == {
        "EU-53-1-a", "EU-XI-1-2-c", "EU-53-1-b", "EU-54-1", "EU-52-1", "EU-55-1-a", "EU-55-1-b",
        "EU-55-1-c", "EU-55-1-d", "EU-XI-2",
    }  # fmt: skip


def test_a_summary_older_than_six_months_is_unmet():
    for days, status in ((183, "met"), (184, "UNMET")):
        evidence = EVERYTHING | {"training-summary": NOW - days * DAY}
        assert standing(evidence=evidence)["EU-53-1-d"] == status


# --- when and where -----------------------------------------------------------------------------


def test_a_duty_begins_on_its_day():
    began = int(datetime(2025, 8, 2, tzinfo=UTC).timestamp())
    old = {"training-summary": began - DAY}
    assert standing(now=began - 1, evidence=old)["EU-53-1-d"] == "n/a"
    assert standing(now=began, evidence=old)["EU-53-1-d"] == "met"


def test_a_closed_licence_ends_the_exemption_too():
    assert unmet(evidence={}, licence="LicenseRef-closed") - unmet(evidence={}) == {
        "EU-53-1-a", "EU-XI-1-2-c", "EU-53-1-b", "EU-54-1"}  # fmt: skip


@pytest.mark.parametrize("place", ["BR", "CH", "EU", "IN", "US"])
def test_only_the_law_of_places_where_it_is_published_applies(place):
    later = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
    duties = law_matrix(ATLAS, facts(markets=(place,), evidence={}, now=later))
    assert {duty.jurisdiction for duty in duties if duty.status != "n/a"} == {place}


def test_chinas_law_applies_only_where_a_service_is_offered_there():
    assert standing(markets=("CN",), evidence={})["CN-45654"] == "n/a"
    assert standing(services=("CN",), evidence={})["CN-45654"] == "UNMET"


def test_either_of_two_pieces_of_evidence_meets_a_duty_that_takes_either():
    for name in ("transfer-basis", "anonymity-assessment"):
        assert standing(evidence={name: NOW})["GDPR-44"] == "met"
    assert standing(evidence={})["GDPR-44"] == "UNMET"


def test_evidence_of_other_names_changes_nothing():
    assert standing(evidence={"floor": NOW}) == standing(evidence={})


# --- the files ----------------------------------------------------------------------------------


def test_every_jurisdiction_has_a_file():
    assert jurisdictions(ATLAS) == ("BR", "CH", "CN", "EU", "IN", "US")


def test_every_duty_says_law_evidence_day_and_what_it_is():
    for duty in law_matrix(ATLAS, facts()):
        assert duty.law
        assert duty.says.endswith(".")
        assert duty.artifacts
        date.fromisoformat(duty.since)
        assert duty.check is None or duty.check.startswith("check with counsel: ")


def test_what_a_rule_says_of_its_day_is_what_it_does():
    """`@since` is for readers; the condition is what counts. They must be the same day."""
    everywhere = {"markets": jurisdictions(ATLAS), "services": ("CN",), "evidence": {}}
    for duty in law_matrix(ATLAS, facts()):
        began = int(datetime.fromisoformat(duty.since).replace(tzinfo=UTC).timestamp())
        for now, status in ((began - 1, "n/a"), (began, "UNMET")):
            found = standing(now=now, log10_flop=Decimal("26.5"), **everywhere)
            assert found[duty.id] == status


def test_every_evidence_that_a_rule_names_meets_it():
    everywhere = {"markets": jurisdictions(ATLAS), "services": ("CN",)}
    later = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
    for duty in law_matrix(ATLAS, facts()):
        evidence = dict.fromkeys(duty.artifacts, later)
        found = standing(now=later, evidence=evidence, log10_flop=Decimal("26.5"), **everywhere)
        assert found[duty.id] == "met"


def test_law_changes_without_code():
    text = """
        @id("KE-1") @law("A law of Kenya") @artifact("complaint-contact") @since("2027-01-01")
        forbid (principal, action == Concord::Action::"release", resource)
        when { resource.markets.contains("KE") } unless { resource.evidence has complaint_contact };
    """
    bundle = bundle_from({**ATLAS.files, "law/ke.cedar": text.encode()})
    assert standing(bundle, markets=("KE",), evidence={})["KE-1"] == "UNMET"
    assert standing(bundle, markets=("KE",))["KE-1"] == "met"
    assert standing(bundle)["KE-1"] == "n/a"


def test_a_law_file_that_permits_is_refused():
    text = b'@id("a") permit (principal, action, resource);'
    with pytest.raises(PolicyRefused, match="permits: a"):
        bundle_from({**ATLAS.files, "law/ke.cedar": text})


def test_evidence_that_the_schema_lacks_can_never_meet_a_duty():
    text = """
        @id("KE-1") @law("A law of Kenya") @artifact("a-new-one") @since("2020-01-01")
        forbid (principal, action == Concord::Action::"release", resource)
        unless { resource.evidence has a_new_one };
    """
    bundle = bundle_from({**ATLAS.files, "law/ke.cedar": text.encode()})
    assert standing(bundle, evidence={})["KE-1"] == "UNMET"
    with pytest.raises(PolicyRefused, match=r"must be in schema\.cedarschema too"):
        standing(bundle, evidence={"a-new-one": NOW})


def test_a_rule_without_its_law_is_refused_when_the_matrix_is_made():
    text = (
        '@id("a") @artifact("dpia") forbid (principal, action, resource) when { context.halted };'
    )
    bundle = bundle_from({**ATLAS.files, "law/ke.cedar": text.encode()})
    with pytest.raises(PolicyRefused, match="rule a lacks @law"):
        law_matrix(bundle, facts())


def test_a_rule_that_errs_refuses_the_matrix_instead_of_being_skipped():
    text = (
        '@id("a") @law("x") @artifact("dpia") @since("2020-01-01")'
        ' forbid (principal, action == Concord::Action::"release", resource)'
        ' when { context.now.offset(duration("9223372036854775807ms")) > context.now };'
    )
    bundle = bundle_from({**ATLAS.files, "law/ke.cedar": text.encode()})
    with pytest.raises(PolicyRefused, match="could not be asked"):
        law_matrix(bundle, facts())


def test_a_charter_without_law_files_has_no_duties():
    files = {path: data for path, data in ATLAS.files.items() if not path.startswith(LAW)}
    assert law_matrix(bundle_from(files), facts()) == ()
    assert SCHEMA in files


# --- compute ------------------------------------------------------------------------------------


@given(st.integers(1, 10**40))
def test_the_logarithm_is_never_less_than_the_compute(flop):
    power = log10(flop)
    assert power.as_tuple().exponent == -4
    exact = Decimal(flop).log10()
    assert Decimal(0) <= power - exact + Decimal("1e-20")
    assert power - exact < Decimal("0.0002")


@pytest.mark.parametrize(
    ("flop", "power"), [(0, "0"), (1, "0"), (10**23, "23"), (10**23 + 1, "23.0001")]
)
def test_a_mark_is_reached_exactly(flop, power):
    assert log10(flop) == Decimal(power)


@pytest.mark.parametrize("flop", [-1, 10**40 + 1])
def test_compute_out_of_all_bounds_is_refused(flop):
    with pytest.raises(ValueError, match="between 0 and"):
        log10(flop)
