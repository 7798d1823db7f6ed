"""What has to be said of a release wherever it is checked: withdrawal, advisories, late answers."""

from __future__ import annotations

from concord.ledger.sentences import cut, moment
from concord.ledger.state.model import State


def notices_about(state: State, version: str, now: int) -> tuple[str, ...]:
    """Notices in words, the gravest first.

    Args:
        now: Unix seconds; an answer that is due before is late.
    """
    found = []
    recall = state.recalls.get(version)
    if recall is not None:
        instead = f"; use {recall.replaced_by}" if recall.replaced_by else ""
        found.append(
            f"WITHDRAWN {moment(recall.time)} by {', '.join(recall.by)} on ground {recall.ground}:"
            f" {cut(recall.reason)}{instead}"
        )
    order = ("critical", "high", "medium", "low")
    about = [one for one in state.advisories.values() if one.version == version]
    found += [
        f"advisory, {one.severity}: {cut(one.title)} ({one.by}, {moment(one.time)})"
        for one in sorted(about, key=lambda one: (order.index(one.severity), one.time))
    ]
    found += [
        f"{one.sort} due {moment(one.due)} {'answered late' if one.answered else 'not answered'}:"
        f" {cut(one.title)}"
        for one in sorted(state.matters.values(), key=lambda one: one.due)
        if one.version in (version, None) and one.late(now)
    ]
    return tuple(found)
