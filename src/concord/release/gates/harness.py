"""Gates by lm-evaluation-harness: its multiple choice, asked of the model that is to be released.

The harness forms the requests and counts; probabilities come from our own evaluation. Nothing is
downloaded, and no template or program of a task is run. Imports `lm_eval`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import torch
from lm_eval import __version__
from lm_eval.api.model import TemplateLM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from transformers import PreTrainedModel

from concord.model.tokenizer import Tokenizer
from concord.release.gates.task_file import ChoiceRow

TOOL = f"lm-eval {__version__}"
SPLIT = "test"


def accuracy(
    network: PreTrainedModel,
    tokenizer: Tokenizer,
    rows: Sequence[ChoiceRow],
    *,
    context: int,
    name: str,
) -> float:
    """Share of rows in which the right continuation is the likeliest (the harness's `acc`).

    Args:
        context: Most tokens that the network reads; of longer text the end.
    """
    table = datasets.Dataset.from_list([row.model_dump(mode="python") for row in rows])
    task = ConfigurableTask(
        config={
            "task": name,
            "custom_dataset": lambda **_: datasets.DatasetDict({SPLIT: table}),
            "test_split": SPLIT,
            "output_type": "multiple_choice",
            "doc_to_text": "input",
            "doc_to_choice": "choices",
            "doc_to_target": "target",
            "num_fewshot": 0,
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    )
    found = evaluate(
        ReleasedModel(network, tokenizer, context),
        {name: task},
        bootstrap_iters=0,
        log_samples=False,
    )
    return float(found["results"][name]["acc,none"])


class ReleasedModel(TemplateLM):  # type: ignore[misc]
    """A network as the harness asks it.

    Args:
        network: Any causal language model.
        tokenizer: Its tokenizer.
        context: Most tokens that are read.
    """

    def __init__(self, network: PreTrainedModel, tokenizer: Tokenizer, context: int) -> None:
        super().__init__()
        self._network = network.eval()
        self._tokenizer = tokenizer
        self._context = context

    @property
    def eot_token_id(self) -> int:
        """What stands before a text that nothing comes before."""
        return self._tokenizer.start_id

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        """Token ids, without special ones."""
        del add_special_tokens
        return list(self._tokenizer.encode(string))

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        return [self._one(before, targets) for _, before, targets in requests]

    @torch.inference_mode()
    def _one(self, before: list[int], targets: list[int]) -> tuple[float, bool]:
        if not targets:
            return 0.0, True
        whole = [self._tokenizer.start_id, *before, *targets]
        whole = whole[-(self._context + 1) :]
        targets = whole[-min(len(targets), len(whole) - 1) :]
        ids = torch.tensor([whole[:-1]], device=self._network.device)
        logits = self._network(input_ids=ids, use_cache=False).logits[0, -len(targets) :]
        logs = logits.float().log_softmax(-1).cpu()
        wanted = torch.tensor(targets)
        nats = logs.gather(1, wanted[:, None]).double().sum()
        return float(nats), bool((logs.argmax(1) == wanted).all())

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> list[float]:
        """Not asked for by multiple choice."""
        raise NotImplementedError

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Not asked for by multiple choice."""
        raise NotImplementedError
