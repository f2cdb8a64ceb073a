"""Energy against accuracy over a study's trials, with its confound, multiply-adds, beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from parlay.evidence.measured import ENERGY, Measured
from parlay.evidence.outcome import Outcome, ranking
from parlay.evidence.uncertainty import Correlation, correlate, partial_correlate

__all__ = ["Relation", "relate"]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """What goes with accuracy, over layouts; a layout's seeds are averaged first, since they are not independent.

    Attributes:
        score: name of the score that is judged (``Measured.score``).
        ranks: Spearman of that score and accuracy.
        score_and_macs: Spearman of that score and multiply-adds.
        score_given_macs: rank correlation of that score and accuracy with multiply-adds taken out.
        energy: Spearman of log-energy (its ranks are those of energy) and accuracy.
        energy_linear: Pearson of energy and accuracy.
        macs: Spearman of multiply-adds and accuracy.
        energy_and_macs: Spearman of log-energy and multiply-adds: how far the two can be told apart at all.
        energy_given_macs: rank correlation of energy and accuracy with multiply-adds taken out.
        left_out: how many measured layouts do not judge, because a score or a person chose them.
    """

    score: str
    ranks: Correlation
    score_and_macs: Correlation
    score_given_macs: Correlation
    energy: Correlation
    energy_linear: Correlation
    macs: Correlation
    energy_and_macs: Correlation
    energy_given_macs: Correlation
    left_out: int = 0

    @property
    def outcome(self) -> Outcome:
        """The word for "accuracy rises with the score"."""
        return ranking(self.ranks.n, self.ranks.low, self.ranks.high)

    @property
    def is_of_energy(self) -> bool:
        """Whether the judged score is Eq. 3."""
        return self.score == ENERGY

    def to_json(self) -> dict[str, Any]:
        """The coefficients as JSON values; those of a score other than the energy besides."""
        others = {
            "score_accuracy": self.ranks,
            "score_macs": self.score_and_macs,
            "score_accuracy_given_macs": self.score_given_macs,
        }
        return {
            "score": self.score,
            **({} if self.is_of_energy else {key: found.to_json() for key, found in others.items()}),
            "energy_accuracy": self.energy.to_json(),
            "energy_accuracy_linear": self.energy_linear.to_json(),
            "macs_accuracy": self.macs.to_json(),
            "energy_macs": self.energy_and_macs.to_json(),
            "energy_accuracy_given_macs": self.energy_given_macs.to_json(),
            "verdict": str(self.outcome),
            "left_out": self.left_out,
        }


def relate(measured: Measured) -> Relation:
    """Correlations over the layouts that judge; energies of 0 rank lowest.

    >>> relate(Measured(rows=())).energy.n
    0
    """
    means = [one.accuracy for one in measured.judging]
    logs, macs = [one.log_energy for one in measured.judging], [float(one.macs) for one in measured.judging]
    # deep networks have energies that no float holds: the linear coefficient does not change when all are scaled
    highest = max((log for log in logs if math.isfinite(log)), default=0.0)
    energy, both, left = correlate(logs, means), correlate(logs, macs), partial_correlate(logs, means, macs)
    ranks, score_and_macs, score_left = energy, both, left
    if measured.rows and measured.score != ENERGY:
        values = [measured.score_value(one) for one in measured.judging]
        ranks, score_and_macs = correlate(values, means), correlate(values, macs)
        score_left = partial_correlate(values, means, macs)
    return Relation(
        score=measured.score if measured.rows else ENERGY,
        ranks=ranks,
        score_and_macs=score_and_macs,
        score_given_macs=score_left,
        energy=energy,
        energy_linear=correlate([math.exp(log - highest) for log in logs], means, method="pearson"),
        macs=correlate(macs, means),
        energy_and_macs=both,
        energy_given_macs=left,
        left_out=measured.left_out,
    )
