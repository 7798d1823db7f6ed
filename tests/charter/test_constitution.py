"""The charter document and its bundle: what is refused, and what the digest binds."""

import os
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import CharterError, PolicyRefused
from concord.base.objects import ObjectStore
from concord.charter.bundle import MAX_FILE_BYTES, bundle_from, bundle_of, load_bundle, store_bundle
from concord.charter.compute import duties_at, overseers_at, reaches
from concord.charter.constitution import parse_charter
from concord.charter.paths import LAW
from concord.charter.template import default_cap, default_charter, write_default_charter
from fuzzcases import FUZZ_CASES

ATLAS = default_charter("Atlas", members=5)
TOML = ATLAS.files["charter.toml"].decode()


def edited(old, new):
    assert old in TOML
    return TOML.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("version = 1", "version = 0", "version"),
        ("version = 1", "version = 1\nmotto = 'x'", "motto: unknown key"),
        ('name = "Atlas"', 'name = "At\\u202Elas"', "name: holds the unseen character U[+]202E"),
        ('name = "Atlas"', "", "name"),
        ('probation_weight = "1/2"', "probation_weight = 0.5", "exact fraction"),
        ('probation_weight = "1/2"', 'probation_weight = "3/2"', "probation_weight"),
        ('owner_cap = "1/2"', 'owner_cap = "0"', "owner_cap"),
        ('owner_cap = "1/2"', 'owner_cap = "1e-999999999"', "not a fraction"),
        ("min_members = 2", "min_members = 0", "min_members"),
        ('max_head_age_s = "24h"', "max_head_age_s = 0", "nobody could ever train"),
        ('max_head_age_s = "24h"', 'max_head_age_s = "a day"', "72h"),
        ('halt_max_s = "72h"', "halt_max_s = -1", "between 0 and 100 years"),
        ('takeover = {over = "1/2"}', 'takeover = {over = "1/2", min = "1/2"}', "either 'min'"),
        ('halt_members = "1/4"', 'halt_members = "5/4"', "at most 1"),
        ("witnessed_before_training = true", "witnessed_before_training = 1", "witnessed"),
        ('modes = ["open", "sealed"]', "modes = []", "floor.modes"),
        ('modes = ["open", "sealed"]', 'modes = ["secret"]', "floor.modes"),
        ('admit = "admit"', "", "uses: no rule for admit"),
        ('admit = "admit"', 'admit = "coin"', "uses.admit: there is no rule 'coin'"),
        ('admit = "admit"', 'admit = "admit"\nwar = "admit"', "uses.war"),
        ('rule = "strong"', 'rule = "weak"', "compute.0.rule: there is no rule 'weak'"),
        ('log10_flop = "23.0"', 'log10_flop = "26.0"', "must ascend"),
        ('log10_flop = "23.0"', "log10_flop = 23.0", "decimal logarithm"),
        ('paths = ["rights"', 'paths = ["right"', "'right' is no field and no file"),
        ('unanimous = true', 'unanimous = true\nuntil = "2030-01-01"', "nobody could renew"),
        ("[rule.strong]", "[rule.'St rong']", "is not a name"),
        ("[rounds]", "[rounds", "not TOML"),
        ('application = ["identity_key"', 'application = ["iq"', "application"),
    ],
)  # fmt: skip
def test_an_impossible_charter_is_refused_naming_file_and_field(old, new, fault):
    with pytest.raises(CharterError, match=fault) as caught:
        bundle_from(dict(ATLAS.files) | {"charter.toml": edited(old, new)}, where="atlas/charter")
    assert caught.value.where == "atlas/charter/charter.toml"


def test_shares_and_times_are_exact():
    charter = ATLAS.charter
    assert charter.members.probation_weight == Fraction(1, 2)
    assert charter.log.max_head_age_s == 86_400
    assert charter.oversight.extend_max_s == 2_592_000
    assert [charter.log.witness_quorum.needed(n) for n in (3, 5, 8, 16)] == [3, 4, 6, 11]
    assert [charter.coordinator.takeover.needed(n) for n in (0, 2, 3, 4)] == [0, 2, 2, 3]
    assert [charter.oversight.halt_members.needed(n) for n in (3, 4, 5, 8)] == [1, 1, 2, 2]
    assert [charter.rounds.needed(n) for n in (2, 3, 5, 8)] == [2, 2, 3, 4]


@given(st.integers(0, 60), st.fractions(0, 1, max_denominator=60))
def test_the_number_needed_is_the_least_that_meets_the_share(count, share):
    for fields in ({"over": share}, {"min": share}):
        if (share == 1 and "over" in fields) or (share == 0 and "min" in fields):
            continue
        threshold = ATLAS.charter.coordinator.takeover.model_validate(fields)
        enough = [n for n in range(count + 2) if count and threshold.met(Fraction(n, count))]
        assert threshold.needed(count) == (enough[0] if enough else 0)


def test_the_cap_of_the_template_holds_with_a_bare_quorum_after_a_departure():
    for members in range(3, 60):
        for left in (members, members - 1):
            owners = ATLAS.charter.rounds.needed(left)
            assert owners * default_cap(members) >= 1


@pytest.mark.parametrize(
    ("flop", "duties", "rule", "overseers"),
    [
        (10**23 - 1, 0, None, 0),
        (10**23, 3, "strong", 3),
        (10**25 - 1, 3, "strong", 3),
        (10**25, 8, "strong", 5),
    ],
)
def test_duties_and_majorities_grow_with_joint_compute(flop, duties, rule, overseers):
    found, stronger = duties_at(ATLAS.charter, flop)
    assert (len(found), stronger) == (duties, rule)
    assert overseers_at(ATLAS.charter, flop) == overseers


def test_a_broken_logarithm_is_compared_exactly():
    """10^23.5 lies between these two whole numbers: the root of 10^47."""
    assert not reaches(316_227_766_016_837_933_199_889, Decimal("23.5"))
    assert reaches(316_227_766_016_837_933_199_890, Decimal("23.5"))
    for impossible in (10**41, -1):
        with pytest.raises(CharterError, match="between 0"):
            reaches(impossible, Decimal("23.5"))


def test_the_digest_binds_every_byte_of_every_file():
    for path, data in ATLAS.files.items():
        comment = b"\n# x\n" if path.endswith("toml") else b"\n// x\n"
        changed = bundle_from(dict(ATLAS.files) | {path: data + comment})
        assert changed.digest != ATLAS.digest
        assert changed.charter == ATLAS.charter
    assert bundle_from(dict(reversed(ATLAS.files.items()))).digest == ATLAS.digest


def test_a_charter_comes_back_from_its_digest_alone(tmp_path):
    objects = ObjectStore(tmp_path)
    assert store_bundle(ATLAS, objects) == ATLAS.digest
    assert bundle_of(objects, ATLAS.digest) == ATLAS


@pytest.mark.parametrize("text", [b"[]", b'{"charter.toml": 3}', b"{", b'{"a":1,"a":1}', b"null"])
def test_an_object_that_is_no_manifest_is_refused(tmp_path, text):
    objects = ObjectStore(tmp_path)
    with pytest.raises(CharterError):
        bundle_of(objects, objects.put(text))


def test_a_manifest_in_another_form_is_refused(tmp_path):
    objects = ObjectStore(tmp_path)
    store_bundle(ATLAS, objects)
    with pytest.raises(CharterError, match="canonical"):
        bundle_of(objects, objects.put(ATLAS.manifest.replace(b'",', b'", ')))


@pytest.mark.parametrize(
    ("path", "data", "fault"),
    [
        ("law/eu.cedar", b'@id("x") permit (principal, action, resource);', "permits: x"),
        ("charter.cedar", b'@id("x") permit (principal, action, resource);', "permits: x"),
        ("law/eu.cedar", b"forbid (principal, action, resource);", "no @id"),
        ("law/x.cedar", b'@id("charter-halt") forbid(principal, action, resource);', "before"),
        ("law/EU.cedar", b"", "no file of a charter"),
        ("../x.cedar", b"", "no file of a charter"),
        ("law/eu.cedar", b"\xff", "not UTF-8"),
        ("law/eu.cedar", b"// x\r\n", "Windows line ends"),
        ("law/eu.cedar", "// \u2066".encode(), "unseen"),
        ("law/eu.cedar", b" " * (MAX_FILE_BYTES + 1), "longer than"),
        ("schema.cedarschema", b"entity Dataset;", "rule charter-"),
    ],
)  # fmt: skip
def test_a_file_that_has_no_place_in_a_charter_is_refused(path, data, fault):
    with pytest.raises(CharterError, match=fault) as caught:
        bundle_from(dict(ATLAS.files) | {path: data}, where="atlas")
    assert "atlas" in str(caught.value.where)


def test_a_law_that_does_not_fit_the_schema_is_named_by_its_file():
    law = b'@id("x") forbid (principal, action, resource) when { context.rond > 1 };'
    with pytest.raises(PolicyRefused, match="rule x: attribute `rond`") as caught:
        bundle_from(dict(ATLAS.files) | {"law/eu.cedar": law}, where="atlas")
    assert caught.value.where == "atlas/law/eu.cedar"


def test_many_files_or_many_bytes_are_refused_before_they_are_read():
    law = b'@id("x") forbid (principal, action, resource);'
    many = {f"law/a{i}.cedar": law for i in range(40)}
    with pytest.raises(CharterError, match="more than 32 files"):
        bundle_from(dict(ATLAS.files) | many)
    large = {f"law/a{i}.cedar": b" " * 60_000 for i in range(10)}
    with pytest.raises(CharterError, match="more than 524,288 bytes"):
        bundle_from(dict(ATLAS.files) | large)


@pytest.mark.parametrize("path", ["charter.toml", "schema.cedarschema", "charter.cedar"])
def test_a_missing_file_is_named(path):
    files = {name: data for name, data in ATLAS.files.items() if name != path}
    with pytest.raises(CharterError, match=f"{path} is missing"):
        bundle_from(files)


def test_a_charter_is_written_once_and_read_back(tmp_path):
    written = write_default_charter(tmp_path, 'The "Atlas" of @DELAY@', members=4)
    assert load_bundle(tmp_path) == written
    assert written.charter.name == 'The "Atlas" of @DELAY@'
    with pytest.raises(CharterError, match="already"):
        write_default_charter(tmp_path, "Atlas", members=4)


def test_a_folder_with_a_stray_file_or_a_link_is_refused(tmp_path):
    write_default_charter(tmp_path, "Atlas", members=3)
    stray = tmp_path / "charter.toml~"
    stray.write_text("x")
    with pytest.raises(CharterError, match=r"charter\.toml~ is no file"):
        load_bundle(tmp_path)
    stray.unlink()
    outside = tmp_path.parent / "outside.cedar"
    outside.write_text('@id("x") forbid (principal, action, resource);')
    os.symlink(outside, tmp_path / "law" / "ke.cedar")
    with pytest.raises(CharterError, match="no plain file"):
        load_bundle(tmp_path)


def test_an_empty_folder_names_the_command_that_writes_a_charter(tmp_path):
    with pytest.raises(CharterError, match="concord init"):
        load_bundle(tmp_path)


CASES = FUZZ_CASES
COMPACT = b"""
name = "A"
version = 1
purpose = "P"
organs = {members = "M", oversight = "O", coordinator = "C"}
rights = {leave = "L", own_data = "D", open_result = "R", licences = ["MIT"]}
members = {application = ["speakers"], probation_rounds = 3, probation_weight = "1/2"}
influence = {owner_cap = "1/4"}
rounds = {quorum = "1/2", min_members = 2}
log = {witness_quorum = {over = "2/3"}, max_head_age_s = "24h"}
coordinator = {takeover = {over = "1/2"}}
floor = {modes = ["open"]}
rule.a = {all = [{by = "one", over = "1/2"}]}
entrenched = {rule = "a", paths = ["rights"]}
compute = [{log10_flop = "23.0", duties = ["card"]}]
[uses]
ordinary = "a"
run = "a"
release = "a"
amend = "a"
admit = "a"
expel = "a"
suspend = "a"
lift-halt = "a"
[oversight]
min_overseers = 0
halt_members = "1/4"
halt_max_s = 9
extend_overseers = "2/3"
extend_max_s = "30d"
lift_overseers = {over = "1/2"}
"""


@pytest.mark.parametrize("text", [b"x = " + b"[" * 60_000, b"x = " + b"9" * 10_000, b"[a.b" * 99])
def test_nested_and_endless_values_are_refused(text):
    with pytest.raises(CharterError):
        parse_charter(text)


def test_random_bytes_are_no_charter_and_no_crash():
    random = Random(3)
    for _ in range(CASES):
        with pytest.raises(CharterError):
            parse_charter(random.randbytes(random.randrange(200)))


def test_a_charter_with_any_bit_flipped_is_refused_or_valid_and_never_a_crash():
    random = Random(5)
    refused = 0
    assert parse_charter(COMPACT)
    for _ in range(CASES):
        data = bytearray(COMPACT)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        try:
            parse_charter(bytes(data))
        except CharterError:
            refused += 1
    assert refused > CASES // 3


def test_a_flipped_bit_in_a_cedar_file_is_refused_or_changes_the_digest():
    random = Random(7)
    plain = {path: data for path, data in ATLAS.files.items() if not path.startswith(LAW)}
    for _ in range(300):
        path = random.choice(["charter.cedar", "schema.cedarschema"])
        data = bytearray(ATLAS.files[path])
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        try:
            assert bundle_from(plain | {path: bytes(data)}).digest != bundle_from(plain).digest
        except CharterError as error:
            assert str(error.where).startswith("charter")
