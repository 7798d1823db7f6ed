"""Measuring a round's updates on public probes: loads the network, and no member's text.

For N updates, N + 1 merges and passes over the probes. Decoding is repeated for each merge, so that
memory stays at one model beside the network.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from transformers import PreTrainedModel

from concord.base.errors import ConcordError
from concord.base.tensors import FloatArray
from concord.federation.gating import Benefits, GateCase, read_probes
from concord.federation.member.network import build_network
from concord.ledger.arithmetic import (
    ScreenedUpdate,
    merge_of,
    outer_rate_of,
    screen_update,
    weights_fault,
)
from concord.ledger.layouts import base_weights
from concord.model.folder import read_tokenizer_files
from concord.model.tensors import load_tensors
from concord.model.tokenizer import Tokenizer
from concord.train.evaluate import heldout_sums


class NetworkProber:
    """A prober with the run's network, on this machine's CPU."""

    def __init__(self) -> None:
        self._model: PreTrainedModel | None = None
        self._tokenizer: Tokenizer | None = None

    def benefits(self, case: GateCase) -> Benefits:
        """What each update does to each language.

        Raises:
            UpdateRefused: one of them had to be refused before.
            CheckpointError: base, probes or tokenizer are not what they should be.
        """
        screened: dict[str, ScreenedUpdate] = {}
        for member, path in sorted(case.updates.items()):
            screened[member] = screen_update(case.inputs, member, path, accepted=screened.keys())
        probes = read_probes(case.probes)
        together = self._losses(case, screened, probes)
        found: dict[str, dict[str, float]] = {}
        for member in screened:
            others = {name: one for name, one in screened.items() if name != member}
            if weights_fault(case.inputs.run, others.keys()):
                continue  # there would be no round without it
            without = self._losses(case, others, probes)
            found[member] = {code: without[code] - together[code] for code in sorted(probes)}
        return found

    def _losses(
        self,
        case: GateCase,
        updates: Mapping[str, ScreenedUpdate],
        probes: Mapping[str, Collection[str]],
    ) -> dict[str, float]:
        """Nats per token of each language after a round of these updates."""
        model, tokenizer = self._network(case)
        load_tensors(model, _moved(case, updates))
        losses = {}
        for language, lines in probes.items():
            sums = heldout_sums(
                model,
                lines,
                tokenizer.encode,
                start_id=tokenizer.end_id,
                context=case.inputs.run.model.context,
            )
            losses[language] = sums.nats / max(sums.tokens, 1)
        return losses

    def _network(self, case: GateCase) -> tuple[PreTrainedModel, Tokenizer]:
        if self._model is None or self._tokenizer is None:
            torch.set_num_threads(1)
            if case.tokenizer is not None:
                text = case.tokenizer.read_bytes().decode("utf-8")
                self._tokenizer = Tokenizer.from_json(text)
            elif case.continued is not None:
                self._tokenizer = Tokenizer.from_files(read_tokenizer_files(case.continued))
            else:
                raise ConcordError("there is no tokenizer to read the probes with")
            self._model = build_network(case.inputs.run, self._tokenizer, case.continued)
        return self._model, self._tokenizer


def _moved(case: GateCase, updates: Mapping[str, ScreenedUpdate]) -> dict[str, FloatArray]:
    """The weights that a round of these updates would lead to."""
    merge, inputs = merge_of(case.inputs, updates), case.inputs
    moved = base_weights(inputs.base_file)
    for entry in inputs.update_layout:
        if entry.is_weight:
            step = merge.tensor(entry.name) * outer_rate_of(inputs, entry)
            moved[entry.name] = moved[entry.name] - step
    return moved
