"""Fetch a release, or what one needs of it, from any host of files over a line that may break."""

from concord.release.fetch.release import Fetched, fetch_release
from concord.release.fetch.sources import FolderSource, HttpSource, Source, source_at

__all__ = ["Fetched", "FolderSource", "HttpSource", "Source", "fetch_release", "source_at"]
