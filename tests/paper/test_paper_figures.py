"""The paper's figures and tables from trials: what is drawn, what is written, what is said where there is nothing."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from parlay.cli.main import run
from parlay.errors import InputError
from parlay.families import plain
from parlay.paper.draw import PanelPlot, PlotPoint, draw_grid
from parlay.paper.experiments import get_experiment
from parlay.paper.figures import FIGURES, architecture, panel_plot, write_figures
from parlay.paper.judge_claims import gather, judge_all
from parlay.paper.results import write_results
from parlay.paper.runs import Protocol, plan_panel
from parlay.paper.show_claims import claims_markdown
from parlay.paper.write_tables import paper_tables
from parlay.report.figure import rendered
from parlay.study import Row


def trials(name: str, **protocol) -> list[Row]:
    """Complete trials of a panel, accuracies a share that grows with energy."""
    panel = get_experiment(name)
    return [
        Row(
            trial=planned.trial,
            kinds=planned.kinds,
            data_name=panel.data,
            status="complete",
            accuracy=0.5 + math.exp(panel.family.energy(planned.trial.layout)) / 1000 + planned.trial.seed / 1000,
            loss=1.0,
            seconds=10.0,
        )
        for planned in plan_panel(panel, Protocol(**protocol), data="d" * 64)
    ]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Everything that ``parlay paper figures`` writes, from trials of some panels, as SVG."""
    folder = tmp_path_factory.mktemp("paper")
    write_results(folder / "results", [*trials("3a", seeds=(0, 1)), *trials("free3"), *trials("pairs", seeds=(0,))])
    out = folder / "out"
    assert run(["paper", "figures", "--results", str(folder / "results"), "--out", str(out), "--format", "svg"]) == 0
    return out, {path.name: path.read_text("utf-8") for path in out.iterdir()}


def test_every_figure_with_runs_and_every_table_is_written(drawn):
    """The figures of which there are runs, five tables in two forms, and the claims."""
    _, files = drawn
    tables = {f"table{number}.{kind}" for number in range(1, 6) for kind in ("md", "csv")}
    figures = {f"{name}.svg" for name in FIGURES} - {"figure4.svg", "figure5.svg"}
    assert set(files) == {*figures, *tables, "claims.md"}


def test_panels_without_runs_have_no_frame_and_are_named(drawn):
    """Figure 3 has its panel (a) alone and names the other three; free order has one of its two, and no frame more."""
    _, files = drawn
    for name, title, missing in (
        ("figure3.svg", "(a) three layers, CIFAR-10", ("(b) four layers", "(c) three layers", "(d) four layers")),
        ("free.svg", "(a) three layers in free order", ("(b) four layers in free order",)),
    ):
        assert files[name].count("test accuracy (%)") == 1 and title in files[name]
        said = files[name].partition("No runs yet: ")[2].partition("CIFAR-10.")[0]
        assert all(letter[:3] in said for letter in missing), said
    assert "No runs yet" not in files["pairs.svg"]


def test_a_figure_of_runs_that_are_gone_is_removed(tmp_path):
    """A folder that is written again keeps no figure of an earlier call that cannot be drawn any more."""
    (tmp_path / "figure4.svg").write_text("of runs that are no longer there")
    written = write_figures(gather(trials("3a")), tmp_path, kinds=("svg",))
    left = {path.name for path in tmp_path.iterdir()}
    assert {path.name for path in written} == left and "figure3.svg" in left and "figure4.svg" not in left


def test_the_figures_name_ends_and_optima(drawn):
    """Figure 3 names the layouts at the ends of the energies; free order says whose optimum each marked point is."""
    _, files = drawn
    assert "36-38-74" in files["figure3.svg"]
    assert "132-14-146: energy, free" in files["free.svg"]
    assert "fast, 2,000 steps, fp32: 32 layouts, 64 runs" in files["figure3.svg"]


def test_tables_hold_our_accuracies(drawn):
    """Table 1 has 24 and 32 layouts; those with runs have their mean over seeds in per cent, the others none."""
    _, files = drawn
    rows = list(csv.DictReader(files["table1.csv"].splitlines()))
    assert [row["type"] for row in rows].count("three convolutions") == 24 and len(rows) == 56
    [row] = [row for row in rows if row["layout"] == "39-43-58"]
    expected = 100 * (0.5 + math.exp(plain(3).energy((39, 43, 58))) / 1000 + 0.0005)
    assert float(row["cifar10"]) == pytest.approx(expected, abs=0.006) and row["cifar10 runs"] == "2"
    assert (row["cifar100"], row["macs"]) == ("", str(plain(3).macs((39, 43, 58))))
    assert all(row["cifar10"] == "" for row in csv.DictReader(files["table2.csv"].splitlines()))


def test_tables_are_the_papers():
    """Tables 4 and 5 have 13 and twice six rows, with energies that agree with print but for the errata."""
    found = {table.name: table for table in paper_tables(gather([]))}
    assert len(found["table4"].rows) == 13 and len(found["table5"].rows) == 12 and len(found["table3"].rows) == 4
    assert ("19-34-41-49", "150.0631") in [row[:2] for row in found["table4"].rows]
    assert found["table5"].rows[0][:3] == ("4,288", "35-36-37-43", "173.0358")
    assert "No runs yet." in found["table5"].markdown()


def test_claims_markdown_has_a_line_a_claim():
    """Every claim with its verdict; no cell breaks the table."""
    judged = judge_all(gather(trials("3a")))
    text = claims_markdown(judged)
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert len(lines) == len(judged) and {line.count("|") for line in lines} == {10}


def test_a_panel_is_plain_data():
    """Means and ranges over seeds in per cent, roles and captions; the coefficient counts the paper's layouts."""
    plot = panel_plot(gather(trials("3a", seeds=(0, 1)))["3a"], "(a)")
    assert plot.title == "(a) three layers, CIFAR-10" and len(plot.points) == 32
    assert {point.role for point in plot.points} == {"sampled", "learned", "not in the paper"}
    assert all(point.high - point.low == pytest.approx(0.1) and point.runs == 2 for point in plot.points)
    assert plot.energy_caption.startswith("Spearman 1.00 [1.00, 1.00], n = 24")


def test_figure_2_follows_the_families():
    """Sides halve behind each of the first three convolutions, as the networks' own resolutions say."""
    for depth in (3, 4):
        family = plain(depth)
        blocks = [block for block in architecture(family) if block.kind == "conv"]
        assert [block.side for block in blocks] == [conv.resolution for conv in family.convolutions()]


def test_drawing_twice_gives_the_same_bytes():
    """No date and no random name is in a file, so that a figure changes only when its data does."""
    point = PlotPoint(
        name="4-6", role="sampled", energy=2.0, macs=10**6, accuracy=50.0, low=49.0, high=51.0, runs=2, note="here"
    )
    panel = PanelPlot(title="one", points=(point,))
    for kind in ("png", "svg", "pdf"):
        first, second = (rendered(draw_grid([panel], title="t", note="n"), kind) for _ in range(2))
        assert first == second and len(first) > 2000


def test_wrong_formats_and_folders_are_refused(tmp_path, capsys):
    """A format that there is not and a folder of results that is not there are one line each."""
    with pytest.raises(InputError, match="allowed: pdf, svg, png"):
        write_figures(gather([]), tmp_path, kinds=("gif",))
    assert run(["paper", "claims", "--results", str(tmp_path / "none")]) == 2
    assert "paper run --results" in capsys.readouterr().err


def test_claims_command_reads_results_and_prints_verdicts(drawn, capsys):
    """The text names every section and verdict; the document has an estimate with its interval."""
    out, _ = drawn
    results = str(out.parent / "results")
    assert run(["paper", "claims", "--results", results]) == 0
    text = capsys.readouterr().out
    assert "section 4.2" in text and "not enough data" in text and "holds" in text
    assert run(["paper", "claims", "--results", results, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first = document["claims"][0]
    assert (first["claim"], first["verdict"], first["n"]) == ("rises-3a", "holds", 24)
    assert first["interval"][0] > first["threshold"]


def test_grey_points_far_below_do_not_squeeze_the_others():
    """They are listed below the chart instead; one that is near is drawn."""
    panel = gather(trials("3a", seeds=(0,)))["3a"]
    plot = panel_plot(panel)
    low = min(point.accuracy for point in plot.points if point.role == "sampled")
    grey = [point for point in plot.points if point.role == "not in the paper"]
    far = replace(
        plot, points=tuple(replace(p, accuracy=1.0, low=1.0, high=1.0) if p == grey[0] else p for p in plot.points)
    )
    [figure] = [draw_grid([far], title="t", note="n")]
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert f"below the frame, grey: {grey[0].name} 1.0 %" in texts
    assert all(ax.get_ylim()[0] > low - 20 for ax in figure.findobj(Axes))
