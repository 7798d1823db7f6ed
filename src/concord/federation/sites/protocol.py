"""Which version of the exchange between sites this is: written into kits, told at hello."""

from __future__ import annotations

from concord.base.errors import MessageRefused

PROTOCOL = 1
"""Raised whenever two sides of different versions would not understand each other."""


def check_protocol(theirs: int, *, who: str) -> None:
    """Refuse a peer, or a kit, of another version.

    Args:
        theirs: The version that the other side speaks.
        who: The other side, in words.

    Raises:
        MessageRefused: the versions differ; the message says which side is to change.
    """
    if theirs == PROTOCOL:
        return
    older = f"{who} is older" if theirs < PROTOCOL else "this side is older"
    raise MessageRefused(
        f"{who} speaks version {theirs} of the protocol between sites, this side {PROTOCOL}",
        where=who,
        remedy=f"install the same release of Concord on both; {older}",
    )
