"""The widths of a traced model, and random layouts of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.layout import Layout, WidthSpace

if TYPE_CHECKING:
    import numpy as np

__all__ = ["TracedSpace"]

TRIES = 10_000
"""Draws for each layout asked for: fences that one draw in a thousand meets are met all but certainly."""


@dataclass(frozen=True, kw_only=True)
class TracedSpace(WidthSpace):
    """A width space that knows today's widths.

    Attributes:
        today: the widths of the traced model.
    """

    today: Layout = ()

    def sample(
        self, n: int, rng: int | np.random.Generator = 0, *, low: float = 0.25, high: float = 2.0
    ) -> list[Layout]:
        """Random layouts, every width drawn evenly from its choices between ``low`` and ``high`` times today's.

        Today's width is among the choices where nothing else is. Layouts may repeat.

        Args:
            n: how many.
            rng: a seed or a numpy generator.
            low, high: smallest and largest ratio to today's width.

        Raises:
            InputError: for ratios that are not positive and ascending, or fences that no drawn layout met.
        """
        import numpy as np

        if type(n) is not int or n < 0:
            raise InputError("number of layouts", given=repr(n), allowed="an integer of at least 0")
        if not 0 < low <= high:
            raise InputError("ratios", given=f"{low} and {high}", allowed="positive numbers, the smaller first")
        generator = np.random.default_rng(rng)
        found: list[Layout] = []
        for _ in range(TRIES * max(1, n)):
            if len(found) == n:
                break
            layout = tuple(self._draw(g, generator, low, high) for g in range(len(self)))
            if self.violation(layout) is None:
                found.append(layout)
        if len(found) < n:
            raise InputError(
                "random layouts",
                given=f"{len(found)} of {n} found",
                allowed="fences that random widths meet often enough",
                remedy="loosen order or step",
            )
        return found

    def _draw(self, g: int, generator: np.random.Generator, low: float, high: float) -> int:
        group, today = self.groups[g], self.today[g]
        step = group.multiple_of
        first = max(group.first, -(-math.ceil(today * low) // step) * step)
        last = math.floor(today * high) // step * step
        if group.maximum is not None:
            last = min(last, group.maximum // step * step)
        if first > last:
            return today
        return first + step * int(generator.integers((last - first) // step + 1))
