"""The shared model as a folder that any user of `transformers` can load."""

from __future__ import annotations

from pathlib import Path

from concord.base.tensors import TensorFile
from concord.charter.run import RunDocument
from concord.data.bpe.files import tokenizer_config_json
from concord.federation.member.network import build_network
from concord.federation.records import RunFolder
from concord.ledger.layouts import base_weights
from concord.model.folder import read_tokenizer_files, save_folder
from concord.model.tensors import load_tensors
from concord.model.tokenizer import Tokenizer


def export_model(folder: RunFolder, run: RunDocument, path: Path) -> None:
    """Write the last committed base as a model folder.

    Raises:
        CheckpointError: an object was altered.
        StorageError: the folder cannot be written.
    """
    records = [record for _, record in folder.records()]
    continued = run.model.continue_from
    source = None if continued is None else (folder.federation / continued).resolve()
    if records[0].tokenizer is not None:
        text = folder.objects.get(records[0].tokenizer).decode("utf-8")
        files = {"tokenizer.json": text, "tokenizer_config.json": tokenizer_config_json()}
    else:
        assert source is not None  # noqa: S101 - a run learns a tokenizer or continues a folder
        files = read_tokenizer_files(source)
    tokenizer = Tokenizer.from_files(files)
    model = build_network(run, tokenizer, source)
    base = TensorFile(folder.objects.verified_path(records[-1].base))
    load_tensors(model, base_weights(base))
    save_folder(path, model, files)
