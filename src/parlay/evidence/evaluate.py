"""How far to trust a score: its ranking of networks of one size, beside its rivals and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parlay.energy import RECOMMENDED
from parlay.errors import InputError
from parlay.evidence.judge import judge
from parlay.evidence.judged import Binning, JudgedPopulation
from parlay.evidence.outcome import LEAST_LAYOUTS, Outcome
from parlay.evidence.population import Population
from parlay.evidence.scores import default_scores
from parlay.evidence.statistics import holm
from parlay.evidence.uncertainty import RESAMPLES
from parlay.evidence.verdict_words import too_few, verdict

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores judged over one population or several.

    Attributes:
        panels: one a population, in the order given; none where no population has a bin.
        resamples: bootstrap samples, and permutations.
        seed: fixes them.
        too_small: name and number of networks of every population that has no bin and is left out.
        missing: name of every population some of whose trials are not complete, and how many.
    """

    panels: tuple[JudgedPopulation, ...]
    resamples: int
    seed: int
    too_small: tuple[tuple[str, int], ...] = ()
    missing: tuple[tuple[str, int], ...] = ()

    @property
    def has_too_few(self) -> bool:
        """Whether some population has too few layouts to judge a score by: those can only be compared."""
        return bool(self.too_small) or any(panel.in_bins < LEAST_LAYOUTS for panel in self.panels)

    @property
    def verdict(self) -> str:
        """In words; of several panels each under its name."""
        if not self.panels:
            return " | ".join(too_few(name, networks) for name, networks in self.too_small)
        if len(self.panels) == 1:
            return verdict(self.panels[0])
        return " | ".join(f"{panel.name}: {verdict(panel)}" for panel in self.panels)

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON values: the first panel's, then every panel's where there are several."""
        first = self.panels[0].to_json() if self.panels else {}
        empty = {"scores": {}, "one_run": None, "ceiling": None, "bins": 0, "networks": 0}
        leading = {key: first.pop(key, nothing) for key, nothing in empty.items()}
        found = {**leading, "verdict": self.verdict, **first, "resamples": self.resamples, "seed": self.seed}
        if len(self.panels) > 1:
            found["panels"] = [{**panel.to_json(), "verdict": verdict(panel)} for panel in self.panels]
        if self.too_small:
            found["too_small"] = [{"name": name, "networks": networks} for name, networks in self.too_small]
        found["trials_missing"] = sum(trials for _, trials in self.missing)
        return found

    def summary(self) -> str:
        """What the columns are about, population by population, what is left out, and the verdicts, in lines."""
        lines: list[str] = []
        for panel in self.panels:
            bins = "one bin" if panel.bins == 1 else f"{panel.bins} bins of {panel.least} or more"
            picks = "one bin" if panel.pick_bins == 1 else f"{panel.pick_bins} bins"
            runs = "one run each" if panel.runs == 1 else f"up to {panel.runs} runs each"
            lines.append(
                f"{panel.name}: {panel.in_bins:,} of {panel.networks:,} networks, {runs}, in {bins} by"
                f" {panel.size_name}; {panel.pairs:,} pairs of exactly equal {panel.size_name}; gains over {picks},"
                f" accuracy {panel.unit}; intervals resample {panel.resampled}"
            )
            if panel.chosen:
                lines.append(f"{panel.name}: {panel.chosen} chosen by a score or by hand beside them do not judge")
            for need, names in _by_need(panel.lacking).items():
                lines.append(f"{panel.name}: not known is {need}, so left out: {', '.join(names)}")
            for outcome in Outcome:
                named = ", ".join(score.name for score in panel.scores if score.outcome is outcome)
                if named:
                    lines.append(f"accuracy rises with the score: {outcome} for {named}")
        if self.panels:
            lines += [
                f"{name}: left out, {networks} network{'' if networks == 1 else 's'} and no bin of one size that counts"
                for name, networks in self.too_small
            ]
        lines += [
            f"{name}: {trials:,} trial{' is' if trials == 1 else 's are'} not complete, and count for nothing"
            for name, trials in self.missing
        ]
        return "\n".join([*lines, "", *self.verdict.split(" | ")])


def _by_need(lacking: Mapping[str, str]) -> dict[str, list[str]]:
    """What is not known -> the scores that need it."""
    found: dict[str, list[str]] = {}
    for name, need in lacking.items():
        found.setdefault(need, []).append(name)
    return found


def evaluate(
    populations: Sequence[Population],
    *,
    scores: Sequence[str] = (),
    binning: Binning | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Judge scores by how they rank networks of one size.

    Every statistic is worked out inside bins of one size and averaged over bins, weighted by their networks; accuracies
    are means of a network's runs. Numbers of a score, NaN (null in JSON) where they are not defined:

    ``spearman``, ``kendall`` (tau-b), ``pearson``: coefficients of score and accuracy. ``ci_low``, ``ci_high`` are the
    ends of Spearman's 95 % interval, ``X_low``, ``X_high`` those of any other ``X``: bootstrap over bins, or over the
    networks inside them where there are fewer than 10 (see ``uncertainty``).
    ``verdict``: the word that this interval gives, as everywhere in parlay (see ``outcome``).
    ``partial_params``, ``partial_macs``, ``partial_params_macs``: rank-partials, since sizes still differ in a bin.
    ``concordance``: agreeing minus disagreeing pairs over both, of all pairs of exactly equal size, whatever the bins;
    judged by the runs but the first. ``concordance_decided``: share of these pairs in which the score differs.
    ``gain_top1``, ``gain_top5``: mean accuracy of the score's best networks over the bin's median; bins count alike.
    ``p_value``, ``p_holm``: permutations inside bins, two-sided; after Holm, over all scores and panels.
    ``difference``: Spearman's coefficient minus that of the reference score, over the same bootstrap samples.
    ``optimum``: where the layout lands that the score puts above all that judge, if one was trained beside them.

    The reference is the score by which a study chose its best layouts, or else the recommended one, where it is among
    those asked for; else the first.

    Args:
        populations: each is judged by itself, only Holm's correction sees all. One without a bin is left out, of one
            without a network only the trials that are not complete are told.
        scores: names; all that the populations have the numbers for where empty.
        binning: which networks are compared with each other.
        resamples: bootstrap samples, and permutations.
        seed: fixes them.

    Raises:
        InputError: for an unknown score, a table without a bin, or too few resamples.

    >>> from parlay.evidence.population import TrainedLayout, population_from
    >>> networks = [TrainedLayout(widths=(8 + i, 40 - i), accuracy=(60 + i,), params=999, macs=i) for i in range(9)]
    >>> found = evaluate([population_from(networks, name="nine", group_names=("a", "b"))])
    >>> round(found.panels[0]["energy-group"]["spearman"], 6), found.panels[0].bins
    (1.0, 1)
    >>> found.verdict[:81]
    'holds: energy-group ranks networks of one size: Spearman 1.00 [1.00, 1.00] inside'
    """
    if not populations:
        raise InputError("populations", given="none", allowed="at least one")
    if not 100 <= resamples <= 1_000_000:
        raise InputError("--resamples", given=resamples, allowed="an integer from 100 to 1000000")
    if seed < 0:
        raise InputError("--seed", given=seed, allowed="an integer of at least 0")
    grouping = binning or Binning()
    large, small = _by_bins(populations, grouping)
    panels: list[JudgedPopulation] = []
    for population in large:
        names = tuple(dict.fromkeys(scores)) or default_scores(population)
        reference = next((name for name in (population.score, RECOMMENDED) if name in names), names[0])
        panels.append(judge(population, names, reference, binning=grouping, resamples=resamples, seed=seed))
    return Evaluation(
        panels=_corrected(panels),
        resamples=resamples,
        seed=seed,
        too_small=small,
        missing=tuple((population.name, population.missing) for population in populations if population.missing),
    )


def _by_bins(
    populations: Sequence[Population], binning: Binning
) -> tuple[list[Population], tuple[tuple[str, int], ...]]:
    """The populations that have a bin, and name and size of the others that have a network.

    Raises:
        InputError: when none has, and it is the bins that were asked for, not the number of trials, that leaves none.
    """
    large: list[Population] = []
    small: list[tuple[str, int]] = []
    refused: InputError | None = None
    for population in filter(len, populations):
        try:
            binning.of(population)
        except InputError as error:
            refused = refused or error
            small.append((population.name, len(population.widths)))
        else:
            large.append(population)
    asked = binning.width is not None or binning.least is not None
    if refused is not None and not large and (asked or not all(population.one_size for population in populations)):
        raise refused
    return large, tuple(small)


def _corrected(panels: Sequence[JudgedPopulation]) -> tuple[JudgedPopulation, ...]:
    """The panels with Holm's correction over every score of each."""
    adjusted = iter(holm([score["p_value"] for panel in panels for score in panel.scores]))
    return tuple(
        replace(
            panel,
            scores=tuple(replace(score, numbers={**score.numbers, "p_holm": next(adjusted)}) for score in panel.scores),
        )
        for panel in panels
    )
