"""Reading and loading weights by name."""

import numpy as np
import pytest

from concord.base.digest import digest_file
from concord.base.errors import ModelError
from concord.base.tensors import TensorFile
from concord.model.tensors import load_tensors, parameter_count, read_tensors, save_tensors
from tinymodels import tiny_model


def test_a_written_base_loads_into_another_network_exactly(tmp_path):
    one, two = tiny_model(seed=1), tiny_model(seed=2)
    digest = save_tensors(tmp_path / "base.st", one)
    load_tensors(two, TensorFile(tmp_path / "base.st"))
    assert digest == digest_file(tmp_path / "base.st")
    assert digest == save_tensors(tmp_path / "again.st", two)


def test_reading_gives_copies_that_training_does_not_change():
    model = tiny_model(seed=1)
    arrays = read_tensors(model)
    before = arrays["model.norm.weight"].copy()
    model.model.norm.weight.data.add_(1)
    assert np.array_equal(arrays["model.norm.weight"], before)


def test_the_tied_head_follows_the_embedding():
    model = tiny_model(seed=1)
    arrays = read_tensors(model)
    arrays["model.embed_tokens.weight"][:] = 0.5
    load_tensors(model, arrays)
    assert (model.lm_head.weight == 0.5).all()


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_a_base_of_another_network_is_refused_and_nothing_changes(fault):
    model = tiny_model(seed=1)
    before = read_tensors(model)
    arrays = {name: array + 1 for name, array in before.items()}
    if fault == "missing":
        del arrays["model.norm.weight"]
    elif fault == "unknown":
        arrays["model.surprise.weight"] = np.zeros(3, np.float32)
    else:
        arrays["model.norm.weight"] = np.zeros(31, np.float32)
    with pytest.raises(ModelError, match=r"model\.(norm|surprise)"):
        load_tensors(model, arrays)
    after = read_tensors(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_parameters_are_counted_once():
    model = tiny_model(seed=1)
    assert parameter_count(model) == sum(array.size for array in read_tensors(model).values())
