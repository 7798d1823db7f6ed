"""Write a model folder as one GGUF file, whole or not at all, one tensor in memory at a time.

The same folder, kind and origin give the same bytes. The file says nothing that the folder does not
say, except where it comes from.

What is written follows from what llama.cpp reads for its architecture `qwen3`: rotary positions
turn the two halves of a head, as in `transformers`, so that query and key rows keep their order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from transformers import Qwen3Config

from concord.base.digest import Digest, digest_bytes, digest_file
from concord.base.errors import ModelError
from concord.base.files import atomic_path
from concord.model.folder import check_architecture, read_tokenizer_files
from concord.release.gguf.kinds import FILE_TYPES, Kind, tensor_bytes, tensor_kind
from concord.release.gguf.vocabulary import Vocabulary, read_vocabulary
from concord.release.gguf.weights import FolderWeights

ARCHITECTURE = "Qwen3ForCausalLM"
QUANTISATION_VERSION = 2  # of the block formats, ggml.h
LARGEST_F16 = 65504.0
OnTensor = Callable[[int, int], None]


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, as its file says.

    Args:
        facts: Further keys under `concord.`, such as the digest of the run document.
    """

    name: str = ""
    licence: str | None = None
    languages: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def export_gguf(
    model_folder: Path,
    out: Path,
    kind: Kind,
    *,
    origin: Origin | None = None,
    on_tensor: OnTensor = lambda _done, _all: None,
) -> Digest:
    """Write the model of a folder to `out`, and return the digest of the file.

    Raises:
        ModelError: the folder holds no model, one of another architecture, or a weight that half
            precision cannot express.
        TokenizerError: its tokenizer cannot be expressed.
        StorageError: `out` cannot be written.
    """
    config = _config(model_folder)
    files = read_tokenizer_files(model_folder)
    vocabulary = read_vocabulary(files, rows=config.vocab_size)
    with (
        FolderWeights(
            model_folder, blocks=config.num_hidden_layers, tied=config.tie_word_embeddings
        ) as weights,
        atomic_path(out) as path,
    ):
        writer = GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.QWEN3])
        try:
            _say_origin(writer, origin or Origin(), model_folder, kind)
            _say_shape(writer, config)
            _say_vocabulary(writer, vocabulary)
            _write_weights(writer, weights, kind, on_tensor)
        finally:
            writer.close()
    return digest_file(out)


def _config(folder: Path) -> Qwen3Config:
    if check_architecture(folder) != ARCHITECTURE:
        raise ModelError(
            f"is no {ARCHITECTURE}, the architecture that runs make and that can be exported",
            where=folder / "config.json",
            remedy="convert this model with llama.cpp's own script",
        )
    config = Qwen3Config.from_pretrained(folder, local_files_only=True)
    if config.attention_bias or config.rope_parameters.get("rope_type") != "default":
        raise ModelError(
            "has attention biases or stretched positions, which are not exported",
            where=folder / "config.json",
            remedy="convert this model with llama.cpp's own script",
        )
    return config


def _say_origin(writer: GGUFWriter, origin: Origin, folder: Path, kind: Kind) -> None:
    writer.add_type("model")
    writer.add_name(origin.name or folder.resolve().name)
    if origin.licence is not None:
        writer.add_license(origin.licence)
    if origin.languages:
        writer.add_languages(list(origin.languages))
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(QUANTISATION_VERSION)
    facts = {f"weights.{p.name}": digest_file(p) for p in sorted(folder.glob("*.safetensors"))}
    facts["tokenizer.json"] = digest_bytes((folder / "tokenizer.json").read_bytes())
    for key, value in sorted({**facts, **origin.facts}.items()):
        writer.add_string(f"concord.{key}", value)


def _say_shape(writer: GGUFWriter, config: Qwen3Config) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])


def _say_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:  # GGUF has no empty list
        writer.add_token_merges(vocabulary.merges)
    writer.add_bos_token_id(vocabulary.begin_id)
    writer.add_eos_token_id(vocabulary.end_id)
    writer.add_add_bos_token(True)  # a document begins with this token in training
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)


def _write_weights(
    writer: GGUFWriter, weights: FolderWeights, kind: Kind, on_tensor: OnTensor
) -> None:
    kinds = [tensor_kind(tensor.gguf_name, tensor.shape, kind) for tensor in weights.tensors]
    for tensor, form in zip(weights.tensors, kinds, strict=True):
        size = tensor_bytes(tensor.shape, form)
        writer.add_tensor_info(tensor.gguf_name, tensor.shape, np.dtype(np.float32), size, form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for done, (tensor, form) in enumerate(zip(weights.tensors, kinds, strict=True), start=1):
        values = weights.read(tensor)
        if form != GGMLQuantizationType.F32 and abs(values).max(initial=0) > LARGEST_F16:
            raise ModelError(
                f"tensor {tensor.name[:120]} has a weight beyond half precision",
                where=weights.folder,
            )
        writer.write_tensor_data(gguf.quants.quantize(values, form))
        on_tensor(done, len(kinds))
