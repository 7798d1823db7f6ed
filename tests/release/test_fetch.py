"""A release comes over a line that breaks, only the files that are wanted, and nothing else."""

import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from releaselab import build, decide, history_with_a_run, publish, released, write_again

from concord.base.clock import SystemClock
from concord.base.errors import DocumentError, FetchFailed, VerificationFailed
from concord.cli.main import main
from concord.ledger.statements.aftermath import Advisory, Recall
from concord.release.build import proofs_of
from concord.release.fetch import FolderSource, fetch_release, source_at
from concord.release.ledger import write_ledger
from concord.release.manifest import read_manifest
from concord.release.parts import chosen
from concord.release.verify import verify_release

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A published release with a file for each kind of use."""
    history, run = history_with_a_run(tmp_path_factory.mktemp("fetch"))
    decide(history, run)

    def more(path):
        (path / "gguf").mkdir()
        for kind in ("f16", "q8_0", "q4_0"):
            (path / "gguf" / f"atlas-{kind}.gguf").write_bytes(kind.encode() * 5000)
        (path / "LICENSE").write_text("Apache-2.0")

    found, manifest = build(history, run, exporters=[more])
    publish(history, found, manifest)
    return found


class Host(SimpleHTTPRequestHandler):
    """What `python -m http.server` is: it knows no ranges. Writes down what it is asked for."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        super().do_GET()


class Ranges(Host):
    """A host that knows ranges, as most do, and breaks off after some bytes of the weights."""

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        file = self.server.root / self.path.lstrip("/")
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = min(len(data), start + self.server.most) if self.path.endswith(WEIGHTS) else None
        self.wfile.write(data[start:end])
        if end is not None and end < len(data):
            self.wfile.flush()
            self.server.broken.set()
            self.server.go_on.wait(20)
            self.close_connection = True


@contextmanager
def serving(root, handler=Host, most=1 << 30):
    # ThreadingHTTPServer, but for a reverse look-up of the host's name.
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        server_bind = socketserver.TCPServer.server_bind

    with Server(("127.0.0.1", 0), partial(handler, directory=str(root))) as server:
        server.root, server.most, server.asked = root, most, []
        server.broken, server.go_on = threading.Event(), threading.Event()
        server.go_on.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server
        finally:
            server.go_on.set()
            server.shutdown()
            thread.join()


def fetch(place, out, **how):
    return fetch_release(
        source_at(str(place)), out, clock=SystemClock(), wait=lambda _: None, **how
    )


def tree(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_any_host_of_files_will_do(release, tmp_path):
    with serving(release.root) as (url, _):
        done = fetch(url, tmp_path / "here")
    assert tree(tmp_path / "here") == tree(release.root)
    assert done.findings.published
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_folder_is_a_source_too(release, tmp_path):
    fetch(release.root, tmp_path / "here")
    assert verify_release(tmp_path / "here", clock=SystemClock()).published


def test_only_what_is_wanted_comes_and_is_verified_with_the_log(release, tmp_path):
    with serving(release.root) as (url, server):
        done = fetch(url, tmp_path / "here", only=["gguf-q4"])
        asked = [path for path, _ in server.asked]
    assert done.files == ["gguf/atlas-q4_0.gguf"]
    assert done.bytes == 20_000
    assert done.findings.published
    assert not [path for path in asked if "safetensors" in path or "f16" in path]
    with pytest.raises(VerificationFailed, match="is missing"):
        verify_release(tmp_path / "here", clock=SystemClock())
    found = verify_release(tmp_path / "here", clock=SystemClock(), partial=True)
    assert found.steps[3].found == "are not here"


def test_the_rest_comes_later_and_nothing_twice(release, tmp_path):
    fetch(release.root, tmp_path / "here", only=["weights"])
    with serving(release.root) as (url, server):
        fetch(url, tmp_path / "here")
        asked = [path for path, _ in server.asked]
    assert not [path for path in asked if path.endswith((WEIGHTS, ".tile", "config.json"))]
    assert tree(tmp_path / "here") == tree(release.root)


@pytest.mark.parametrize("piece", [700, 1000])
def test_a_line_that_keeps_breaking_is_taken_up_where_it_broke(release, tmp_path, piece):
    with serving(release.root, Ranges, most=piece) as (url, server):
        fetch(url, tmp_path / "here", only=[WEIGHTS])
        ranges = [asked for path, asked in server.asked if path.endswith(WEIGHTS)]
    size = (release.root / WEIGHTS).stat().st_size
    assert ranges == [None, *(f"bytes={start}-" for start in range(piece, size, piece))]


@pytest.mark.processes
def test_after_kill_9_the_same_command_goes_on(release, tmp_path):
    words = [sys.executable, "-m", "concord.cli.main", "release", "fetch"]
    out = tmp_path / "killed" / "here"
    out.parent.mkdir()
    with serving(release.root, Ranges, most=1000) as (url, server):
        server.go_on.clear()
        process = subprocess.Popen([*words, url, str(out)], stderr=subprocess.DEVNULL)
        assert server.broken.wait(60)
        (part,) = until(lambda: list(out.parent.glob(".here.parts/*")))
        until(lambda: part.stat().st_size == 1000)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (out / WEIGHTS).exists()
    for handler in (Ranges, Host):  # the second knows no ranges, and sends all of it again
        copy = tmp_path / handler.__name__
        shutil.copytree(out.parent, copy)
        with serving(release.root, handler) as (url, server):
            fetch(url, copy / "here")
            asked = [asked for path, asked in server.asked if path.endswith(WEIGHTS)]
        assert asked == ["bytes=1000-"]
        assert tree(copy / "here") == tree(release.root)


def until(found, seconds=20):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


class Altering(FolderSource):
    """A host that serves a release with one file changed."""

    altered = ""

    @contextmanager
    def open(self, path, start=0):
        if path != self.altered:
            with super().open(path, start) as opened:
                yield opened
            return
        import io

        from concord.release.fetch.sources import Opened

        data = bytearray((self.root / path).read_bytes())
        data[len(data) // 2] ^= 1
        stream = io.BytesIO(data)
        stream.seek(start)
        yield Opened(start, stream)


@pytest.mark.parametrize(
    "altered",
    [WEIGHTS, "LICENSE", "manifest.json", "ledger/log/checkpoint", "ledger/proofs/model.json"],
)
def test_a_host_that_alters_a_file_is_found_out(release, tmp_path, altered):
    source = Altering(release.root)
    object.__setattr__(source, "altered", altered)
    with pytest.raises(VerificationFailed):
        fetch_release(source, tmp_path / "here", clock=SystemClock(), wait=lambda _: None)
    if altered in (WEIGHTS, "LICENSE"):
        assert not (tmp_path / "here" / altered).exists()
    else:
        assert not (
            tmp_path / "here" / WEIGHTS
        ).exists()  # nothing large comes before it is believed


def test_what_the_members_did_not_publish_is_not_fetched(tmp_path):
    history, run = history_with_a_run(tmp_path / "atlas")
    candidate, _ = build(history, run)
    with pytest.raises(VerificationFailed, match="was not published"):
        fetch(candidate.root, tmp_path / "here")
    assert not (tmp_path / "here" / WEIGHTS).exists()


def test_what_was_said_since_is_shown_and_what_was_withdrawn_does_not_come(tmp_path, capsys):
    history, run, release = released(tmp_path / "atlas")
    model, proofs = history.state.run(run.digest).base, proofs_of_release(release)
    advisory = Advisory(version="1.0", model=model, severity="high", title="Dates", text="Wrong.")
    history.say(advisory, "peru")
    write_again(history)
    write_ledger(history.root, release, proofs)
    assert command("release", "fetch", release.root, tmp_path / "here") == 0
    assert "advisory, high: Dates" in capsys.readouterr().err
    assert command("chat", tmp_path / "here", "Mji") != 0  # no network that loads
    assert "advisory, high: Dates" in capsys.readouterr().err
    history.say(Recall(version="1.0", model=model, ground="leak", reason="It recites."), "peru")
    write_again(history)
    write_ledger(history.root, release, proofs)
    assert command("release", "fetch", release.root, tmp_path / "later") == 10
    assert "was withdrawn by peru" in capsys.readouterr().err
    assert not (tmp_path / "later" / WEIGHTS).exists()
    assert command("chat", release.root, "Mji") == 10


def proofs_of_release(release):
    return proofs_of(read_manifest(release.manifest), published=True)


def command(*words):
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return ended.value.code


def test_a_release_is_fetched_into_the_folder_one_stands_in(release, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert command("release", "fetch", release.root, ".", "--only", "tokenizer") == 0
    assert command("release", "verify", ".", "--partial") == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_release_of_another_federation_than_the_reader_wants_is_refused(release, tmp_path):
    with pytest.raises(VerificationFailed, match="not sha256:00"):
        fetch(release.root, tmp_path / "here", federation="sha256:" + "0" * 64)


def test_a_folder_that_holds_something_else_is_left_alone(release, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(DocumentError, match="is not empty"):
        fetch(release.root, tmp_path)
    _, _, other = released(tmp_path / "other")
    fetch(other.root, tmp_path / "here")
    before = tree(tmp_path / "here")
    with pytest.raises(DocumentError, match="holds another release"):
        fetch(release.root, tmp_path / "here")
    assert tree(tmp_path / "here") == before


def test_a_host_that_lacks_a_file_or_is_gone_is_named(release, tmp_path):
    with (
        serving(release.root / "gguf") as (url, _),
        pytest.raises(FetchFailed, match="HTTP 404"),
    ):
        fetch(url, tmp_path / "here")
    waited = []
    with pytest.raises(FetchFailed, match="cannot be fetched"):
        fetch_release(source_at(url), tmp_path / "here", clock=SystemClock(), wait=waited.append)
    assert waited == [1, 2, 4, 8, 16]


def test_other_addresses_than_http_are_refused():
    with pytest.raises(DocumentError, match="no folder"):
        source_at("ftp://example.org/atlas")


def test_parts_overlap_only_where_they_say_so(release):
    files = read_manifest(release.manifest).files
    weights, tokenizer, papers, gguf = (
        set(chosen(files, [part])) for part in ("weights", "tokenizer", "papers", "gguf")
    )
    assert tokenizer < weights
    assert weights | papers | gguf == set(files)
    assert not weights & papers and not papers & gguf and not weights & gguf
    with pytest.raises(DocumentError, match="nothing under 'gguf-q5'"):
        chosen(files, ["gguf-q5"])


@given(st.lists(st.sampled_from(["weights", "tokenizer", "papers"]), min_size=1))
def test_what_is_named_twice_comes_once(parts):
    files = ["config.json", "tokenizer.json", "model.safetensors", "LICENSE"]
    found = chosen(files, parts)
    assert found == sorted(set(found))
