"""One round of Flower's SecAgg+ in this process, as JSON on standard output.

    FLOWER_PYTHON benchmarks/seal_flower.py --members 8 --values 2500000

Runs under a Python that has `flwr`, never under ours;
`benchmarks/seal_speed.py --flower` starts it.
Both sides are Flower's own code, its SecAggPlusWorkflow and its secaggplus_mod, joined by a grid
that hands messages over in memory; members train nothing and all survive.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

FLOWER_THRESHOLD = 6


def flower() -> tuple[Any, ...]:
    """Flower's parts, or a plain word that they are not there."""
    try:
        import flwr
        from flwr.app import Context, Message, RecordDict
        from flwr.client.mod import secaggplus_mod
        from flwr.server.workflow import SecAggPlusWorkflow
    except ImportError as error:
        raise SystemExit(f"flwr is absent here: {error}") from error
    return flwr, Context, Message, RecordDict, secaggplus_mod, SecAggPlusWorkflow


def run(members: int, values: int) -> dict[str, object]:
    flwr, Context, Message, RecordDict, mod, Workflow = flower()
    from flwr.app import ConfigRecord
    from flwr.common import FitIns, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.common.typing import Code
    from flwr.compat.common import recorddict_compat as compat
    from flwr.server.client_manager import SimpleClientManager
    from flwr.server.compat.legacy_context import LegacyContext
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 1
    logging.getLogger("flwr").setLevel(logging.ERROR)
    rng = np.random.default_rng(0)
    updates = {
        node: rng.standard_normal(values).astype(np.float32) for node in range(1, members + 1)
    }
    contexts = {
        node: Context(run_id=1, node_id=node, node_config={}, state=RecordDict(), run_config={})
        for node in updates
    }
    member_s: dict[int, float] = defaultdict(float)
    sent: dict[int, int] = defaultdict(int)
    received: dict[int, int] = defaultdict(int)

    def fit(message: Any, context: Any) -> Any:
        content = compat.fitres_to_recorddict(
            FitRes(Status(Code.OK, ""), ndarrays_to_parameters([updates[context.node_id]]), 1, {}),
            keep_input=True,
        )
        return Message(content, reply_to=message)

    class Grid:
        """Hands messages to members and replies back, and counts time and bytes."""

        def send_and_receive(self, messages: list[Any], timeout: float | None = None) -> list[Any]:  # noqa: ARG002
            return [self._handled(message) for message in messages]

        def _handled(self, message: Any) -> Any:
            node = message.metadata.dst_node_id
            message = copy.deepcopy(message)  # as if it had travelled
            received[node] += content_bytes(message.content)
            start = time.process_time()
            reply = mod(message, contexts[node], fit)
            member_s[node] += time.process_time() - start
            sent[node] += content_bytes(reply.content)
            return reply

    class Proxy:
        def __init__(self, node_id: int) -> None:
            self.node_id = self.cid = node_id

    class Strategy(FedAvg):
        def configure_fit(self, *_: Any) -> list[Any]:
            return [(Proxy(node), FitIns(ndarrays_to_parameters([]), {})) for node in updates]

    context = LegacyContext(
        Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={}),
        strategy=Strategy(),
        client_manager=SimpleClientManager(),
    )
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({"current_round": 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(
        ndarrays_to_parameters([]), True
    )
    workflow = Workflow(num_shares=members, reconstruction_threshold=FLOWER_THRESHOLD, max_weight=1)
    start = time.process_time()
    workflow(Grid(), context)
    whole_s = time.process_time() - start
    merged = compat.arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], True)
    (mean,) = parameters_to_ndarrays(merged)
    true = np.mean(list(updates.values()), axis=0)
    return {
        "version": flwr.__version__ if hasattr(flwr, "__version__") else "",
        "members": members,
        "values": values,
        "whole_s": whole_s,
        "member_s": sum(member_s.values()) / members,
        "server_s": whole_s - sum(member_s.values()),
        "sent_bytes": sum(sent.values()) / members,
        "received_bytes": sum(received.values()) / members,
        "max_error": float(np.abs(mean - true).max()),
        "seed_bits": seed_bits(),
    }


def content_bytes(content: Any) -> int:
    """Bytes of a message's records: what its serialisation holds, without framing."""
    total = 0
    for record in content.config_records.values():
        for key, value in record.items():
            total += len(key)
            for one in value if isinstance(value, list) else [value]:
                total += len(one) if isinstance(one, bytes | str) else 8
    for record in content.array_records.values():
        total += sum(len(array.data) for array in record.values())
    return total


def seed_bits(samples: int = 2000) -> list[int]:
    """Bits of the generator's seed that ever change, for masks of pairs and for a member's own."""
    from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
    from flwr.supercore.primitives.asymmetric import generate_key_pairs

    private, _ = generate_key_pairs()
    pairs = (generate_shared_key(private, generate_key_pairs()[1]) for _ in range(samples))
    own = (os.urandom(32) for _ in range(samples))
    return [changing_bits(keys) for keys in (pairs, own)]


def changing_bits(keys: Iterable[bytes]) -> int:
    """After each key is folded to 32 bits as secaggplus_utils.pseudo_rand_gen does it."""
    both, either = (1 << 32) - 1, 0
    for key in keys:
        seed = 0
        for at in range(0, len(key), 4):
            seed ^= int.from_bytes(key[at : at + 4], "little")
        both, either = both & seed, either | seed
    return (either & ~both).bit_count()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--values", type=int, default=2_500_000)
    options = parser.parse_args()
    print(json.dumps(run(options.members, options.values)))


if __name__ == "__main__":
    main()
