"""A report as a real run would give it: six members, several scripts, every part present."""

from __future__ import annotations

import math

from concord.charter.run import parse_run
from concord.federation.messages import TextCounts
from concord.federation.report import (
    Arm,
    Evidence,
    FactCounts,
    ParallelCount,
    Point,
    ReportMember,
    ReportRound,
    RunCard,
    RunReport,
    Sums,
    TokenizerPart,
    alone,
    build_report,
    sovereign,
)

LABELS = {
    "ethiopia": "Amharic አማርኛ",
    "greece": "Greek Ελληνικά",
    "kenya": "Swahili Kiswahili",
    "morocco": "Arabic العربية",
    "nigeria": "Yoruba Yorùbá",
    "tamilnadu": "Tamil தமிழ்",
}
OWN = {
    "ethiopia": 1.92,
    "greece": 1.61,
    "kenya": 2.31,
    "morocco": 1.74,
    "nigeria": 2.58,
    "tamilnadu": 1.12,
}
PARAMETERS = 1_420_000
ROUNDS = 150


def sums(bits_per_byte: float, *, bytes_: int = 180_000) -> Sums:
    return Sums(nats=bits_per_byte * math.log(2) * bytes_, bytes=bytes_, tokens=round(bytes_ / 4.1))


def sample_evidence() -> Evidence:
    members = sorted(LABELS)
    run = parse_run(
        {
            "name": "atlas",
            "seed": 7,
            "roster": [{"id": member} for member in members],
            "rounds": {"count": ROUNDS},
        }
    )
    return Evidence(
        card=RunCard(
            name="atlas",
            run=run.model_dump(mode="json"),
            digest=run.digest,
            toml='name = "atlas"\nseed = 7\n\n[rounds]\ncount = 150\n',
            seeds=(7,),
            parameters=PARAMETERS,
            base="sha256:" + "3f" * 32,
            started="2026-11-23T20:11:06Z",
            wall_s=1_873.0,
            phases={"reading text": 21.5, "tokenizer": 14.2, "rounds": 1_790.0, "evaluation": 47.0},
            versions={"concord": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
            machine={"processor": "x86-64, 2 cores", "memory": "8 GiB", "system": "Linux"},
        ),
        members=tuple(
            ReportMember(
                id=member,
                label=LABELS[member],
                text=TextCounts(
                    documents=9_000 + 411 * place,
                    bytes=3_100_000 + 90_000 * place,
                    exact_duplicates=112 - place,
                    near_duplicates=240 + place,
                    train_documents=8_500 + 400 * place,
                    train_bytes=2_950_000 + 85_000 * place,
                    heldout_documents=450,
                    heldout_bytes=180_000,
                ),
                tokens=720_000 + 20_000 * place,
            )
            for place, member in enumerate(members)
        ),
        rounds=tuple(_round(number, members) for number in range(1, ROUNDS + 1)),
        curves=tuple(
            Point(
                model=model,
                round=number,
                text={
                    member: sums(OWN[member] * gap + 3.2 * math.exp(-number / 38))
                    for member in members
                },
            )
            for model, gap in (("shared", 1.02), ("pooled", 1.0))
            for number in range(0, ROUNDS + 1, 10)
        ),
        matrix=_matrix(members),
        arms=_arms(members),
        facts={
            "shared": {m: _facts(31, 170) for m in members},
            "pooled": {m: _facts(33, 176) for m in members},
            **{alone(m): {m: _facts(34, 52)} for m in members},
        },
        fact_choices=4,
        tokenizer=_tokenizer(members),
        notes=(
            "All members ran on one machine: network delays and outages were not measured.",
            "The models are small; nothing is claimed for other sizes.",
        ),
    )


def sample_report() -> RunReport:
    return build_report(sample_evidence())


def small_report() -> RunReport:
    """A run without --compare, with only what is always there."""
    evidence = sample_evidence()
    kept = {
        "matrix": {"shared": evidence.matrix["shared"]},
        "curves": (),
        "arms": {},
        "facts": None,
        "fact_choices": None,
        "tokenizer": None,
        "notes": (),
    }
    return build_report(evidence.model_copy(update=kept))


def bare_report() -> RunReport:
    """A run whose members were seated and which ended before its first round."""
    evidence = sample_evidence()
    return build_report(Evidence(card=evidence.card, members=evidence.members))


def _round(number: int, members: list[str]) -> ReportRound:
    away = {"kenya": "no update before the round closed"} if number % 37 == 0 else {}
    if number == 61:
        away = {"greece": "norm-out-of-bounds"}
    present = tuple(member for member in members if member not in away)
    return ReportRound(
        round=number,
        participants=present,
        left_out=away,
        seconds=11.9,
        train_s={member: 10.8 + place / 10 for place, member in enumerate(present)},
        bytes_up=dict.fromkeys(present, 755_000),
        bytes_down=dict.fromkeys(members, 741_000),
        inner_steps=20,
        tokens=len(present) * 10_240,
        flops=len(present) * 9.1e10,
        norms={member: 1.3 + 2 / number + place / 20 for place, member in enumerate(present)},
        mean_loss=dict.fromkeys(present, 2.0 + 5 / number),
    )


def _matrix(members: list[str]) -> dict[str, dict[str, Sums]]:
    matrix = {
        "shared": {m: sums(OWN[m] * 1.021) for m in members},
        "pooled": {m: sums(OWN[m]) for m in members},
    }
    for place, home in enumerate(members):
        matrix[alone(home)] = {
            text: sums(OWN[text] * 0.985 if text == home else 4.1 + 0.3 * ((place + n) % 5))
            for n, text in enumerate(members)
        }
        matrix[sovereign(home)] = {home: sums(OWN[home] * (0.95 if home != "nigeria" else 0.99))}
    return matrix


def _arms(members: list[str]) -> dict[str, Arm]:
    tokens = sum(_round(number, members).tokens for number in range(1, ROUNDS + 1))
    return {
        "shared": Arm(tokens=tokens, steps=3_000, seconds=1_790.0, trials=6),
        "pooled": Arm(tokens=tokens, steps=3_000, seconds=1_650.0, trials=6),
        **{
            alone(m): Arm(tokens=tokens // 6, steps=3_000, seconds=290.0, trials=6) for m in members
        },
    }


def _facts(own: int, others: int) -> FactCounts:
    return FactCounts(own_known=own, own_total=40, others_known=others, others_total=200)


def _tokenizer(members: list[str]) -> TokenizerPart:
    def counts(tokens: list[int]) -> dict[str, ParallelCount]:
        return {
            LABELS[member]: ParallelCount(sentences=997, bytes=150_000 + n, tokens=tokens[n])
            for n, member in enumerate(members)
        }

    return TokenizerPart(
        mode="parity",
        vocabulary=4_096,
        merges=3_840,
        digest="sha256:" + "a0" * 32,
        parallel=counts([41_200, 40_900, 40_100, 41_000, 41_500, 41_900]),
        ordinary=counts([52_000, 44_000, 31_000, 39_500, 43_000, 56_100]),
        exchanges=62,
        bytes_up=dict.fromkeys(members, 5_300_000),
        bytes_down=dict.fromkeys(members, 410_000),
        seconds=14.2,
    )
