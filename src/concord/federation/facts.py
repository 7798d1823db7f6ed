"""Facts that a member's text holds and no other's, where its `member.toml` names a file of them."""

from __future__ import annotations

from concord.data.facts import Fact, read_facts
from concord.federation.folders import MemberFolder


def member_facts(folder: MemberFolder) -> list[Fact]:
    """The facts of which this member is the holder.

    Raises:
        DocumentError, DataError: `member.toml` or the file of facts is faulty.
    """
    path = folder.load().facts
    if path is None:
        return []
    return [fact for fact in read_facts((folder.root / path).resolve()) if fact.holder == folder.id]
