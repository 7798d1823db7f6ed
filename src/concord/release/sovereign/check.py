"""The shared gates, run on a member's own build: what holds for the release, does it hold here?

Nobody has to pass: a build is its member's. But a derivative cannot lose what the members agreed
on in silence. Gates about the run itself (its log, its compute, its law matrix) say nothing of a
build and are named as such. Where a gate compares with the last release, a build is compared with
the base that it went on from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedModel

from concord.base.digest import Digest, digest_file
from concord.base.errors import ConcordError, VerificationFailed
from concord.charter.gates import OF_THE_RUN, Gate
from concord.model.folder import load_folder
from concord.release.gates.bench import Bench
from concord.release.gates.run import Runner
from concord.release.sovereign.certificate import GateResult, Result
from concord.release.sovereign.record import SovereignRecord, read_record
from concord.release.weights import weights_digest


@dataclass(frozen=True)
class SovereignBench(Bench):
    """A build in the place of the model that is to be released.

    Args:
        build: Its folder; its digest is `model`.
        base: The model folder that it went on from.
    """

    build: Path
    base: Path

    @property
    def folder(self) -> Path:
        return self.build

    @cached_property
    def network(self) -> PreTrainedModel:
        self.check_weights()
        return load_folder(self.build).model

    def check_weights(self) -> Digest:
        """Digest of the build's weights.

        Raises:
            VerificationFailed: they are not those of its record.
        """
        found = weights_digest(sorted(self.build.glob("*.safetensors")))
        if found != self.model:
            raise VerificationFailed("was altered since it was built", where=self.build)
        return found

    def released(self, model: Digest) -> PreTrainedModel:  # noqa: ARG002 - always the base
        """The base, whatever was released since."""
        return load_folder(self.base).model


def check_identity(build: Path, base: Path) -> SovereignRecord:
    """The record of a build, after weights and tokenizers of build and base were compared with it.

    Raises:
        DocumentError: it is no sovereign build.
        VerificationFailed: a file is not what the record says.
    """
    record = read_record(build)
    for folder, wanted, what in (
        (build, record.weights, "was altered since it was built"),
        (base, record.plan.base.weights, "is not the base of this build"),
    ):
        if weights_digest(sorted(folder.glob("*.safetensors"))) != wanted:
            raise VerificationFailed(what, where=folder)
        if digest_file(folder / "tokenizer.json") != record.plan.base.tokenizer:
            raise VerificationFailed("has another tokenizer", where=folder)
    return record


def run_gates(runner: Runner, gates: Iterable[Gate], member: str) -> list[GateResult]:
    """Run the gates as a member; one that cannot be run here says why."""
    found = []
    for gate in gates:
        if gate.metric in OF_THE_RUN:
            found.append(_result(gate, "not of a build"))
            continue
        try:
            measurement = runner.measure(gate, member)
        except ConcordError as error:
            found.append(_result(gate, "not run", why=f"{error.where or gate.id}: {error.message}"))
            continue
        passed = gate.passes(measurement.measured)
        found.append(
            _result(
                gate,
                "passed" if passed else "failed",
                measured=dict(measurement.measured),
                n=measurement.n,
            )
        )
    return found


def _result(gate: Gate, result: Result, **more: object) -> GateResult:
    why = str(more.pop("why", ""))
    plain = "".join(character for character in why if character.isprintable())[:300]
    return GateResult(
        gate=gate.id,
        result=result,
        limit=gate.limit_words,
        why=plain,
        **more,  # type: ignore[arg-type]
    )
