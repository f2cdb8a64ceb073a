"""The coefficients of a group of trials, one line each: the only place of the page that chooses statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parlay.energy import SCORES
from parlay.errors import ParlayError
from parlay.evidence import Correlation, Relation, correlate, partial_correlate, relate
from parlay.evidence.measured import ENERGY, Measured, populations
from parlay.evidence.scores import default_scores, score_values
from parlay.families import Family
from parlay.report.page.questions import log_path_energy

__all__ = ["Line", "Relations", "relations_of"]

PATH_ENERGY = "path_energy"
"""Key of a score that the page draws besides the energy."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One coefficient.

    Attributes:
        key: of the quantity on the horizontal axis, where the coefficient is one of accuracy with a quantity drawn.
        label: which two quantities.
        method: Spearman, Pearson or partial.
        correlation: value, interval, n and p.
    """

    key: str | None
    label: str
    method: str
    correlation: Correlation


@dataclass(frozen=True, kw_only=True)
class Relations:
    """Every coefficient of a group of trials.

    Attributes:
        relation: the judged score, energy, multiply-adds and accuracy.
        lines: all that are shown, in order.
    """

    relation: Relation
    lines: tuple[Line, ...]


def relations_of(measured: Measured) -> Relations:
    """Coefficients over the layouts that judge, those of the judged score first."""
    relation = relate(measured)
    score = relation.score
    means = [one.accuracy for one in measured.judging]
    macs = [float(one.macs) for one in measured.judging]
    key = score.replace("-", "_")
    found = [] if relation.is_of_energy else [(key, f"{score} and accuracy", "Spearman", relation.ranks)]
    found += [
        ("energy", "energy and accuracy", "Spearman", relation.energy),
        ("", "energy and accuracy", "Pearson", relation.energy_linear),
    ]
    paths = None if key == PATH_ENERGY else _known([log_path_energy(one.rows[0]) for one in measured.judging])
    if paths is not None:
        found.append((PATH_ENERGY, "path energy and accuracy", "Spearman", correlate(paths, means)))
    found.append(("macs", "multiply-adds and accuracy", "Spearman", relation.macs))
    for key, label in (("params", "parameters"), ("peak_activation_bytes", "peak memory")):
        values = [float(one.amount(key)) for one in measured.judging]
        found.append((key, f"{label} and accuracy", "Spearman", correlate(values, means)))
    found += [
        ("", "energy and multiply-adds", "Spearman", relation.energy_and_macs),
        ("", "energy and accuracy, given multiply-adds", "partial", relation.energy_given_macs),
    ]
    if not relation.is_of_energy:
        found.append(("", f"{score} and multiply-adds", "Spearman", relation.score_and_macs))
        found.append(("", f"{score} and accuracy, given multiply-adds", "partial", relation.score_given_macs))
    if paths is not None:
        left = partial_correlate(paths, means, macs)
        found.append(("", "path energy and accuracy, given multiply-adds", "partial", left))
    for name, values in _scores_of_graph(measured).items():
        found.append(("", f"{name} and accuracy", "Spearman", correlate(values, means)))
        left = partial_correlate(values, means, macs)
        found.append(("", f"{name} and accuracy, given multiply-adds", "partial", left))
    lines = [Line(key=key or None, label=label, method=method, correlation=c) for key, label, method, c in found]
    return Relations(relation=relation, lines=tuple(lines))


def _scores_of_graph(measured: Measured) -> dict[str, list[float]]:
    """What can be maximised, but for the energy and the judged score, at the layouts of a traced model that judge.

    None of a family, and none where the model is not to be had here, so that a page needs no more than the study.
    """
    if isinstance(measured.first.trial.network, Family) or not measured.judging:
        return {}
    try:
        [population] = populations([measured])
        known = default_scores(population)
        others = [name for name in SCORES if name in known and name not in (ENERGY, measured.score)]
        return {name: score_values(name, population).tolist() for name in others}
    except ParlayError:
        return {}


def _known(values: Sequence[float | None]) -> list[float] | None:
    """The values, if all are known."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None
