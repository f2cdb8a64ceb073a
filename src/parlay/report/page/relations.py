"""The coefficients of a panel, one line each: the only place of the page that chooses statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parlay.evidence import Correlation, Relation, correlate, partial_correlate, relate
from parlay.report.page.panels import Panel, log_path_energy

__all__ = ["Line", "Relations", "relations_of"]

LOWEST = -1e9
"""Stands for the logarithm of an energy of 0 where only ranks count."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One coefficient.

    Attributes:
        key: of the quantity on the horizontal axis, where the coefficient is one of accuracy with a quantity drawn.
        label: what is set against what.
        method: Spearman, Pearson or partial.
        correlation: value, interval, n and p.
    """

    key: str | None
    label: str
    method: str
    correlation: Correlation


@dataclass(frozen=True, kw_only=True)
class Relations:
    """Every coefficient of a panel.

    Attributes:
        relation: energy, multiply-adds and accuracy.
        lines: all that are shown, in order.
    """

    relation: Relation
    lines: tuple[Line, ...]


def relations_of(panel: Panel) -> Relations:
    """Coefficients over the layouts of a panel, seeds averaged first, since they are not independent."""
    relation = relate(panel.complete)
    layouts = list(panel.means)
    means = [panel.means[layout] for layout in layouts]
    rows = [panel.by_layout[layout] for layout in layouts]
    macs = [float(row.costs["macs"]) for row in rows]
    found = [
        ("energy", "energy and accuracy", "Spearman", relation.energy),
        ("", "energy and accuracy", "Pearson", relation.energy_linear),
    ]
    paths = _ranked([log_path_energy(row) for row in rows])
    if paths is not None:
        found.append(("path_energy", "path energy and accuracy", "Spearman", correlate(paths, means)))
    found.append(("macs", "multiply-adds and accuracy", "Spearman", relation.macs))
    for key, label in (("params", "parameters"), ("peak_activation_bytes", "peak memory")):
        values = [float(row.costs[key]) for row in rows]
        found.append((key, f"{label} and accuracy", "Spearman", correlate(values, means)))
    found += [
        ("", "energy and multiply-adds", "Spearman", relation.energy_and_macs),
        ("", "energy and accuracy, given multiply-adds", "partial", relation.energy_given_macs),
    ]
    if paths is not None:
        left = partial_correlate(paths, means, macs)
        found.append(("", "path energy and accuracy, given multiply-adds", "partial", left))
    lines = [Line(key=key or None, label=label, method=method, correlation=c) for key, label, method, c in found]
    return Relations(relation=relation, lines=tuple(lines))


def _ranked(values: Sequence[float | None]) -> list[float] | None:
    """Values whose ranks are right, -inf made finite; None where one is not known."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return [value if math.isfinite(value) else LOWEST for value in known]
