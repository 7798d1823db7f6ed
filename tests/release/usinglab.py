"""A small trained-looking model folder with a real tokenizer, for the tests of using a release."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from concord.base.tokenizer_file import END_TOKEN
from concord.data.bpe.files import tokenizer_config_json
from concord.data.bpe.words import WORD_PATTERN
from concord.model.folder import save_folder
from tinymodels import tiny_model

SENTENCES = (
    "Mji mkuu wa Kenya ni Nairobi, wenye watu 4,397,073.",
    "Η πρωτεύουσα της Ελλάδας είναι η Αθήνα.",
    "เมืองหลวงของประเทศไทยคือกรุงเทพมหานคร",
    "കേരളത്തിന്റെ തലസ്ഥാനം തിരുവനന്തപുരം ആണ്.",
    "The capital of Iceland is Reykjavík.",
)


def learned_tokenizer(tokens=400):
    """Byte-level BPE with merges, cut into words as a run's tokenizer cuts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tokens,
        special_tokens=[END_TOKEN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    return tokenizer


def small_model(tokenizer, **changes):
    """A network whose predictions are far from uniform, as those of a trained one are."""
    import torch

    model = tiny_model(
        **(
            {
                "hidden": 64,
                "heads": 4,
                "kv_heads": 2,
                "intermediate": 96,
                "context": 64,
                "vocabulary_size": tokenizer.get_vocab_size(),
            }
            | changes
        )
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0 if "embed" in name else 4.0)
            elif "q_norm" in name or "k_norm" in name:
                parameter.copy_(torch.linspace(0.5, 2.0, len(parameter)))
    return model


def write_small_folder(path, **changes):
    tokenizer = learned_tokenizer()
    files = {
        "tokenizer.json": tokenizer.to_str(),
        "tokenizer_config.json": tokenizer_config_json(),
    }
    save_folder(path, small_model(tokenizer, **changes), files)
    return path
