"""The reference checker of Croissant reads our records. No network: a record names no address."""

import json

import pytest
from datasetlab import document

from concord.charter.dataset import record_bytes

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")


def checked(record):
    """The record as `mlcroissant` sees it; it raises where it finds an error."""
    import mlcroissant

    return mlcroissant.Dataset(jsonld=record).metadata


def test_the_reference_checker_finds_neither_errors_nor_warnings():
    issues = checked(json.loads(record_bytes(document()))).ctx.issues
    assert (list(issues.errors), list(issues.warnings)) == ([], [])


def test_the_reference_checker_sees_what_we_wrote():
    read = checked(json.loads(record_bytes(document())))
    assert read.ctx.is_v1_1()
    assert read.in_language == ["sw", "en-KE"]
    assert read.license[0] == "https://spdx.org/licenses/CC-BY-4.0"
    assert read.file_objects[0].sha256 == "ab" * 32
    assert any("email: 2" in line for line in read.personal_sensitive_information)
    assert read.data_limitations == ["Law and administration only."]


def test_the_use_terms_are_an_offer_that_survives_the_reference_checker():
    offer = checked(json.loads(record_bytes(document()))).to_json()["usageInfo"]
    operands = {
        one["odrl:leftOperand"]["@id"] for one in offer["odrl:permission"]["odrl:constraint"]
    }
    assert offer["@type"] == "odrl:Offer"
    assert {"odrl:purpose", "odrl:dateTime", "odrl:spatial"} <= operands


def test_the_reference_checker_does_find_errors():
    import mlcroissant

    record = json.loads(record_bytes(document()))
    del record["distribution"][0]["sha256"]
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        checked(record)
