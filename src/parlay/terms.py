"""Terms of scores: functions of one width or of two adjacent ones, with the bounds and the exact forms solvers need."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, final

from parlay.errors import InputError
from parlay.formal import FormalSum, add, ln, lnln, lnln_ratio, lnln_regions
from parlay.layout import Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = [
    "FixedMeanLogLog",
    "FixedRegionsLogLog",
    "GroupTerm",
    "Harmonic",
    "HarmonicFixed",
    "HarmonicSelf",
    "LogDistinct",
    "LogLog",
    "LogWidth",
    "MeanLogLog",
    "NotOne",
    "PairTerm",
    "RegionsLogLog",
    "Terms",
]


class GroupTerm(ABC):
    """A function of one width. -inf is a legal value (a width of 1 has energy 0).

    Attributes:
        concave_in_log: whether it is concave in ln width, which the relaxation to real widths counts on.
    """

    concave_in_log: ClassVar[bool] = True

    @abstractmethod
    def values(self, widths: IntArray) -> FloatArray:
        """The term at every width; same shape as ``widths``."""

    def upper(self, low: IntArray, high: IntArray) -> FloatArray:
        """An upper bound over each range low..high; this one is right for functions monotone either way."""
        import numpy as np

        return np.maximum(self.values(low), self.values(high))

    def slopes(self, width: float) -> tuple[float, float] | None:
        """First and second derivative in ln width, where a solver may begin its search; None, here: unknown."""
        return None

    def formal(self, width: int) -> FormalSum | None:
        """The exact value for ties, None for -inf; here equal only to itself at the same width."""
        return {(repr(self), width): 1}


class PairTerm(ABC):
    """A function of the widths of two adjacent groups, finite everywhere: only terms of one width may be -inf."""

    @abstractmethod
    def values(self, first: IntArray, second: IntArray) -> FloatArray:
        """The term at pairs of widths; the two shapes broadcast."""

    def upper(self, first: tuple[IntArray, IntArray], second: tuple[IntArray, IntArray]) -> FloatArray:
        """An upper bound over boxes (low, high) x (low, high); this one is right when monotone in each width."""
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

    count: int | Fraction = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        with np.errstate(divide="ignore"):
            return float(self.count) * np.log(np.log(widths))

    def slopes(self, width: float) -> tuple[float, float] | None:
        logarithm = math.log(max(width, 1.5))
        count = float(self.count)
        return count / logarithm, -count / logarithm**2

    def formal(self, width: int) -> FormalSum | None:
        return None if width == 1 else lnln(width, self.count)


@final
@dataclass(frozen=True)
class LogWidth(GroupTerm):
    """count x ln n for ``count`` layers of width n."""

    count: int = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        return self.count * np.log(widths)

    def slopes(self, width: float) -> tuple[float, float] | None:
        return float(self.count), 0.0

    def formal(self, width: int) -> FormalSum | None:
        return ln(width, self.count)


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


@final
@dataclass(frozen=True)
class NotOne(GroupTerm):
    """0, but -inf at n = 1: a layer of one kernel has energy 0, whatever it is joined to."""

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        return np.where(np.asarray(widths) == 1, -np.inf, 0.0)

    def slopes(self, width: float) -> tuple[float, float] | None:
        return 0.0, 0.0

    def formal(self, width: int) -> FormalSum | None:
        return None if width == 1 else {}


LEAST_MEAN = 1.0001
"""Harmonic means are taken to be at least this: that of 1 and 1 has no energy, and is ruled out by ``NotOne``."""


@final
@dataclass(frozen=True)
class MeanLogLog(PairTerm):
    """count x ln ln H for layers that join widths a and b, H = 2 a b / (a + b), their harmonic mean.

    ln H = ln 2 - ln(1/a + 1/b) is concave in (ln a, ln b), and so is its logarithm where ln H > 0.
    """

    count: int | Fraction = 1

    def values(self, first: IntArray, second: IntArray) -> FloatArray:
        import numpy as np

        mean = 2.0 * first / (1.0 + first / np.asarray(second, dtype=np.float64))
        return float(self.count) * np.log(np.log(np.maximum(mean, LEAST_MEAN)))

    def at(self, first: float, second: float) -> float:
        return float(self.count) * math.log(math.log(max(2 * first * second / (first + second), LEAST_MEAN)))

    def slopes(self, first: float, second: float) -> tuple[float, float]:
        scale = float(self.count) / math.log(max(2 * first * second / (first + second), LEAST_MEAN))
        return scale * second / (first + second), scale * first / (first + second)

    def formal(self, first: int, second: int) -> FormalSum | None:
        mean = Fraction(2 * first * second, first + second)
        return None if mean == 1 else lnln_ratio(mean, self.count)


@final
@dataclass(frozen=True)
class FixedMeanLogLog(GroupTerm):
    """count x ln ln H for layers of width n that read c channels no width decides, H = 2 c n / (c + n)."""

    inputs: int
    count: int | Fraction = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        return MeanLogLog(self.count).values(np.asarray(widths), np.asarray(self.inputs))

    def slopes(self, width: float) -> tuple[float, float] | None:
        joined = self.inputs + width
        logarithm = math.log(max(2 * self.inputs * width / joined, 1.1))
        first = self.inputs / joined  # of ln H in ln n; its own derivative is -n c / (c + n)^2
        count = float(self.count)
        return count * first / logarithm, count * (
            -width * self.inputs / joined**2 / logarithm - (first / logarithm) ** 2
        )

    def formal(self, width: int) -> FormalSum | None:
        return MeanLogLog(self.count).formal(self.inputs, width)


LEAST_OUTPUTS = 2
"""Layers whose outputs meet a nonlinearity are taken to have at least two: one has no energy, which ``NotOne`` says."""


@final
@dataclass(frozen=True)
class RegionsLogLog(PairTerm):
    """count x ln ln(b phi(s / b)) for layers of width b that read what s channels carry, phi(x) = h(min(x, 1/2)).

    b hyperplanes cut s dimensions into sum over j <= s of C(b, j) regions (Zaslavsky 1975), at most 2^(b h(s / b)) for
    s <= b / 2, h(x) = -x log2 x - (1 - x) log2(1 - x), and at most 2^b in any case: what b ReLUs can tell apart of s
    dimensions is worth b phi(s / b) kernels. Its logarithm rises in both widths and is concave in theirs (the slope of
    ln phi by ln x falls from 1 to 0), and so is the logarithm of that.

    Attributes:
        count: how often.
        is_reversed: whether the second of the two widths is that of the carrier.

    >>> import numpy as np
    >>> np.exp(np.exp(RegionsLogLog().values(np.array([1, 4, 12, 24]), np.array(24)))).round(2).tolist()
    [6.0, 15.6, 24.0, 24.0]
    """

    count: int | Fraction = 1
    is_reversed: bool = False

    def values(self, first: IntArray, second: IntArray) -> FloatArray:
        import numpy as np

        carrier, width = (second, first) if self.is_reversed else (first, second)
        width = np.maximum(np.asarray(width, dtype=np.float64), LEAST_OUTPUTS)
        part = np.minimum(carrier / width, 0.5)
        bits = -width * (part * np.log2(part) + (1 - part) * np.log2(1 - part))
        return float(self.count) * np.log(np.log(bits))

    def at(self, first: float, second: float) -> float:
        bits, _ = self._bits(first, second)
        return float(self.count) * math.log(math.log(bits))

    def slopes(self, first: float, second: float) -> tuple[float, float]:
        bits, steepness = self._bits(first, second)
        scale = float(self.count) / math.log(bits)
        carrier, width = scale * steepness, scale * (1 - steepness)
        return (width, carrier) if self.is_reversed else (carrier, width)

    def _bits(self, first: float, second: float) -> tuple[float, float]:
        """b phi(x), x = s / b, and the slope of ln phi by ln x, which is x h'(x) / h(x), h'(x) = log2((1 - x) / x)."""
        carrier, width = (second, first) if self.is_reversed else (first, second)
        width = max(width, LEAST_OUTPUTS)
        part = min(carrier / width, 0.5)
        entropy = -part * math.log2(part) - (1 - part) * math.log2(1 - part)
        return width * entropy, part * math.log2((1 - part) / part) / entropy

    def formal(self, first: int, second: int) -> FormalSum | None:
        carrier, width = (second, first) if self.is_reversed else (first, second)
        return lnln_regions(carrier, max(width, LEAST_OUTPUTS), self.count)


@final
@dataclass(frozen=True)
class FixedRegionsLogLog(GroupTerm):
    """``RegionsLogLog`` for outputs whose number no width decides, read from n linear channels."""

    outputs: int
    count: int | Fraction = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        return RegionsLogLog(self.count).values(np.asarray(widths), np.asarray(self.outputs))

    def formal(self, width: int) -> FormalSum | None:
        return RegionsLogLog(self.count).formal(width, self.outputs)


@final
@dataclass(frozen=True)
class LogDistinct(GroupTerm):
    """count x ln(1 - 1 / n): the part of a symbol that is its own where n channels carry more symbols than n.

    The directions of b > n symbols in n dimensions have a mean squared overlap of at least (b - n) / (n (b - 1)) (Welch
    1974), which leaves at most (1 - 1 / n) / (1 - 1 / b) of each; the divisor, next to 1, is left out. It rises with
    the width and is concave in its logarithm.

    >>> import numpy as np
    >>> LogDistinct().values(np.array([1, 2, 10, 100])).round(3).tolist()
    [-inf, -0.693, -0.105, -0.01]
    """

    count: int | Fraction = 1

    def values(self, widths: IntArray) -> FloatArray:
        import numpy as np

        with np.errstate(divide="ignore"):
            return float(self.count) * np.log1p(-1 / np.asarray(widths, dtype=np.float64))

    def slopes(self, width: float) -> tuple[float, float] | None:
        width = max(width, 1.5)
        weight = float(self.count) / (width - 1)
        return weight, -weight * width / (width - 1)

    def formal(self, width: int) -> FormalSum | None:
        return add([ln(width - 1, self.count), ln(width, -self.count)]) if width > 1 else None


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
