"""Scores of a layout, in log form: sums of terms per group and per pair of adjacent groups.

The paper's energy (Eq. 2-3) is the product of ln n_i; its logarithm is the sum of ln ln n_i, which never
overflows. Every
score here is such a sum, so one exact solver serves them all. A new score is one class and one line in ``SCORES``.
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, final

from parlay.errors import InputError
from parlay.formal import FormalSum, add, ln, lnln
from parlay.layout import Layout, WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = [
    "SCORES",
    "EnergyGroup",
    "EnergyLayer",
    "GroupTerm",
    "Harmonic",
    "HarmonicFixed",
    "HarmonicSelf",
    "LogLog",
    "PairHarmonic",
    "PairTerm",
    "Score",
    "Terms",
    "get_score",
]


class GroupTerm(ABC):
    """A function of one width. -inf is a legal value (a width of 1 has energy 0)."""

    @abstractmethod
    def values(self, widths: IntArray) -> FloatArray:
        """The term at every width; same shape as ``widths``."""

    def upper(self, low: IntArray, high: IntArray) -> FloatArray:
        """An upper bound over each range low..high; as it stands, right for functions monotone either way."""
        import numpy as np

        return np.maximum(self.values(low), self.values(high))

    def slopes(self, width: float) -> tuple[float, float] | None:
        """First and second derivative in ln width, where a solver may begin its search; None, as it stands: unknown."""
        return None

    def formal(self, width: int) -> FormalSum | None:
        """The exact value for ties, None for -inf; as it stands, equal only to itself at the same width."""
        return {(repr(self), width): 1}


class PairTerm(ABC):
    """A function of the widths of two adjacent groups, finite everywhere: only terms of one width may be -inf."""

    @abstractmethod
    def values(self, first: IntArray, second: IntArray) -> FloatArray:
        """The term at pairs of widths; the two shapes broadcast."""

    def upper(self, first: tuple[IntArray, IntArray], second: tuple[IntArray, IntArray]) -> FloatArray:
        """An upper bound over boxes (low, high) x (low, high); as it stands, right when monotone in each width."""
        import numpy as np

        corners = [self.values(a, b) for a in first for b in second]
        return np.maximum.reduce(corners)

    def at(self, first: float, second: float) -> float:
        """The value at two widths that need not be whole."""
        raise InputError(
            "score", given=repr(self), allowed="pair terms concave in ln w, where several constraints are to be kept"
        )

    def slopes(self, first: float, second: float) -> tuple[float, float]:
        """Derivatives by ln of either width; the term must be concave in these, so that its tangents bound it."""
        raise InputError(
            "score", given=repr(self), allowed="pair terms concave in ln w, where several constraints are to be kept"
        )

    def formal(self, first: int, second: int) -> FormalSum | None:
        """The exact value for ties, None for -inf."""
        return {(repr(self), (first, second)): 1}


@final
@dataclass(frozen=True)
class LogLog(GroupTerm):
    """count x ln ln n, the energy of ``count`` layers of width n (Eq. 2); -inf at n = 1."""

    count: int = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        with np.errstate(divide="ignore"):
            return self.count * np.log(np.log(widths))

    def slopes(self, width: float) -> tuple[float, float] | None:
        logarithm = math.log(max(width, 1.5))
        return self.count / logarithm, -self.count / logarithm**2

    def formal(self, width: int) -> FormalSum | None:
        return None if width == 1 else lnln(width, self.count)


@final
@dataclass(frozen=True)
class Harmonic(PairTerm):
    """count x ln(a b / (a + b)) for layers from width a to width b."""

    count: int = 1

    def values(self, first: IntArray, second: IntArray) -> FloatArray:
        import numpy as np

        return self.count * (np.log(first) + np.log(second) - np.log(first + second))

    def at(self, first: float, second: float) -> float:
        return self.count * math.log(first * second / (first + second))

    def slopes(self, first: float, second: float) -> tuple[float, float]:
        return self.count * second / (first + second), self.count * first / (first + second)

    def formal(self, first: int, second: int) -> FormalSum | None:
        return add([ln(first, self.count), ln(second, self.count), ln(first + second, -self.count)])


@final
@dataclass(frozen=True)
class HarmonicFixed(GroupTerm):
    """count x ln(c n / (c + n)) for layers that read c channels no width decides."""

    inputs: int
    count: int = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        return self.count * (math.log(self.inputs) + np.log(widths) - np.log(self.inputs + widths))

    def formal(self, width: int) -> FormalSum | None:
        return Harmonic(self.count).formal(self.inputs, width)


@final
@dataclass(frozen=True)
class HarmonicSelf(GroupTerm):
    """count x ln(n / 2) for layers that read and write the same group."""

    count: int = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        return self.count * (np.log(widths) - math.log(2))

    def formal(self, width: int) -> FormalSum | None:
        return add([ln(width, self.count), ln(2, -self.count)])


@dataclass(frozen=True)
class Terms:
    """A score worked out for one space.

    Attributes:
        groups: the terms of every group.
        pairs: (g, h) with g < h -> the terms of that pair.
    """

    groups: tuple[tuple[GroupTerm, ...], ...]
    pairs: Mapping[tuple[int, int], tuple[PairTerm, ...]]

    def __call__(self, layout: Layout) -> float:
        """The score of one layout; -inf when a factor is zero."""
        parts: list[float] = []
        for terms, width in zip(self.groups, layout, strict=True):
            parts += [_group_value(term, width) for term in terms]
        for (g, h), terms in self.pairs.items():
            parts += [_pair_value(term, layout[g], layout[h]) for term in terms]
        return math.fsum(parts)

    def formal(self, layout: Layout) -> FormalSum | None:
        """The exact score of one layout for ties; None for -inf."""
        parts: list[FormalSum | None] = []
        for terms, width in zip(self.groups, layout, strict=True):
            parts += [_group_formal(term, width) for term in terms]
        for (g, h), terms in self.pairs.items():
            parts += [_pair_formal(term, layout[g], layout[h]) for term in terms]
        known = [part for part in parts if part is not None]
        return add(known) if len(known) == len(parts) else None


@lru_cache(maxsize=1 << 16)
def _group_value(term: GroupTerm, width: int) -> float:
    import numpy as np

    return float(term.values(np.array([width]))[0])


@lru_cache(maxsize=1 << 16)
def _pair_value(term: PairTerm, first: int, second: int) -> float:
    import numpy as np

    return float(term.values(np.array([first]), np.array([second]))[0])


@lru_cache(maxsize=1 << 16)
def _group_formal(term: GroupTerm, width: int) -> FormalSum | None:
    return term.formal(width)


@lru_cache(maxsize=1 << 16)
def _pair_formal(term: PairTerm, first: int, second: int) -> FormalSum | None:
    return term.formal(first, second)


class Score(ABC):
    """A rule that turns a width space into terms.

    Attributes:
        name: how the command line calls it.
        source: where it is defined.
        summary: what it is, in one line.
    """

    name: str
    source: str
    summary: str

    @abstractmethod
    def terms(self, space: WidthSpace) -> Terms:
        """The score's terms in this space."""


@final
class EnergyGroup(Score):
    """ln of Eq. 3: sum over groups of ln ln n_g, each group once.

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

    def terms(self, space: WidthSpace) -> Terms:
        return Terms(groups=tuple((LogLog(group.multiplicity),) for group in space.groups), pairs={})


@final
class PairHarmonic(Score):
    """Sum over weight layers of ln(n_in n_out / (n_in + n_out)): a bottleneck lowers both layers it joins.

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

    def terms(self, space: WidthSpace) -> Terms:
        groups: list[list[GroupTerm]] = [[] for _ in space.groups]
        pairs: dict[tuple[int, int], tuple[PairTerm, ...]] = {}
        for link in space.connections:
            if link.source is None:
                groups[link.target].append(HarmonicFixed(link.fixed_inputs, link.count))
            elif link.source == link.target:
                groups[link.target].append(HarmonicSelf(link.count))
            else:
                key = (min(link.source, link.target), max(link.source, link.target))
                pairs[key] = (*pairs.get(key, ()), Harmonic(link.count))
        return Terms(groups=tuple(tuple(terms) for terms in groups), pairs=pairs)


SCORES: dict[str, Score] = {score.name: score for score in (EnergyGroup(), EnergyLayer(), PairHarmonic())}
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
        near = get_close_matches(name, SCORES, n=1)
        remedy = f"did you mean {near[0]}?" if near else "see 'parlay scores'"
        raise InputError("score", given=repr(name), allowed=", ".join([*SCORES, "calibrated:FILE"]), remedy=remedy)
    return SCORES[name]
