"""A trained network under all limits of a device at once: the channels that keep most of it, with their weights.

``importance`` measures channels, ``objective`` says what a width is worth, ``solve_prune`` finds widths and channels,
``run_prune`` slices, trains on and judges them beside what else one could do.
"""

from parlay.prune.importance import DEFAULT_IMPORTANCE, IMPORTANCES, measure_importance
from parlay.prune.objective import DEFAULT_OBJECTIVE, OBJECTIVES
from parlay.prune.run_prune import PruneQuestion, prune_and_train
from parlay.prune.solve_prune import Pruned, prune, prune_or_conflict

__all__ = [
    "DEFAULT_IMPORTANCE",
    "DEFAULT_OBJECTIVE",
    "IMPORTANCES",
    "OBJECTIVES",
    "PruneQuestion",
    "Pruned",
    "measure_importance",
    "prune",
    "prune_and_train",
    "prune_or_conflict",
]
