"""Gates by Inspect: questions to which the model goes on in its own words, and Inspect scores them.

Inspect asks each question as it stands and looks for the target in what comes (its scorer
`includes`, case aside). No solver, tool, grader or sandbox is used. Imports `inspect_ai`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import inspect_ai
import torch
from inspect_ai import Task, __version__
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, Model, ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import includes
from inspect_ai.solver import generate
from transformers import PreTrainedModel

from concord.base.errors import ModelError
from concord.model.tokenizer import Tokenizer
from concord.release.gates.task_file import AnswerRow

TOOL = f"inspect-ai {__version__}"
ANSWER_TOKENS = 32
"""Most that the model says; half its context where that is less."""


def accuracy(
    network: PreTrainedModel,
    tokenizer: Tokenizer,
    rows: Sequence[AnswerRow],
    *,
    context: int,
    name: str,
) -> float:
    """Share of questions whose answer holds the target.

    Args:
        context: Most tokens that the network reads; of a longer question the end.

    Raises:
        ModelError: the model did not answer every question.
    """
    samples = [Sample(input=row.input, target=row.target) for row in rows]
    task = Task(dataset=MemoryDataset(samples), solver=generate(), scorer=includes(), name=name)
    api = modelapi(name="concord")(ReleasedModel)  # Inspect takes no model without a name
    model = Model(api(network, tokenizer, context), GenerateConfig())
    with tempfile.TemporaryDirectory(prefix="concord-inspect-") as logs:
        (log,) = inspect_ai.eval(task, model=model, log_dir=logs, display="none", log_format="json")
    if log.status != "success" or log.results is None:
        why = log.error.message[:200] if log.error else log.status
        raise ModelError(f"did not answer every question: {why}", where=f"task {name}")
    return float(log.results.scores[0].metrics["accuracy"].value)


class ReleasedModel(ModelAPI):  # type: ignore[misc]
    """A network as Inspect asks it: the likeliest token each time, until the end token.

    Args:
        network: Any causal language model.
        tokenizer: Its tokenizer.
        context: Most tokens that are read.
    """

    def __init__(self, network: PreTrainedModel, tokenizer: Tokenizer, context: int) -> None:
        super().__init__("released")
        self._network = network.eval()
        self._tokenizer = tokenizer
        self._context = context

    async def generate(self, input: list[Any], **_: Any) -> ModelOutput:  # noqa: A002 - theirs
        """Go on from the last message, whose text is read as it stands."""
        return ModelOutput.from_content(self.model_name, self._answer(input[-1].text))

    def max_connections(self) -> int:
        """One question after the other: there is one model."""
        return 1

    def _answer(self, question: str) -> str:
        tokenizer, most = self._tokenizer, min(ANSWER_TOKENS, self._context // 2)
        ids = [tokenizer.start_id, *tokenizer.encode(question)][-(self._context - most) :]
        given = torch.tensor([ids], device=self._network.device)
        made = self._network.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=most,
            do_sample=False,
            eos_token_id=tokenizer.end_id,
            pad_token_id=tokenizer.end_id,
        )[0, len(ids) :].tolist()
        if tokenizer.end_id in made:
            made = made[: made.index(tokenizer.end_id)]
        return str(tokenizer.decode(made))
