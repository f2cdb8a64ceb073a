"""Names in pictures: each stands nearer to its own mark than to any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from parlay.evidence import Measured, relate
from parlay.layout import Layout
from parlay.paper.figures import drawn_figures
from parlay.paper.judge_claims import gather
from parlay.paper.results import read_results
from parlay.report.mark_names import Mark, distance, place_label
from parlay.report.scatter import ScatterData, ScatterPoint, draw_scatter, plot_scatter

ROOT = Path(__file__).resolve().parents[2]

DEMO: dict[Layout, tuple[float, int, float, float, float, bool]] = {
    (2, 3, 164): (3.88, 21368, 77.36, 79.95, 81.91, False),
    (2, 6, 81): (5.46, 21186, 85.46, 87.50, 88.57, False),
    (3, 7, 68): (9.02, 22568, 86.46, 88.09, 90.79, False),
    (4, 8, 58): (11.71, 24196, 91.34, 91.79, 92.34, False),
    (4, 16, 27): (12.67, 27342, 91.45, 92.38, 93.56, False),
    (5, 9, 50): (13.83, 26060, 92.45, 92.79, 93.01, False),
    (5, 11, 40): (14.24, 27040, 92.34, 93.45, 94.78, False),
    (5, 15, 28): (14.52, 29080, 93.56, 94.27, 94.67, False),
    (6, 19, 20): (15.80, 33752, 94.89, 95.23, 95.67, False),
    (6, 13, 32): (15.93, 29984, 94.01, 95.12, 96.34, False),
    (7, 17, 22): (17.04, 34852, 94.67, 95.26, 95.78, True),
    (8, 12, 33): (18.07, 33018, 95.78, 96.00, 96.45, True),
    (10, 14, 25): (19.56, 38770, 94.78, 95.97, 97.11, True),
}
"""Energy, multiply-adds, lowest, mean and highest accuracy of what ``parlay demo`` trained for docs/pictures, and
whether the layout is one of the best by score."""


def demo() -> ScatterData:
    """What demo/scatter.png shows."""
    points = tuple(
        ScatterPoint(layout=layout, energy=energy, macs=macs, accuracy=mean, low=low, high=high, runs=3, top=top)
        for layout, (energy, macs, low, mean, high, top) in DEMO.items()
    )
    return ScatterData(title="demo", subtitle="", points=points, relation=relate(Measured(rows=())))


def names(figure: Figure) -> Iterator[tuple[Annotation, Axes]]:
    """Every name in a figure, with its chart, once all is where it is printed."""
    figure.draw_without_rendering()
    for ax in figure.findobj(Axes):
        for text in ax.texts:
            if isinstance(text, Annotation):
                yield text, ax


def misread(figure: Figure) -> tuple[int, list[str]]:
    """How many names there are, and those that are as near to another mark as to their own, cover one, or leave the
    chart; counted from what is printed.
    """
    count, wrong = 0, []
    for text, ax in names(figure):
        count += 1
        extent = text.get_window_extent()
        box = (extent.x0, extent.x1, extent.y0, extent.y1)
        spots = [
            (float(x), float(y))
            for group in ax.collections
            if isinstance(group, PathCollection)
            for x, y in ax.transData.transform(group.get_offsets())
        ]
        x, y = (float(value) for value in ax.transData.transform(text.xy))
        own = min(spots, key=lambda spot: abs(spot[0] - x) + abs(spot[1] - y))
        others = list(spots)
        others.remove(own)
        near, far = distance(box, *own), min((distance(box, *spot) for spot in others), default=float("inf"))
        inside = ax.bbox.x0 <= box[0] and box[1] <= ax.bbox.x1 + 1 and ax.bbox.y0 <= box[2] and box[3] <= ax.bbox.y1
        if not (0 < near < far and inside):
            wrong.append(text.get_text())
    return count, wrong


def test_names_of_the_demo_stand_nearest_to_their_marks():
    """demo/scatter.png names the ends and the best in both charts, and none can be read as another mark's."""
    assert misread(draw_scatter(demo())) == (6, [])


@pytest.mark.parametrize("against", ["energy", "macs"])
def test_one_chart_alone_is_named_too(against: str):
    """``plot_scatter`` keeps the same rule in a figure of its own."""
    figure = plot_scatter(demo(), against=against).get_figure(root=True)
    assert isinstance(figure, Figure) and misread(figure) == (3, [])


def test_names_of_the_papers_figures_stand_nearest_to_their_marks():
    """In every figure drawn from results/ no name is nearer to another mark, and most charts have all their names."""
    figures = drawn_figures(gather(read_results(ROOT / "results")))
    counted = {name: misread(figure) for name, figure in figures if name not in ("figure2", "pairs")}
    assert {name: wrong for name, (_, wrong) in counted.items() if wrong} == {}
    assert counted["figure3"][0] >= 18 and counted["free"][0] >= 10  # of 24 and 12: one without a place is left out


def test_a_name_that_would_be_misread_is_left_out():
    """A mark in the middle of others has no name, rather than one that could be theirs."""
    twins = [Mark(x=48, y=50, low=50, high=50), Mark(x=52, y=50, low=50, high=50)]
    assert place_label(0, 20, 8, twins, frame=(0, 100, 0, 100)) is not None  # there is room on its own side
    crowd = [Mark(x=50 + dx, y=50 + dy, low=50, high=50) for dx in (-4, 0, 4) for dy in (-4, 0, 4)]
    assert place_label(4, 20, 8, crowd, frame=(0, 100, 0, 100)) is None


def test_names_cover_no_bar_and_no_other_name():
    """A bar beside the mark and a name that stands already are gone round."""
    marks = [Mark(x=50, y=50, low=50, high=50), Mark(x=65, y=80, low=20, high=90)]
    box = place_label(0, 20, 8, marks, frame=(0, 100, 0, 100))
    assert box is not None and box[1] < 50
    other = place_label(0, 20, 8, marks, frame=(0, 100, 0, 100), taken=[box])
    assert other is not None and (other[3] <= box[2] or other[2] >= box[3] or other[0] >= box[1])
