"""What a panel's figures say in words, by fixed rules; the answer may be that no score ranks anything."""

from __future__ import annotations

import math

from parlay.evidence.panel import Judged, Panel

__all__ = ["LEVEL", "misranks", "ranks_networks", "verdict"]

LEVEL = 0.05
NEARLY = 0.05
"""Differences of Spearman coefficients below this are called small, however certain they are."""


def ranks_networks(score: Judged) -> bool:
    """Whether a score ranks better than chance: p after Holm below 0.05, coefficient and interval above 0."""
    above = score["spearman"] > 0 and not score["ci_low"] <= 0
    return above and score["p_holm"] < LEVEL


def misranks(score: Judged) -> bool:
    """Whether a score ranks the wrong way round: p after Holm below 0.05, coefficient and interval below 0."""
    below = score["spearman"] < 0 and not score["ci_high"] >= 0
    return below and score["p_holm"] < LEVEL


def verdict(panel: Panel) -> str:
    """The verdict on one panel.

    Rules, in this order. A score *ranks* the networks as ``ranks_networks`` says, *misranks* them as ``misranks`` says.

    1. No score ranks them: the verdict says so, gives the highest coefficient and, where there is one, names each score
       that misranks them. Nothing else is said.
    2. The reference score, fixed beforehand: whether it ranks the networks, with its coefficient and interval; how much
       is left given the size, and whether that interval excludes 0.
    3. Multiply-adds, where they are among the scores: the interval of the paired difference decides between better,
       "nearly as well" (certain, but less than 0.05), not told apart, and the reverse.
    4. The best other score, where the interval of its paired difference to the reference is above 0.
    5. One training run of every network, where there are two runs: by the paired difference again.
    6. What a perfect score would reach, and the gain of the reference's first pick beside that of the true best.
    """
    ranking = [score for score in panel.scores if ranks_networks(score)]
    if not ranking:
        return _negative(panel)
    reference = panel[panel.reference]
    parts = [_reference(panel, reference)]
    if panel.reference != "macs" and any(score.name == "macs" for score in panel.scores):
        parts.append(_against(panel["macs"], "MACs"))
    others = [score for score in ranking if score.name not in (panel.reference, "macs")]
    better = [score for score in others if score["difference_low"] > 0]
    if better:
        best = max(better, key=lambda score: score["spearman"])
        parts.append(f"{best.name} does better ({best['spearman']:.2f})")
    elif not ranks_networks(reference):
        named = ", ".join(f"{score.name} ({score['spearman']:.2f})" for score in ranking)
        parts.append(f"what does rank them: {named}")
    if not math.isnan(panel.one_run["spearman"]):
        parts.append(_one_run(panel))
    if not math.isnan(panel.ceiling["spearman"]):
        parts.append(f"a perfect score would reach about {panel.ceiling['spearman']:.2f}")
    if not math.isnan(reference["gain_top1"]):
        gain = f"its first pick gains {_short(reference['gain_top1'])} over the median of its bin"
        best = panel.ceiling["gain_top1"]
        parts.append(gain if math.isnan(best) else f"{gain}, the true best about {_short(best)}")
    return "; ".join(parts)


def _negative(panel: Panel) -> str:
    known = [score for score in panel.scores if not math.isnan(score["spearman"])]
    if not known:
        return f"no score can be judged: inside {_inside(panel)} every score or every accuracy is the same"
    best = max(known, key=lambda score: score["spearman"])
    text = (
        f"no score ranks these networks better than chance: the highest of {len(known)}, {best.name}, has Spearman"
        f" {_with_interval(best)} inside {_inside(panel)}, p = {best['p_holm']:.3f} after Holm"
    )
    wrong = [f"{score.name} ({score['spearman']:.2f})" for score in known if misranks(score)]
    return f"{text}; the wrong way round: {', '.join(wrong)}" if wrong else text


def _reference(panel: Panel, score: Judged) -> str:
    if not ranks_networks(score):
        how = "ranks them the wrong way round" if misranks(score) else "does not rank them better than chance"
        p = "" if math.isnan(score["p_holm"]) else f", p = {score['p_holm']:.3f} after Holm"
        return f"{score.name} {how}: Spearman {_with_interval(score)} inside {_inside(panel)}{p}"
    text = f"{score.name} ranks networks of one size: Spearman {_with_interval(score)} inside {_inside(panel)}"
    for key, what in (("partial_params", "params"), ("partial_macs", "MACs")):
        if not math.isnan(score[key]):
            left = "" if score[f"{key}_low"] > 0 else ", which chance alone may give"
            text += f", {score[key]:.2f} given {what}{left}"
    return text


def _against(rival: Judged, name: str) -> str:
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


def _one_run(panel: Panel) -> str:
    value, low, high = (panel.one_run[key] for key in ("spearman", "difference_low", "difference_high"))
    if math.isnan(low):
        return f"training each once ranks them with {value:.2f}"
    if high < 0:
        return f"training each once ranks them worse ({value:.2f})"
    return f"training each once ranks them {'better' if low > 0 else 'no better'} ({value:.2f})"


def _inside(panel: Panel) -> str:
    bins = "one bin" if panel.bins == 1 else f"{panel.bins} bins"
    return f"{bins} of {panel.in_bins:,} networks"


def _with_interval(score: Judged) -> str:
    if math.isnan(score["spearman"]):
        return "not defined"
    ends = "" if math.isnan(score["ci_low"]) else f" [{score['ci_low']:.2f}, {score['ci_high']:.2f}]"
    return f"{score['spearman']:.2f}{ends}"


def _short(value: float) -> str:
    return f"{value:.2g}"
