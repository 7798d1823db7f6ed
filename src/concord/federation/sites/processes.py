"""The processes of one kit: started, watched, ended as a whole.

FLARE adds one process per site and job; who ends only the first one leaves those behind. Beside
FLARE's, a member's site has its `nursery`, which begins to load at once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from concord.base.errors import FederationError
from concord.base.files import storage_errors
from concord.federation.sites.nursery import SOCKET
from concord.federation.sites.site_files import (
    REGISTRATION,
    Site,
    check_site_files,
    read_site,
)
from concord.federation.sites.tree import end_tree

STOP_S = 4.0
BEAT_S = 2
"""How often a member's site tells the server that it lives; FLARE's own is ten seconds, and a
restarted member would wait as long until a segment begins for it."""
MOST_LOG_BYTES = 4 << 20
KEPT = frozenset(
    {
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "TZ",
        "TMPDIR",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
        "SSL_CERT_FILE",
    }
)
"""What a process inherits of the environment: nothing of it can name code or carry a secret."""
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MODULES = {
    "server": ("nvflare.private.fed.app.server.server_train", "fed_server.json"),
    "member": ("nvflare.private.fed.app.client.client_train", "fed_client.json"),
}


NURSERY = (sys.executable, "-u", "-m", "concord.federation.sites.nursery", ".")
"""Run in the kit; ends when its input does, and so with whoever started it."""


def environment(source: Path) -> dict[str, str]:
    """The environment of a site's processes.

    Args:
        source: Folder from which `concord` is imported.
    """
    kept = {name: value for name, value in os.environ.items() if name in KEPT}
    return {
        **kept,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "PYTHONPATH": str(source),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NVFLARE_SECURE_LOGGING": "1",  # types of errors are logged, not their messages
        # A job that a killed member does not report the end of holds its place for so long.
        "NVFLARE_CLIENT_OUTCOME_WAIT_TIMEOUT": "30",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }


def command(kit: Path, site: Site) -> list[str]:
    """The command line that serves a kit."""
    module, file = _MODULES[site.role]
    identity = (
        ["org=coordinator"]
        if site.role == "server"
        else [
            f"uid={site.name}",
            f"org={organisation(kit)}",
            f"heart_beat_interval={BEAT_S}",
        ]
    )
    return [
        sys.executable,
        "-u",
        "-m",
        module,
        "-m",
        str(kit),
        "-s",
        file,
        "--set",
        "secure_train=true",
        *identity,
        "config_folder=config",
    ]


def organisation(kit: Path) -> str:
    """The organisation that the kit's certificate names."""
    from concord.federation.sites.certificates import load_certificate, subject

    return subject(load_certificate(kit / "startup" / "client.crt")).organisation


class SiteProcess:
    """The process tree of one kit.

    Args:
        kit: A kit whose site files were written.
    """

    def __init__(self, kit: Path) -> None:
        self.kit = kit.resolve()
        self._process: subprocess.Popen[bytes] | None = None
        self._nursery: subprocess.Popen[bytes] | None = None
        self._log_began = 0

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def pids(self) -> list[int]:
        """The first process of each tree of this site."""
        return [one.pid for one in (self._process, self._nursery) if one is not None]

    @property
    def log(self) -> Path:
        """What the processes say; it holds no text of a member."""
        return self.kit / "log.txt"

    def start(self) -> None:
        """Check the site files, then start the processes.

        Raises:
            SiteRefused: a site file is missing or laxer than allowed.
            FederationError: the processes run already.
            StorageError: the log cannot be written.
        """
        if self.alive():
            raise FederationError("runs already", where=self.kit)
        check_site_files(self.kit)
        site = read_site(self.kit)
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        if site.role == "member":
            self._nursery = self._start(NURSERY, self.kit / "nursery.txt", stdin=subprocess.PIPE)
        self._process = self._start(command(self.kit, site), self.kit / "process.txt")

    def _start(
        self, words: Sequence[str | Path], output: Path, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        with storage_errors(output), output.open("wb") as stream:
            output.chmod(0o600)
            return subprocess.Popen(
                words,
                cwd=self.kit,
                env=environment(Path(__file__).parents[3]),
                stdin=stdin,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def alive(self) -> bool:
        """Whether the first process of the tree runs."""
        return self._process is not None and self._process.poll() is None

    def registered(self) -> bool:
        """Whether the coordinator let this member in since its process was started."""
        return registered(self.log, self._log_began)

    def stop(self, pause_s: float = STOP_S) -> None:
        """End the whole tree: ask, wait, kill what is left. Does nothing if it does not run."""
        for process in (self._process, self._nursery):
            if process is not None:
                end_tree(process.pid, pause_s=pause_s)
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._nursery = None
        (self.kit / SOCKET).unlink(missing_ok=True)  # who copies the folder stumbles over it

    def __enter__(self) -> SiteProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def registered(log: Path, since_bytes: int = 0) -> bool:
    """Whether a member's log says that the coordinator let it in.

    Args:
        since_bytes: How long the log was before the process was started.
    """
    try:
        with log.open("rb") as stream:
            stream.seek(since_bytes)
            lines = stream.read(MOST_LOG_BYTES).decode("utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(REGISTRATION in line and "Successfully registered" in line for line in lines)
