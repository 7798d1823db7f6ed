"""The few figures to see first, each with one sentence that says what it means and one what not."""

from __future__ import annotations

from dataclasses import dataclass

from concord.federation.divergence import ALARM_NATS, LossCourse
from concord.federation.report import RunReport
from concord.federation.report.figures import Worst
from concord.federation.report.parts import ALONE, POOLED, SHARED
from concord.observatory import words


@dataclass(frozen=True)
class Headline:
    """One figure in plain words."""

    figure: str
    name: str
    means: str
    limits: str


def title(report: RunReport) -> str:
    """Who trained what, in four words."""
    return f"{words.counted(len(report.evidence.members), 'member')}, one shared model"


def lead(report: RunReport) -> str:
    """What happened, in one sentence."""
    evidence, time = report.evidence, report.figures.time
    who = words.counted(len(evidence.members), "member")
    size = words.quantity(evidence.card.parameters)
    if not time.rounds:
        return f"{who} set out to train one model of {size} parameters; no round was committed."
    rounds = words.counted(time.rounds, "round").lower()
    return (
        f"{who} trained one model of {size} parameters in {rounds}, each on its own text:"
        f" {words.quantity(time.tokens)} tokens in {words.duration(time.rounds_s)}."
    )


def headlines(report: RunReport) -> list[Headline]:
    """The headline figures that the report's sums allow, most important first."""
    found = (
        _unstable(report),
        _against_pooled(report),
        _world(report),
        _shared_only(report),
        _sovereign(report),
        _worst(report),
        _facts(report),
        _bytes(report),
        _tokenizer(report),
    )
    return [headline for headline in found if headline is not None]


def _unstable(report: RunReport) -> Headline | None:
    course, worst = LossCourse(), (0.0, 0)
    for part in report.evidence.rounds:
        course = course.after(part.mean_loss)
        worst = max(worst, (course.rise_nats, part.round))
    if worst[0] <= ALARM_NATS:
        return None
    return Headline(
        figure=f"+{worst[0]:.2f} nats",
        name="training loss above its lowest",
        means=f"Around round {worst[1]} the members' training losses had risen instead of fallen.",
        limits="Inner rates that are too high do this; lower ones may give a better model.",
    )


def _against_pooled(report: RunReport) -> Headline | None:
    shared = report.figures.models.get(SHARED)
    if shared is None or shared.ratio_to_pooled is None or POOLED not in report.figures.models:
        return None
    equal = {
        True: "The models compared saw equally many tokens",
        False: "Beware: the models compared did NOT see equally many tokens",
        None: "Whether the models saw equally many tokens is not recorded",
    }[report.figures.tokens_equal]
    seeds = words.counted(len(report.evidence.card.seeds), "seed").lower()
    return Headline(
        figure=f"{words.ratio(shared.ratio_to_pooled)} ×",
        name="shared against pooled",
        means=(
            f"On everyone's text the shared model needs {words.more_bits(shared.ratio_to_pooled)}"
            " one model trained on all texts in one place."
        ),
        limits=f"{equal}; {seeds}, one size of model. Other sizes and texts may differ.",
    )


def _world(report: RunReport) -> Headline | None:
    figures = report.figures
    shared = figures.models.get(SHARED)
    world = figures.alone_world_mean_bpb
    if shared is None or shared.mean_bpb is None or not world:
        return None
    return Headline(
        figure=f"{words.bits(world)} → {words.bits(shared.mean_bpb)}",
        name="bits per byte on everyone's text, alone → shared",
        means=(
            "What a nation's model knows of the world: over all members' texts the shared model"
            f" needs {words.more_bits(shared.mean_bpb / world)} models trained alone."
        ),
        limits="This measures how well text is predicted, not truth, safety or usefulness.",
    )


def _shared_only(report: RunReport) -> Headline | None:
    figures = report.figures
    shared = figures.models.get(SHARED)
    if shared is None or shared.mean_bpb is None:
        return None
    if shared.ratio_to_pooled is not None or figures.alone_world_mean_bpb is not None:
        return None
    return Headline(
        figure=words.bits(shared.mean_bpb),
        name="bits per byte on everyone's text",
        means="Mean over the members' held-out texts, each measured by its member.",
        limits="Nothing was trained to compare with, so this says nothing of what joining gained.",
    )


def _sovereign(report: RunReport) -> Headline | None:
    pairs = [
        (figure.sovereign_bpb, figure.alone_bpb)
        for figure in report.figures.members.values()
        if figure.sovereign_bpb is not None and figure.alone_bpb is not None
    ]
    if not pairs:
        return None
    reached = sum(sovereign <= alone for sovereign, alone in pairs)
    return Headline(
        figure=f"{reached} of {len(pairs)}",
        name="at or below their alone loss",
        means=(
            "Members whose build at home, continued from the shared base, predicts their own text"
            " at least as well as a model they trained alone."
        ),
        limits="The build at home is further training, and stays at the member.",
    )


def _worst(report: RunReport) -> Headline | None:
    figures = report.figures
    if figures.worst_sovereign is not None:
        return _worst_against_alone(
            figures.worst_sovereign, "its build at home", "its model trained alone"
        )
    if figures.worst_against_alone is not None:
        return _worst_against_alone(
            figures.worst_against_alone, "the shared model", "its model trained alone"
        )
    if figures.worst_shared is None:
        return None
    return Headline(
        figure=words.inert(figures.worst_shared.member),
        name="most bits per byte",
        means=f"The shared model needs {words.bits(figures.worst_shared.value)} on its text.",
        limits="A byte holds less text in some scripts: members' figures are not comparable.",
    )


def _worst_against_alone(worst: Worst, ours: str, theirs: str) -> Headline:
    return Headline(
        figure=words.inert(worst.member),
        name="the worst member",
        means=f"On its own text {ours} needs {words.more_bits(worst.value)} {theirs}.",
        limits="No other member fares worse; it is named so that a good mean hides no one.",
    )


def _facts(report: RunReport) -> Headline | None:
    shared = report.figures.facts.get(SHARED)
    if shared is None or shared.others_share is None:
        return None
    alone = report.figures.facts.get(ALONE)
    contrast = (
        f"; models trained alone know {words.share(alone.others_share)}"
        if alone is not None and alone.others_share is not None
        else ""
    )
    choices = report.evidence.fact_choices
    chance = f"Guessing gives {words.share(1 / choices)}. " if choices is not None else ""
    return Headline(
        figure=words.share(shared.others_share),
        name="of the other members' facts known",
        means=(
            "Facts that only other members' texts hold and the shared model completes"
            f" correctly{contrast}."
        ),
        limits=f"{chance}A choice among given answers is easier than saying it unasked.",
    )


def _bytes(report: RunReport) -> Headline | None:
    cost = report.figures.cost
    if cost.bytes_up_per_parameter_round is None:
        return None
    fewer = (
        f", {cost.fp32_ratio_up:.1f} times fewer than whole 32-bit updates"
        if cost.fp32_ratio_up is not None and cost.fp32_ratio_up > 1
        else ""
    )
    return Headline(
        figure=f"{cost.bytes_up_per_parameter_round:.3g}{words.THIN}B",
        name="sent per parameter and round",
        means=f"{words.byte_size(cost.bytes_up)} went up in all{fewer}.",
        limits="Counted at the members' boundary, before a network adds its own.",
    )


def _tokenizer(report: RunReport) -> Headline | None:
    figures = report.figures.tokenizer
    if figures is None or len(figures.premium) < 2:
        return None
    ordinary = report.figures.ordinary_tokenizer
    contrast = ""
    if ordinary is not None:
        gap = words.per_cent_more(ordinary.max_over_min)
        contrast = f" Under an ordinary tokenizer the widest gap is {gap}."
    languages = sorted(figures.premium, key=lambda language: (figures.premium[language], language))
    fewest, most = words.inert(languages[0]), words.inert(languages[-1])
    return Headline(
        figure=f"{figures.max_over_min:.2f} ×",
        name="between the dearest language and the cheapest",
        means=(
            f"{most} needs {words.per_cent_more(figures.max_over_min)} tokens for the same"
            f" sentences than {fewest}.{contrast}"
        ),
        limits="Measured on the parallel set; other text may differ.",
    )
