"""What the leader of a member's processes tells the others; they stay inside the member.

Paths are those of the member's private folder: all its processes are of one user on one machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from concord.charter.document import Document
from concord.federation.messages import Count, Failed


class Join(Document):
    """Meet the others and build the network; payload: `tokenizer.json`, or none with a folder."""

    kind: Literal["join"] = "join"
    run: dict[str, Any]
    meeting: str
    """The file through which the processes find each other."""
    device: str
    index: Count
    count: Count


class Steps(Document):
    """Restore the state before a round, take its steps, and give your slices if all were taken."""

    kind: Literal["steps"] = "steps"
    round: Count
    inner_steps: Count
    attempt: Count = 0
    base: str
    local: str | None
    since: Count = 0
    """The round after whose steps `local` was saved."""


class Measure(Document):
    """Measure a base on the member's held-out text."""

    kind: Literal["measure"] = "measure"
    base: str


Order = Annotated[Join | Steps | Measure, Field(discriminator="kind")]
ORDERS: TypeAdapter[Order] = TypeAdapter(Order)
REPORTS: TypeAdapter[Failed] = TypeAdapter(Failed)
