"""A run that cannot fit on the disk is refused before any text is read."""

import shutil

import pytest

from concord.base.errors import StorageError
from concord.charter.run import parse_run
from concord.charter.run_sections import ModelSpec
from concord.federation.disk import bytes_needed, check_disk, network_parameters, planned_parameters
from concord.model.tensors import parameter_count
from tinymodels import TINY, tiny_model

ROSTER = [{"id": "fiji"}, {"id": "peru"}, {"id": "togo"}]


def document(codec="int4", **changes):
    return parse_run({"name": "a", "roster": ROSTER, "update": {"codec": codec}, **changes})


@pytest.mark.parametrize("changes", [{}, {"layers": 3, "kv_heads": 2, "intermediate": 80}])
def test_weights_are_counted_without_building_the_network(changes):
    fields = set(ModelSpec.model_fields) & set(vars(TINY))
    spec = ModelSpec.model_validate({n: getattr(TINY, n) for n in fields} | changes)
    built = tiny_model(**changes)
    assert network_parameters(spec, TINY.vocabulary_size) == parameter_count(built)


def test_every_update_of_every_round_is_counted():
    one, two = (bytes_needed(document(), parameters=1024, rounds_left=n) for n in (1, 2))
    assert two - one == 3 * (1024 // 2 + 4 * 1024 // 256)  # three members, int4 with scales
    assert bytes_needed(document(), parameters=1024, rounds_left=0) == 0
    dense = bytes_needed(document("fp32"), parameters=1024, rounds_left=5)
    assert dense > bytes_needed(document(), parameters=1024, rounds_left=5)


def test_a_model_sent_in_parts_fills_as_much_in_a_turn_and_own_weights_are_kept():
    parts = document("fp32", rounds={"fragments": 4})
    turn, two = (bytes_needed(parts, parameters=1024, rounds_left=n) for n in (4, 8))
    assert two - turn == 3 * 4 * 1024
    whole = bytes_needed(document("fp32"), parameters=1024, rounds_left=1)
    assert turn - whole == 3 * 2 * 4 * 1024


def test_a_run_that_cannot_fit_is_refused_with_both_sizes(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    check_disk(tmp_path, document(), parameters=1000, rounds_left=5)
    with pytest.raises(StorageError, match=r"100 rounds need at least .* GB are free") as caught:
        check_disk(tmp_path, document(), parameters=free // 10, rounds_left=100)
    assert caught.value.where == str(tmp_path)


def test_a_model_folder_counts_by_the_size_of_its_weights(tmp_path):
    run = document(model={"continue_from": "base"})
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(bytes(4_000))
    assert planned_parameters(run, tmp_path) == 1_000
    assert planned_parameters(document(), tmp_path) > 500_000
