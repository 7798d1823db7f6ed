"""What ends a segment, as the driver is told it."""

import shutil

import pytest

from concord.base.errors import DocumentError, StorageError
from concord.federation.engine.flare.coordinating import coordinate
from concord.federation.engine.flare.segment import Order
from concord.federation.folders import FederationFolder
from concord.testing.founded import found
from concord.testing.memory_wire import Switchboard


@pytest.fixture
def federation(tmp_path):
    found(tmp_path / "atlas", ["fiji"])
    folder = FederationFolder(tmp_path / "atlas")
    folder.write_run('name = "first"\n[[roster]]\nid = "fiji"\n', "first")
    return folder


def ended(federation, digest):
    order = Order(
        segment="000001-0123abcd", run="first", digest=digest, members=("fiji",), quorum=1
    )
    wire = Switchboard().wire("server")
    return coordinate(wire, federation, order, aborted=lambda: True)


@pytest.mark.parametrize("store", ["objects/sha256", "log"])
def test_a_store_that_is_away_is_a_fault_of_the_disk_and_may_come_back(federation, store):
    shutil.move(federation.root / store, federation.root / "elsewhere")
    (federation.root / store).touch()
    standing = ended(federation, federation.load_run("first").digest)
    assert standing.state == "failed"
    assert standing.fault.code == StorageError.code
    assert standing.fault.where == str(federation.root / store)


def test_another_document_than_the_job_was_submitted_for_ends_the_segment(federation):
    standing = ended(federation, "sha256:" + "0" * 64)
    assert standing.fault.code == DocumentError.code
