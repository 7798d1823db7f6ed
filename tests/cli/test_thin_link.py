"""`concord init --link thin`: a run document for members with thin links."""

import tomllib

import pytest

from concord.base.errors import DocumentError
from concord.base.tensors import TensorSpec
from concord.charter.run import parse_run
from concord.cli.initialise import Link, initialise
from concord.cli.templates import RunChoices, run_toml
from concord.ledger.layouts import step_layout, update_layout
from concord.update.layout import Role
from concord.update.payload import most_bytes

SPECS = [TensorSpec("embed_tokens.weight", (4096, 512)), TensorSpec("layer.weight", (512, 2048))]
WEIGHTS = sum(spec.size for spec in SPECS)


def document(**changes):
    choices = RunChoices(
        name="first", members=["fiji", "laos"], languages={}, parity=False, clip=True, thin=True
    )
    value = tomllib.loads(run_toml(choices))
    value["update"] |= changes
    return parse_run(value)


def test_a_thin_run_is_sparse_both_ways_without_outer_momentum():
    run = document()
    assert (run.update.codec, run.update.down_codec) == ("sparse", "sparse")
    assert run.update.outer.momentum == 0


@pytest.mark.parametrize(("layout", "bound"), [(update_layout, 0.020), (step_layout, 0.076)])
def test_it_stays_within_the_bytes_that_the_link_law_counts_on(layout, bound):
    entries = layout(document(), SPECS, 0)
    assert all(entry.role is not Role.STATE for entry in entries)
    assert most_bytes(entries) / WEIGHTS < 2 * bound  # the most that a payload may have
    assert {entry.codec for entry in entries} <= {"sparse", "sparse_down"}


@pytest.mark.parametrize(
    "outer", [{"momentum": 0.9}, {"optimizer": "adam"}], ids=["momentum", "adam"]
)
def test_feedback_and_outer_momentum_are_never_both(outer):
    with pytest.raises(DocumentError, match="feeds errors back"):
        document(outer=outer)


def test_a_sealed_run_cannot_be_thin(tmp_path):
    with pytest.raises(DocumentError, match="cannot be sparse"):
        initialise(tmp_path / "atlas", name="first", sealed=True, link=Link.THIN)
    assert not (tmp_path / "atlas").exists()
