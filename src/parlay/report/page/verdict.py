"""What the coefficients say in words, by the rule of ``parlay.evidence.outcome``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from parlay.evidence import Correlation, Measured, Outcome, Relation
from parlay.evidence.outcome import LEAST_LAYOUTS, RANKS_ABOVE
from parlay.layout import format_layout
from parlay.report.page.relations import Relations
from parlay.study import Row
from parlay.study.row import FAILED

__all__ = ["Verdict", "judge"]

ROUGH = 20
"""Layouts below which the intervals are called rough: over 24 an end still moves by 0.05 when one layout goes."""
SIZES_DIFFER = 1.01
"""Sizes that differ by more than this factor are mentioned: accuracy grows by a fraction of a point a percent."""

HEADLINES = {
    Outcome.HOLDS: "Layouts of higher {score} are more accurate here.",
    Outcome.FAILS: "Layouts of higher {score} are not more accurate here.",
    Outcome.OPEN: "Whether layouts of higher {score} are more accurate is not decided here.",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one group of trials.

    Attributes:
        outcome: the word.
        headline: as a sentence.
        reasons: sentences with the numbers that it rests on.
        cautions: sentences on what limits it.
        is_toy: whether the trials are no evidence, whatever they say; the first caution has the reason.
    """

    outcome: Outcome
    headline: str
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]
    is_toy: bool

    @property
    def word(self) -> str:
        """The word; what was decided by a toy says so."""
        return f"{self.outcome} (a toy)" if self.is_decided_by_toy else str(self.outcome)

    @property
    def is_decided_by_toy(self) -> bool:
        """Whether there is a word that could be taken for evidence, and is none."""
        return self.is_toy and self.outcome is not Outcome.OPEN


def judge(measured: Measured, relations: Relations) -> Verdict:
    """The verdict on a group of trials: the word for its score's rank correlation, and what should be known besides.

    The partial coefficient given multiply-adds counts as something left if its interval excludes 0 and rests on 20
    layouts or more; with fewer, that interval is too narrow to trust.
    """
    relation, score = relations.relation, measured.score_words
    layouts = relation.ranks.n
    few = layouts < LEAST_LAYOUTS
    reasons = [f"{layouts} layouts to judge by, at least {LEAST_LAYOUTS} are needed."]
    if not few:
        reasons = [_ranks(relation, score), _beside_macs(relation, score)]
    if measured.layouts:
        reasons.append(_first_pick(measured))
    if few and len(measured.layouts) > 1:
        reasons.append("Which of them is better is another question: parlay study compare answers it.")
    outcome = relation.outcome
    return Verdict(
        outcome=outcome,
        headline=HEADLINES[outcome].format(score=score),
        reasons=tuple(reasons),
        cautions=tuple(_cautions(measured)),
        is_toy=bool(measured.toy),
    )


def _ranks(relation: Relation, score: str) -> str:
    if relation.ranks.value is None:
        return f"Every {score} or every accuracy is the same."
    side = {
        Outcome.HOLDS: "all of it above",
        Outcome.FAILS: "all of it below",
        Outcome.OPEN: "which contains",
    }[relation.outcome]
    return f"Rank correlation (Spearman) {_numbers(relation.ranks)}; {side} {RANKS_ABOVE}, the number that decides."


def _numbers(found: Correlation) -> str:
    if found.value is None or found.low is None or found.high is None:
        return "not defined"
    p = "" if found.p_value is None else f", p {'< 0.001' if found.p_value < 0.001 else f'= {found.p_value:.3f}'}"
    return f"{_signed(found.value)}, 95 % interval {_signed(found.low)} to {_signed(found.high)}{p}, n = {found.n}"


def _signed(value: float) -> str:
    """Two decimals with a true minus sign.

    >>> _signed(-0.251), _signed(0.5), _signed(-0.001)
    ('−0.25', '0.50', '0.00')
    """
    text = f"{value:.2f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def _beside_macs(relation: Relation, score: str) -> str:
    """How much of it multiply-adds explain."""
    macs, both, left = relation.macs.value, relation.score_and_macs.value, relation.score_given_macs
    if macs is None or both is None:
        return "Multiply-adds are the same for all layouts, or nearly, so they explain nothing."
    begin = f"Multiply-adds alone reach {_signed(macs)}, and rise with {score} ({_signed(both)})"
    if left.value is None or left.low is None or left.high is None:
        return f"{begin}: the two cannot be told apart here."
    rest = f"{_signed(left.value)}, {_signed(left.low)} to {_signed(left.high)}"
    if left.n < ROUGH and not left.low <= 0 <= left.high:
        return f"{begin}; what is left for {score} given them is {rest}, too rough with n = {left.n} to say more."
    if left.low > 0:
        return f"{begin}; given them, {score} still goes with accuracy ({rest})."
    if left.high < 0:
        return f"{begin}; given them, higher {score} goes with lower accuracy ({rest})."
    return f"{begin}; given them, nothing more is shown for {score} ({rest})."


def _first_pick(measured: Measured) -> str:
    """What the layout of the highest score is worth."""
    means = {one.layout: one.accuracy for one in measured.layouts}
    pick = max(measured.layouts, key=measured.score_value).layout
    best = max(means, key=lambda layout: means[layout])
    rank = 1 + sum(value > means[pick] for value in means.values())
    highest = f"Highest {measured.score_words}: {format_layout(pick)}"
    begin = f"{highest} with {_percent(means[pick])}, rank {rank} of {len(means)}"
    middle = f"median layout {_percent(statistics.median(means.values()))}"
    if pick == best:
        return f"{begin}, the most accurate of all; {middle}."
    return f"{begin}; most accurate: {format_layout(best)} with {_percent(means[best])}; {middle}."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _cautions(measured: Measured) -> Iterator[str]:
    """What limits the verdict, most important first."""
    if measured.toy:
        yield f"A toy, and no evidence: {measured.toy}."
    repeated = [one.accuracies for one in measured.layouts if len(one.accuracies) > 1]
    if repeated:
        spread = 100 * math.sqrt(math.fsum(map(statistics.variance, repeated)) / len(repeated))
        yield (
            f"One run strays by {spread:.2f} points by chance (pooled standard deviation of {len(repeated)} layouts"
            " with several seeds)."
        )
    elif measured.layouts:
        yield "One run each: how far a run strays by chance is not known here."
    if measured.left_out:
        yield f"{measured.left_out_words}: whoever chose them knew their scores."
    if LEAST_LAYOUTS <= len(measured.judging) < ROUGH:
        yield f"With {len(measured.judging)} layouts the intervals are rough."
    low, high = measured.size_range
    if high > low * SIZES_DIFFER:
        yield f"Sizes differ by {100 * (high / low - 1):.0f} %; larger networks may simply be better."
    yield from _unfinished(measured.rows)


def _unfinished(rows: tuple[Row, ...]) -> Iterator[str]:
    failed = sum(row.status == FAILED for row in rows)
    left = sum(not row.has_ended for row in rows)
    if failed:
        yield f"{failed:,} of {len(rows):,} trials failed and count for nothing."
    if left:
        yield f"{left:,} of {len(rows):,} trials are still to run."
