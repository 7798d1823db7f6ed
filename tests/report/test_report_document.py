"""report.json: the same bytes each time, and nothing in it that does not follow."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from report_sample import bare_report, sample_evidence, sample_report, small_report

from concord.base.canonical import canonical_json
from concord.base.digest import digest_bytes
from concord.base.errors import DocumentError
from concord.federation.report import (
    Evidence,
    FactCounts,
    ParallelCount,
    ReportMember,
    Sums,
    TokenizerPart,
    load_report,
    write_report,
)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "report.json"
    write_report(sample_report(), path)
    return path


def altered(path, change):
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("report", [sample_report(), small_report(), bare_report()])
def test_a_report_reads_back_as_it_was_written(tmp_path, report):
    path = tmp_path / "report.json"
    write_report(report, path)
    again = load_report(path)
    assert again == report
    assert again.to_json() == path.read_bytes()


def test_the_digest_is_that_of_the_canonical_form_of_the_file(saved):
    value = json.loads(saved.read_text(encoding="utf-8"))
    assert digest_bytes(canonical_json(value)) == sample_report().digest


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda v: v["figures"]["models"]["shared"].update(mean_bpb=1.0), "shared.mean_bpb"),
        (lambda v: v["figures"]["models"]["shared"].update(ratio_to_pooled=None), "shared"),
        (lambda v: v["figures"]["worst_sovereign"].update(member="kenya"), "worst_sovereign"),
        (lambda v: v["figures"]["members"].pop("kenya"), "figures.members"),
        (lambda v: v["figures"].update(tokens_equal=False), "tokens_equal"),
        (lambda v: v["evidence"]["matrix"]["pooled"]["kenya"].update(nats=9e9), "figures"),
        (lambda v: v["evidence"]["card"]["run"].update(seed=8), "digest"),
        (lambda v: v["evidence"].update(extra=1), "unknown key"),
        (lambda v: v.update(format="concord-report/9"), "format"),
        (lambda v: v["evidence"]["members"].pop(), "not in members"),
        (lambda v: v["evidence"]["members"][0].update(id="<b>"), "not a name"),
        (lambda v: v["evidence"]["matrix"].update({"shared\n": {}}), "matrix"),
    ],
)
def test_a_report_that_was_tampered_with_is_refused_naming_the_place(saved, change, word):
    with pytest.raises(DocumentError, match=word) as caught:
        load_report(altered(saved, change))
    assert str(saved) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": NaN}', b'{"a": 1, "a": 1}', b"[" * 9_000],
)
def test_a_damaged_file_is_a_clear_error(tmp_path, data):
    path = tmp_path / "report.json"
    path.write_bytes(data)
    with pytest.raises(DocumentError) as caught:
        load_report(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("infinity", [b"1e999", b"-1e999"])
def test_a_number_too_large_to_be_finite_is_refused(saved, infinity):
    saved.write_bytes(saved.read_bytes().replace(b'"wall_s": 1873', b'"wall_s": ' + infinity))
    with pytest.raises(DocumentError, match="wall_s"):
        load_report(saved)


def test_a_missing_report_or_a_folder_is_a_clear_error(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(DocumentError, match="cannot be read"):
            load_report(path)


@pytest.mark.parametrize("nats", [float("nan"), float("inf"), -1.0])
def test_impossible_sums_are_refused(nats):
    with pytest.raises(ValidationError):
        Sums(nats=nats, bytes=10, tokens=3)
    with pytest.raises(ValidationError):
        Sums(nats=1.0, bytes=0, tokens=0)


def test_more_facts_known_than_asked_is_refused():
    with pytest.raises(ValidationError, match="more facts known"):
        FactCounts(own_known=5, own_total=4, others_known=0, others_total=1)


def test_a_parallel_set_whose_languages_differ_in_sentences_is_refused():
    counts = {
        "a": ParallelCount(sentences=9, bytes=90, tokens=30),
        "b": ParallelCount(sentences=8, bytes=80, tokens=30),
    }
    with pytest.raises(ValidationError, match="differ in sentences"):
        TokenizerPart(mode="parity", vocabulary=300, merges=44, parallel=counts)


def test_a_member_named_twice_is_refused():
    card = sample_evidence().card
    with pytest.raises(ValidationError, match="named twice"):
        Evidence(card=card, members=(ReportMember(id="a"), ReportMember(id="a")))
