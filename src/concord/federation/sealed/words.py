"""What a sealed run hides from whom, in words: for progress, report and whoever decides."""

from __future__ import annotations

from concord.charter.run import RunDocument
from concord.charter.run_sections import SealSpec
from concord.federation.sealed.counting import Learned
from concord.ledger.sealed.coverage import Coverage

USUAL_MINIMUM = 5
NOT_HIDDEN = (
    "A sum hides nothing from all of its other members together, and not what the released model"
    " learned by heart."
)


def sealed_words(run: RunDocument) -> tuple[str, ...]:
    """Sentences on what a sealed run promises, and what not; none for an open one."""
    seal = run.seal
    if seal is None:
        return ()
    hidden = (
        "Sealed mode (experimental): coordinator, other members and public see sums of at least"
        f" {seal.min_survivors} members' updates, and no single one."
    )
    return hidden, NOT_HIDDEN, *_lowered(run, seal)


def _lowered(run: RunDocument, seal: SealSpec) -> list[str]:
    found = []
    if seal.min_survivors < USUAL_MINIMUM:
        found.append(
            f"seal.min_survivors is {seal.min_survivors}: that protects against outsiders and a"
            " coordinator acting alone, and not against the other members."
        )
    members = {
        language: sum(language in member.languages for member in run.roster)
        for language in seal.lone_languages
    }
    bare = sorted(name for name, count in members.items() if count < seal.min_contributors)
    if bare:
        found.append(
            f"Vocabulary rows of {', '.join(bare)} are trained though fewer than"
            f" {seal.min_contributors} members declare them: others can read what these learn."
        )
    return found


def learned_words(learned: Learned) -> str:
    """From what the tokenizer was learned."""
    if not learned.members:
        return "no member's counts went into the tokenizer: public sentences alone decided"
    return (
        f"one sealed sum over {len(learned.members)} members chose the tokenizer's merges:"
        f" {learned.known:,} of {learned.listed:,} listed merges were counted, the others are of"
        " languages that too few members declare"
    )


def coverage_words(coverage: Coverage) -> str:
    """How many vocabulary rows are left out; empty if none is."""
    left_out, count = int(coverage.rows.sum()), len(coverage.left_out)
    if not left_out:
        return ""
    return (
        f"{left_out:,} of {count:,} vocabulary rows are left out, since too few members declare"
        " their languages: name these in seal.lone_languages, or find members who have them"
    )
