"""What does not go together across the sections of a run document."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from concord.charter.run_sections import PLAIN_RULES, RINGS, SealSpec, UpdateSpec

if TYPE_CHECKING:
    from concord.charter.run import RunDocument


def check_sparse(run: RunDocument) -> None:
    """Feeding errors back takes the place of the outer step's own memory: never both.

    Raises:
        ValueError: the document has both, naming the fields.
    """
    if run.update.codec == "sparse" and run.update.outer.momentum:
        raise ValueError("update.codec 'sparse' feeds errors back: update.outer.momentum must be 0")
    if run.update.codec == "sparse" and run.update.outer.optimizer == "adam":
        raise ValueError(
            "update.codec 'sparse' feeds errors back: update.outer.optimizer 'adam' has"
            " momentum of its own"
        )


def check_robust(run: RunDocument) -> None:
    """A robust rule counts heads: weights and shared owners would mean nothing under it.

    Raises:
        ValueError: the document gives some, naming the field.
    """
    rule = run.update.merge
    if rule in PLAIN_RULES:
        return
    if len({member.weight for member in run.roster}) > 1:
        raise ValueError(f"update.merge {rule!r} gives one vote each: weights must be equal")
    if len({member.owner or member.id for member in run.roster}) < len(run.roster):
        raise ValueError(f"update.merge {rule!r} gives one vote each: owners must be distinct")
    if run.update.rows != "uniform":
        raise ValueError(f"update.merge {rule!r} needs update.rows 'uniform'")
    if len(run.roster) <= 2 * run.update.hostile:
        raise ValueError(
            f"update.hostile: {rule!r} stands {run.update.hostile} hostile members only among"
            f" {2 * run.update.hostile + 1} or more"
        )


def check_links(run: RunDocument) -> None:
    """See that what a run does about slow links and slow members goes with the rest of it.

    Raises:
        ValueError: it does not, naming the fields.
    """
    update = run.update
    if run.rounds.pace == "by_speed":
        if update.merge not in PLAIN_RULES:
            raise ValueError(
                f"rounds.pace 'by_speed' weighs updates by their steps: update.merge"
                f" {update.merge!r} gives one vote each"
            )
        if update.norm_control != "none":
            raise ValueError(
                "rounds.pace 'by_speed' makes updates of unequal norm: update.norm_control"
                " must be 'none'"
            )
    if (pulled := run.rounds.overlap_blend * _largest_outer_rate(run)) > 1:
        raise ValueError(
            f"rounds.overlap_blend times the largest outer rate is {pulled:.2f}, over 1: what"
            " members keep of their own weights would throw the base back past where it came from"
        )
    if update.late == "correct" and (faults := _late_faults(run)):
        raise ValueError(f"update.late 'correct' needs {'; '.join(faults)}")


def check_fragments(run: RunDocument) -> None:
    """See that a model that is sent in parts goes with the rest of the document.

    Raises:
        ValueError: it does not, naming every field.
    """
    if run.rounds.fragments > 1 and (faults := _fragment_faults(run, run.rounds.fragments)):
        raise ValueError(f"rounds.fragments {run.rounds.fragments} needs {'; '.join(faults)}")


def _fragment_faults(run: RunDocument, fragments: int) -> list[str]:
    """What sending a model in parts needs and the document does not give."""
    update = run.update
    parts = run.model.layers + 1
    needed = [
        (
            run.model.continue_from is not None or fragments <= parts,
            f"model.layers {fragments - 1} or more: layers are not divided",
        ),
        (update.late == "refuse", "update.late 'refuse': a late update is of another part"),
        (update.rows == "uniform", "update.rows 'uniform': counts are of one round"),
        (run.rounds.pace == "equal", "rounds.pace 'equal': an update is made in several rounds"),
    ]
    return [text for met, text in needed if not met]


def _largest_outer_rate(run: RunDocument) -> float:
    """Of body and embedding, as `schedule.outer_rate` takes them."""
    outer, root = run.update.outer, math.sqrt(len(run.roster))
    body = root if outer.lr is None else outer.lr
    return max(body, 2 * root if outer.embedding_lr is None else outer.embedding_lr)


def _late_faults(run: RunDocument) -> list[str]:
    """What late updates need and the document does not give."""
    update, outer, sync = run.update, run.update.outer, run.inner.state
    needed = [
        (
            outer.optimizer == "nesterov" and outer.momentum > 0,
            "update.outer.momentum above 0, which they are turned towards",
        ),
        (update.merge == "mean", "update.merge 'mean'"),
        (update.norm_control == "none", "update.norm_control 'none'"),
        (not run.gate.enabled, "gate.enabled false: it measures updates of one base"),
        (run.rounds.pace == "equal", "rounds.pace 'equal'"),
        (
            sync.mode == "local" or sync.every_rounds == 1,
            "inner.state.every_rounds 1, so that all rounds have one layout",
        ),
    ]
    return [text for met, text in needed if not met]


def check_mode(run: RunDocument) -> None:
    """See that the document keeps the restrictions of its mode.

    A sum is all that can be known of sealed updates: whatever needs to look at a single one, or at
    how large it is, cannot be offered.

    Raises:
        ValueError: it does not, naming every field.
    """
    ring = run.update.codec in RINGS
    if run.seal is None:
        if ring:
            raise ValueError(f"update.codec {run.update.codec!r} needs a section [seal]")
        return
    faults = [text for broken, text in _broken(run, run.seal) if broken]
    if faults:
        raise ValueError("sealed mode: " + "; ".join(faults))


def _broken(run: RunDocument, seal: SealSpec) -> list[tuple[bool, str]]:
    update, usual, roster = run.update, UpdateSpec(), run.roster
    owners = Counter(member.owner or member.id for member in roster)
    owner, most = owners.most_common(1)[0]
    cohorts = cohort_count(len(roster), seal.cohort_target)
    unknown = sorted(seal.lone_languages.keys() - {x for m in roster for x in m.languages})
    return [
        (update.codec not in RINGS, "update.codec must be 'ring16' or 'ring32'"),
        (update.merge != "mean", "update.merge must be 'mean'"),
        (update.rows != "uniform", "update.rows must be 'uniform'"),
        (update.norm_control != "none", "update.norm_control must be 'none'"),
        (run.gate.enabled, "gate.enabled measures single updates"),
        (update.late != "refuse", "update.late must be 'refuse': a sum is of one round"),
        (
            run.rounds.overlap_steps > 0,
            "rounds.overlap_steps must be 0: a masked update is made in steps of its own",
        ),
        (run.rounds.pace != "equal", "rounds.pace must be 'equal': a sum has one weight each"),
        (
            run.rounds.fragments > 1,
            "rounds.fragments must be 1: what members' sums show is reckoned for whole updates",
        ),
        (
            update.min_norm_ratio != usual.min_norm_ratio,
            "update.min_norm_ratio cannot be held against single updates",
        ),
        (
            run.inner.state.mode not in ("local", "second_moment_rows"),
            "inner.state.mode must be 'second_moment_rows' or 'local'",
        ),
        (
            run.model.continue_from is not None,
            "model.continue_from has a vocabulary of which nobody here can say whose it is",
        ),
        (run.tokenizer.parallel is None, "tokenizer.parallel says whose language a token is of"),
        (
            len(roster) < seal.min_survivors,
            f"{len(roster)} members in the roster, and seal.min_survivors is {seal.min_survivors}",
        ),
        (
            len(roster) // cohorts < seal.min_survivors,
            "cohorts of seal.cohort_target members are below seal.min_survivors",
        ),
        (most > cohorts, f"{owner!r} owns {most} members, and there is {cohorts} cohort for them"),
        (bool(unknown), f"seal.lone_languages names {', '.join(unknown)}, which nobody declares"),
    ]


def cohort_count(members: int, target: int) -> int:
    """Cohorts that so many members are divided into: one until there are twice as many."""
    return max(1, members // target)
