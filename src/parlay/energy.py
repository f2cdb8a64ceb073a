"""Scores of a layout, in log form: sums of terms per group and per pair of adjacent groups.

The paper's energy (Eq. 2-3) is the product of ln n_i; its logarithm is the sum of ln ln n_i, which never
overflows. Every score here is such a sum, so one exact solver serves them all. A new score is one class and one line
in ``SCORES``.
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from fractions import Fraction
from typing import final

from parlay.documents import finite
from parlay.errors import unknown
from parlay.layout import Layout, WidthSpace, presumed_connections
from parlay.terms import (
    FixedMeanLogLog,
    GroupTerm,
    Harmonic,
    HarmonicFixed,
    HarmonicSelf,
    LogLog,
    LogWidth,
    MeanLogLog,
    NotOne,
    PairTerm,
    Terms,
)

__all__ = [
    "SCORES",
    "EnergyGroup",
    "EnergyLayer",
    "FixedMeanLogLog",
    "GroupTerm",
    "Harmonic",
    "HarmonicFixed",
    "HarmonicSelf",
    "LogLog",
    "LogWidth",
    "MeanLogLog",
    "NotOne",
    "PairHarmonic",
    "PairTerm",
    "PathEnergy",
    "Score",
    "SumLog",
    "Terms",
    "energy_facts",
    "energy_of",
    "get_score",
    "log_energy",
]


class Score(ABC):
    """A rule that turns a width space into terms.

    Attributes:
        name: how the command line calls it.
        source: where it is defined.
        summary: what it is, in one line.
        needs: what it reads of a space: ``widths``, ``layers`` (how many layers a group has), ``connections``.
    """

    name: str
    source: str
    summary: str
    needs: tuple[str, ...] = ("widths",)

    @abstractmethod
    def terms(self, space: WidthSpace) -> Terms:
        """The score's terms in this space."""


@final
class EnergyGroup(Score):
    """ln of Eq. 3: sum over groups of ln ln n_g, each group once.

    >>> import math
    >>> from parlay.layout import WidthGroup
    >>> space = WidthSpace(groups=tuple(WidthGroup(name=f"conv{i}") for i in range(1, 5)))
    >>> round(math.exp(EnergyGroup().terms(space)((35, 36, 37, 43))), 4)
    173.0358
    """

    name = "energy-group"
    source = "Liao et al. 2017, Eq. 2-3; a unit of equal layers counts once, as in its section 3.3 and Table 4"
    summary = "sum over width groups of ln ln n"

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogLog(1),) for _ in space.groups), pairs={})


@final
class EnergyLayer(Score):
    """ln of Eq. 3 with one factor per weight layer: sum over groups of m_g ln ln n_g."""

    name = "energy-layer"
    source = "Liao et al. 2017, Eq. 2-3, taken over every layer instead of every unit"
    summary = "sum over weight layers of ln ln n"
    needs = ("widths", "layers")

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogLog(group.multiplicity),) for group in space.groups), pairs={})


@final
class SumLog(Score):
    """Sum over weight layers of ln n, m_g ln n_g over groups: the logarithm of the product of all widths.

    >>> import math
    >>> from parlay.layout import WidthGroup
    >>> space = WidthSpace(groups=(WidthGroup(name="a", multiplicity=2), WidthGroup(name="b")))
    >>> round(math.exp(SumLog().terms(space)((3, 5))))
    45
    """

    name = "sum-log"
    source = "the energy of Liao et al. 2017, Eq. 2-3, with one logarithm less"
    summary = "sum over weight layers of ln n"
    needs = ("widths", "layers")

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogWidth(group.multiplicity),) for group in space.groups), pairs={})


@final
class PairHarmonic(Score):
    """Sum over weight layers of ln(n_in n_out / (n_in + n_out)): a bottleneck lowers both layers it joins.

    >>> import math
    >>> from parlay.layout import Connection, WidthGroup
    >>> space = WidthSpace(
    ...     groups=(WidthGroup(name="a"), WidthGroup(name="b")),
    ...     connections=(Connection(fixed_inputs=3, target=0), Connection(source=0, target=1)),
    ... )
    >>> round(PairHarmonic().terms(space)((6, 6)), 6) == round(math.log(2) + math.log(3), 6)
    True
    """

    name = "pair-harmonic"
    source = "parlay; half the harmonic mean of the two widths a layer joins, in logs (docs/scores.md)"
    summary = "sum over weight layers of ln(n_in n_out / (n_in + n_out))"
    needs = ("widths", "connections")

    def terms(self, space: WidthSpace) -> Terms:
        groups: list[list[GroupTerm]] = [[] for _ in space.groups]
        pairs: dict[tuple[int, int], tuple[PairTerm, ...]] = {}
        for link in space.connections:
            if link.source is None and not link.fixed_inputs:
                continue  # it joins more than two widths
            if link.source is None:
                groups[link.target].append(HarmonicFixed(link.fixed_inputs, link.count))
            elif link.source == link.target:
                groups[link.target].append(HarmonicSelf(link.count))
            else:
                key = (min(link.source, link.target), max(link.source, link.target))
                pairs[key] = (*pairs.get(key, ()), Harmonic(link.count))
        return Terms(groups=tuple(tuple(terms) for terms in groups), pairs=pairs)


@final
class PathEnergy(Score):
    """The log-energy of a path from input to output, averaged over all paths, each layer as wide as it can pass on.

    Two arguments, no fitted number. A layer that joins a and b channels passes on no more than the narrower side lets
    through, so its width in Eq. 3 is the harmonic mean 2 a b / (a + b), which the narrower side rules: a bottleneck
    lowers the layer before it and the layer behind it. And a network with residual blocks is a collection of paths of
    many lengths (Veit et al. 2016), of which half go around each block: a layer counts by the share of the paths that
    need it, a layer of a chain 1, a layer of a block 1/2, and a narrow width inside a block is no bottleneck of the
    paths around it.

    >>> import math
    >>> from parlay.layout import Connection, WidthGroup
    >>> space = WidthSpace(
    ...     groups=(WidthGroup(name="a"), WidthGroup(name="b")),
    ...     connections=(Connection(fixed_inputs=3, target=0), Connection(source=0, target=1)),
    ... )
    >>> round(math.exp(PathEnergy().terms(space)((6, 6))), 6) == round(math.log(4) * math.log(6), 6)
    True
    """

    name = "path-energy"
    source = "parlay; Eq. 3 over the paths of Veit et al. 2016, with harmonic means as widths (docs/scores.md)"
    summary = "mean over paths of the sum over their layers of ln ln(2 n_in n_out / (n_in + n_out))"
    needs = ("widths", "layers")

    def terms(self, space: WidthSpace) -> Terms:
        groups: list[list[GroupTerm]] = [[NotOne()] for _ in space.groups]
        pairs: dict[tuple[int, int], Fraction] = {}
        links = space.connections or presumed_connections([group.multiplicity for group in space.groups])
        for link in links:
            weight = link.count * link.share
            if link.source is None and link.fixed_inputs:
                groups[link.target].append(FixedMeanLogLog(link.fixed_inputs, weight))
            elif link.source is None or link.source == link.target:
                groups[link.target].append(LogLog(weight))
            else:
                key = (min(link.source, link.target), max(link.source, link.target))
                pairs[key] = pairs.get(key, Fraction(0)) + weight
        return Terms(
            groups=tuple(tuple(terms) for terms in groups),
            pairs={key: (MeanLogLog(weight),) for key, weight in pairs.items()},
        )


SCORES: dict[str, Score] = {
    score.name: score for score in (EnergyGroup(), EnergyLayer(), SumLog(), PairHarmonic(), PathEnergy())
}
"""Every score by name, in the order in which they are listed."""


LOADERS = {"calibrated": "parlay.calibrated:load"}
"""Kind of a score that a file holds -> where it is read, for names such as ``calibrated:weights.json``."""


def get_score(name: str) -> Score:
    """The score of that name; ``calibrated:FILE`` is one with fitted weights.

    Raises:
        InputError: when there is none, with the nearest name.

    >>> get_score("energy-group").summary
    'sum over width groups of ln ln n'
    """
    kind, _, file = name.partition(":")
    if kind in LOADERS and file:
        module, function = LOADERS[kind].split(":")
        return getattr(importlib.import_module(module), function)(name)
    if name not in SCORES:
        raise unknown("score", name, [*SCORES, "calibrated:FILE"], "see 'parlay scores'")
    return SCORES[name]


def log_energy(space: WidthSpace, layout: Layout) -> float:
    """ln of Eq. 3 of a layout, each group once; -inf where a width is 1. What is called energy is this and no score.

    >>> from parlay.layout import WidthGroup
    >>> space = WidthSpace(groups=(WidthGroup(name="a", multiplicity=2), WidthGroup(name="b")))
    >>> log_energy(space, (5, 7)) == get_score("energy-group").terms(space)((5, 7))
    True
    """
    return get_score("energy-group").terms(space)(layout)


def energy_of(log_energy: float) -> float:
    """Eq. 3 itself, exp of its logarithm; inf where a float cannot hold it."""
    try:
        return math.exp(log_energy)
    except OverflowError:
        return math.inf


def energy_facts(log_energy: float) -> dict[str, float | None]:
    """Eq. 3 and its logarithm by JSON key; null where JSON has no number.

    >>> energy_facts(-math.inf)
    {'energy': 0.0, 'log_energy': None}
    """
    return {"energy": finite(energy_of(log_energy)), "log_energy": finite(log_energy)}
