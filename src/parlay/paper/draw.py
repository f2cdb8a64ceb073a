"""Figures of many panels: accuracy against energy, red what the energy chose, each beside the same against macs.

What is drawn is plain data, gathered elsewhere; only the functions that draw load matplotlib.
"""

# matplotlib gives the **kwargs of what draws no type.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from parlay.report.figure import BLUE, GREY, INK, RED, clear_axes, new_figure
from parlay.report.mark_names import Mark, NamedMarks, write_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Dumbbell", "Dumbbells", "PanelPlot", "PlotPoint", "draw_dumbbells", "draw_grid"]

GREEN = "#2e8b57"
EXTRA = "not in the paper"
STYLES = {
    "sampled": (BLUE, "o", 30),
    "learned": (RED, "o", 34),
    "other optima": (GREEN, "D", 30),
    EXTRA: ("#9a9a9a", "s", 24),
}
NOTE_NARROW, NOTE_WIDE = 92, 150
"""Letters in a line of the note over one column of panels, and over two beside the legend."""
LEAST_MARGIN = 2.0
"""Points of accuracy by which a grey point may lie below all others and still be drawn."""


@dataclass(frozen=True, kw_only=True)
class PlotPoint:
    """One layout.

    Attributes:
        name: printed beside the ends of the energies and the most accurate layout.
        role: ``sampled`` (blue), ``learned`` (red), ``other optima`` (green) or ``not in the paper`` (grey).
        note: what it is; where some points have one, these get a letter each, and a key below says what it means.
        energy: Eq. 3.
        macs: multiply-adds for one image.
        accuracy, low, high: mean, lowest and highest of its runs, in per cent.
        runs: how many.
    """

    name: str
    role: str
    energy: float
    macs: int
    accuracy: float
    low: float
    high: float
    runs: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PanelPlot:
    """One panel: two charts side by side.

    Attributes:
        title: such as ``(a) three layers, CIFAR-10``.
        subtitle: how its networks were trained, and how many.
        points: what is drawn; at least one.
        energy_caption, macs_caption: above each chart.
    """

    title: str
    points: tuple[PlotPoint, ...]
    subtitle: str = ""
    energy_caption: str = ""
    macs_caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Dumbbell:
    """One matched pair: names and mean accuracies (per cent, with range over seeds) of its two layouts."""

    low_name: str
    high_name: str
    low: tuple[float, float, float] | None
    high: tuple[float, float, float] | None


@dataclass(frozen=True, kw_only=True)
class Dumbbells:
    """Pairs of one sort.

    Attributes:
        title: what agrees and what differs.
        low_label, high_label: what the two colours mean.
        caption: the mean difference and its interval.
        pairs: top to bottom, each with one trained layout at least; at least one.
    """

    title: str
    low_label: str
    high_label: str
    caption: str
    pairs: tuple[Dumbbell, ...]


def draw_grid(
    panels: Sequence[PanelPlot], *, title: str, note: str, names: Mapping[str, str] | None = None, columns: int = 2
) -> Figure:
    """Panels row by row, each of two charts on one accuracy scale: against energy and against multiply-adds.

    Args:
        panels: what is drawn, each with points; at least one.
        title: of the figure.
        note: what the reader has to know, under the title.
        names: role -> what the legend calls it here, where that is not its name.
        columns: panels in a row, at most.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    roles = {point.role for panel in panels for point in panel.points}
    is_narrow = columns == 1
    lines = [line for part in note.splitlines() for line in wrap(part, NOTE_NARROW if is_narrow else NOTE_WIDE)]
    above = 0.5 + 0.2 * len(lines) + (0.3 if is_narrow else 0.05)
    figure = new_figure(7.6 * columns, 4.0 * rows + above)
    whole = figure.subfigures(2, 1, squeeze=False, height_ratios=[above, 4.0 * rows])[:, 0]
    head, body = whole[0], whole[1]
    left = 0.012 * 2 / columns
    head.text(left, 1 - 0.12 / above, title, fontsize=15, fontweight="bold", va="top", color=INK)
    head.text(left, 1 - 0.48 / above, "\n".join(lines), fontsize=10.5, va="top", color=GREY, linespacing=1.25)
    _legend(head, roles, names or {}, is_below=is_narrow)
    cells = body.subfigures(rows, columns, squeeze=False, wspace=0.03, hspace=0.03).ravel()
    charts: list[NamedMarks] = []
    for cell, panel in zip(cells, panels, strict=False):  # the last row may be short
        left, right = cell.subplots(1, 2, sharey=True)
        cell.suptitle(f"{panel.title}\n", fontsize=12, fontweight="bold", x=0.02, ha="left", color=INK)
        cell.text(0.02, 0.925, panel.subtitle, fontsize=9, color=GREY, va="top")
        below = "\n".join(part for part in (_key(_framed(panel.points)[0]), _left_out(panel.points)) if part)
        if below:
            cell.supxlabel(below, fontsize=8.5, x=0.03, ha="left", color=INK)
        charts += [_chart(left, panel, against_energy=True), _chart(right, panel, against_energy=False)]
    write_names(figure, charts)
    return figure


def draw_dumbbells(charts: Sequence[Dumbbells], *, title: str, note: str) -> Figure:
    """Matched pairs: a line a pair, the two accuracies joined; one chart for each sort of pair.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    figure = new_figure(7.6 * len(charts), 5.3)
    whole = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.95, 4.35])[:, 0]
    head, body = whole[0], whole[1]
    head.text(0.012, 0.80, title, fontsize=15, fontweight="bold", va="center", color=INK)
    head.text(0.012, 0.38, note, fontsize=10.5, va="center", color=GREY)
    for ax, chart in zip(body.subplots(1, len(charts), squeeze=False)[0], charts, strict=True):
        _bars(ax, chart)
    return figure


def _legend(head: object, roles: set[str], names: Mapping[str, str], *, is_below: bool) -> None:
    from matplotlib.figure import SubFigure
    from matplotlib.lines import Line2D

    assert isinstance(head, SubFigure)
    handles = [
        Line2D([], [], marker=marker, color="none", markerfacecolor=colour, markeredgecolor="white", markersize=8)
        for role, (colour, marker, _) in STYLES.items()
        if role in roles
    ]
    labels = [names.get(role, role) for role in STYLES if role in roles]
    place = "lower left" if is_below else "upper right"
    head.legend(handles, labels, loc=place, ncols=len(labels), frameon=False, fontsize=11)


def _framed(points: Sequence[PlotPoint]) -> tuple[tuple[PlotPoint, ...], tuple[PlotPoint, ...]]:
    """The points that are drawn, and the grey ones that would squeeze the others.

    Left out is what lies below all others by more than half their range, and by more than ``LEAST_MARGIN``.
    """
    own = [point for point in points if point.role != EXTRA]
    if not own:
        return tuple(points), ()
    low, high = min(point.low for point in own), max(point.high for point in own)
    floor = low - max(0.5 * (high - low), LEAST_MARGIN)
    shown = tuple(point for point in points if point.role != EXTRA or point.low >= floor)
    return shown, tuple(point for point in points if point not in shown)


def _left_out(points: Sequence[PlotPoint]) -> str:
    """The points below the frame, in words; empty without any.

    >>> from dataclasses import replace
    >>> kept = PlotPoint(name="4-6", role="sampled", energy=2, macs=1, accuracy=50, low=50, high=60, runs=2)
    >>> _left_out([kept, replace(kept, name="1-9", role="not in the paper", accuracy=10.0, low=10.0)])
    'below the frame, grey: 1-9 10.0 %'
    """
    below = sorted(_framed(points)[1], key=lambda point: -point.accuracy)
    listed = ", ".join(f"{point.name} {point.accuracy:.1f} %" for point in below)
    return f"below the frame, grey: {listed}" if listed else ""


def _chart(ax: Axes, panel: PanelPlot, *, against_energy: bool) -> NamedMarks:
    points = _framed(panel.points)[0]
    clear_axes(ax)
    unit, word = (1e6, "millions") if max(p.macs for p in points) >= 10**6 else (1e3, "thousands")
    ax.set_xlabel("energy (Eq. 3)" if against_energy else f"multiply-adds per image ({word})", fontsize=10)
    if against_energy:
        ax.set_ylabel("test accuracy (%)", fontsize=10)
    ax.set_title(panel.energy_caption if against_energy else panel.macs_caption, fontsize=9.5, color=GREY, loc="left")

    def place(point: PlotPoint) -> float:
        return point.energy if against_energy else point.macs / unit

    for role, (colour, marker, size) in STYLES.items():
        some = [point for point in points if point.role == role]
        several = [point for point in some if point.runs > 1]
        if several:
            spread = [[p.accuracy - p.low for p in several], [p.high - p.accuracy for p in several]]
            xs, ys = [place(p) for p in several], [p.accuracy for p in several]
            ax.errorbar(xs, ys, yerr=spread, fmt="none", ecolor=colour, elinewidth=1.1, capsize=2.5, alpha=0.65)
        ax.scatter(
            [place(p) for p in some],
            [p.accuracy for p in some],
            s=size,
            c=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.7,
            zorder=3 if role == "sampled" else 4,
        )
    ax.margins(x=0.09, y=0.13)
    ax.locator_params(axis="x", nbins=6)
    return _names(ax, points, place)


def _letters(points: Sequence[PlotPoint]) -> dict[PlotPoint, str]:
    """A letter for each point that has a note, highest energy first."""
    noted = sorted((point for point in points if point.note), key=lambda point: -point.energy)
    return {point: chr(ord("A") + place) for place, point in enumerate(noted[:26])}


def _key(points: Sequence[PlotPoint]) -> str:
    """What the letters stand for, two to a line."""
    items = [f"{letter}  {point.name}: {point.note}" for point, letter in _letters(points).items()]
    lines = ["      ".join(items[start : start + 2]) for start in range(0, len(items), 2)]
    return "\n".join(lines)


def _names(ax: Axes, points: Sequence[PlotPoint], place: Callable[[PlotPoint], float]) -> NamedMarks:
    """The points that have a note, by letter; else the ends of the energies and the best one, by name."""
    letters = _letters(points)
    own = [point for point in points if point.role != EXTRA] or points
    ends = [own[0], own[-1], max(own, key=lambda point: point.accuracy)]
    named = letters or {point: point.name for point in ends}
    return NamedMarks(
        ax=ax,
        marks=[Mark(x=place(one), y=one.accuracy, low=one.low, high=one.high) for one in points],
        names={points.index(point): text for point, text in named.items()},
        weight="bold" if letters else "normal",
    )


def _bars(ax: Axes, chart: Dumbbells) -> None:
    clear_axes(ax)
    ax.set_title(chart.title, fontsize=12, fontweight="bold", loc="left", color=INK, pad=22)
    ax.text(0, 1.03, chart.caption, transform=ax.transAxes, fontsize=9.5, color=GREY)
    ax.set_xlabel("test accuracy (%)", fontsize=10)
    ax.set_yticks(range(len(chart.pairs)))
    ax.set_yticklabels([])
    ax.set_ylim(len(chart.pairs) - 0.5, -0.5)
    # grey and blue, since red is a choice by score, and no score chose either of the two
    for y, pair in enumerate(chart.pairs):
        for name, colour, place in ((pair.low_name, GREY, "bottom"), (pair.high_name, BLUE, "top")):
            ax.annotate(
                name,
                (0, y),
                xycoords=ax.get_yaxis_transform(),
                xytext=(-6, 0),
                textcoords="offset points",
                ha="right",
                va=place,
                fontsize=8.5,
                color=colour,
            )
        if pair.low is not None and pair.high is not None:
            ax.plot([pair.low[0], pair.high[0]], [y, y], color="#c4c4c4", linewidth=2.2, zorder=1)
        for found, colour, offset, label in (
            (pair.low, GREY, -0.09, chart.low_label),
            (pair.high, BLUE, 0.09, chart.high_label),
        ):
            if found is None:
                continue
            mean, low, high = found
            ax.plot([low, high], [y + offset, y + offset], color=colour, linewidth=1.2, alpha=0.6, zorder=2)
            known = ax.get_legend_handles_labels()[1]
            ax.scatter(
                [mean],
                [y],
                s=40,
                c=colour,
                edgecolors="white",
                linewidths=0.7,
                zorder=3,
                label=None if label in known else label,
            )
    ax.margins(x=0.08)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=10)
