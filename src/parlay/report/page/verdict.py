"""What a panel's coefficients say in words, by fixed rules."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from parlay.evidence import Correlation, correlate
from parlay.layout import Layout, format_layout
from parlay.report.page.panels import Panel
from parlay.report.page.relations import LOWEST, Relations
from parlay.study import Kind, Row
from parlay.study.row import FAILED

__all__ = ["Finding", "Verdict", "judge"]

LEVEL = 0.05
LEAST = 6
"""Layouts below which nothing is said: of five, even a perfect order is hardly rarer than 1 in 60."""
ROUGH = 20
"""Layouts below which the intervals are called rough."""
SIZES_DIFFER = 1.01


class Finding(StrEnum):
    """The verdict in a word or two."""

    HOLDS = "holds"
    REVERSED = "reversed"
    NOT_SHOWN = "not shown"
    TOO_FEW = "not enough data"


HEADLINES = {
    Finding.HOLDS: "Layouts of higher energy are more accurate here.",
    Finding.REVERSED: "Layouts of higher energy are less accurate here.",
    Finding.NOT_SHOWN: "That energy and accuracy go together is not shown.",
    Finding.TOO_FEW: "There are too few trained layouts to say anything.",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The verdict on one panel.

    Attributes:
        finding: in a word or two.
        headline: as a sentence.
        reasons: sentences with the figures that it rests on.
        cautions: sentences on what limits it.
    """

    finding: Finding
    headline: str
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]


def judge(panel: Panel, relations: Relations) -> Verdict:
    """The verdict on a panel.

    Rules, in this order: with fewer than 6 trained layouts there is *not enough data*. Energy's Spearman coefficient
    with accuracy *holds* if its permutation p is below 0.05 and its 95 % interval is above 0, is *reversed* if the
    interval is below 0, and else is *not shown*. The partial coefficient given multiply-adds counts as something left
    if its interval excludes 0 and rests on 20 layouts or more; with fewer, that interval is too narrow to trust.
    """
    energy = relations.relation.energy
    finding = _finding(energy)
    reasons = [] if finding is Finding.TOO_FEW else [f"Rank correlation (Spearman) {_figures(energy)}."]
    if finding is not Finding.TOO_FEW:
        reasons.append(_beside_macs(relations))
    if panel.means:
        reasons.append(_first_pick(panel))
    return Verdict(
        finding=finding, headline=HEADLINES[finding], reasons=tuple(reasons), cautions=tuple(_cautions(panel))
    )


def _finding(energy: Correlation) -> Finding:
    if energy.n < LEAST or energy.value is None or energy.low is None or energy.high is None:
        return Finding.TOO_FEW
    certain = energy.p_value is not None and energy.p_value < LEVEL
    if certain and energy.low > 0:
        return Finding.HOLDS
    return Finding.REVERSED if certain and energy.high < 0 else Finding.NOT_SHOWN


def _figures(found: Correlation) -> str:
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


def _beside_macs(relations: Relations) -> str:
    """How much of it multiply-adds explain."""
    relation = relations.relation
    macs, both, left = relation.macs.value, relation.energy_and_macs.value, relation.energy_given_macs
    if macs is None or both is None:
        return "Multiply-adds are the same for all layouts, or nearly, so they explain nothing."
    begin = f"Multiply-adds alone reach {_signed(macs)}, and rise with energy ({_signed(both)})"
    if left.value is None or left.low is None or left.high is None:
        return f"{begin}: the two cannot be told apart here."
    rest = f"{_signed(left.value)}, {_signed(left.low)} to {_signed(left.high)}"
    if left.n < ROUGH and not left.low <= 0 <= left.high:
        return f"{begin}; what is left for energy given them is {rest}, too rough with n = {left.n} to say more."
    if left.low > 0:
        return f"{begin}; given them, energy still goes with accuracy ({rest})."
    if left.high < 0:
        return f"{begin}; given them, higher energy goes with lower accuracy ({rest})."
    return f"{begin}; given them, nothing more is shown for energy ({rest})."


def _first_pick(panel: Panel) -> str:
    """What the layout of highest energy is worth."""
    means = panel.means
    pick = max(means, key=lambda layout: panel.by_layout[layout].log_energy)
    best = max(means, key=lambda layout: means[layout])
    rank = 1 + sum(value > means[pick] for value in means.values())
    begin = f"Highest energy: {format_layout(pick)} with {_percent(means[pick])}, rank {rank} of {len(means)}"
    middle = f"median layout {_percent(statistics.median(means.values()))}"
    if pick == best:
        return f"{begin}, the most accurate of all; {middle}."
    return f"{begin}; most accurate: {format_layout(best)} with {_percent(means[best])}; {middle}."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _cautions(panel: Panel) -> Iterator[str]:
    """What limits the verdict, most important first."""
    if panel.first.data_name == "digits":
        yield "The digits are a toy problem: they show that everything runs, and are no evidence."
    repeated = [values for values in panel.accuracies.values() if len(values) > 1]
    if repeated:
        spread = 100 * math.sqrt(math.fsum(map(statistics.variance, repeated)) / len(repeated))
        yield (
            f"One run strays by {spread:.2f} points by chance (pooled standard deviation of {len(repeated)} layouts"
            " with several seeds)."
        )
    elif panel.means:
        yield "One run each: how far a run strays by chance is not known here."
    yield from _chosen(panel)
    if LEAST <= len(panel.means) < ROUGH:
        yield f"With {len(panel.means)} layouts the intervals are rough."
    low, high = panel.size_range
    if high > low * SIZES_DIFFER:
        yield f"Sizes differ by {100 * (high / low - 1):.0f} %; larger networks may simply be better."
    yield from _unfinished(panel.rows)


def _chosen(panel: Panel) -> Iterator[str]:
    """What layouts that were chosen, beside random ones, do to the coefficient."""
    kinds: dict[Layout, set[Kind]] = {}
    for row in panel.complete:
        kinds.setdefault(row.trial.layout, set()).update(row.kinds)
    drawn = [layout for layout, reasons in kinds.items() if Kind.SAMPLE in reasons]
    if not drawn or len(drawn) == len(kinds):
        return
    begin = f"{len(drawn)} of {len(kinds)} layouts were drawn at random, the others chosen"
    energies = [max(panel.by_layout[layout].log_energy, LOWEST) for layout in drawn]
    alone = correlate(energies, [panel.means[layout] for layout in drawn])
    if len(drawn) < LEAST or alone.value is None:
        yield f"{begin}."
    else:
        yield f"{begin}; over the random ones alone: {_figures(alone)}."


def _unfinished(rows: tuple[Row, ...]) -> Iterator[str]:
    failed = sum(row.status == FAILED for row in rows)
    left = sum(not row.has_ended for row in rows)
    if failed:
        yield f"{failed:,} of {len(rows):,} trials failed and count for nothing."
    if left:
        yield f"{left:,} of {len(rows):,} trials are still to run."
