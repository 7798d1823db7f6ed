"""Which tensors travel together, where a model is sent in parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concord.base.errors import UpdateError
from concord.base.tensors import TensorSpec
from concord.update.fragments import fragments_of

HEAD, LAST = "model.embed_tokens.weight", "model.norm.weight"


def network(layers, *, width=16, vocabulary=8):
    """A network of equal layers, its norm, and an embedding of so many rows."""
    specs = [TensorSpec(HEAD, (vocabulary, width)), TensorSpec(LAST, (width,))]
    for number in range(layers):
        prefix = f"model.layers.{number}."
        specs.append(TensorSpec(prefix + "mlp.up_proj.weight", (3 * width, width)))
        specs.append(TensorSpec(prefix + "mlp.experts.7.weight", (width, width)))
        specs.append(TensorSpec(prefix + "norm.weight", (width,)))
    return specs


networks = st.lists(
    st.builds(
        TensorSpec,
        st.from_regex(r"(net\.(blocks\.[0-9]{1,2}\.)?[abc]|embed_tokens)\.weight", fullmatch=True),
        st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda spec: spec.name,
)


def parts_of(specs):
    """Sizes of what must not be divided: a layer, or a tensor of none."""
    sizes = {}
    for spec in specs:
        part = spec.name.rpartition(".weight")[0]
        if "blocks" in part:
            part = part.rpartition(".")[0]
        sizes[part] = sizes.get(part, 0) + spec.size
    return sizes


@given(networks, st.data())
def test_every_tensor_is_in_one_fragment_and_none_is_empty_or_much_larger(specs, data):
    parts = parts_of(specs)
    count = data.draw(st.integers(1, len(parts)))
    found = fragments_of(specs, count)
    assert sorted(found) == sorted(spec.name for spec in specs)
    assert set(found.values()) == set(range(count))
    loads = [sum(s.size for s in specs if found[s.name] == number) for number in range(count)]
    assert max(loads) <= sum(loads) / count + max(parts.values())


@given(networks, st.data())
def test_it_follows_from_names_and_shapes_alone(specs, data):
    count = data.draw(st.integers(1, len(parts_of(specs))))
    assert fragments_of(data.draw(st.permutations(specs)), count) == fragments_of(specs, count)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_layers_of_one_size_are_strided_and_stay_whole(count):
    found = fragments_of(network(12), count)
    for name, fragment in found.items():
        if ".layers." in name:
            assert fragment == int(name.split(".")[2]) % count


def test_a_large_embedding_has_no_layers_beside_it():
    found = fragments_of(network(3, vocabulary=1000), 2)
    assert [name for name, fragment in found.items() if fragment == found[HEAD]] == [HEAD]


def test_more_fragments_than_parts_are_refused():
    with pytest.raises(UpdateError, match="5 parts cannot be sent in 6 fragments"):
        fragments_of(network(3), 6)
