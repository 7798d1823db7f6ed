"""DP-SGD: one document's pull is bounded, the noise is what was said, and nothing else gets out."""

import numpy as np
import pytest
import torch

from concord.base.errors import DocumentError
from concord.charter.run_sections import InnerSpec
from concord.train.loop import LocalTrainer
from concord.train.private.gradient import PrivateGradient, PrivateRule
from concord.train.private.randomness import SecretStream, poisson_sample
from tinymodels import TINY, tiny_model

VOCABULARY = TINY.vocabulary_size


class Texts(list):
    def tokens(self, index):
        return self[index]


def texts(count, *, seed=0, length=20):
    draw = np.random.default_rng(seed)
    return Texts(np.append(0, draw.integers(1, VOCABULARY, length)) for _ in range(count))


def batches(step, samples=2, width=17):
    return np.random.default_rng(step).integers(1, VOCABULARY, (samples, width))


def rule(**changes):
    return PrivateRule(
        **{"noise_multiplier": 1.0, "clip_norm": 0.5, "documents_per_step": 4.0, "share": 0.5}
        | changes
    )


def gradient(documents, key=1, **changes):
    stream = SecretStream(bytes([key]) * 32)
    return PrivateGradient(documents, rule(**changes), context=16, stream=stream)


def trainer(private=(), **inner):
    options = {"warmup_steps": 0, "precision": "fp32", "z_loss": 0.0} | inner
    return LocalTrainer(
        tiny_model(),
        InnerSpec.model_validate(options),
        total_steps=10,
        end_id=0,
        private=private,
        seen_tokens=np.ones(VOCABULARY, bool),
    )


def noised(documents, member=None, **options):
    """All of G as one vector."""
    member = member or trainer()
    parameters = [p for _, p in sorted(member.model.named_parameters())]
    found = gradient(documents, **options).noised_mean(parameters, member._document_loss)
    return torch.cat([part.flatten() for part in found])


def gradient_of(document):
    model = tiny_model()
    tokens = torch.from_numpy(document)[None]
    logits = model(input_ids=tokens[:, :-1]).logits[0]
    torch.nn.functional.cross_entropy(logits, tokens[0, 1:]).backward()
    return torch.cat([p.grad.flatten() for _, p in sorted(model.named_parameters())])


def test_without_noise_and_with_everybody_it_is_the_mean_of_clipped_gradients():
    documents = texts(3, length=16)
    made = noised(documents, noise_multiplier=1e-9, documents_per_step=3.0)
    each = [gradient_of(document) for document in documents]
    clipped = [g * min(1.0, 0.5 / float(g.norm())) for g in each]
    assert max(float(g.norm()) for g in each) > 0.5  # else nothing was clipped
    torch.testing.assert_close(made, sum(clipped) / 3, atol=1e-6, rtol=1e-4)


def test_one_document_more_moves_the_sum_by_the_clip_norm_at_most():
    documents = texts(4, length=16)
    options = {"noise_multiplier": 1e-9, "clip_norm": 0.1}
    with_it = noised(documents, documents_per_step=4.0, **options) * 4
    without = noised(Texts(documents[:3]), documents_per_step=3.0, **options) * 3
    assert float((with_it - without).norm()) <= 0.1 * (1 + 1e-5)


def test_a_document_longer_than_the_context_is_one_unit_still():
    long = texts(1, length=400)
    moved = noised(long, noise_multiplier=1e-9, clip_norm=0.1, documents_per_step=1.0)
    assert float(moved.norm()) == pytest.approx(0.1, rel=1e-4)


def test_the_noise_has_the_deviation_that_the_accountant_reckons_with():
    # No document is drawn, so that all that comes is noise: z·C/B on every weight.
    documents = texts(1000)
    only_noise = noised(
        documents, noise_multiplier=2.0, clip_norm=0.3, documents_per_step=1e-6 * 1000
    )
    count = only_noise.numel()
    deviation = float(only_noise.std()) * 1e-3
    assert deviation == pytest.approx(0.6, rel=5 / np.sqrt(2 * count))


def test_a_document_whose_gradient_is_no_number_adds_nothing():
    member = trainer()
    with torch.no_grad():
        next(member.model.parameters()).fill_(float("nan"))
    made = noised(texts(3), member, documents_per_step=3.0)
    assert bool(torch.isfinite(made).all())


def test_each_document_is_drawn_by_itself_at_the_rate():
    stream = SecretStream(bytes(32))
    draws = [poisson_sample(stream, 400, 0.1) for _ in range(500)]
    sizes = np.array([len(drawn) for drawn in draws])
    # Binomial(400, 0.1): mean 40, variance 36; five standard errors.
    assert sizes.mean() == pytest.approx(40, abs=5 * 6 / np.sqrt(500))
    assert sizes.var() == pytest.approx(36, rel=5 * np.sqrt(2 / 500))
    assert min(sizes) != max(sizes)
    counts = np.bincount(np.concatenate(draws), minlength=400)
    assert counts.mean() == pytest.approx(50, rel=0.05)
    assert counts.max() < 50 + 6 * np.sqrt(45)


def test_normal_numbers_are_normal():
    from scipy import stats

    numbers = SecretStream(bytes(32)).normal((200_001,)).numpy()
    assert stats.kstest(numbers, "norm").pvalue > 1e-4
    assert np.abs(np.corrcoef(numbers[:100_000], numbers[100_001:])[0, 1]) < 0.02


def test_two_streams_never_give_the_same_noise():
    first, second = SecretStream().normal((64,)), SecretStream().normal((64,))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_takes_its_share_from_the_sensitive_text(optimizer):
    documents = texts(8)
    member = trainer([gradient(documents)], optimizer=optimizer)
    plain = trainer(optimizer=optimizer)
    stats, other = (m.run(batches, first_step=0, count=2) for m in (member, plain))
    # The first loss is of the batch alone, and taken before any step.
    assert stats.losses[0] == pytest.approx(other.losses[0], rel=1e-6)
    assert stats.gradient_norms[0] != other.gradient_norms[0]
    assert stats.tokens == other.tokens


def test_sensitive_text_is_learned_where_there_is_enough_of_it():
    draw = np.random.default_rng(3)
    pattern = draw.integers(1, VOCABULARY, 8)
    documents = Texts(np.append(0, np.tile(pattern, 2)) for _ in range(4000))
    quiet = {"noise_multiplier": 1.0, "documents_per_step": 30.0, "share": 0.9}
    member = trainer([gradient(documents, clip_norm=1.0, **quiet)], lr=1e-2, optimizer="adamw")
    before = float(member._document_loss(documents[0]).detach())
    member.run(batches, first_step=0, count=8)
    assert float(member._document_loss(documents[0]).detach()) < before - 0.5


def test_what_would_show_the_tokens_of_sensitive_text_is_refused():
    with pytest.raises(DocumentError, match="softmax leaves out"):
        trainer([gradient(texts(2))], vocabulary="seen")


@pytest.mark.parametrize(
    "change", [{"noise_multiplier": 0.0}, {"clip_norm": 0.0}, {"share": 0.0}, {"share": 1.0}]
)
def test_impossible_rules_are_refused(change):
    with pytest.raises(DocumentError):
        rule(**change)


def test_shares_of_several_sets_leave_room_for_text_that_is_not_sensitive():
    with pytest.raises(DocumentError, match="add up"):
        trainer([gradient(texts(2), share=0.6), gradient(texts(2), share=0.6)])
