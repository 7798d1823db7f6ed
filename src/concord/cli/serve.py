"""`concord serve`: verify a release, then start an OpenAI-compatible server on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import typer

from concord.base.errors import DocumentError, ModelError
from concord.cli.checked import UNVERIFIED, checked_model
from concord.cli.say import say, say_json
from concord.cli.setting import json_option

if TYPE_CHECKING:
    from concord.release.serving import Backend, Server

POLL_S = 0.1
GRACE_S = 10.0
"""After a request to stop, a server that still runs is ended."""


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)


def serve(
    model: Path = typer.Argument(
        ..., help="Release, model folder, GGUF file, or a federation whose model it is."
    ),
    port: int = typer.Option(8000, min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one."),
    backend: str = typer.Option(
        "auto", help="auto, transformers, vllm, llama-server or llama-cpp."
    ),
    unverified: bool = UNVERIFIED,
    as_json: bool = typer.Option(
        False, "--json", callback=json_option, help="Print where it serves as JSON, once it does."
    ),
) -> None:
    """Serve a model on this machine: completions and chat, as OpenAI's clients ask for them.

    Example: concord serve atlas/releases/1.0
    """
    from concord.release.serving import choose_backend, installed_backends, server_for

    given = checked_model(model, unverified=unverified)
    chosen = choose_backend(given, installed_backends(_has_gpu), _wanted(backend))
    signal.signal(signal.SIGTERM, _as_interrupt)
    with tempfile.TemporaryDirectory(prefix="concord-serve-") as scratch:
        server = server_for(given, chosen, port=_free(port), scratch=Path(scratch))
        _run(server, as_json=as_json)


def _wanted(name: str) -> Backend | None:
    from concord.release.serving import BACKENDS

    if name == "auto":
        return None
    for known in BACKENDS:
        if known == name:
            return known
    raise DocumentError(
        f"{name[:40]!r} is no server", where="--backend", remedy=f"use auto, {', '.join(BACKENDS)}"
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _free(port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        DocumentError: somebody listens there.
    """
    from concord.release.serving import HOST

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise DocumentError(
                f"port {port} cannot be used: {error.strerror}",
                where="--port",
                remedy="stop what listens there, or give another port; 0 takes a free one",
            ) from error
        return int(probe.getsockname()[1])


def _run(server: Server, *, as_json: bool) -> None:
    """Start a server, say how it is called, and end it with this command.

    Raises:
        ModelError: it ended by itself.
    """
    say(f"starting {server.backend} ...", err=True)
    try:
        process = subprocess.Popen(
            server.words,
            cwd=server.folder,
            env={**os.environ, **server.environment},
            stdout=2,  # standard output is ours
            start_new_session=True,  # Ctrl-C comes to us first, and is passed on
        )
    except OSError as error:
        raise ModelError(f"{server.words[0]} cannot be started: {error.strerror}") from error
    try:
        while process.poll() is None and not _answers(server.ready_url):
            time.sleep(POLL_S)
        if process.poll() is None:
            _tell(server, as_json=as_json)
        status = process.wait()
    except KeyboardInterrupt:
        say("stopping ...", err=True)
        return
    finally:
        _end(process)
    raise ModelError(
        f"{server.backend} ended by itself with status {status}",
        remedy="what it said stands above; another server may do: --backend",
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http, on 127.0.0.1
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _tell(server: Server, *, as_json: bool) -> None:
    if as_json:
        say_json({"url": server.url, "model": server.model, "backend": server.backend})
        return
    body = f'{{"model": "{server.model}", "prompt": "...", "max_tokens": 40}}'
    say(f"serving {server.model} at {server.url} for OpenAI's clients; any key will do")
    say(f"  curl {server.url}/completions -H 'Content-Type: application/json' -d '{body}'")
    say("It goes on with text, and was not taught to answer. Ctrl-C stops it.")


def _end(process: subprocess.Popen[bytes]) -> None:
    for request in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(request)
        try:
            process.wait(GRACE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
