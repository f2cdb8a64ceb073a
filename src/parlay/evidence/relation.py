"""Energy against accuracy over a study's trials, with its confound, multiply-adds, beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from parlay.evidence.correlation import Correlation, correlate, partial_correlate
from parlay.layout import Layout
from parlay.study import Row

__all__ = ["Relation", "relate"]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What goes with accuracy, over layouts; a layout's seeds are averaged first, since they are not independent.

    Attributes:
        energy: Spearman of log-energy (its ranks are those of energy) and accuracy.
        energy_linear: Pearson of energy and accuracy.
        macs: Spearman of multiply-adds and accuracy.
        energy_and_macs: Spearman of log-energy and multiply-adds: how far the two can be told apart at all.
        energy_given_macs: rank correlation of energy and accuracy with multiply-adds taken out.
    """

    energy: Correlation
    energy_linear: Correlation
    macs: Correlation
    energy_and_macs: Correlation
    energy_given_macs: Correlation

    def document(self) -> dict[str, Any]:
        """The coefficients as JSON values."""
        return {
            "energy_accuracy": self.energy.document(),
            "energy_accuracy_linear": self.energy_linear.document(),
            "macs_accuracy": self.macs.document(),
            "energy_macs": self.energy_and_macs.document(),
            "energy_accuracy_given_macs": self.energy_given_macs.document(),
        }


def relate(rows: Iterable[Row]) -> Relation:
    """Correlations over the layouts of complete trials; energies of 0 rank lowest.

    The rows should come from one size, one recipe and one number of steps; other mixtures say nothing about layouts.
    """
    accuracies: dict[Layout, list[float]] = {}
    costs: dict[Layout, tuple[float, float, float]] = {}
    for row in rows:
        if row.accuracy is not None:
            layout = row.trial.layout
            accuracies.setdefault(layout, []).append(row.accuracy)
            log_energy = row.log_energy
            # -inf has no place on a scale; any finite number below all others keeps its rank
            finite_log = log_energy if math.isfinite(log_energy) else -1e9
            costs[layout] = (finite_log, log_energy, float(row.costs["macs"]))
    means = [math.fsum(values) / len(values) for values in accuracies.values()]
    logs, macs = [cost[0] for cost in costs.values()], [cost[2] for cost in costs.values()]
    # deep networks have energies that no float holds: the linear coefficient does not change when all are scaled
    highest = max(logs, default=0.0)
    energies = [math.exp(cost[1] - highest) for cost in costs.values()]
    return Relation(
        energy=correlate(logs, means),
        energy_linear=correlate(energies, means, method="pearson"),
        macs=correlate(macs, means),
        energy_and_macs=correlate(logs, macs),
        energy_given_macs=partial_correlate(logs, means, macs),
    )
