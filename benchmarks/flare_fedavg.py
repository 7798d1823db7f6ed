"""A plain FedAvg job of NVIDIA FLARE that trains nothing: see `benchmarks/aggregation.py`.

    python benchmarks/flare_fedavg.py --parameters 16777216 --members 6 --rounds 3

FLARE's own controller, aggregator and shareable generator, in its simulator: the server in one
process, each member in another, loopback without TLS. Members answer at once with a difference
that they made beforehand. Of every round the server's processor time and peak memory are kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from memory import Watch
from nvflare.apis.dxo import DXO, DataKind, MetaKey
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.model import ModelLearnable, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import (
    InTimeAccumulateWeightedAggregator,
)
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.app_event_type import AppEventType

TRIES = 3
Arrays = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def arrays_of(parameters: int, tensors: int, *, seed: int = 0) -> Arrays:
    """Tensors of 1,024 columns, normal values."""
    rng = np.random.default_rng(seed)
    shape = (parameters // tensors // 1024, 1024)
    names = [f"layer.{number:03}.weight" for number in range(tensors)]
    return {name: rng.standard_normal(shape, np.float32) * np.float32(1e-3) for name in names}


class Weights(ModelPersistor):  # type: ignore[misc] # FLARE has no types
    """Starts from ones, and keeps nothing."""

    def __init__(self, parameters: int, tensors: int) -> None:
        super().__init__()
        self.shape = (parameters // tensors // 1024, 1024)
        self.names = [f"layer.{number:03}.weight" for number in range(tensors)]

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:  # noqa: ARG002
        return make_model_learnable({n: np.ones(self.shape, np.float32) for n in self.names}, {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        pass


class Answer(Executor):  # type: ignore[misc] # FLARE has no types
    """A member that trained before."""

    def __init__(self, parameters: int, tensors: int) -> None:
        super().__init__()
        self.arrays = arrays_of(parameters, tensors)

    def execute(
        self,
        task_name: str,  # noqa: ARG002
        shareable: Shareable,  # noqa: ARG002
        fl_ctx: FLContext,  # noqa: ARG002
        abort_signal: Signal,  # noqa: ARG002
    ) -> Shareable:
        meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: 20}
        return DXO(DataKind.WEIGHT_DIFF, data=self.arrays, meta=meta).to_shareable()


class Meter(FLComponent):  # type: ignore[misc] # FLARE has no types
    """Writes what the server's process spent on each round."""

    def __init__(self, out: str) -> None:
        super().__init__()
        self.out, self.rounds, self.watch = Path(out), [], Watch()
        self.watch.start()

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:  # noqa: ARG002
        if event_type == AppEventType.ROUND_STARTED:
            self.began = time.process_time(), time.monotonic()
        elif event_type == AppEventType.ROUND_DONE:
            self.rounds.append(
                {
                    "cpu_s": time.process_time() - self.began[0],
                    "wall_s": time.monotonic() - self.began[1],
                    "peak_mb": self.watch.peak_mb,
                    "before_mb": self.watch.before_mb,
                }
            )
            self.out.write_text(json.dumps(self.rounds))


def in_process(parameters: int, tensors: int, members: int) -> tuple[float, float]:
    """FLARE's aggregator alone, on arrays that are in memory already.

    Returns:
        Processor seconds of all `accept` and one `aggregate`; peak memory in MB beyond imports,
        with one update in memory at a time.
    """
    logging.disable(logging.CRITICAL)
    watch = Watch()
    watch.start()
    aggregator = InTimeAccumulateWeightedAggregator(expected_data_kind=DataKind.WEIGHT_DIFF)
    context = FLContext()
    context.set_prop(AppConstants.CURRENT_ROUND, 0, private=True, sticky=True)
    aggregator.handle_event(EventType.START_RUN, context)
    spent_s = min(_accumulated(aggregator, context, parameters, tensors, members)
                  for _ in range(TRIES))  # fmt: skip
    return spent_s, watch.stop()


def _accumulated(
    aggregator: InTimeAccumulateWeightedAggregator,
    context: FLContext,
    parameters: int,
    tensors: int,
    members: int,
) -> float:
    spent_s = 0.0
    for number in range(members):
        update = arrays_of(parameters, tensors, seed=number)
        meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: 20}
        shareable = DXO(DataKind.WEIGHT_DIFF, data=update, meta=meta).to_shareable()
        shareable.set_peer_props({ReservedKey.IDENTITY_NAME: f"m{number}"})
        shareable.add_cookie(AppConstants.CONTRIBUTION_ROUND, 0)
        start_s = time.process_time()
        if not aggregator.accept(shareable, context):
            raise SystemExit("FLARE did not take the update")
        spent_s += time.process_time() - start_s
        del update, shareable
    start_s = time.process_time()
    merged = aggregator.aggregate(context)
    spent_s += time.process_time() - start_s
    del merged
    return spent_s


def job(folder: Path, parameters: int, tensors: int, members: int, rounds: int) -> None:
    """The job's files."""
    size = {"parameters": parameters, "tensors": tensors}
    flare = "nvflare.app_common."
    server = {
        "format_version": 2,
        "workflows": [{"id": "ctl", "path": flare + "workflows.scatter_and_gather.ScatterAndGather",
                       "args": {"min_clients": members, "num_rounds": rounds,
                                "wait_time_after_min_received": 0, "train_timeout": 0,
                                "aggregator_id": "aggregator", "persistor_id": "persistor",
                                "shareable_generator_id": "generator", "task_check_period": 0.05}}],
        "components": [
            {"id": "aggregator", "args": {"expected_data_kind": "WEIGHT_DIFF"},
             "path": flare + "aggregators.intime_accumulate_model_aggregator."
                             "InTimeAccumulateWeightedAggregator"},
            {"id": "generator", "args": {},
             "path": flare + "shareablegenerators.full_model_shareable_generator."
                             "FullModelShareableGenerator"},
            {"id": "persistor", "path": "flare_fedavg.Weights", "args": size},
            {"id": "meter", "path": "flare_fedavg.Meter", "args": {"out": str(folder / "m.json")}},
        ],
    }  # fmt: skip
    client = {
        "format_version": 2,
        "executors": [
            {"tasks": ["train"], "executor": {"path": "flare_fedavg.Answer", "args": size}}
        ],
    }
    meta = {"name": "fedavg", "resource_spec": {}, "min_clients": members,
            "deploy_map": {"app": ["@ALL"]}}  # fmt: skip
    config = folder / "job" / "app" / "config"
    config.mkdir(parents=True)
    custom = folder / "job" / "app" / "custom"  # FLARE loads classes from nowhere else
    custom.mkdir()
    for own in (Path(__file__), Path(__file__).with_name("memory.py")):
        shutil.copy(own, custom)
    (folder / "job" / "meta.json").write_text(json.dumps(meta))
    (config / "config_fed_server.json").write_text(json.dumps(server))
    (config / "config_fed_client.json").write_text(json.dumps(client))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=int, default=1 << 24)
    parser.add_argument("--tensors", type=int, default=16)
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="the aggregator alone, without a job")
    options = parser.parse_args()
    size = (options.parameters, options.tensors, options.members)
    if options.alone:
        spent_s, peak_mb = in_process(*size)
        print(json.dumps({"cpu_s": spent_s, "peak_mb": peak_mb}))
        return
    from nvflare.private.fed.app.simulator.simulator_runner import SimulatorRunner

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job(folder, *size, options.rounds)
        runner = SimulatorRunner(
            job_folder=str(folder / "job"),
            workspace=str(folder / "space"),
            clients=",".join(f"m{number}" for number in range(options.members)),
            n_clients=options.members,
            threads=options.members,
        )
        status = runner.run()
        found = json.loads((folder / "m.json").read_text())
        print(json.dumps({"status": status, "rounds": found}))


if __name__ == "__main__":
    main()
