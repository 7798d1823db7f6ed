"""What a GGUF file loses: in how llama.cpp cuts text, and in what it computes.

    words    tokens of a tokenizer where words are cut as llama.cpp cuts them, beside its own; the
             expressions that llama.cpp has are applied by `tokenizers`
    numpy    the three files of a model, each computed from itself alone, beside `transformers`
    logits   the three files of a model in llama.cpp itself, beside `transformers`
    cuts     tokens that llama.cpp itself makes of a text, beside the model's tokenizer

The last two need `llama-cpp-python`, which takes about 25 minutes to compile on two cores.

python benchmarks/gguf_export.py words --tokenizer RUN/tokenizer.json --parallel CORPORA/parallel
python benchmarks/gguf_export.py numpy --model MODEL_FOLDER --parallel PARALLEL
python benchmarks/gguf_export.py logits --model MODEL_FOLDER --parallel PARALLEL
python benchmarks/gguf_export.py cuts --model MODEL_FOLDER --parallel PARALLEL
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from statistics import median

import numpy as np
from tokenizers import Tokenizer

Logits = Callable[[list[int]], np.ndarray]
"""Token ids to [T, vocabulary]."""
LINES = 200
PROMPTS = 100
LANGUAGES = "por_Latn amh_Ethi ell_Grek mal_Mlym ibo_Latn tha_Thai swh_Latn pes_Arab eng_Latn"
QWEN_TAIL = r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|"
WAYS = {
    "poro-chat": r" ?[^(\s|.,!?…。，、।۔،)]+",
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
    "qwen2": CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|" + QWEN_TAIL,
    "qwen35": CONTRACTIONS
    + r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"
    + QWEN_TAIL.replace(r"\p{L}\p{N}", r"\p{L}\p{M}\p{N}"),
}
"""The expressions of llama.cpp's src/llama-vocab.cpp, as of November 2026."""


def words(tokenizer: Path, parallel: Path, languages: list[str]) -> None:
    document = json.loads(tokenizer.read_text())
    own = Tokenizer.from_str(json.dumps(document))
    others = {name: Tokenizer.from_str(_cut_by(document, way)) for name, way in WAYS.items()}
    print(f"| language | tokens | {' | '.join(WAYS)} |")
    print("|---|--:|" + "--:|" * len(WAYS))
    for language in languages:
        with gzip.open(parallel / f"{language}.txt.gz", "rt") as stream:
            texts = [line.strip() for line, _ in zip(stream, range(LINES), strict=False)]
        total = sum(len(own.encode(text).ids) for text in texts)
        cells = []
        for other in others.values():
            same = sum(len(_spans(own, text) & _spans(other, text)) for text in texts)
            more = sum(len(other.encode(text).ids) for text in texts) / total
            cells.append(f"{same / total:.1%}, {more:.3f}")
        print(f"| {language} | {total:,} | {' | '.join(cells)} |")


def _cut_by(document: dict, expression: str) -> str:
    other = json.loads(json.dumps(document))
    other["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": expression}
    return json.dumps(other)


def _spans(tokenizer: Tokenizer, text: str) -> set[tuple[int, int]]:
    """Where each token begins and ends, in letters of bytes."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    ends = list(accumulate(len(tokenizer.id_to_token(token)) for token in ids))
    return set(zip([0, *ends], ends, strict=False))


def by_numpy(file: Path, _context: int, _cache: str) -> Logits:
    """The network of the tests, which knows the file and nothing else."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "release"))
    from gguf_network import GgufNetwork

    return GgufNetwork(file).logits


def by_llama(file: Path, context: int, cache: str) -> Logits:
    """llama.cpp itself, on one thread; keys and values are kept in `cache`, f16 or f32."""
    import llama_cpp

    kind = {"f16": llama_cpp.GGML_TYPE_F16, "f32": llama_cpp.GGML_TYPE_F32}[cache]
    llama = llama_cpp.Llama(
        str(file),
        n_ctx=context,
        logits_all=True,
        verbose=False,
        n_threads=1,
        n_threads_batch=1,
        type_k=kind,
        type_v=kind,
    )

    def found(ids: list[int]) -> np.ndarray:
        llama.reset()
        llama.eval(ids)
        return np.array(llama.scores[: len(ids)])

    return found


def logits(given: argparse.Namespace, opened: Callable[[Path, int, str], Logits]) -> None:
    import torch

    from concord.federation.parallel import languages_in, read_parallel
    from concord.model.folder import load_folder
    from concord.model.tokenizer import Tokenizer as RunTokenizer
    from concord.release.gguf import KINDS, export_gguf

    loaded, parallel = load_folder(given.model), given.parallel
    tokenizer = RunTokenizer.from_files(loaded.tokenizer_files)
    context = loaded.model.config.max_position_embeddings
    languages = given.languages.split() or languages_in(parallel)
    unseen = read_parallel(parallel, languages).measure
    each = -(-PROMPTS // len(languages))
    lines = [line for language in languages for line in unseen[language][:each]][:PROMPTS]
    rows = [[tokenizer.start_id, *tokenizer.encode(line)][:context] for line in lines]
    with torch.inference_mode():
        wanted = [loaded.model(torch.tensor([ids])).logits[0].numpy() for ids in rows]
    print(f"{len(rows)} prompts, {', '.join(languages)}; cache {given.cache}")
    print("| kind | MB | logits apart, median prompt | worst | perplexity | of transformers' |")
    print("|---|--:|--:|--:|--:|--:|")
    base = _perplexity(wanted, rows)
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            file = Path(folder) / f"{kind}.gguf"
            export_gguf(given.model, file, kind)
            computed = opened(file, context, given.cache)
            found = [computed(ids) for ids in rows]
            apart = [float(abs(a - b).max()) for a, b in zip(found, wanted, strict=True)]
            loss = _perplexity(found, rows)
            size = file.stat().st_size / 1e6
            print(
                f"| {kind} | {size:.2f} | {median(apart):.2g} | {max(apart):.3g} | {loss:.3f}"
                f" | {loss / base - 1:+.2%} |"
            )


def cuts(given: argparse.Namespace) -> None:
    import llama_cpp

    from concord.federation.parallel import languages_in, read_parallel
    from concord.model.folder import load_tokenizer
    from concord.release.gguf import export_gguf

    own = load_tokenizer(given.model)
    document = json.loads((given.model / "tokenizer.json").read_text())
    named = Tokenizer.from_str(_cut_by(document, WAYS["poro-chat"]))
    languages = given.languages.split() or languages_in(given.parallel)
    unseen = read_parallel(given.parallel, languages).measure
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "f16.gguf"
        export_gguf(given.model, file, "f16")
        llama = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
        print(
            "| language | lines | cut as by ours | as by the table's way | tokens for one of ours |"
        )
        print("|---|--:|--:|--:|--:|")
        for language in languages:
            lines = unseen[language][:LINES]
            ours = [own.encode(line) for line in lines]
            theirs = [llama.tokenize(line.encode(), add_bos=False) for line in lines]
            way = [named.encode(line, add_special_tokens=False).ids for line in lines]
            same, as_said = (
                sum(a == b for a, b in zip(cut, theirs, strict=True)) / len(lines)
                for cut in (ours, way)
            )
            more = sum(map(len, theirs)) / sum(map(len, ours))
            print(f"| {language} | {len(lines)} | {same:.1%} | {as_said:.1%} | {more:.3f} |")


def _perplexity(logits: list[np.ndarray], rows: list[list[int]]) -> float:
    nats, count = 0.0, 0
    for found, ids in zip(logits, rows, strict=True):
        shifted = found[:-1].astype(np.float64)
        shifted -= shifted.max(1, keepdims=True)
        chosen = shifted[np.arange(len(ids) - 1), ids[1:]] - np.log(np.exp(shifted).sum(1))
        nats -= chosen.sum()
        count += len(chosen)
    return math.exp(nats / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("words")
    part.add_argument("--tokenizer", type=Path, required=True)
    part.add_argument("--parallel", type=Path, required=True)
    part.add_argument("--languages", default=LANGUAGES)
    for name in ("numpy", "logits", "cuts"):
        part = parts.add_parser(name)
        part.add_argument("--model", type=Path, required=True)
        part.add_argument("--parallel", type=Path, required=True)
        part.add_argument("--languages", default="", help="of the parallel set; else all")
        part.add_argument("--cache", choices=["f16", "f32"], default="f32")
    given = parser.parse_args()
    if given.part == "words":
        words(given.tokenizer, given.parallel, given.languages.split())
    elif given.part == "cuts":
        cuts(given)
    else:
        logits(given, by_numpy if given.part == "numpy" else by_llama)


if __name__ == "__main__":
    main()
