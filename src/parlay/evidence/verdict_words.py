"""What judged scores say in words, by fixed rules; the answer may be that no score ranks anything."""

from __future__ import annotations

import math

from parlay.evidence.judged import JudgedPopulation, JudgedScore
from parlay.evidence.outcome import LEAST_LAYOUTS, RANKS_ABOVE, Outcome

__all__ = ["too_few", "verdict"]

NEARLY = 0.05
"""Differences of Spearman coefficients below this are called small, however certain they are: two digits of a
coefficient are what one reads of a table."""


def verdict(population: JudgedPopulation) -> str:
    """The verdict on one population: the word for its reference score (``outcome``), then what it rests on.

    Rules, in this order.

    1. The reference score, fixed beforehand: the word, its coefficient and interval; how much is left given the size,
       and whether that interval excludes 0.
    2. Where no score holds: which coefficient is the highest, and which scores are certainly the wrong way round.
       Nothing else is said.
    3. Multiply-adds, where they are among the scores: the interval of the paired difference decides between better,
       "nearly as well" (certain, but less than 0.05), not told apart, and the reverse.
    4. The best other score that holds, where the interval of its paired difference to the reference is above 0; all
       that hold where the reference does not.
    5. One training run of every network, where there are two runs: by the paired difference again.
    6. What a perfect score would reach, and the gain of the reference's first pick beside that of the true best.
    """
    reference = population[population.reference]
    holding = [score for score in population.scores if score.outcome is Outcome.HOLDS]
    parts = [_reference(population, reference)]
    if not holding:
        return "; ".join([*parts, *_none_holds(population)])
    if population.reference != "macs" and any(score.name == "macs" for score in population.scores):
        parts.append(_against(population["macs"], "MACs"))
    others = [score for score in holding if score.name not in (population.reference, "macs")]
    better = [score for score in others if score["difference_low"] > 0]
    if better:
        best = max(better, key=lambda score: score["spearman"])
        parts.append(f"{best.name} does better ({best['spearman']:.2f})")
    elif reference.outcome is not Outcome.HOLDS:
        named = ", ".join(f"{score.name} ({score['spearman']:.2f})" for score in holding)
        parts.append(f"what does rank them: {named}")
    if not math.isnan(population.one_run["spearman"]):
        parts.append(_one_run(population))
    if not math.isnan(population.ceiling["spearman"]):
        parts.append(f"a perfect score would reach about {population.ceiling['spearman']:.2f}")
    if not math.isnan(reference["gain_top1"]):
        gain = f"its first pick gains {_short(reference['gain_top1'])} over the median of its bin"
        best = population.ceiling["gain_top1"]
        parts.append(gain if math.isnan(best) else f"{gain}, the true best about {_short(best)}")
    return "; ".join(parts)


def too_few(name: str, networks: int) -> str:
    """The verdict on a population without a bin that counts."""
    some = "1 layout" if networks == 1 else f"{networks} layouts"
    return f"{Outcome.OPEN}: {name} has {some} to judge scores by, at least {LEAST_LAYOUTS} are needed"


def _none_holds(population: JudgedPopulation) -> list[str]:
    known = [score for score in population.scores if not math.isnan(score["spearman"])]
    found: list[str] = []
    best = max(known, key=lambda score: score["spearman"], default=None)
    if best is not None and best.name != population.reference:
        found.append(
            f"no score is shown to rank them: the highest of {len(known)} is {best.name}, {_with_interval(best)}"
        )
    wrong = [f"{score.name} ({score['spearman']:.2f})" for score in known if score["ci_high"] < 0]
    return [*found, f"the wrong way round: {', '.join(wrong)}"] if wrong else found


def _reference(population: JudgedPopulation, score: JudgedScore) -> str:
    if math.isnan(score["spearman"]):
        return f"{score.outcome}: inside {_inside(population)} {score.name} or the accuracy is the same for all"
    begin = f"Spearman {_with_interval(score)} inside {_inside(population)}"
    if score.outcome is Outcome.OPEN:
        if population.in_bins < LEAST_LAYOUTS:
            needed = f"{population.in_bins} layouts, at least {LEAST_LAYOUTS} are needed"
            return f"{score.outcome}: {needed}; {score.name} has {begin}"
        return f"{score.outcome} whether {score.name} ranks networks of one size: {begin}, which contains {RANKS_ABOVE}"
    does = "ranks" if score.outcome is Outcome.HOLDS else "does not rank"
    text = f"{score.outcome}: {score.name} {does} networks of one size: {begin}"
    for key, what in (("partial_params", "params"), ("partial_macs", "MACs")):
        if not math.isnan(score[key]):
            left = "" if score[f"{key}_low"] > 0 else ", which chance alone may give"
            text += f", {score[key]:.2f} given {what}{left}"
    return text


def _against(rival: JudgedScore, name: str) -> str:
    """How a rival stands to the reference; the difference is the rival's coefficient minus the reference's."""
    value = f"{rival['spearman']:.2f}"
    low, high = rival["difference_low"], rival["difference_high"]
    if math.isnan(rival["spearman"]):
        return f"{name} do not differ inside the bins"
    if math.isnan(low):
        return f"{name}: {value}"
    if low <= 0 <= high:
        return f"{name} do as well ({value}): these networks do not tell the two apart"
    certain_but_small = abs(rival["difference"]) < NEARLY
    if high < 0:
        return f"{name} do nearly as well ({value})" if certain_but_small else f"{name} do less well ({value})"
    return f"{name} do slightly better ({value})" if certain_but_small else f"{name} do better ({value})"


def _one_run(population: JudgedPopulation) -> str:
    value, low, high = (population.one_run[key] for key in ("spearman", "difference_low", "difference_high"))
    if math.isnan(low):
        return f"training each once ranks them with {value:.2f}"
    if high < 0:
        return f"training each once ranks them worse ({value:.2f})"
    return f"training each once ranks them {'better' if low > 0 else 'no better'} ({value:.2f})"


def _inside(population: JudgedPopulation) -> str:
    bins = "one bin" if population.bins == 1 else f"{population.bins} bins"
    return f"{bins} of {population.in_bins:,} networks"


def _with_interval(score: JudgedScore) -> str:
    if math.isnan(score["spearman"]):
        return "not defined"
    ends = "" if math.isnan(score["ci_low"]) else f" [{score['ci_low']:.2f}, {score['ci_high']:.2f}]"
    return f"{score['spearman']:.2f}{ends}"


def _short(value: float) -> str:
    return f"{value:.2g}"
