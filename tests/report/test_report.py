"""Figures and tables: the data behind them, and that they are drawn."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from parlay.errors import MissingExtraError
from parlay.evidence import Measured, relate
from parlay.families import plain
from parlay.report import draw_scatter, plot_scatter, relation_table, save_scatter, scatter_data, trials_table
from parlay.report.tables import display_energy
from parlay.study import Kind, Row, make_plan
from parlay.study.conduct import alike
from parlay.train import get_recipe

FAMILY = plain(3, in_channels=1, image=8)
LAYOUTS = {
    (10, 14, 25): {Kind.TOP, Kind.ALL},
    (8, 12, 33): {Kind.ALL},
    (6, 13, 32): {Kind.ALL},
    (4, 8, 58): {Kind.SPREAD, Kind.ALL},
    (2, 3, 164): {Kind.SPREAD, Kind.ALL},
}


def rows(seeds: tuple[int, ...] = (0, 1), failed: int = 0) -> list[Row]:
    """Finished trials whose accuracy rises with energy, the last ``failed`` of them failed."""
    chosen = {layout: frozenset(kinds) for layout, kinds in LAYOUTS.items()}
    plan = make_plan(FAMILY, chosen, data="d" * 64, recipe=get_recipe("digits"), seeds=seeds)
    made = []
    for place, planned in enumerate(plan):
        ok = place < len(plan) - failed
        made.append(
            Row(
                trial=planned.trial,
                kinds=planned.kinds,
                data_name="digits",
                status="complete" if ok else "failed",
                accuracy=0.9 + FAMILY.energy(planned.trial.layout) / 100 + planned.trial.seed / 1000 if ok else None,
                loss=0.25 if ok else None,
                seconds=1.0,
                finished="2017-10-23T00:00:00+00:00",
                error=None if ok else "ValueError: [bold]no luck",
            )
        )
    return made


def test_points_are_layouts_with_their_seeds_together():
    """One point a layout, lowest energy first, with mean and range in per cent; top layouts are marked."""
    data = scatter_data(rows())
    assert data.points[0].layout == (2, 3, 164)
    best = data.points[-1]
    assert (best.layout, best.top, best.runs, best.macs) == ((10, 14, 25), True, 2, FAMILY.macs((10, 14, 25)))
    assert best.accuracy == pytest.approx(100 * (0.9005 + FAMILY.energy(best.layout) / 100))
    assert best.high - best.low == pytest.approx(0.1)
    assert sum(point.top for point in data.points) == 1
    assert data.relation.energy.value == pytest.approx(1.0) and data.relation.energy.n == 5


def test_the_figure_says_what_it_shows():
    """Title with family, size, data and steps; n, runs and failures below; axes with units; both panels."""
    data = scatter_data(rows(failed=1))
    assert data.title == "plain of depth 3, 500 kernels (4,500 weights) · digits, 200 steps (digits)"
    assert data.subtitle == "5 layouts, 1 or 2 runs each, mean and range; 1 failed trial not shown"
    left, right = draw_scatter(data).axes
    assert (left.get_xlabel(), left.get_ylabel()) == ("energy, Eq. 3 (dimensionless)", "test accuracy (%)")
    assert right.get_xlabel() == "multiply-adds per image (thousands)"
    assert {text.get_text() for text in left.texts} == {"10-14-25", "2-3-164"}
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["other layouts", "top layouts by score"]


@pytest.mark.parametrize("some", [0, 1, 2], ids=["none", "one", "two"])
def test_few_trials_are_drawn_too(some: int, tmp_path: Path):
    """Nothing, one and two layouts give a figure and no warning."""
    data = scatter_data(rows(seeds=(0,))[:some])
    save_scatter(data, tmp_path / "scatter.png")
    assert (tmp_path / "scatter.png").read_bytes().startswith(b"\x89PNG")
    assert data.relation.energy.value is None


def test_one_panel_stands_alone_and_leaves_pyplot_alone():
    """Without axes a panel makes its own figure; pyplot is not even imported."""
    before = "matplotlib.pyplot" in sys.modules
    ax = plot_scatter(scatter_data(rows()), against="macs")
    assert len(ax.figure.axes) == 1
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    """Drawing says which extra brings the plotting library."""
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[train\]' in parlay's checkout"):
        draw_scatter(scatter_data(rows()))


def test_tables_show_every_trial_and_every_coefficient():
    """Layouts by energy, errors as they are (no markup), coefficients with interval, and the confound."""
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    console.print(trials_table(rows(failed=1)))
    console.print(relation_table(relate(Measured(rows=tuple(rows())))))
    text = stream.getvalue()
    lines = text.splitlines()
    assert lines[1].startswith("10-14-25") and "top" in lines[1] and "4,500" in lines[1]
    assert "ValueError: [bold]no luck" in text
    assert "energy and multiply-adds, Spearman" in text and "given multiply-adds" in text
    assert display_energy(float("-inf")) == "0.00"


def test_only_trials_of_one_question_are_shown_together():
    """Another recipe, number of steps or size keeps a trial out of the figure; another seed does not."""
    one, two = rows()[0].trial, rows()[5].trial
    assert one.seed != two.seed and alike(two, one, FAMILY.problem(kernels=500))
    assert not alike(one, one, FAMILY.problem(kernels=501))
    [other] = make_plan(FAMILY, {one.layout: frozenset({Kind.ALL})}, data=one.data, recipe=one.recipe, steps=7)
    assert not alike(other.trial, one, None)
    [other] = make_plan(
        FAMILY, {one.layout: frozenset({Kind.ALL})}, data=one.data, recipe=get_recipe("fast"), steps=200
    )
    assert not alike(other.trial, one, None)


def test_zero_energies_rank_last_and_seeds_are_not_counted_twice():
    """A width of 1 takes part with the lowest rank; n counts layouts, not runs."""
    chosen = {layout: frozenset({Kind.ALL}) for layout in ((1, 19, 24), (10, 14, 25), (4, 8, 58))}
    plan = make_plan(FAMILY, chosen, data="d", recipe=get_recipe("digits"), seeds=(0, 1, 2))
    accuracies = {1: 0.5, 10: 0.9, 4: 0.8}
    made = [
        Row(
            trial=p.trial,
            kinds=p.kinds,
            data_name="digits",
            status="complete",
            accuracy=accuracies[p.trial.layout[0]],
            seconds=1.0,
            finished="",
        )
        for p in plan
    ]
    relation = relate(Measured(rows=tuple(made)))
    assert (relation.energy.value, relation.energy.n) == (pytest.approx(1.0), 3)
    assert relation.energy_linear.value is not None
