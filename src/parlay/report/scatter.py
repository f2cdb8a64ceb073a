"""Energy against test accuracy, top layouts red, others blue, as in the paper's Figures 3-5; multiply-adds beside it.

The second panel is there because energy and multiply-adds rise together at one size (0.95 and more in the paper's own
spaces): whoever looks at one should see the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from parlay.evidence import Correlation, Measured, MeasuredLayout, Relation, largest, relate
from parlay.layout import Layout, format_layout
from parlay.report.figure import BLUE, GREY, RED, clear_axes, figure_of, need_matplotlib, new_figure, save_figure
from parlay.report.mark_names import Mark, NamedMarks, write_names
from parlay.study import Kind, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ScatterPoint",
    "ScatterData",
    "draw_scatter",
    "plot_scatter",
    "save_scatter",
    "scatter_data",
    "scatter_into",
]

FILE = "scatter.png"


@dataclass(frozen=True, kw_only=True)
class ScatterPoint:
    """One layout, its seeds taken together.

    Attributes:
        layout: channels per width group.
        energy: Eq. 3.
        macs: multiply-adds for one image.
        accuracy, low, high: mean, lowest and highest test accuracy of its runs, in per cent.
        runs: how many.
        top: whether it was chosen as one of the best by score.
    """

    layout: Layout
    energy: float
    macs: int
    accuracy: float
    low: float
    high: float
    runs: int
    top: bool


@dataclass(frozen=True, kw_only=True)
class ScatterData:
    """All that the figure shows."""

    title: str
    subtitle: str
    points: tuple[ScatterPoint, ...]
    relation: Relation


def scatter_data(rows: Iterable[Row]) -> ScatterData:
    """Gather complete trials by layout; failed ones are counted in the subtitle and not drawn.

    The rows should answer one question: one recipe, one number of steps. What differs is said in the title; of several
    sizes the coefficients are those of the size that has most layouts to judge by.
    """
    whole = Measured(rows=tuple(rows))
    points = sorted(map(_point, whole.layouts), key=lambda point: point.energy)
    return ScatterData(
        title=_title(whole.rows),
        subtitle=_subtitle(points, sum(row.accuracy is None for row in whole.rows)),
        points=tuple(points),
        relation=relate(largest(whole.rows)),
    )


def plot_scatter(data: ScatterData, ax: Axes | None = None, *, against: Literal["energy", "macs"] = "energy") -> Axes:
    """Draw one panel: energy, or multiply-adds, against test accuracy in per cent.

    Args:
        data: what to draw.
        ax: where; a new figure without one.
        against: what the horizontal axis is.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    if ax is None:
        ax = new_figure(5.2, 4.2).subplots()
    names = _panel(data, ax, against)
    write_names(figure_of(ax), [names])
    return ax


def _panel(data: ScatterData, ax: Axes, against: Literal["energy", "macs"]) -> NamedMarks:
    """Draw one panel but for its names, which need the whole figure."""
    energy = against == "energy"
    unit, word = (1e6, "millions") if max((p.macs for p in data.points), default=0) >= 1e6 else (1e3, "thousands")

    def place(point: ScatterPoint) -> float:
        return point.energy if energy else point.macs / unit

    for top, colour, label in ((False, BLUE, "other layouts"), (True, RED, "top layouts by score")):
        some = [point for point in data.points if point.top is top]
        if not some:
            continue
        xs, ys = [place(p) for p in some], [p.accuracy for p in some]
        if any(p.runs > 1 for p in some):
            spread = [[p.accuracy - p.low for p in some], [p.high - p.accuracy for p in some]]
            ax.errorbar(xs, ys, yerr=spread, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
        ax.scatter(xs, ys, s=34, c=colour, label=label, edgecolors="white", linewidths=0.6, zorder=3)
    ax.set_xlabel("energy, Eq. 3 (dimensionless)" if energy else f"multiply-adds per image ({word})")
    ax.set_ylabel("test accuracy (%)")
    clear_axes(ax)
    ax.margins(x=0.12, y=0.14)
    ax.locator_params(axis="x", nbins=7)
    ax.set_title(_caption(data.relation.energy if energy else data.relation.macs), fontsize=9, color=GREY)
    if data.points:
        return _names(ax, data, place)
    ax.text(0.5, 0.5, "no complete trial yet", transform=ax.transAxes, ha="center", color=GREY)
    return NamedMarks(ax=ax, marks=(), names={})


def draw_scatter(data: ScatterData) -> Figure:
    """Both panels side by side, on one accuracy scale.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    figure = new_figure(10.0, 4.6)
    left, right = figure.subplots(1, 2, sharey=True)
    names = [_panel(data, left, "energy"), _panel(data, right, "macs")]
    right.set_ylabel("")
    if data.points:
        left.legend(loc="lower right", fontsize=8, framealpha=0.9)
    figure.suptitle(f"{data.title}\n", fontsize=11.5, fontweight="bold")
    figure.text(0.5, 0.925, data.subtitle, ha="center", va="top", fontsize=8.5, color=GREY)
    write_names(figure, names)
    return figure


def save_scatter(data: ScatterData, path: Path) -> None:
    """Write the figure as a PNG, all of it or nothing.

    Raises:
        InputError: when the folder cannot be written.
        MissingExtraError: when matplotlib is not installed.
    """
    save_figure(draw_scatter(data), path)


def scatter_into(folder: Path) -> Callable[[Sequence[Row]], None]:
    """What draws the figure of some trials as scatter.png of a folder.

    Raises:
        MissingExtraError: when matplotlib is not installed; better here, before hours of training, than after.
    """
    need_matplotlib()
    return lambda rows: save_scatter(scatter_data(rows), folder / FILE)


def _point(one: MeasuredLayout) -> ScatterPoint:
    return ScatterPoint(
        layout=one.layout,
        energy=math.exp(min(one.log_energy, 700.0)),
        macs=one.macs,
        accuracy=100 * one.accuracy,
        low=100 * min(one.accuracies),
        high=100 * max(one.accuracies),
        runs=len(one.accuracies),
        top=Kind.TOP in one.kinds,
    )


def _names(ax: Axes, data: ScatterData, place: Callable[[ScatterPoint], float]) -> NamedMarks:
    """The ends of the energies and the most accurate layout, by name."""
    ends = (data.points[0], data.points[-1], max(data.points, key=lambda point: point.accuracy))
    return NamedMarks(
        ax=ax,
        marks=[Mark(x=place(point), y=point.accuracy, low=point.low, high=point.high) for point in data.points],
        names={data.points.index(point): format_layout(point.layout) for point in ends},
    )


def _caption(correlation: Correlation) -> str:
    return f"Spearman {correlation}" if correlation.value is not None else "too few layouts for a correlation"


def _title(rows: Sequence[Row]) -> str:
    """Family, size, data and steps; every one that rows differ in is listed."""
    if not rows:
        return "no trials"
    trials = [row.trial for row in rows]
    unit = "weights" if all(row.costs["weights"] is not None for row in rows) else "params"
    sizes = sorted({row.costs[unit] for row in rows})
    size = f"{sizes[0]:,} {unit}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,} {unit}"
    kernels = rows[0].costs["kernels"]
    if len(sizes) == 1 and kernels is not None:
        size = f"{kernels:,} kernels ({size})"
    data = ", ".join(dict.fromkeys(row.data_name for row in rows))
    steps = ", ".join(f"{steps:,}" for steps in sorted({trial.steps for trial in trials}))
    recipes = ", ".join(dict.fromkeys(trial.recipe.name for trial in trials))
    networks = ", ".join(dict.fromkeys(trial.network.title for trial in trials))
    return f"{networks}, {size} · {data}, {steps} steps ({recipes})"


def _subtitle(points: Sequence[ScatterPoint], failed: int) -> str:
    counts = sorted({point.runs for point in points})
    runs = " or ".join(map(str, counts)) or "no"
    plural = "" if counts == [1] else "s"
    bars = ", mean and range" if counts and counts[-1] > 1 else ""
    lost = f"; {failed} failed trial{'s' if failed > 1 else ''} not shown" if failed else ""
    layouts = "1 layout" if len(points) == 1 else f"{len(points)} layouts"
    return f"{layouts}, {runs} run{plural} each{bars}{lost}"
