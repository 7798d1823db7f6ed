"""Peak memory of this process, without the pages of mapped files, which the system may drop."""

from __future__ import annotations

import threading
from pathlib import Path

STATUS = Path("/proc/self/status")


def resident_mb(kind: str = "RssAnon") -> float:
    """Megabytes (10^6 bytes) of one kind of resident memory: RssAnon, or RssFile."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit(f"{STATUS} does not say {kind}")


class Watch:
    """Looks at this process's memory fifty times a second."""

    def __init__(self) -> None:
        self.before_mb = resident_mb()
        self._anon_mb, self._file_mb = self.before_mb, resident_mb("RssFile")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> float:
        """End, and return the highest growth in MB."""
        self._over.set()
        self._thread.join()
        return self.peak_mb - self.before_mb

    @property
    def peak_mb(self) -> float:
        return self._anon_mb

    @property
    def peak_mapped_mb(self) -> float:
        """Pages of files that were in memory at once; the code of libraries is among them."""
        return self._file_mb

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self._anon_mb = max(self._anon_mb, resident_mb())
            self._file_mb = max(self._file_mb, resident_mb("RssFile"))
