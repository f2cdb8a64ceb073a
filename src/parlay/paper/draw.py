"""Figures of many panels: accuracy against energy, blue sampled and red learned, each beside the same against macs.

What is drawn is plain data, gathered elsewhere; only the functions that draw load matplotlib.
"""

# matplotlib gives the **kwargs of what draws no type.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.report.figure import BLUE, GREY, INK, RED, clear_axes, new_figure

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
        points: what is drawn; nothing draws "no runs yet".
        energy_caption, macs_caption: above each chart.
    """

    title: str
    subtitle: str = ""
    points: tuple[PlotPoint, ...] = ()
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
        pairs: top to bottom.
    """

    title: str
    low_label: str
    high_label: str
    caption: str
    pairs: tuple[Dumbbell, ...]


def draw_grid(
    rows: Sequence[Sequence[PanelPlot]], *, title: str, note: str, names: Mapping[str, str] | None = None
) -> Figure:
    """Panels in rows and columns, each of two charts on one accuracy scale: against energy and against multiply-adds.

    Args:
        rows: the panels; every row has as many.
        title: of the figure.
        note: what the reader has to know, under the title.
        names: role -> what the legend calls it here, where that is not its name.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    columns = len(rows[0])
    figure = new_figure(7.6 * columns, 4.0 * len(rows) + 0.95)
    whole = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.95, 4.0 * len(rows)])[:, 0]
    head, body = whole[0], whole[1]
    head.text(0.012, 0.80, title, fontsize=15, fontweight="bold", va="center", color=INK)
    head.text(0.012, 0.42, note, fontsize=10.5, va="center", color=GREY)
    _legend(head, {point.role for row in rows for panel in row for point in panel.points}, names or {})
    cells = body.subfigures(len(rows), columns, squeeze=False, wspace=0.03, hspace=0.03)
    for r, row in enumerate(rows):
        for c, panel in enumerate(row):
            cell = cells[r][c]
            left, right = cell.subplots(1, 2, sharey=True)
            cell.suptitle(f"{panel.title}\n", fontsize=12, fontweight="bold", x=0.02, ha="left", color=INK)
            cell.text(0.02, 0.925, panel.subtitle, fontsize=9, color=GREY, va="top")
            below = "\n".join(part for part in (_key(_framed(panel.points)[0]), _left_out(panel.points)) if part)
            if below:
                cell.supxlabel(below, fontsize=8.5, x=0.03, ha="left", color=INK)
            _chart(left, panel, against_energy=True)
            _chart(right, panel, against_energy=False)
    return figure


def draw_dumbbells(charts: Sequence[Dumbbells], *, title: str, note: str) -> Figure:
    """Matched pairs: a line a pair, the two accuracies joined; one chart for each sort of pair.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    figure = new_figure(15.2, 5.3)
    whole = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.95, 4.35])[:, 0]
    head, body = whole[0], whole[1]
    head.text(0.012, 0.80, title, fontsize=15, fontweight="bold", va="center", color=INK)
    head.text(0.012, 0.38, note, fontsize=10.5, va="center", color=GREY)
    for ax, chart in zip(body.subplots(1, len(charts), squeeze=False)[0], charts, strict=True):
        _bars(ax, chart)
    return figure


def _legend(head: object, roles: set[str], names: Mapping[str, str]) -> None:
    from matplotlib.figure import SubFigure
    from matplotlib.lines import Line2D

    assert isinstance(head, SubFigure)
    handles = [
        Line2D([], [], marker=marker, color="none", markerfacecolor=colour, markeredgecolor="white", markersize=8)
        for role, (colour, marker, _) in STYLES.items()
        if role in roles
    ]
    if handles:
        labels = [names.get(role, role) for role in STYLES if role in roles]
        head.legend(handles, labels, loc="center right", ncols=len(labels), frameon=False, fontsize=11)


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


def _chart(ax: Axes, panel: PanelPlot, *, against_energy: bool) -> None:
    points = _framed(panel.points)[0]
    clear_axes(ax)
    unit, word = (1e6, "millions") if max((p.macs for p in points), default=10**6) >= 10**6 else (1e3, "thousands")
    ax.set_xlabel("energy (Eq. 3)" if against_energy else f"multiply-adds per image ({word})", fontsize=10)
    if against_energy:
        ax.set_ylabel("test accuracy (%)", fontsize=10)
    if not points:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no runs yet", transform=ax.transAxes, ha="center", va="center", color=GREY, fontsize=12)
        return
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
    _name(ax, points, place)


def _letters(points: Sequence[PlotPoint]) -> dict[PlotPoint, str]:
    """A letter for each point that has a note, highest energy first."""
    noted = sorted((point for point in points if point.note), key=lambda point: -point.energy)
    return {point: chr(ord("A") + place) for place, point in enumerate(noted[:26])}


def _key(points: Sequence[PlotPoint]) -> str:
    """What the letters stand for, two to a line."""
    items = [f"{letter}  {point.name}: {point.note}" for point, letter in _letters(points).items()]
    lines = ["      ".join(items[start : start + 2]) for start in range(0, len(items), 2)]
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Label:
    """Where a name stands.

    Attributes:
        text: the name.
        mark: (x, y) of the mark that it names.
        x, y: of its end beside the mark, and of its middle line.
        is_left: whether it stands to the left of the mark.
        has_leader: whether a thin line joins it to its mark.
    """

    text: str
    mark: tuple[float, float]
    x: float
    y: float
    is_left: bool
    has_leader: bool


def place_labels(
    names: Sequence[tuple[str, tuple[float, float]]],
    marks: Sequence[tuple[float, float, float, float]],
    *,
    frame: tuple[float, float, float, float],
) -> list[Label]:
    """Places for names beside their marks, highest mark first.

    A name takes the line nearest to its mark, on the side with more room and then on the other, where it covers no
    mark, no bar and no name, and where nothing lies between the two; else one with something between; else the line
    above. A thin line joins the two where they are apart, or where another mark is as near to the name.

    Args:
        names: text and (x, y) of its mark.
        marks: every mark as x, y and both ends of its bar.
        frame: left, right, bottom, top of the chart.

    >>> lone = place_labels([("4-6", (5.0, 5.0))], [(5.0, 5.0, 5.0, 5.0)], frame=(0, 10, 0, 10))[0]
    >>> (lone.y, lone.has_leader)
    (5.0, False)
    """
    left, right, bottom, top = frame
    line, char = (top - bottom) * 0.056, (right - left) * 0.021
    boxes = [(x - char / 2, x + char / 2, y, y) for x, y, _, _ in marks]
    boxes += [(x - char / 4, x + char / 4, low, high) for x, _, low, high in marks if high > low]
    found: list[Label] = []
    for text, (x, own) in sorted(names, key=lambda name: -name[1][1]):
        reach = char * (len(text) + 0.8)

        def span(is_left: bool, x: float = x, reach: float = reach) -> tuple[float, float]:
            return (x - reach, x - char * 0.6) if is_left else (x + char * 0.6, x + reach)

        def is_free(low: float, high: float, y: float) -> bool:
            inside = bottom + line / 2 < y < top and left < low and high < right
            return inside and all(
                b < low or a > high or y < under - 0.85 * line or y > over + 0.85 * line for a, b, under, over in boxes
            )

        def is_between(y: float, x: float = x, own: float = own) -> bool:
            ends = sorted((y, own))
            return any(a < x < b and ends[0] < (under + over) / 2 < ends[1] for a, b, under, over in boxes)

        side = x > (left + right) / 2
        tries = [
            (is_left, own + sign * step * line / 2)
            for is_left in (side, not side)
            for step in range(13)
            for sign in (1, -1)
        ]
        free = [(is_left, y) for is_left, y in tries if is_free(*span(is_left), y)]
        clear = [(is_left, y) for is_left, y in free if not is_between(y)]
        is_left, y = next(iter(clear or free), (side, own + line))
        low, high = span(is_left)
        boxes.append((low, high, y, y))
        off = abs(y - own)
        rivals = (b for a, b, _, _ in marks if (a, b) != (x, own) and low - char <= a <= high + char)
        leads = off > 1.2 * line or (off > 0 and any(abs(b - y) < off + 0.3 * line for b in rivals))
        end = x - 0.7 * char if is_left else x + 0.7 * char
        found.append(Label(text=text, mark=(x, own), x=end, y=y, is_left=is_left, has_leader=leads))
    return found


def _name(ax: Axes, points: Sequence[PlotPoint], place: Callable[[PlotPoint], float]) -> None:
    """Write beside the points that have a note (a letter), else beside the ends of the energies and the best one."""
    letters = _letters(points)
    own = [point for point in points if point.role != EXTRA] or points
    ends = [own[0], own[-1], max(own, key=lambda point: point.accuracy)]
    named = letters or {point: point.name for point in ends}
    labels = place_labels(
        [(text, (place(point), point.accuracy)) for point, text in named.items()],
        [(place(point), point.accuracy, point.low, point.high) for point in points],
        frame=(*ax.get_xlim(), *ax.get_ylim()),
    )
    for label in labels:
        leader = {
            "arrowstyle": "-",
            "color": "#9a9a9a",
            "linewidth": 0.7,
            "shrinkA": 0,
            "shrinkB": 3,
            "relpos": (1, 0.5) if label.is_left else (0, 0.5),
        }
        written = ax.annotate(
            label.text,
            label.mark,
            xytext=(label.x, label.y),
            ha="right" if label.is_left else "left",
            va="center",
            fontsize=8.5,
            fontweight="bold" if letters else "normal",
            color=INK,
            zorder=6,
            arrowprops=leader if label.has_leader else None,
        )
        written.set_in_layout(False)


def _bars(ax: Axes, chart: Dumbbells) -> None:
    clear_axes(ax)
    ax.set_title(chart.title, fontsize=12, fontweight="bold", loc="left", color=INK, pad=22)
    ax.text(0, 1.03, chart.caption, transform=ax.transAxes, fontsize=9.5, color=GREY)
    ax.set_xlabel("test accuracy (%)", fontsize=10)
    ax.set_yticks(range(len(chart.pairs)))
    ax.set_yticklabels([])
    ax.set_ylim(len(chart.pairs) - 0.5, -0.5)
    drawn = False
    for y, pair in enumerate(chart.pairs):
        for name, colour, place in ((pair.low_name, BLUE, "bottom"), (pair.high_name, RED, "top")):
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
            (pair.low, BLUE, -0.09, chart.low_label),
            (pair.high, RED, 0.09, chart.high_label),
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
            drawn = True
    if drawn:
        for y, pair in enumerate(chart.pairs):
            if pair.low is None and pair.high is None:
                place = ax.get_yaxis_transform()
                ax.text(0.5, y, "not trained yet", transform=place, ha="center", va="center", color=GREY, fontsize=9)
        ax.margins(x=0.08)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, fontsize=10)
    else:
        ax.set_xticks([])
        ax.text(0.5, 0.5, "no runs yet", transform=ax.transAxes, ha="center", va="center", color=GREY, fontsize=12)
