"""Which server is started, on what, and what a release must be before one is."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import openai
import psutil
import pytest
from releaselab import released
from usinglab import write_small_folder

from concord.base.errors import DocumentError, ModelError
from concord.cli.main import main
from concord.release.plain_chat import CHAT_TEMPLATE
from concord.release.serving import choose_backend, server_for, serving_view


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_folder(tmp_path_factory.mktemp("serving") / "model")


@contextmanager
def serving(folder):
    """`concord serve` as a user runs it, until Ctrl-C; where it serves, and a client."""
    words = ["-m", "concord.cli.main", "serve", str(folder), "--port", "0", "--json"]
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever started the tests may have had them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    told = json.loads("".join(lines))
    with openai.OpenAI(base_url=told["url"], api_key="any", max_retries=0) as client:
        yield told["model"], client
    servers = psutil.Process(process.pid).children(recursive=True)
    assert servers
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not [one for one in servers if one.is_running()]


@pytest.mark.processes
def test_a_real_client_gets_completions_chat_and_streams_until_ctrl_c(folder):
    """One test, since a server takes seconds to start."""
    with serving(folder) as (model, client):
        completions_come_whole_and_in_pieces(model, client)
        a_chat_goes_on_with_the_text_and_does_not_repeat_it(model, client)
        assert min(first_token_s(model, client) for _ in range(5)) < 0.3


def completions_come_whole_and_in_pieces(model, client):
    asked = {"model": model, "prompt": "Mji mkuu", "max_tokens": 6, "temperature": 0}
    once = client.completions.create(**asked)
    assert once.usage.completion_tokens == 6
    pieces = [part.choices[0].text for part in client.completions.create(**asked, stream=True)]
    assert len(pieces) > 3
    assert "".join(pieces) == once.choices[0].text


def a_chat_goes_on_with_the_text_and_does_not_repeat_it(model, client):
    how = {"model": model, "max_tokens": 6, "temperature": 0}
    plain = client.completions.create(prompt="Mji\n\nmkuu", **how).choices[0].text
    messages = [{"role": "system", "content": "Mji"}, {"role": "user", "content": "mkuu"}]
    chat = client.chat.completions.create(messages=messages, **how)
    assert chat.choices[0].message.content == plain
    streamed = client.chat.completions.create(messages=messages, **how, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in streamed) == plain


def first_token_s(model, client):
    began = time.monotonic()
    with client.completions.create(
        model=model, prompt="Nairobi", max_tokens=2, stream=True
    ) as stream:
        next(iter(stream))
        return time.monotonic() - began


@pytest.mark.parametrize("command", [("serve",), ("chat",)])
def test_an_altered_release_is_neither_served_nor_talked_to(tmp_path, capsys, command):
    _, _, release = released(tmp_path)
    card = release.root / "config.json"
    card.write_bytes(card.read_bytes() + b" ")
    with pytest.raises(SystemExit) as ended:
        main([*command, str(release.root), *(["Mji"] if command == ("chat",) else [])])
    assert ended.value.code == 10
    said = capsys.readouterr().err
    assert "config.json" in said
    assert "--unverified" in said


def test_who_insists_may_use_an_altered_release(tmp_path, capsys):
    _, _, release = released(tmp_path)
    (release.root / "tokenizer.json").unlink()
    with pytest.raises(SystemExit) as ended:
        main(["chat", str(release.root), "Mji", "--unverified"])
    assert ended.value.code == 4  # this one is no model that could be loaded
    assert "was not verified" in capsys.readouterr().err


def test_a_folder_goes_to_a_gpu_server_where_there_is_one_and_a_file_to_llama_cpp(folder):
    file = folder / "tokenizer.json"
    assert choose_backend(folder, {"transformers", "vllm", "llama-cpp"}) == "vllm"
    assert choose_backend(folder, {"transformers", "vllm"}, "transformers") == "transformers"
    assert choose_backend(folder, {"transformers", "llama-server"}) == "transformers"
    assert choose_backend(file, {"transformers", "llama-cpp"}) == "llama-cpp"
    with pytest.raises(DocumentError, match="does not serve a file"):
        choose_backend(file, {"transformers"}, "transformers")
    with pytest.raises(DocumentError, match="is not installed here"):
        choose_backend(file, {"transformers"})


@pytest.mark.parametrize("backend", ["transformers", "vllm", "llama-server", "llama-cpp"])
def test_no_server_is_asked_to_listen_to_other_machines(folder, tmp_path, backend):
    server = server_for(folder, backend, port=8123, scratch=tmp_path)
    words = list(server.words)
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--port") + 1] == "8123"
    assert server.url == "http://127.0.0.1:8123/v1"
    assert server.model in words


def test_a_model_keeps_a_chat_template_of_its_own(folder, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    for file in folder.iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    (own / "chat_template.jinja").write_text("{{ messages[-1]['content'] }}")
    view = serving_view(own, tmp_path / "view")
    assert "chat_template" not in json.loads((view / "tokenizer_config.json").read_text())
    assert (view / "chat_template.jinja").read_text() == "{{ messages[-1]['content'] }}"
    plain = serving_view(folder, tmp_path / "plain")
    config = json.loads((plain / "tokenizer_config.json").read_text())
    assert config["chat_template"] == CHAT_TEMPLATE
    assert sorted(path.name for path in plain.iterdir()) == sorted(
        path.name for path in folder.iterdir()
    )


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="is no model folder"):
        serving_view(tmp_path / "empty", tmp_path / "view")
