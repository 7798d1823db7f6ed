"""A published release whose network loads, made once for all tests that use a release."""

import pytest
from releaselab import build, decide, publish
from usinglab import learned_tokenizer

from concord.data.bpe.files import tokenizer_config_json
from concord.model.tensors import tensor_specs
from concord.testing.history import History
from tinymodels import tiny_model

GATES = """
[[gate]]
id = "kind"
metric = "bias-pairs"
slice = "member"
max = "1/2"
blocking = false
[[gate]]
id = "harmless"
metric = "toxic-continuations"
slice = "member"
max = "0"
blocking = false
[[gate]]
id = "floor"
metric = "bits-per-byte"
slice = "member"
compare = "previous"
max = "1/100"
run_by = "member"
blocking = false
[[gate]]
id = "log"
metric = "integrity"
max = "0"
blocking = false
"""


@pytest.fixture(scope="session")
def loadable(tmp_path_factory):
    """The folder of the release; its charter has gates that do not block."""
    tokenizer = learned_tokenizer(300)
    network = tiny_model(vocabulary_size=tokenizer.get_vocab_size())
    root = tmp_path_factory.mktemp("loadable") / "atlas"
    history = History(root, specs=tensor_specs(network), extra=GATES)
    run = history.adopt(rounds={"count": 2})
    run.round_of()
    decide(history, run)

    def files(path):
        network.config.architectures = [type(network).__name__]
        network.config.save_pretrained(path)
        (path / "tokenizer.json").write_text(tokenizer.to_str())
        (path / "tokenizer_config.json").write_text(tokenizer_config_json())

    release, manifest = build(history, run, exporters=[files])
    publish(history, release, manifest)
    return release.root
