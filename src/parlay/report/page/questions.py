"""What the page asks of a group of trials."""

from __future__ import annotations

from parlay.evidence.measured import Measured, size_words
from parlay.families import Family
from parlay.study import Row

__all__ = ["log_path_energy", "question"]


def question(measured: Measured) -> str:
    """What a group of trials is asked, as a sentence."""
    row = measured.first
    return (
        f"Among layouts of {row.trial.network.title} with {size_words(measured.rows)}, does a higher"
        f" {measured.score_words} go with a higher test accuracy on {row.data_name}, trained with recipe"
        f" {measured.training}?"
    )


def log_path_energy(row: Row) -> float | None:
    """ln of the path energy of a trial's layout; None where it is not known without tracing a model.

    -inf where a width is 1.
    """
    network = row.trial.network
    if not isinstance(network, Family):
        return None
    from parlay.energy import get_score

    return get_score("path-energy").terms(network.space)(row.trial.layout)
