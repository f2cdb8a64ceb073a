"""Names beside marks, each nearer to its own mark than to any other.

A name that stands nearer to another mark is read as the other's. Places are found in points (1/72 inch) on the figure
as it is laid out, from the sizes that the names have in print.
"""

# matplotlib gives the **kwargs of what draws no type.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.report.figure import INK, figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation

__all__ = ["Box", "Mark", "NamedMarks", "distance", "place_label", "write_names"]

RADIUS = 4.0
"""Points that a mark takes up around its middle; the largest are 3.4."""
LEAD = 1.3
"""Every other mark must be so many times as far from a name as its own: less cannot be seen at a glance."""
GAPS = (5.5, 7.0, 9.0, 12.0, 16.0)
"""Points from a mark to its name, the nearest first; beyond the last an eye no longer joins the two."""
DIRECTIONS = (0, 180, 20, 160, 340, 200, 45, 135, 315, 225, 90, 270, 68, 112, 292, 248)
"""Degrees from a mark to its name, in the order tried: beside it first."""
SIZE = 8.5
"""Points of the letters of a name."""

Box = tuple[float, float, float, float]
"""Left, right, bottom, top."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A mark and the bar through it: its place, and the ends of the bar (its own height for none)."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class NamedMarks:
    """What is to be named in one chart, in its own units.

    Attributes:
        ax: the chart.
        marks: all of them, named or not.
        names: place among the marks -> its name.
        weight: of the letters.
    """

    ax: Axes
    marks: Sequence[Mark]
    names: Mapping[int, str]
    weight: str = "normal"


def distance(box: Box, x: float, y: float) -> float:
    """From a place to the nearest part of a box; 0 inside.

    >>> distance((0, 4, 0, 2), 7, 6)
    5.0
    """
    left, right, bottom, top = box
    return math.hypot(max(left - x, 0, x - right), max(bottom - y, 0, y - top))


def place_label(
    own: int, width: float, height: float, marks: Sequence[Mark], *, frame: Box, taken: Sequence[Box] = ()
) -> Box | None:
    """A box for the name of a mark, inside the frame and over no mark, no bar and no other name, or None.

    Every other mark is farther from it than its own; the nearest such place is taken, beside the mark before above it
    and below.

    Args:
        own: place of the mark among ``marks``.
        width, height: of the name, in points.
        marks: every mark, in points.
        frame: where names may stand.
        taken: names that stand already.

    >>> lone = Mark(x=50, y=50, low=50, high=50)
    >>> place_label(0, 20, 8, [lone], frame=(0, 100, 0, 100))
    (55.5, 75.5, 46.0, 54.0)
    >>> place_label(0, 20, 8, [lone, lone], frame=(0, 100, 0, 100)) is None
    True
    """
    mark = marks[own]
    bars = [one for one in marks if one.high > one.low]
    for gap in GAPS:
        for degrees in DIRECTIONS:
            across, up = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            # the whole box beyond the mark where it lies well to a side, else in the middle over or under it
            x = mark.x + gap * across + width / 2 * max(-1.0, min(1.0, 1.5 * across))
            y = mark.y + gap * up + height / 2 * max(-1.0, min(1.0, 1.5 * up))
            box = (x - width / 2, x + width / 2, y - height / 2, y + height / 2)
            if box[0] < frame[0] or box[1] > frame[1] or box[2] < frame[2] or box[3] > frame[3]:
                continue
            near = distance(box, mark.x, mark.y)
            others = (distance(box, one.x, one.y) for place, one in enumerate(marks) if place != own)
            if near < RADIUS or any(far < max(LEAD * near, RADIUS) for far in others):
                continue
            if any(_overlap(box, (one.x - 1, one.x + 1, one.low, one.high)) for one in bars):
                continue
            if not any(_overlap(box, (a - 2, b + 2, c, d)) for a, b, c, d in taken):
                return box
    return None


def write_names(figure: Figure, charts: Sequence[NamedMarks]) -> None:
    """Write names into the charts of a figure on which everything else is drawn.

    A chart in which a name finds no place is made wider on the right, where nothing is; a name that then still has none
    is left out.
    """
    figure.draw_without_rendering()  # lays the figure out: before it, no chart has its size
    written = [_texts(chart) for chart in charts]
    is_wider = False
    for chart, texts in zip(charts, written, strict=True):
        lost = list(_places(chart, texts).values()).count(None)
        if lost:
            left, right = chart.ax.get_xlim()
            room = max(text.get_window_extent().width for text in texts.values()) / chart.ax.bbox.width
            chart.ax.set_xlim(left, right + room * (right - left))
            if list(_places(chart, texts).values()).count(None) < lost:
                is_wider = True
            else:
                chart.ax.set_xlim(left, right)
    if is_wider:
        figure.draw_without_rendering()
    for chart, texts in zip(charts, written, strict=True):
        for place, shift in _places(chart, texts).items():
            if shift is None:
                texts[place].remove()
            else:
                texts[place].set_position(shift)


def _texts(chart: NamedMarks) -> dict[int, Annotation]:
    """The names, each still over its mark."""
    texts: dict[int, Annotation] = {}
    for place, name in chart.names.items():
        mark = chart.marks[place]
        texts[place] = chart.ax.annotate(
            name,
            (mark.x, mark.y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SIZE,
            fontweight=chart.weight,
            color=INK,
            zorder=6,
        )
        texts[place].set_in_layout(False)
    return texts


def _places(chart: NamedMarks, texts: Mapping[int, Annotation]) -> dict[int, tuple[float, float] | None]:
    """Points from each named mark to the middle of its name, highest mark first; None where there is no place."""
    scale = 72 / figure_of(chart.ax).dpi

    def spot(x: float, y: float) -> tuple[float, float]:
        across, up = chart.ax.transData.transform((x, y)).tolist()
        return scale * across, scale * up

    marks: list[Mark] = []
    for one in chart.marks:
        (x, y), (_, low), (_, high) = spot(one.x, one.y), spot(one.x, one.low), spot(one.x, one.high)
        marks.append(Mark(x=x, y=y, low=low, high=high))
    inside = chart.ax.bbox
    frame = (scale * inside.x0 + 1, scale * inside.x1, scale * inside.y0 + 1, scale * inside.y1)
    taken: list[Box] = []
    found: dict[int, tuple[float, float] | None] = {}
    for place in sorted(texts, key=lambda place: -marks[place].y):
        size = texts[place].get_window_extent()
        box = place_label(place, scale * size.width, scale * size.height, marks, frame=frame, taken=taken)
        found[place] = None
        if box is not None:
            taken.append(box)
            found[place] = ((box[0] + box[1]) / 2 - marks[place].x, (box[2] + box[3]) / 2 - marks[place].y)
    return found


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
