"""Model folders in the form that `transformers` reads: load any causal language model, save ours.

Only safetensors are read and no code from the folder is run. A saved folder loads with
`AutoModelForCausalLM`, `AutoTokenizer` and `pipeline`, and appears whole or not at all.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from concord.base.canonical import parse_json
from concord.base.errors import DocumentError, ModelError, StorageError
from concord.base.files import storage_errors, sync_folder

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
NEEDS_CAUSAL = "give the folder of a causal language model such as Qwen3, Llama or GPT-2"
MAX_TOKENIZER_BYTES = 256 << 20


@dataclass(frozen=True)
class ModelFolder:
    """A model read from a folder, with its tokenizer's files (name to content)."""

    model: PreTrainedModel
    tokenizer_files: Mapping[str, str]


def load_folder(path: Path) -> ModelFolder:
    """Load a causal language model in float32, and the text of its tokenizer's files.

    1. the configuration names a causal architecture that `transformers` itself contains;
    2. the tokenizer has a `tokenizer.json`;
    3. every weight is in safetensors, none is missing, and shapes agree.

    Raises:
        ModelError: one of these fails; the message names the file and what to do.
    """
    check_architecture(path)
    tokenizer_files = read_tokenizer_files(path)
    return ModelFolder(_load_weights(path), tokenizer_files)


def load_tokenizer(path: Path) -> Any:
    """The folder's tokenizer as `transformers` loads it.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    read_tokenizer_files(path)
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"tokenizer cannot be loaded ({type(error).__name__})",
            where=path / "tokenizer.json",
            remedy="restore the file from its source",
        ) from error


def check_architecture(path: Path) -> str:
    """Name of the architecture class in the folder's configuration, if it is a causal one.

    Raises:
        ModelError: the folder or its configuration is missing, or names something else.
    """
    file = path / "config.json"
    try:
        config = parse_json(file.read_bytes(), where=file)
    except OSError as error:
        raise ModelError(
            "is not a model folder: config.json cannot be read", where=path, remedy=NEEDS_CAUSAL
        ) from error
    except DocumentError as error:
        raise ModelError("is damaged", where=file, remedy="restore the file") from error
    if not isinstance(config, dict):
        raise ModelError("is not a model configuration", where=file, remedy=NEEDS_CAUSAL)
    if "auto_map" in config:
        raise ModelError(
            "asks to run code of its own (auto_map)",
            where=file,
            remedy="use an architecture that transformers contains",
        )
    named = config.get("architectures") or ["unknown"]
    causal = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(str(config.get("model_type")))
    two_way = config.get("is_encoder_decoder") or _encoder_as_decoder(named, config)
    if causal not in named or two_way:
        raise ModelError(
            f"architecture {str(named[0])[:80]} is not a causal language model",
            where=file,
            remedy=NEEDS_CAUSAL,
        )
    return str(causal)


def _encoder_as_decoder(named: list[str], config: Mapping[str, Any]) -> bool:
    """BERT and its kin are in the causal table, but causal only where `is_decoder` says so."""
    encoder_kin = {"BertLMHeadModel", "RobertaForCausalLM", "XLMRobertaForCausalLM"}
    encoder_kin |= {"ElectraForCausalLM", "CamembertForCausalLM", "RoFormerForCausalLM"}
    return bool(encoder_kin & set(named)) and not config.get("is_decoder")


def read_tokenizer_files(path: Path) -> dict[str, str]:
    """Content of the tokenizer's files in a model folder, by name.

    Raises:
        ModelError: one cannot be read, or there is no `tokenizer.json`.
    """
    files = {}
    for name in TOKENIZER_FILES:
        file = path / name
        if not file.is_file():
            continue
        try:
            if file.stat().st_size > MAX_TOKENIZER_BYTES:
                raise ModelError("is larger than any tokenizer", where=file)
            files[name] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError("cannot be read", where=file, remedy="restore the file") from error
    if "tokenizer.json" not in files:
        raise ModelError(
            "has no tokenizer.json",
            where=path,
            remedy="save the model's fast tokenizer into the folder with save_pretrained",
        )
    return files


def _load_weights(path: Path) -> PreTrainedModel:
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            "has no weights in safetensors",
            where=path,
            remedy="save the model again with save_pretrained",
        )
    try:
        with _no_progress_bars():
            model, report = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"weights cannot be loaded ({type(error).__name__}: {str(error)[:200]})",
            where=path,
            remedy="restore the folder from its source",
        ) from error
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if absent:
        raise ModelError(
            f"lacks {len(absent)} weights, the first is {absent[0][:120]}",
            where=path,
            remedy="restore the folder from its source",
        )
    return model


def save_folder(path: Path, model: PreTrainedModel, tokenizer_files: Mapping[str, str]) -> None:
    """Write model and tokenizer as a folder, replacing an earlier one of that name.

    It is written under a temporary name and renamed: a reader sees the old folder or the new one.

    Raises:
        StorageError: the disk is full or the place cannot be written; nothing new is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            _write_weights(temporary, model, path)
            for name, text in sorted(tokenizer_files.items()):
                if Path(name).name != name:
                    raise ModelError(f"{name[:80]!r} is not a plain file name")
                (temporary / name).write_text(text, encoding="utf-8")
            _move_into_place(temporary, path)
    finally:
        with suppress(OSError):
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """The terminal is the command's, which draws bars of its own."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _write_weights(folder: Path, model: PreTrainedModel, final: Path) -> None:
    try:
        with _no_progress_bars():
            model.save_pretrained(folder)
        for file in folder.glob("*.safetensors"):
            file.chmod(0o644)  # safetensors makes them private
    except SafetensorError as error:
        raise StorageError(
            f"weights cannot be written: {str(error)[:200]}",
            where=final,
            remedy="free some space, then try again",
        ) from error


def _move_into_place(temporary: Path, path: Path) -> None:
    if path.exists():
        earlier = temporary.with_suffix(".earlier")
        path.rename(earlier)
        temporary.rename(path)
        shutil.rmtree(earlier)
    else:
        temporary.rename(path)
    sync_folder(path.parent)
