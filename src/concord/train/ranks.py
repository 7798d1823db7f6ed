"""The processes that share one member's work: usually one, several under `torchrun`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from concord.model.sharding import gather


@dataclass(frozen=True)
class Ranks:
    """This process's place among `count` processes; `sharded` if FSDP holds the network."""

    index: int = 0
    count: int = 1
    sharded: bool = False

    @property
    def is_leader(self) -> bool:
        """The one process that speaks with the outside."""
        return self.index == 0

    def rows(self, count: int) -> slice:
        """The rows of a batch that are this process's."""
        return slice(self.index, count, self.count)

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes."""
        if self.count == 1:
            return values
        values = values.clone()
        torch.distributed.all_reduce(values)
        return values / self.count

    def whole(self, value: Tensor) -> Tensor:
        """A scalar that FSDP may hold in parts."""
        return gather(value)


ONE_PROCESS = Ranks()
