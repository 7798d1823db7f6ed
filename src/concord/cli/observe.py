"""`concord observe`: public pages made from a log and its releases."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from concord.base.errors import ConcordError, DocumentError, StorageError
from concord.cli import desk
from concord.cli.say import reading, say, say_json, warn
from concord.cli.setting import clock

if TYPE_CHECKING:
    from concord.observatory.pages.bundle import Built
    from concord.observatory.pages.language import Language

HOST = "127.0.0.1"


def register(app: typer.Typer) -> None:
    app.command("observe")(observe)


def observe(
    folder: Path = typer.Argument(..., help="Federation folder, or a published copy of it."),
    out: Path = typer.Argument(..., help="New folder for the pages, or one made before."),
    languages: list[str] = typer.Option(
        [], "--language", help="Only these languages; English is always there."
    ),
    messages: list[Path] = typer.Option(
        [], "--messages", help="A language of your own: `<tag>.json`, with the keys of en.json."
    ),
    replay: bool = typer.Option(
        False, "--replay", help="Verify first: compute every base again from the updates."
    ),
    live: bool = typer.Option(False, "--live", help="Make them again while a run is on."),
    every_s: float = typer.Option(10.0, min=1.0, help="With --live: look at the log so often."),
    port: int | None = typer.Option(
        None, min=0, max=65_535, help="With --live: serve them on 127.0.0.1; 0 takes a free port."
    ),
    as_json: bool = desk.JSON,
) -> None:
    """Make the observatory: pages for citizens, members, auditors and regulators, in a folder.

    They need no server and no network, and can be read without JavaScript.

    Example: concord observe atlas observatory

    Example: concord observe atlas observatory --live --port 8080
    """
    from concord.observatory.pages.bundle import check_place
    from concord.observatory.pages.language import chosen

    began_s = time.monotonic()
    place, checkpoint = out.resolve(), folder.resolve() / "log" / "checkpoint"
    check_place(place)
    if port is not None and not live:
        raise DocumentError("serves nothing by itself", where="--port", remedy="add --live")
    make = partial(make_pages, folder.resolve(), place, chosen(languages, messages))
    seen = read_if_there(checkpoint)  # before, so that what comes meanwhile is noticed
    made = make(replay=replay, live=live)
    if as_json:
        say_json({**vars(made), "index": str(place / "index.html")})
    else:
        say(
            f"{made.pages} pages in {made.languages} languages, {made.files} files,"
            f" {made.bytes:,} bytes, in {time.monotonic() - began_s:.1f} s"
        )
        say(f"open {place / 'index.html'}")
    if live:
        with serving(place, port):
            keep_up(checkpoint, seen, partial(make, live=True), every_s)


def make_pages(
    folder: Path,
    out: Path,
    languages: Mapping[str, Language],
    *,
    replay: bool = False,
    live: bool = False,
) -> Built:
    """Read a federation's folder and make its pages.

    Raises:
        LogError, LogCorrupt, StatementRefused: there is no log, or it cannot be believed.
        VerificationFailed: `replay` was asked for, and something does not hold.
    """
    from concord.observatory.pages.bundle import build
    from concord.observatory.pages.source import read_source

    verdict = _verdict(folder) if replay else None
    with reading() as watch:
        source = read_source(folder, made=desk.now(), verdict=verdict, live=live, watch=watch)
    return build(source, languages, out)


def _verdict(folder: Path) -> Mapping[str, Any]:
    """What `concord verify` finds."""
    from concord.ledger.verdict import verdict
    from concord.ledger.verify import Verification

    with tempfile.TemporaryDirectory(prefix="concord-observe-") as workdir:
        found = Verification(folder, workdir=Path(workdir), clock=clock())
        found.run()
        return verdict(found)


def keep_up(
    checkpoint: Path,
    seen: bytes,
    make: Callable[[], object],
    every_s: float,
    wait: Callable[[float], object] = time.sleep,
) -> None:
    """Make the pages again whenever the log has another checkpoint, until somebody interrupts.

    A log that cannot be read at one moment is told of, and looked at again.

    Args:
        seen: The checkpoint from before the pages were first made.
    """
    while True:
        try:
            wait(every_s)
            now = read_if_there(checkpoint)
            if now != seen:
                make()
                seen = now
                say(f"made again at {time.strftime('%H:%M:%S')}")
        except KeyboardInterrupt:
            return
        except ConcordError as error:
            warn(f"not made again: {error.message}")


def read_if_there(path: Path) -> bytes:
    """A file, or nothing while it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


class _Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; says nothing of who asked."""

    def log_message(self, *_: object) -> None:
        """No visitor is written down."""


@contextmanager
def serving(folder: Path, port: int | None) -> Iterator[None]:
    """Serve a folder on this machine alone, if a port is given.

    Raises:
        StorageError: the port is taken.
    """
    if port is None:
        yield
        return
    try:
        server = ThreadingHTTPServer((HOST, port), partial(_Quiet, directory=str(folder)))
    except OSError as error:
        raise StorageError(
            f"cannot be listened on: {error.strerror}",
            where=f"{HOST}:{port}",
            remedy="name another port, or 0 for a free one",
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    say(f"serving on http://{HOST}:{server.server_port}/ until you interrupt (Ctrl-C)")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
