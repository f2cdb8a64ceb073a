"""Figures 2 to 5 in the paper's arrangement, from whatever trials there are; free order and matched pairs beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.errors import unknown
from parlay.evidence import Correlation, correlate, partial_correlate
from parlay.families import Family, plain
from parlay.families.plain import POOLED_LAYERS
from parlay.layout import format_layout
from parlay.paper.architecture import DrawnBlock, draw_architectures
from parlay.paper.draw import (
    Dumbbell,
    Dumbbells,
    PanelPlot,
    PlotPoint,
    draw_dumbbells,
    draw_grid,
)
from parlay.paper.estimates import mean_with_interval
from parlay.paper.judge_claims import matched_differences
from parlay.paper.pairs import ENERGY, MACS, matched_pairs
from parlay.paper.points import PanelPoint, PanelPoints
from parlay.report.figure import save_figure

if TYPE_CHECKING:
    from parlay.report.figure import Figure

__all__ = ["FIGURES", "architecture", "drawn_figures", "panel_plot", "write_figures"]

POOLED = "2×2 max pooling stands where we read Figure 2 to have it: behind each of the first three convolutions"
BESIDE = "Each panel twice: against energy, and the same points against multiply-adds."
BARS = " Bars: lowest to highest seed."
ABOVE = (
    "\nAbove each chart: rank correlation with accuracy, 95 % interval; second line: with the other quantity taken out."
)
PRINTED = " Over the layouts that were drawn."
RANDOM = " Over the random layouts alone; letters are optima."
SEEDS = " Dots: mean over seeds; thin lines: lowest to highest seed."
FREE = {"sampled": "random", "learned": "the energy's optimum", "other optima": "other scores' optima"}
"""Role -> what it is in free order."""
NUMBERS = {1: "n₁", 2: "n₂", 3: "n₃", 4: "n₄"}

GRIDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "figure3": ("Figure 3: plain networks of 4,288 kernels", ("3a", "3b", "3c", "3d")),
    "figure4": ("Figure 4: plain networks of 66,304 kernels", ("4a", "4b", "4c", "4d")),
    "figure5": ("Figure 5: ResNet-32 of 51,248 kernels", ("5a", "5b")),
    "free": ("Not in the paper: 4,288 kernels in free order", ("free3", "free4")),
}
"""Figure -> title and panels, two in a row as in the paper."""

FIGURES = ("figure2", *GRIDS, "pairs")
"""Every figure by name."""

FORMATS = ("pdf", "svg", "png")
DPI = 110
"""Figures are up to 15 inches wide; at this many pixels an inch the names beside the marks are still sharp."""


def write_figures(panels: Mapping[str, PanelPoints], folder: Path, *, kinds: Sequence[str] = FORMATS) -> list[Path]:
    """Draw every figure of which there are runs, and the networks.

    Panels without runs have no frame; the note says which they are. A figure without any is not drawn, and one of an
    earlier call is removed, since it shows runs that are no longer there.

    Args:
        panels: the points of each panel (``parlay.paper.judge_claims.gather``).
        folder: made where it is not there.
        kinds: of ``pdf``, ``svg``, ``png``.

    Returns:
        The files written.

    Raises:
        InputError: for another kind of file, or a folder that cannot be written.
        MissingExtraError: when matplotlib is not installed.
    """
    for kind in kinds:
        if kind not in FORMATS:
            raise unknown("format", kind, FORMATS)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    drawn = dict(drawn_figures(panels))
    for name in FIGURES:
        for kind in dict.fromkeys(kinds):
            path = folder / f"{name}.{kind}"
            if name in drawn:
                save_figure(drawn[name], path, dpi=DPI)
                written.append(path)
            else:
                path.unlink(missing_ok=True)
    return written


def panel_plot(panel: PanelPoints, letter: str = "") -> PanelPlot:
    """What one panel draws.

    Args:
        panel: its points, at least one.
        letter: before the title, such as ``(a)``.
    """
    points, judged = panel.points, panel.judging
    title = f"{letter} {panel.experiment.title}".strip()
    of = len(panel.experiment.choices)
    layouts = f"{len(points)} layouts" if len(points) == of else f"{len(points)} of {of} layouts"
    others = f"; {len(panel.others)} more protocol{'s' if len(panel.others) > 1 else ''} not shown"
    runs = "1 run" if panel.runs == 1 else f"{panel.runs} runs"
    log = [point.log_energy for point in judged]
    accuracy, macs = [point.accuracy for point in judged], [float(point.macs) for point in judged]
    return PanelPlot(
        title=title,
        subtitle=f"{panel.protocol}: {layouts}, {runs}{others if panel.others else ''}",
        points=tuple(_plot_point(point) for point in points),
        energy_caption=_caption(correlate(log, accuracy), partial_correlate(log, accuracy, macs), "multiply-adds"),
        macs_caption=_caption(correlate(macs, accuracy), partial_correlate(macs, accuracy, log), "energy"),
    )


def architecture(family: Family) -> tuple[DrawnBlock, ...]:
    """The blocks of a plain network, image to classifier.

    >>> [block.output for block in architecture(plain(3))][-2:]
    ['n₃', '10']
    """
    blocks = [
        DrawnBlock(
            kind="image", lines=("image",), output=f"{family.image}×{family.image}×{family.in_channels}", side=32
        )
    ]
    side = family.image
    convolutions = family.convolutions()
    for index, conv in enumerate(convolutions, start=1):
        width = NUMBERS.get(index, f"n{index}")
        lines = ("conv", f"{conv.kernel}×{conv.kernel}, {width}", "batch norm", "ReLU")
        blocks.append(DrawnBlock(kind="conv", lines=lines, output=f"{side}×{side}×{width}", side=side))
        if index <= POOLED_LAYERS:
            side //= 2
            blocks.append(
                DrawnBlock(kind="pool", lines=("max", "pool", "2×2"), output=f"{side}×{side}×{width}", side=side)
            )
    width = NUMBERS.get(len(convolutions), "n")
    blocks.append(DrawnBlock(kind="pool", lines=("global", "average", "pool"), output=width, side=1))
    blocks.append(DrawnBlock(kind="linear", lines=("linear", "softmax"), output=str(family.classes), side=1))
    return tuple(blocks)


def drawn_figures(panels: Mapping[str, PanelPoints]) -> Iterable[tuple[str, Figure]]:
    """Name and drawing of the networks, and of every figure of which there are runs."""
    networks = [(f"{word} convolutions", architecture(plain(depth))) for word, depth in (("Three", 3), ("Four", 4))]
    yield (
        "figure2",
        draw_architectures(
            networks,
            title="Figure 2: the two types of plain networks",
            note=f"n₁, n₂, ... are the kernels per layer, the layout. The paper's figure is a picture: {POOLED}.",
        ),
    )
    for name, (title, listed) in GRIDS.items():
        lettered = [(f"({letter})", panels[panel]) for letter, panel in zip("abcd", listed, strict=False)]
        plots = [panel_plot(panel, letter) for letter, panel in lettered if panel.points]
        missing = [f"{letter} {panel.experiment.title}" for letter, panel in lettered if not panel.points]
        spread = BARS if any(point.runs > 1 for plot in plots for point in plot.points) else ""
        is_free = name == "free"
        note = BESIDE + spread + ABOVE + (RANDOM if is_free else PRINTED) + _missing(missing)
        if plots:
            yield name, draw_grid(plots, title=title, note=note, names=FREE if is_free else None)
    charts, missing = _dumbbells(panels["pairs"])
    repeated = any(len(point.accuracies) > 1 for point in panels["pairs"].points)
    if charts:
        yield (
            "pairs",
            draw_dumbbells(
                charts,
                title="Not in the paper: matched pairs of 4,288 kernels, four layers in free order",
                note="Two layouts a line, each name in the colour of its dot, of equal size, that agree in one quantity"
                f" (within 2 %) and are far apart in the other.{SEEDS if repeated else ''}{_missing(missing)}",
            ),
        )


def _missing(names: Sequence[str]) -> str:
    r"""What has no frame, in a line of the note.

    >>> _missing(["(a) three layers, CIFAR-10"])
    '\nNo runs yet: (a) three layers, CIFAR-10.'
    """
    return f"\nNo runs yet: {'; '.join(names)}." if names else ""


def _plot_point(point: PanelPoint) -> PlotPoint:
    return PlotPoint(
        name=format_layout(point.layout),
        role=str(point.role),
        energy=point.energy,
        macs=point.macs,
        accuracy=point.accuracy,
        low=min(point.accuracies),
        high=max(point.accuracies),
        runs=len(point.accuracies),
        note=point.note,
    )


def _caption(found: Correlation, given: Correlation, what: str) -> str:
    """Spearman's coefficient and, below it, the partial one."""
    if found.value is None or found.low is None:
        return "too few layouts for a correlation\n"
    first = f"Spearman {found.value:.2f} [{found.low:.2f}, {found.high:.2f}], n = {found.n}"
    if given.value is None or given.low is None:
        return f"{first}\n"
    return f"{first}\ngiven {what} {given.value:.2f} [{given.low:.2f}, {given.high:.2f}]"


def _dumbbells(panel: PanelPoints) -> tuple[list[Dumbbells], list[str]]:
    """The charts of pairs of which a layout was trained, and the pairs of which none was."""
    words = {
        ENERGY: ("Equal multiply-adds, energies apart", "lower energy", "higher energy"),
        MACS: ("Equal energy, multiply-adds apart", "fewer multiply-adds", "more multiply-adds"),
    }
    charts: list[Dumbbells] = []
    missing: list[str] = []
    for differs, (title, low, high) in words.items():
        found = mean_with_interval(matched_differences(panel, differs))
        caption = "" if found.value is None else f"{high} minus {low}: {found.value:+.2f} points"
        if found.low is not None and found.high is not None:
            caption += f" [{found.low:+.2f}, {found.high:+.2f}], {found.n} pairs"
        of_kind = [
            Dumbbell(
                low_name=format_layout(pair.low),
                high_name=format_layout(pair.high),
                low=_spread(panel.by_layout.get(pair.low)),
                high=_spread(panel.by_layout.get(pair.high)),
            )
            for pair in matched_pairs()
            if pair.differs == differs
        ]
        pairs = tuple(pair for pair in of_kind if pair.low or pair.high)
        missing += [f"{pair.low_name} and {pair.high_name}" for pair in of_kind if pair not in pairs]
        if pairs:
            charts.append(Dumbbells(title=title, low_label=low, high_label=high, caption=caption, pairs=pairs))
    return charts, missing


def _spread(point: PanelPoint | None) -> tuple[float, float, float] | None:
    return None if point is None else (point.accuracy, min(point.accuracies), max(point.accuracies))
