"""Searches to compare the loop with: each trains some layouts of a pool and picks the best by its one run.

All take the same: the pool's widths as levels (place of a width among those the group has), the accuracy that a
training would give, how many to train, and a generator; and give the places of those trained, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parlay.extras import Needs

__all__ = ["RIVALS", "levels_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

POPULATION, TOURNAMENT = 6, 3
"""Of the evolution: the 100 and 25 of Real et al. are for 20,000 trainings; these leave 10 of 16 to evolve."""


def levels_of(widths: IntArray) -> IntArray:
    """Place of every width among those its group has, (K, g).

    >>> import numpy as np
    >>> levels_of(np.array([[8, 64], [16, 64], [8, 32]])).tolist()
    [[0, 1], [1, 1], [0, 0]]
    """
    columns = [np.unique(widths[:, g], return_inverse=True)[1] for g in range(widths.shape[1])]
    return np.stack(columns, axis=1).astype(np.int64)


def random_search(levels: IntArray, _accuracy: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Layouts drawn at random, none twice."""
    return [int(place) for place in rng.permutation(len(levels))[:count]]


def evolution(levels: IntArray, accuracy: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Regularised evolution (Real et al., AAAI 2019): the best of a tournament is mutated, the oldest dies.

    A mutation gives one group another of its widths; what is trained is the layout of the pool nearest to that, in
    levels, that was not trained yet, so that the size stays.
    """
    highest = levels.max(axis=0)
    movable = highest.nonzero()[0]
    trained = random_search(levels, accuracy, min(POPULATION, count), rng)
    living = list(trained)
    while len(trained) < min(count, len(levels)):
        rivals = [living[k] for k in rng.permutation(len(living))[:TOURNAMENT]]
        child = levels[max(rivals, key=accuracy.__getitem__)].copy()
        g = movable[rng.integers(len(movable))]
        other = rng.integers(highest[g])  # one of the levels but its own
        child[g] = other + (other >= child[g])
        place = _nearest(levels, child, trained, rng)
        trained.append(place)
        living = [*living[1:], place]
    return trained


def tpe(levels: IntArray, accuracy: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Optuna's tree-structured Parzen estimator with its defaults; a suggestion trains the nearest layout left.

    Raises:
        MissingExtraError: when optuna is not installed.
    """
    with Needs("the rival TPE", extra="bench"):
        import optuna

    highest = levels.max(axis=0)
    spread: dict[str, Any] = {
        f"g{g}": optuna.distributions.IntDistribution(0, int(top)) for g, top in enumerate(highest)
    }
    trained: list[int] = []
    with _quiet():
        sampler = optuna.samplers.TPESampler(seed=int(rng.integers(2**31)))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        while len(trained) < min(count, len(levels)):
            trial = study.ask(spread)
            wanted = np.array([trial.params[name] for name in spread], dtype=np.int64)
            place = _nearest(levels, wanted, trained, rng)
            study.tell(trial, float(accuracy[place]))
            trained.append(place)
    return trained


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without a line on stderr for every study; its level is put back."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _nearest(levels: IntArray, wanted: IntArray, trained: list[int], rng: np.random.Generator) -> int:
    """The nearest layout that was not trained yet; one of several at random."""
    far = np.abs(levels - wanted).sum(axis=1)
    far[trained] = np.iinfo(far.dtype).max
    nearest = np.flatnonzero(far == far.min())
    return int(nearest[rng.integers(len(nearest))])


Rival = Callable[[IntArray, FloatArray, int, np.random.Generator], list[int]]

RIVALS: dict[str, Rival] = {"random": random_search, "evolution": evolution, "tpe": tpe}
"""Searches by name."""
