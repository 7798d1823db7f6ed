"""Engines: how messages travel between coordinator and members."""

from typing import Literal

EngineName = Literal["local", "flare"]
"""local: a process per member on this machine; flare: a site per member, over mutual TLS."""
