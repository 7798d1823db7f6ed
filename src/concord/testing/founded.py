"""A small federation with keys, charter and log, for tests: all keys lie in one folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from concord.base.clock import Clock, SystemClock
from concord.charter.paths import DOCUMENT, RULES, SCHEMA
from concord.charter.run_sections import MergeRule
from concord.charter.template import default_charter
from concord.federation.folders import FederationFolder
from concord.federation.founding import Founder, found_federation
from concord.federation.office import Office

CHARTER = """
name = "Test charter"
version = 1
purpose = "A federation for tests."

[organs]
members = "They vote."
oversight = "It may halt."
coordinator = "It calls rounds."

[rights]
leave = "At once."
own_data = "Never leaves."
open_result = "Open to all."
licences = ["Apache-2.0"]

[members]
application = ["identity_key", "legal_owner", "charter_signature"]
probation_rounds = 2
probation_weight = "1/2"

[influence]
owner_cap = "{owner_cap}"
merge_rules = {merge_rules}

[rounds]
quorum = "{quorum}"
min_members = {min_members}

[log]
witness_quorum = {{ over = "{witness_over}" }}
max_head_age_s = "{max_head_age}"
witnessed_before_training = {witnessed}

[coordinator]
takeover = {{ over = "1/2" }}

[oversight]
min_overseers = {min_overseers}
halt_members = "1/4"
halt_max_s = "72h"
extend_overseers = "2/3"
extend_max_s = "30d"
lift_overseers = {{ over = "1/2" }}

[floor]
modes = {modes}

[rule.ordinary]
all = [{{ by = "one", over = "1/2" }}]
quorum = "1/2"

[rule.strong]
all = [{{ by = "one", min = "2/3" }}]
quorum = "1/2"
delay = "{amend_delay}"

[rule.expel]
all = [{{ by = "one", over = "1/2" }}]
excludes = "subject"

[rule.entrenched]
all = [{{ by = "one", min = "1" }}]
unanimous = true

[uses]
ordinary = "ordinary"
run = "ordinary"
release = "ordinary"
amend = "strong"
admit = "ordinary"
expel = "expel"
suspend = "expel"
lift-halt = "ordinary"

[entrenched]
rule = "entrenched"
paths = ["rights"]
"""
DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "owner_cap": "1",
        "merge_rules": list(get_args(MergeRule)),
        "quorum": "1/4",
        "min_members": 1,
        "witness_over": "1/2",
        "witnessed": "true",
        "max_head_age": "24h",
        "min_overseers": 0,
        "amend_delay": "0s",
        "modes": '["open"]',
    }
)


def charter_toml(**choices: object) -> str:
    """The text of a small charter; `choices` replace some of `DEFAULTS`."""
    return CHARTER.format(**{**DEFAULTS, **choices})


def found(
    root: Path,
    members: Sequence[str],
    *,
    coordinator: str | None = None,
    overseers: Sequence[str] = (),
    founders: Mapping[str, Founder] = MappingProxyType({}),
    clock: Clock | None = None,
    extra: str = "",
    **choices: object,
) -> Office:
    """Found a federation of `members` in `root`, with all their keys.

    Args:
        extra: More TOML, put behind the charter's.
        choices: Places of the charter, see `DEFAULTS`.
    """
    federation = FederationFolder(root)
    federation.charter.mkdir(parents=True, exist_ok=True)
    for name in (SCHEMA, RULES):
        (federation.charter / name).write_bytes(default_charter("test", members=3).files[name])
    (federation.charter / DOCUMENT).write_text(charter_toml(**choices) + extra)
    for member in members:
        federation.member(member).open_private()
    return found_federation(
        federation,
        "test",
        {member: founders.get(member, Founder()) for member in members},
        overseers=dict.fromkeys(overseers, ""),
        coordinator=coordinator or sorted(members)[0],
        clock=clock or SystemClock(),
    )
