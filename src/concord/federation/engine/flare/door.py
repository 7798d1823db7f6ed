"""The last door of a member: what tries to leave as a task's result does not."""

from __future__ import annotations

from nvflare.apis.filter import ContentBlockedException, Filter
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable


class PolicyGate(Filter):  # type: ignore[misc]
    """Blocks every task result.

    A member's grants, updates and sums leave through its own process, after its policy was asked;
    Concord gives FLARE no tasks. So whatever comes this way is not Concord's.
    """

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:  # noqa: ARG002
        """Withhold it."""
        raise ContentBlockedException("nothing of a member leaves as the result of a task")
