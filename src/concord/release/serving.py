"""Serve a model with a server that exists: which one, on what, and with which words.

    transformers   `transformers serve`: a model folder, on any machine; one request at a time
    vllm           a model folder, on a GPU; many at once
    llama-server   a GGUF file, llama.cpp's own server
    llama-cpp      a GGUF file, the server of `llama-cpp-python`

All of them speak the OpenAI protocol. None is asked to listen anywhere but on 127.0.0.1, or to
fetch anything.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from concord.base.errors import DocumentError, ModelError
from concord.release.plain_chat import (
    CHAT_TEMPLATE,
    CHAT_TEMPLATE_FILE,
    chat_template,
    response_template,
)

Backend = Literal["transformers", "vllm", "llama-server", "llama-cpp"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
FOR_FOLDERS: tuple[Backend, ...] = ("vllm", "transformers")
FOR_FILES: tuple[Backend, ...] = ("llama-server", "llama-cpp")
HOST = "127.0.0.1"
PYTHON = (sys.executable, "-P", "-m")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
NEEDED = {
    "transformers": "pip install 'concord[serve]'",
    "vllm": "pip install vllm",
    "llama-server": "install llama.cpp",
    "llama-cpp": "pip install 'llama-cpp-python[server]'",
}


@dataclass(frozen=True)
class Server:
    """A server to be started.

    Attributes:
        folder: Where it is to run.
        ready_path: Answers 200 once it serves.
        model: What clients call the model.
    """

    backend: Backend
    words: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    ready_path: str
    model: str
    port: int

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def ready_url(self) -> str:
        return f"http://{HOST}:{self.port}{self.ready_path}"


def installed_backends(gpu: Callable[[], bool]) -> set[Backend]:
    """Servers that are here; vLLM counts on a GPU only."""
    found: set[Backend] = set()
    if find_spec("fastapi") and find_spec("uvicorn"):
        found.add("transformers")
    if find_spec("vllm") and gpu():
        found.add("vllm")
    if shutil.which("llama-server"):
        found.add("llama-server")
    if find_spec("llama_cpp"):
        found.add("llama-cpp")
    return found


def choose_backend(model: Path, installed: Set[Backend], wanted: Backend | None = None) -> Backend:
    """The server for a model folder or a GGUF file.

    Raises:
        DocumentError: the one that is wanted does not take such a model, or none is installed.
    """
    able = FOR_FILES if model.is_file() else FOR_FOLDERS
    if wanted is not None and wanted not in able:
        raise DocumentError(
            f"{wanted} does not serve {'a file' if model.is_file() else 'a folder'}",
            where="--backend",
            remedy=f"use one of {', '.join(able)}",
        )
    for backend in able if wanted is None else (wanted,):
        if backend in installed:
            return backend
    missing = wanted or able[-1]
    raise DocumentError(
        f"{missing} is not installed here", where="--backend", remedy=NEEDED[missing]
    )


def server_for(
    model: Path, backend: Backend, *, port: int, scratch: Path, threads: int = 0
) -> Server:
    """What to start.

    Args:
        model: Model folder or GGUF file.
        scratch: An empty folder that lives as long as the server; holds links, no copies.
        threads: Threads of a CPU; 0 leaves it to the server.

    Raises:
        ModelError: the folder holds no model.
    """
    name = _UNSAFE.sub("-", model.resolve().name.removesuffix(".gguf"))
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch / "cache")}
    (scratch / "cache" / "hub").mkdir(parents=True)
    if threads:
        offline["OMP_NUM_THREADS"] = str(threads)
    if backend in FOR_FOLDERS:
        serving_view(model, scratch / name)
    ready_path, words = {
        "transformers": ("/health", (*PYTHON, "transformers.cli.transformers", "serve", name)),
        "vllm": ("/health", (*PYTHON, "vllm.entrypoints.openai.api_server", "--model", name)),
        "llama-server": ("/health", ("llama-server", "--alias", name, "--model", str(model))),
        "llama-cpp": (
            "/v1/models",
            (*PYTHON, "llama_cpp.server", "--model_alias", name, "--model", str(model)),
        ),
    }[backend]
    words = (*words, "--host", HOST, "--port", str(port))
    return Server(backend, words, offline, scratch, ready_path, name, port)


def serving_view(model: Path, view: Path) -> Path:
    """A folder of links to a model's files, with a chat template where the model has none.

    Raises:
        ModelError: the folder holds no model.
    """
    if not (model / "config.json").is_file():
        raise ModelError("is no model folder", where=model, remedy="name a release or a model")
    view.mkdir()
    for file in sorted(model.iterdir()):
        if file.is_file() and file.name != "tokenizer_config.json":
            (view / file.name).symlink_to(file.resolve())
    config = _tokenizer_config(model)
    template = model / CHAT_TEMPLATE_FILE
    files = {"tokenizer_config.json": json.dumps(config)}
    if template.is_file():
        files[CHAT_TEMPLATE_FILE] = template.read_text(encoding="utf-8")
    if chat_template(files) in (None, CHAT_TEMPLATE):
        config["chat_template"] = CHAT_TEMPLATE
        config.setdefault("response_template", response_template(_end_token(config)))
    (view / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return view


def _end_token(config: Mapping[str, object]) -> str:
    token = config.get("eos_token")
    return str(token.get("content") if isinstance(token, dict) else token)


def _tokenizer_config(model: Path) -> dict[str, object]:
    file = model / "tokenizer_config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise ModelError("is damaged", where=file, remedy="restore the file") from error
    return dict(config)
