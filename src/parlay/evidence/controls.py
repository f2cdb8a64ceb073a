"""What a search's recommendation is worth on the test images, beside controls trained with as many seeds.

The seeds are other ones than those that chose, and nothing is chosen by what they say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parlay.layout import Layout, format_layout

__all__ = ["OWN", "PICK", "RECOMMENDED", "Compared", "Control", "compare", "verdict"]

RECOMMENDED, PICK, ENERGY, OWN, RANDOM = ("recommended", "score's pick", "energy's pick", "your layout", "random")
"""Roles of a layout among the controls, in the order in which they are shown."""

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Accuracy of the recommended layout less that of a control, seed by seed.

    Attributes:
        mean: of the differences, in shares.
        low, high: 95 % interval of Student's t; None for fewer than two seeds.
        seeds: how many both have.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Control:
    """One layout of the last comparison.

    Attributes:
        roles: what it stands for, perhaps several.
        layout: its widths.
        accuracies: seed -> share of the test images it gets right.
        compared: the recommended layout against it; None for that one itself, or where no seed has both.
    """

    roles: tuple[str, ...]
    layout: Layout
    accuracies: Mapping[int, float]
    compared: Compared | None

    @property
    def mean(self) -> float | None:
        """Mean accuracy over seeds."""
        return math.fsum(self.accuracies.values()) / len(self.accuracies) if self.accuracies else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of one seed; None for fewer than two."""
        return _spread(list(self.accuracies.values()))


def compare(roles: Mapping[str, Layout], accuracies: Mapping[Layout, Mapping[int, float]]) -> tuple[Control, ...]:
    """Set the recommended layout beside the others; a layout of several roles comes once.

    Args:
        roles: role -> layout, the recommended one among them.
        accuracies: layout -> seed -> test accuracy.

    >>> runs = {(9, 9): {1: 0.92, 2: 0.94}, (4, 20): {1: 0.91, 2: 0.92}}
    >>> best, other = compare({"recommended": (9, 9), "random": (4, 20)}, runs)
    >>> round(other.compared.mean, 3), round(other.compared.low, 3), best.compared
    (0.015, -0.049, None)
    """
    recommended = roles[RECOMMENDED]
    ours = accuracies.get(recommended, {})
    found: list[Control] = []
    for layout in dict.fromkeys(roles.values()):
        theirs = accuracies.get(layout, {})
        both = [seed for seed in ours if seed in theirs]
        compared = None
        if layout != recommended and both:
            compared = _compared([ours[seed] - theirs[seed] for seed in both])
        names = tuple(role for role, one in roles.items() if one == layout)
        found.append(Control(roles=names, layout=layout, accuracies=dict(theirs), compared=compared))
    return tuple(found)


def verdict(controls: Sequence[Control]) -> str:
    """What to do, in words: the recommended layout against the user's own or, without one, the score's pick.

    Where a control beats the recommended layout, this is said, since it speaks against the search.
    """
    beaten = [
        f"{', '.join(one.roles)} {format_layout(one.layout)} did better than it on the test images"
        f" ({_difference(one.compared, sign=-1)})"
        for one in controls
        if one.compared is not None and one.compared.high is not None and one.compared.high < 0
    ]
    warning = f"; against the search: {'; '.join(beaten)}" if beaten else ""
    return _advice(controls) + warning


def _advice(controls: Sequence[Control]) -> str:
    by_role = {role: control for control in controls for role in control.roles}
    best, own = by_role[RECOMMENDED], by_role.get(OWN)
    reference = by_role[PICK] if own is None else own
    name = f"the score's own pick {format_layout(reference.layout)}" if own is None else "your layout"
    keep = f"take {name}" if own is None else f"keep {name}"
    shown = format_layout(best.layout)
    if best is reference:
        return f"{keep}: the search recommends it"
    found = reference.compared
    if found is None:
        return f"{keep}: no run compares it with {shown} on the test images"
    difference = _difference(found)
    if found.low is None or found.high is None:
        return f"{keep}: {shown} is {difference} away on one seed, which shows nothing; --control-seeds 3 or more would"
    difference += f", {found.seeds} seeds that chose nothing"
    if found.low > 0:
        return f"take {shown}: on the test images it gains over {name} ({difference})"
    if found.high < 0:
        return f"{keep}: on the test images {shown} loses to it ({difference})"
    return f"{keep}: that {shown} is better is not shown ({difference})"


def _difference(found: Compared, *, sign: int = 1) -> str:
    """A difference in points with its interval, or turned round."""
    shown = f"{100 * sign * found.mean:+.2f} points"
    if found.low is None or found.high is None:
        return shown
    low, high = sorted((sign * found.low, sign * found.high))
    return f"{shown} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _compared(differences: list[float]) -> Compared:
    from scipy.stats import t

    count = len(differences)
    mean, spread = math.fsum(differences) / count, _spread(differences)
    if spread is None:
        return Compared(mean=mean, low=None, high=None, seeds=count)
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1)) * spread / math.sqrt(count)
    return Compared(mean=mean, low=mean - reach, high=mean + reach, seeds=count)


def _spread(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
