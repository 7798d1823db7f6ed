"""What a run needs of links, disks, memory and the coordinator's core, from the codecs' own sizes.

Sizes are exact where a codec's do not depend on the values, and an upper bound for sparse codecs.
Memory and disk are lower bounds: activations, text and tokens are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from concord.base.tensors import TensorSpec
from concord.charter.run import RunDocument, parse_run
from concord.charter.run_sections import ModelSpec, RosterMember
from concord.federation.disk import COORDINATOR_COPIES, FIRST_SYMBOLS, FP32_BYTES, member_copies
from concord.federation.planning.network import (
    network_of,
    network_specs,
    optimizer_specs,
    shared_specs,
)
from concord.ledger.layouts import full_rounds, step_layout, update_layout
from concord.update.payload import most_bytes

PROCESS_BYTES = 100 * 10**6
"""A coordinator's process before it holds anything of a model (measured)."""


@dataclass(frozen=True)
class Cost:
    """Of one core, in nanoseconds per parameter; and memory of a round in largest tensors."""

    screen_ns: float
    """Of each update when it comes."""
    merge_ns: float
    """Of each update, after the last one came."""
    close_ns: float
    """Of the round: outer step, encoding, next base, digests, files."""
    tensors_held: float


COSTS: Mapping[str, Cost] = MappingProxyType(
    {
        "fp32": Cost(5.8, 1.3, 21, 3.0),
        "bf16": Cost(3.9, 1.3, 14, 2.5),
        "int8": Cost(3.0, 1.2, 12, 2.0),
        "int4": Cost(2.9, 1.7, 11, 2.1),
        "sparse": Cost(3.0, 2.6, 59, 8.0),
    }
)
"""Measured on 2026-11-26: docs/benchmarks/aggregation.md."""
UNMOVED_NS = 3.5
"""Of one core, for each parameter that a round leaves alone: it is in the next base (measured, on
the same page)."""


@dataclass(frozen=True)
class Needs:
    """What one run needs, by its document.

    Args:
        run: The run document.
        weights: Tensors of its network.
    """

    run: RunDocument
    weights: tuple[TensorSpec, ...]

    @cached_property
    def parameters(self) -> int:
        return sum(spec.size for spec in self.weights)

    @cached_property
    def base_specs(self) -> list[TensorSpec]:
        """Weights and shared inner state."""
        return sorted([*self.weights, *shared_specs(self.run, list(self.weights))])

    @cached_property
    def base_bytes(self) -> int:
        return FP32_BYTES * sum(spec.size for spec in self.base_specs)

    @property
    def up_bytes(self) -> int:
        """One member's update: header, weights, shared state; of the largest fragment."""
        return max(self._up_sizes)

    @property
    def down_bytes(self) -> int:
        """The step that every member is sent, of the largest fragment."""
        return max(self._down_sizes)

    @property
    def mean_up_bytes(self) -> float:
        """One member's update, mean over fragments."""
        return sum(self._up_sizes) / self.fragments

    @property
    def mean_down_bytes(self) -> float:
        """The step, mean over fragments."""
        return sum(self._down_sizes) / self.fragments

    @cached_property
    def _up_sizes(self) -> list[int]:
        rounds = full_rounds(self.run)
        return [most_bytes(update_layout(self.run, self.base_specs, r)) for r in rounds]

    @cached_property
    def _down_sizes(self) -> list[int]:
        rounds = full_rounds(self.run)
        return [most_bytes(step_layout(self.run, self.base_specs, r)) for r in rounds]

    @property
    def fragments(self) -> int:
        """Parts of the model that travel in turn."""
        return self.run.rounds.fragments

    @property
    def overlap(self) -> float:
        """Share of a round's steps that members take while the update before travels."""
        return self.run.rounds.overlap_steps / self.run.rounds.inner_steps

    @property
    def _moved(self) -> float:
        """Parameters that a round moves, mean over fragments."""
        return self.parameters / self.fragments

    @property
    def _cost(self) -> Cost:
        return COSTS[self.run.update.codec]

    @property
    def screen_s(self) -> float:
        return 1e-9 * self._cost.screen_ns * self._moved

    @property
    def merge_s(self) -> float:
        cost = self._cost
        moved_ns = (cost.merge_ns * len(self.run.roster) + cost.close_ns) * self._moved
        return 1e-9 * (moved_ns + UNMOVED_NS * (self.parameters - self._moved))

    @property
    def coordinator_memory(self) -> int:
        """Bytes, whatever the number of members; the system's file cache is not counted."""
        largest = max(spec.size for spec in self.weights)
        return PROCESS_BYTES + round(self._cost.tensors_held * FP32_BYTES * largest)

    def coordinator_disk(self, rounds: int) -> int:
        """Bytes after so many rounds: every update stays, so that strangers can replay."""
        kept = rounds * len(self.run.roster) * sum(self._up_sizes) // self.fragments
        return kept + COORDINATOR_COPIES * self.base_bytes + self.down_bytes

    @property
    def member_memory(self) -> int:
        """Bytes over all of a member's devices: weights, gradients, optimiser; no activations."""
        state = sum(spec.size for spec in optimizer_specs(self.run, list(self.weights)))
        return FP32_BYTES * (2 * self.parameters + state)

    @property
    def member_disk(self) -> int:
        """Bytes: its base and the next one, what it keeps of itself before and after a round."""
        return member_copies(self.run) * self.base_bytes


def needs_of(run: RunDocument) -> Needs:
    """Of a run document, as if its text gave all the merges that were asked for."""
    vocabulary = FIRST_SYMBOLS + run.tokenizer.merges
    return Needs(run, tuple(network_specs(run.model, vocabulary)))


def needs_of_size(parameters: int, members: int, codec: str) -> Needs:
    """Of a network of a size, with the defaults of a run document.

    Raises:
        DocumentError: there is no such network or codec.
    """
    model, vocabulary = network_of(parameters)
    run = with_codec(_document(model, members), codec)
    return Needs(run, tuple(network_specs(model, vocabulary)))


def with_fragments(run: RunDocument, fragments: int) -> RunDocument:
    """The same run with its model sent in so many parts.

    Raises:
        DocumentError: the run cannot have so many.
    """
    value: dict[str, Any] = run.model_dump(mode="json")
    value["rounds"]["fragments"] = fragments
    return parse_run(value, where="--fragments")


def _document(model: ModelSpec, members: int) -> RunDocument:
    roster = tuple(RosterMember(id=f"m{number}") for number in range(members))
    return RunDocument(name="plan", roster=roster, model=model)


def with_codec(run: RunDocument, codec: str) -> RunDocument:
    """The same run with another codec, down as up.

    Raises:
        DocumentError: there is no such codec, or the run cannot have it.
    """
    value: dict[str, Any] = run.model_dump(mode="json")
    value["update"] |= {"codec": codec, "down_codec": codec}
    return parse_run(value, where="--codec")
