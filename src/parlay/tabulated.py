"""A score given as numbers: for every group a table with one value a width, such as the importance that is kept.

A trained network's channels differ. Keeping the best n of a group keeps so much of what its channels are worth; that
table, its logarithm, or a loss measured at some widths is a term like any other, and the solver maximises their sum
exactly. Unlike the energies such a term need not be concave in ln n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, final

from parlay.energy import GroupTerm, Score, Terms
from parlay.errors import InputError
from parlay.formal import FormalSum
from parlay.layout import WidthSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

__all__ = ["TabulatedScore", "WidthTable"]

LARGEST_VALUE = 1e5
"""Doubles of this size are right to 1e-11, well below the 1e-9 that the solver's proofs allow for rounding."""


@final
@dataclass(frozen=True)
class WidthTable(GroupTerm):
    """``entries[n - 1]`` at width n, whatever the shape of the table; -inf is legal at the smallest widths.

    Args:
        entries: one value a width, from width 1 on, also where only multiples are allowed.

    Raises:
        InputError: for an empty table, a value that is no number, or one of size above 100,000.

    >>> import numpy as np
    >>> importance = np.array([0.5, 3.0, 1.5])  # one number a channel
    >>> term = WidthTable.of(np.cumsum(np.sort(importance)[::-1]))  # what the best n channels keep
    >>> term.values(np.array([1, 2, 3])).tolist(), term.upper(np.array([1]), np.array([2])).tolist()
    ([3.0, 4.5, 5.0], [4.5])
    """

    entries: tuple[float, ...]
    concave_in_log = False

    def __post_init__(self) -> None:
        finite = [entry for entry in self.entries if entry != -math.inf]
        worst = next((entry for entry in finite if not abs(entry) <= LARGEST_VALUE), None)
        if worst is not None:
            raise InputError(
                "table of widths",
                given=worst,
                allowed=f"numbers of size up to {LARGEST_VALUE:,.0f}",
                remedy="divide the tables of all groups by one number",
            )
        if not finite or -math.inf in self.entries[len(self.entries) - len(finite) :]:
            raise InputError(
                "table of widths", given="-inf at the largest widths", allowed="-inf at the smallest ones only"
            )

    @classmethod
    def of(cls, values: Sequence[float] | FloatArray) -> WidthTable:
        """The table of an array with one value a width, shape (widths,)."""
        return cls(tuple(float(value) for value in values))

    @cached_property
    def _array(self) -> FloatArray:
        import numpy as np

        return np.array(self.entries)

    @cached_property
    def _largest(self) -> list[FloatArray]:
        """Largest value of every run of 1, 2, 4, ... widths, by where the run begins."""
        import numpy as np

        found = [self._array]
        while 2 ** len(found) <= len(self.entries):
            half, before = 2 ** (len(found) - 1), found[-1]
            found.append(np.maximum(before[:-half], before[half:]))
        return found

    def values(self, widths: IntArray | FloatArray) -> FloatArray:
        """The term at every width; between two whole widths on the line that joins them."""
        import numpy as np

        if np.issubdtype(widths.dtype, np.integer):
            return self._array[widths.astype(np.int64) - 1]
        return np.interp(widths, np.arange(1, len(self.entries) + 1), self._array)

    def upper(self, low: IntArray, high: IntArray) -> FloatArray:
        import numpy as np

        power = np.frexp(high - low + 1)[1] - 1  # two runs of 2^power widths cover the range
        found = np.empty(len(low))
        size: int
        for size in np.unique(power).tolist():
            here = power == size
            runs = self._largest[size]
            found[here] = np.maximum(runs[low[here] - 1], runs[high[here] - 2**size])
        return found

    def formal(self, width: int) -> FormalSum | None:
        entry = self.entries[width - 1]
        return None if entry == -math.inf else {("one", 1): Fraction(entry)} if entry else {}


@final
@dataclass(frozen=True)
class TabulatedScore(Score):
    """The sum over groups of a table of values a width.

    Args:
        tables: name of every group of the space -> its values from width 1 on, at least up to its largest width.

    Raises:
        InputError: for values that are none, and in ``terms`` for a group without a table or wider than its table.

    >>> from parlay.layout import WidthGroup
    >>> score = TabulatedScore({"conv1": [3.0, 4.5, 5.0], "conv2": [1.0, 1.5]})
    >>> space = WidthSpace(groups=(WidthGroup(name="conv1", maximum=3), WidthGroup(name="conv2", maximum=2)))
    >>> score.terms(space)((2, 2))
    6.0
    """

    tables: Mapping[str, WidthTable]
    name = "tabulated"
    source = "the user's own values, such as the importance of the channels that are kept"
    summary = "sum over width groups of a table with one value a width"

    def __init__(self, tables: Mapping[str, WidthTable | Sequence[float] | FloatArray]) -> None:
        read = {
            group: table if isinstance(table, WidthTable) else WidthTable.of(table) for group, table in tables.items()
        }
        object.__setattr__(self, "tables", read)

    def terms(self, space: WidthSpace) -> Terms:
        for group in space.groups:
            known = len(self.tables[group.name].entries) if group.name in self.tables else 0
            if group.maximum is None or group.maximum > known:
                raise InputError(
                    f"widths of {group.name}",
                    given="no largest width" if group.maximum is None else f"up to {group.maximum}",
                    allowed=f"up to {known}, as far as its table goes" if known else "a group that has a table",
                    remedy="give a longer table or a largest width",
                )
        return Terms(groups=tuple((self.tables[group.name],) for group in space.groups), pairs={})
