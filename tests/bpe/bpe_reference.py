"""Slow and plain byte-level BPE, one merge at a time, to compare with."""

import itertools
from collections import Counter

from tokenizers import Regex, pre_tokenizers

from concord.data.bpe.alphabet import BYTE_LETTERS
from concord.data.bpe.words import WORD_PATTERN

FIRST_MERGE = 257
NUMBER = {
    byte: rank for rank, byte in enumerate(sorted(range(256), key=BYTE_LETTERS.__getitem__), 1)
}


def words_of(texts):
    """Words as lists of numbers, cut by `tokenizers` from each whole text."""
    cut = pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated")
    return [
        [NUMBER[b] for b in word.encode()] for t in texts for word, _ in cut.pre_tokenize_str(t)
    ]


def count(words):
    return Counter(pair for word in words for pair in itertools.pairwise(word))


def merged(word, pair, new):
    out, at = [], 0
    while at < len(word):
        if tuple(word[at : at + 2]) == pair:
            out.append(new)
            at += 2
        else:
            out.append(word[at])
            at += 1
    return out


def best(counts, min_count):
    ranked = sorted((-number, *pair) for pair, number in counts.items() if number >= min_count)
    return ranked[0][1:] if ranked else None


def pooled_merges(texts, merges, min_count):
    """Train on all texts as one corpus."""
    words, made = words_of(texts), []
    while len(made) < merges and (pair := best(count(words), min_count)):
        words = [merged(word, pair, FIRST_MERGE + len(made)) for word in words]
        made.append(pair)
    return made


def parity_merges(texts, languages, parallel, merges, min_count, min_parallel, ends):
    """Parity training, one merge at a time, where members hide pairs that are rare with them.

    Args:
        texts: Member to texts.
        languages: Member to languages.
        parallel: Language to sentences.
        ends: Numbers of merges after which members told of the pairs born since the time before.
            Those that are rarer than `min_count` then are hidden for good. Until then none is: a
            merge of the same exchange must not have needed one.
    """
    words = {member: words_of(part) for member, part in texts.items()}
    sentences = {language: words_of(part) for language, part in parallel.items()}
    shown = {member: set() for member in texts}
    unmeasured = [m for m in sorted(texts) if not set(languages[m]) & set(parallel)]
    young = set(range(FIRST_MERGE))
    made = []
    while len(made) < merges:
        counts = {}
        for member, own in words.items():
            now = count(own)
            shown[member] |= {
                p for p, number in now.items() if max(p) in young and number >= min_count
            }
            if len(made) in ends:
                shown[member] -= {
                    p for p in shown[member] if max(p) in young and now[p] < min_count
                }
            counts[member] = Counter({p: now[p] for p in shown[member] if now[p]})
        if len(made) in ends:
            young = set()
        pair = _parity_pick(
            counts, languages, sentences, unmeasured, len(made), min_count, min_parallel
        )
        if pair is None:
            break
        new = FIRST_MERGE + len(made)
        for group in (words, sentences):
            for name in group:
                group[name] = [merged(word, pair, new) for word in group[name]]
        made.append(pair)
        young.add(new)
    return made


def _parity_pick(counts, languages, sentences, unmeasured, picked, min_count, min_parallel):
    def total(members):
        return sum((counts[member] for member in members), Counter())

    if picked % (len(sentences) + len(unmeasured)) >= len(sentences) and (
        pair := best(total(unmeasured), min_count)
    ):
        return pair
    cost = {language: sum(map(len, own)) for language, own in sentences.items()}
    for language in sorted(cost, key=lambda code: (-cost[code], code)):
        occurs = count(sentences[language])
        owned = total(m for m in languages if language in languages[m])
        useful = Counter({p: n for p, n in owned.items() if occurs[p] >= min_parallel})
        if pair := best(useful, min_count):
            return pair
    return best(total(counts), min_count)


def learn(session, texts, max_bytes=10**9, ends=None):
    """Run a session with one `CountingMember` for each entry of `texts`.

    Args:
        ends: Takes the number of merges made after each exchange.
    """
    from concord.data.bpe import CountingMember

    members = {name: CountingMember(part, max_bytes=max_bytes) for name, part in texts.items()}
    answers = {}
    while (request := session.next_request(answers)) is not None:
        answers = {name: member.answer(request) for name, member in members.items()}
        if ends is not None:
            ends.add(len(session.vocabulary.merges))
    return session
