"""Small networks and batches for the tests of this folder."""

import numpy as np

from concord.charter.run_sections import InnerSpec
from concord.train.loop import LocalTrainer
from tinymodels import TINY, tiny_model

END = TINY.end_id
VOCABULARY = TINY.vocabulary_size


def batches(step, *, samples=4, width=33):
    """A learnable stream: each token is the one before plus a small, seeded step."""
    generator = np.random.default_rng(step)
    steps = generator.integers(1, 4, (samples, width))
    return (1 + np.cumsum(steps, axis=1) % (VOCABULARY - 1)).astype(np.int64)


def trainer(model=None, *, total_steps=40, seed=0, **inner):
    options = {"warmup_steps": 4, "precision": "fp32"} | inner
    model = model if model is not None else tiny_model(seed)
    return LocalTrainer(
        model, InnerSpec.model_validate(options), total_steps=total_steps, end_id=END
    )
