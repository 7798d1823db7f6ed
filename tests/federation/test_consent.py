"""What a member's machine answers, from its own policy file: no unless it is told yes."""

from datetime import UTC, datetime

import pytest
from consentlab import FOUNDERS, NOON, OPEN, Member

from concord.base.digest import digest_bytes
from concord.charter.template import default_policy
from concord.federation.founding import Founder

PERSONAL = "SECRET-CANARY"


@pytest.fixture
def member(tmp_path):
    return Member(tmp_path)


def test_a_founder_begins_with_the_default_policy_readable_by_it_alone(member):
    assert member.folder.policy.read_text() == default_policy()
    assert member.folder.policy.stat().st_mode & 0o777 == 0o600


def test_the_default_policy_lets_undescribed_text_into_open_models_of_public_interest(member):
    for action in ("train", "evaluate"):
        answer = member.ask(action)
        assert answer.allowed
        assert answer.rules == ("undescribed-for-open-models",)
        assert answer.records == ()
        assert answer.policy == digest_bytes(default_policy().encode())


@pytest.mark.parametrize(
    "use", [{"purpose": "advertising"}, {"model_licence": "LicenseRef-closed"}]
)
def test_the_default_policy_refuses_any_other_use_of_undescribed_text(member, use):
    answer = member.ask(**use)
    assert (answer.allowed, answer.rules) == (False, ())
    assert answer.reason == "policy: undescribed: no rule permits"


def test_described_data_goes_by_its_record_and_not_by_the_rule_for_undescribed_text(member):
    record = member.describe()
    answer = member.ask()
    assert (answer.allowed, answer.rules) == (True, ("as-described",))
    assert answer.records == (record,)
    refused = member.ask(purpose="advertising")
    assert (refused.allowed, refused.rules) == (False, ())
    assert refused.reason == "policy: news: no rule permits"
    assert refused.records == (record,)


@pytest.mark.parametrize("action", ["train", "evaluate"])
def test_an_expired_record_is_refused_from_its_day_on(member, action):
    member.describe(expires="2026-09-22")
    assert member.ask(action).allowed
    member.clock.now = int(datetime(2026, 9, 22, tzinfo=UTC).timestamp()) - 1
    assert member.ask(action).allowed
    member.clock.now += 1
    assert member.ask(action).rules == ("charter-expired",)


def test_a_record_that_the_member_cannot_read_says_nothing_and_is_refused(member):
    member.write(OPEN)
    record = member.describe(keep=False)
    answer = member.ask()
    assert (answer.allowed, answer.records) == (False, (record,))


def test_a_record_that_was_altered_at_the_member_is_refused(member):
    member.write(OPEN)
    member.describe()
    path = member.folder.private / "datasets" / "news" / "record.json"
    path.write_bytes(path.read_bytes().replace(b"2031", b"2039"))
    assert not member.ask().allowed


def test_a_dataset_that_the_log_does_not_know_is_refused_where_its_text_is_used(member):
    member.write(OPEN)
    member.describe("law")
    assert member.ask(datasets=["law"]).allowed
    answer = member.ask(datasets=["law", "news"])
    assert not answer.allowed
    assert answer.reason.startswith("policy: news: ")


def test_a_revoked_dataset_whose_text_is_no_longer_used_keeps_nobody_out(member):
    member.write(OPEN)
    law = member.describe("law")
    member.describe("news")
    member.describe("news", revoked=True)
    assert member.ask(datasets=["law"]).records == (law,)


@pytest.mark.parametrize(("place", "rules"), [
    ("FJ", ("as-described",)),
    ("US", ("charter-residency", "outside-the-places-of-its-terms")),
])  # fmt: skip
def test_text_is_read_only_where_its_terms_say(member, place, rules):
    member.describe()
    member.folder.write(name="Fiji", text=("text.txt",))
    with member.folder.file.open("a") as file:
        file.write(f'residency = "{place}"\n')
    assert member.ask().rules == rules


def test_terms_by_which_no_update_leaves_forbid_training_and_allow_measuring(member):
    member.describe(updates_may_leave=False, stages=["evaluation"])
    assert member.ask(stage="evaluation").rules == ("charter-updates-stay",)
    assert member.ask("evaluate", stage="evaluation").allowed


def test_personal_text_needs_privacy_and_sealing_whatever_the_file_permits(member):
    member.write(OPEN)
    member.describe(sensitivity="personal")
    assert member.ask().rules == ("charter-privacy-floor",)
    assert member.ask(mode="sealed").rules == ("charter-privacy-floor",)
    assert member.ask("evaluate").allowed


def test_a_revoked_record_refuses_with_the_rule_that_says_so(member):
    member.write(OPEN)
    record = member.describe()
    assert member.ask().allowed
    member.describe(revoked=True)
    answer = member.ask()
    assert (answer.allowed, answer.rules) == (False, ("charter-revoked",))
    assert answer.records == (record,)


def test_a_members_own_revocation_holds_before_the_log_has_it(member):
    member.write(OPEN)
    member.describe()
    (member.folder.private / "datasets" / "news" / "revoked").touch()
    answer = member.ask()
    assert (answer.allowed, answer.rules) == (False, ("charter-revoked",))


def test_a_revoked_dataset_beside_one_that_stands_keeps_the_whole_member_out(member):
    member.write(OPEN)
    member.describe("law")
    member.describe("news")
    member.describe("news", revoked=True)
    answer = member.ask()
    assert answer.reason == "policy: news: charter-revoked"


def test_a_dataset_that_is_described_again_is_revoked_no_more(member):
    member.write(OPEN)
    member.describe()
    member.describe(revoked=True)
    record = member.describe()
    assert member.ask().records == (record,)
    assert member.ask().allowed


def test_datasets_of_others_are_not_asked_about(member):
    member.write(OPEN)
    member.describe(party="peru")
    assert member.ask().records == ()


@pytest.mark.parametrize("action", ["train", "evaluate"])
def test_a_stale_head_counts_as_a_halt_for_the_policy_too(member, action):
    answer = member.ask(action, stale=True)
    assert (answer.allowed, answer.rules) == (False, ("charter-halt",))


def test_text_that_is_read_elsewhere_than_its_owner_says_is_refused(member):
    member.folder.write(name="Fiji", text=("text.txt",))
    assert member.ask().allowed
    with member.folder.file.open("a") as file:
        file.write('residency = "US"\n')
    assert member.ask().rules == ("charter-residency",)


def test_an_unreadable_member_file_is_a_refusal(member):
    member.folder.file.write_text("residency = 7")
    answer = member.ask()
    assert not answer.allowed
    assert answer.reason == "policy: the question could not be asked"


# --- budgets ------------------------------------------------------------------------------------


def trains_with_noise(member, dataset, budget):
    path = member.folder.root / "privacy.toml"
    path.write_text(f'[[sensitive]]\ndataset = "{dataset}"\nmax_epsilon = {budget}\n')


def test_a_budget_of_zero_is_refused_from_the_start(member):
    member.describe(max_epsilon="0")
    assert member.ask().allowed, "without noise nothing is charged"
    trains_with_noise(member, "news", "8.0")
    assert member.ask().rules == ("charter-privacy-budget",), "the record's budget is what counts"


def test_a_budget_that_the_log_says_is_spent_is_refused(member):
    member.describe(max_epsilon="3.0")
    trains_with_noise(member, "news", "3.0")
    for spent, rules in (
        ("2.9999", ("as-described",)),
        ("2.99991", ("charter-privacy-budget",)),
        ("3.0", ("charter-privacy-budget",)),
    ):
        assert member.ask(spent={"news": spent}).rules == rules


def test_sensitive_text_without_a_record_goes_by_its_own_budget_and_the_rule_for_undescribed(
    member,
):
    trains_with_noise(member, "letters", "1.5")
    answer = member.ask()
    assert (answer.allowed, answer.records) == (True, ())
    assert member.ask(spent={"letters": "1.5"}).reason == "policy: letters: charter-privacy-budget"
    trains_with_noise(member, "letters", "0")
    assert member.ask().reason == "policy: letters: charter-privacy-budget"


def test_personal_text_with_noise_in_a_sealed_round_may_be_used(member):
    member.describe(sensitivity="personal", max_epsilon="3.0")
    trains_with_noise(member, "news", "3.0")
    assert member.ask(mode="sealed").allowed
    assert member.ask().rules == ("charter-privacy-floor",)


@pytest.mark.parametrize(
    "text", ["sensitive = 7", "[[sensitive]]", "x", "[[sensitive]]\nmax_epsilon = 1"]
)
def test_a_privacy_file_that_cannot_be_read_is_a_refusal(member, text):
    (member.folder.root / "privacy.toml").write_text(text)
    assert not member.ask().allowed


# --- files that cannot be used ------------------------------------------------------------------


def test_a_missing_policy_is_a_refusal(member):
    member.folder.policy.unlink()
    answer = member.ask()
    assert not answer.allowed
    assert answer.reason == "policy: the member's policy file cannot be read"
    assert answer.policy is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "permit (",
        'permit (principal, action, resource);',
        f'@id("a") permit (principal, action, resource) when {{ resource.name == "{PERSONAL}" }};',
        f'@id("a") permit (principal, action, resource) when {{ "{PERSONAL}".revoked }};',
        '@id("charter-halt") permit (principal, action, resource);',
        "// x\n" * 20_000,
    ],
)  # fmt: skip
def test_a_policy_that_does_not_validate_is_a_refusal_that_repeats_none_of_it(member, text):
    digest = member.write(text)
    answer = member.ask()
    assert not answer.allowed
    assert answer.reason.startswith("policy: the member's policy file cannot be")
    assert PERSONAL not in repr(answer)
    assert answer.policy in (digest, None)


def test_a_policy_that_is_no_text_or_a_link_is_a_refusal(member, tmp_path):
    member.folder.policy.write_bytes(b"\xff\xfe")
    assert not member.ask().allowed
    member.folder.policy.unlink()
    (tmp_path / "elsewhere").write_text(OPEN)
    member.folder.policy.symlink_to(tmp_path / "elsewhere")
    assert not member.ask().allowed


def test_a_changed_file_is_read_anew(member):
    assert member.ask().allowed
    digest = member.write('@id("never") forbid (principal, action, resource);')
    answer = member.ask()
    assert (answer.allowed, answer.rules, answer.policy) == (False, ("never",), digest)


# --- errors of the engine -----------------------------------------------------------------------


def test_an_error_of_the_engine_refuses_and_its_words_stay_at_the_member(member):
    """The engine repeats what it was asked about; only the member's own file may hold that."""
    member.write(
        OPEN + '@id("sums") forbid (principal, action == Concord::Action::"train", resource) when'
        f" {{ context.round + {2**63 - 1} > 0 }};"
    )
    answer = member.ask()
    assert not answer.allowed
    assert answer.rules == ()
    assert answer.reason == "policy: undescribed: the rules could not be asked without an error"
    kept = member.folder.private / "policy-faults.txt"
    assert "overflow" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_asked_is_a_refusal_without_the_words_of_the_error(member):
    """A roster with a stranger: the question itself cannot be made."""
    answer = member.ask(roster=("fiji", PERSONAL.lower()))
    assert not answer.allowed
    assert PERSONAL.lower() not in repr(answer)
    assert PERSONAL.lower() in (member.folder.private / "policy-faults.txt").read_text()


# --- what a ministry can ask about the others ---------------------------------------------------


@pytest.mark.parametrize(("kind", "allowed"), [("public-institution", True), ("company", False),
                                               ("unstated", False)])  # fmt: skip
def test_a_member_can_demand_that_no_private_company_is_called(tmp_path, kind, allowed):
    founders = {**FOUNDERS, "peru": Founder(jurisdiction="PE", kind=kind)}
    member = Member(tmp_path, founders=founders)
    member.write(
        OPEN + '@id("no-company") forbid (principal, action == Concord::Action::"train",'
        " resource) when { context.private_owners };"
    )
    answer = member.ask()
    assert answer.allowed == allowed
    assert answer.rules == (("open",) if allowed else ("no-company",))
    assert member.ask(roster=("chad", "fiji")).allowed, "a round without it"


def test_the_charter_in_force_is_what_a_rule_sees(member):
    digest = member.office.state.charter
    rule = (
        '@id("ratified") forbid (principal, action == Concord::Action::"train", resource)'
        ' when {{ context.charter_hash != "{}" }};'
    )
    member.write(OPEN + rule.format(digest))
    assert member.ask().allowed
    member.write(OPEN + rule.format("sha256:" + "0" * 64))
    assert member.ask().rules == ("ratified",)


def test_time_is_the_members_own(member):
    member.write(
        OPEN + '@id("until") forbid (principal, action == Concord::Action::"train", resource)'
        ' when { context.now >= datetime("2027-01-01") };'
    )
    assert member.ask().allowed
    member.clock.now = NOON + 200 * 86_400
    assert member.ask().rules == ("until",)
