"""Bytes: against networks that exist, and updates that were written."""

import io
from dataclasses import replace

import numpy as np
import pytest

from concord.base.errors import DocumentError
from concord.charter.run import RunDocument
from concord.charter.run_sections import ModelSpec, RosterMember
from concord.federation.disk import network_parameters
from concord.federation.planning.needs import (
    Needs,
    needs_of,
    needs_of_size,
    with_codec,
    with_fragments,
)
from concord.federation.planning.network import network_of, network_specs, shared_specs
from concord.ledger.layouts import update_layout
from concord.model.build import ModelShape, build_model
from concord.model.tensors import tensor_specs
from concord.train.optimizers import InnerOptimizer
from concord.train.shared_state import SharedState
from concord.update.payload import UpdateIdentity, encode_update

SMALL = ModelSpec(hidden=32, layers=2, heads=4, kv_heads=2, head_dim=8, intermediate=48, context=16)
ROWS = 300
DIGEST = "sha256:" + "0" * 64


def document(**inner):
    return RunDocument.model_validate(
        {
            "name": "first",
            "roster": [RosterMember(id="kenya"), RosterMember(id="peru")],
            "model": SMALL,
            "inner": {"batch_tokens": 16, **inner},
        }
    )


def network():
    shape = ModelShape(
        **SMALL.model_dump(exclude={"continue_from"}), vocabulary_size=ROWS, end_id=0
    )
    return build_model(shape, seed=0)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("mode", ["local", "averaged", "second_moment", "second_moment_rows"])
def test_tensors_that_travel_are_those_of_the_network_and_its_optimiser(optimizer, mode):
    run = document(optimizer=optimizer, state={"mode": mode})
    model = network()
    assert network_specs(SMALL, ROWS) == tensor_specs(model)
    shared = SharedState(InnerOptimizer(model, run.inner), mode).specs()
    assert shared_specs(run, network_specs(SMALL, ROWS)) == shared


def test_bytes_up_are_those_of_an_update_that_was_written_but_for_its_header():
    run = document()
    for codec in ("fp32", "bf16", "int8", "int4", "sparse"):
        needs = Needs(with_codec(run, codec), tuple(network_specs(SMALL, ROWS)))
        layout = update_layout(needs.run, needs.base_specs, 0)
        arrays = {e.name: np.ones(e.spec.shape, np.float32) for e in layout}
        written = io.BytesIO()
        encode_update(written, layout, UpdateIdentity(DIGEST, 0, DIGEST, "kenya"), arrays)
        slack = 4096 if codec != "sparse" else 4096 + 0.2 * needs.up_bytes
        assert needs.up_bytes - slack <= len(written.getvalue()) <= needs.up_bytes


@pytest.mark.parametrize("parameters", [10**9, 7 * 10**9, 72 * 10**9, 4 * 10**11])
def test_a_network_of_a_size_is_of_that_size_and_of_usual_proportions(parameters):
    model, vocabulary = network_of(parameters)
    assert network_parameters(model, vocabulary) == pytest.approx(parameters, rel=0.03)
    assert 64 <= model.hidden / model.layers <= 256


def test_a_size_that_no_network_has_is_refused_by_name():
    with pytest.raises(DocumentError, match="is not between"):
        network_of(10)


def test_disk_of_the_coordinator_grows_by_every_update_of_every_round():
    needs = needs_of(document())
    per_round = needs.coordinator_disk(2) - needs.coordinator_disk(1)
    assert per_round == 2 * needs.up_bytes


def test_fragments_divide_what_is_on_its_way_at_once_and_not_what_travels_in_a_turn():
    whole = needs_of_size(7 * 10**9, 32, "int4")
    parts = replace(whole, run=with_fragments(whole.run, 8))
    kept = ((parts, 8), (whole, 1))
    assert parts.up_bytes == pytest.approx(whole.up_bytes / 8, rel=0.15)
    assert parts.down_bytes == pytest.approx(whole.down_bytes / 8, rel=0.15)
    assert 8 * parts.mean_up_bytes == pytest.approx(whole.up_bytes, rel=1e-4)
    turn, round_ = (n.coordinator_disk(2 * k) - n.coordinator_disk(k) for n, k in kept)
    assert turn == pytest.approx(round_, rel=1e-4)
    assert 8 * parts.screen_s == pytest.approx(whole.screen_s)
    assert whole.merge_s / 8 < parts.merge_s < whole.merge_s / 4, "a whole base is written"
    assert parts.member_disk > whole.member_disk


def test_memory_of_the_coordinator_does_not_depend_on_the_number_of_members():
    few, many = (needs_of_size(10**9, members, "int4") for members in (2, 256))
    assert few.coordinator_memory == many.coordinator_memory
    assert many.merge_s > few.merge_s
