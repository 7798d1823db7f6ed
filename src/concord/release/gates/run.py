"""One gate, run by one member: from the declaration to what goes into the log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from concord.base.clock import Clock
from concord.charter.gates import Gate
from concord.release.gates.bench import Bench
from concord.release.gates.evidence import Measurement

PAIRS = ("bias-pairs", "toxic-continuations")


@dataclass(frozen=True)
class Runner:
    """Runs gates on one model.

    Args:
        bench: The model.
        clock: Time, handed in.
        pairs: Files of pairs by metric, instead of the member's own.
    """

    bench: Bench
    clock: Clock
    pairs: dict[str, Path]

    def measure(self, gate: Gate, member: str) -> Measurement:
        """Run a gate as a member.

        Raises:
            ConcordError: it cannot be run here; says why.
        """
        from concord.release.gates import own_text, public, records, tasks

        bench, root = self.bench, self.bench.federation.root
        match gate.metric:
            case "bits-per-byte":
                return own_text.bits_per_byte(bench, gate, member)
            case "verbatim":
                return own_text.verbatim(bench, gate, member)
            case "canaries-recited":
                return own_text.canaries_recited(bench, gate, member)
            case "membership-auc" | "membership-tpr":
                return own_text.membership(bench, gate, member)
            case "token-premium":
                return public.token_premium(bench)
            case "personal-data":
                return public.personal_data(bench, gate)
            case "trigger-scan":
                return public.trigger_scan(bench)
            case "bias-pairs" | "toxic-continuations":
                return public.pairs(bench, gate, member, self._pairs(gate, member))
            case "integrity":
                weights = bench.check_weights()
                return records.integrity(root, bench.run.name, weights, self.clock)
            case "compute":
                return records.compute(root)
            case "law":
                return records.law(root, self.clock)
            case "task":
                return tasks.task(bench, gate, member)

    def _pairs(self, gate: Gate, member: str) -> Path:
        """Where the member keeps its pairs."""
        own = self.bench.federation.member(member).root / "gates" / f"{gate.metric}.jsonl"
        return self.pairs.get(gate.metric, own)
