"""A Pareto front in a folder: ``pareto.json`` after every level, at the end ``pareto.csv`` and ``pareto.png``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.documents import SCHEMA_VERSION, csv_lines, document, write_atomically
from parlay.errors import InputError
from parlay.layout import format_layout
from parlay.problem import Problem, Status
from parlay.report.figure import BLUE, GREY, clear_axes, figure_of, new_figure, save_figure
from parlay.resources import PeakResource, Resource
from parlay.solver import ParetoPoint, Progress, pareto, pareto_levels
from parlay.solver.pareto import LEVEL_SECONDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["conduct_pareto", "pareto_table", "plot_pareto", "points_of"]


def conduct_pareto(
    folder: Path | None,
    problem: Problem,
    resource: Resource | PeakResource,
    question: Mapping[str, Any],
    *,
    levels: Sequence[int] | int,
    time_limit: float | None,
    watch: Callable[[ParetoPoint], None],
    progress: Callable[[Progress], None] | None = None,
) -> tuple[ParetoPoint, ...]:
    """Solve all levels, keeping each as it is done; levels kept before are not solved again.

    Args:
        folder: where the front is kept; None to keep nothing.
        problem: the question without a level.
        resource: what is levelled.
        question: what the folder must agree with to be resumed, by JSON key.
        levels: amounts, or how many to choose.
        time_limit: seconds a level, and for finding out which levels there are.
        watch: called with every point.
        progress: as in ``solve``.

    Raises:
        InputError: when the folder holds another question.
    """
    asked = json.loads(json.dumps(dict(question) | {"levels": levels if isinstance(levels, int) else list(levels)}))
    path = None if folder is None else folder / "pareto.json"
    kept = {} if path is None else _kept(path, asked)
    known = points_of(kept)
    chosen: list[int] = kept.get("chosen", [])
    if not chosen:
        seconds = LEVEL_SECONDS if time_limit is None else min(LEVEL_SECONDS, time_limit)
        chosen = (
            pareto_levels(problem, resource, levels, seconds=seconds)
            if isinstance(levels, int)
            else sorted(set(levels))
        )
    points: list[ParetoPoint] = []

    def keep() -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            facts = [point.to_json() for point in {**known, **{p.level: p for p in points}}.values()]
            write_atomically(path, document({"question": asked, "chosen": chosen, "points": facts}) + "\n")

    keep()
    for point in pareto(problem, resource, chosen, time_limit=time_limit, known=known, progress=progress):
        points.append(point)
        keep()
        watch(point)
    if folder is not None:
        write_atomically(folder / "pareto.csv", "\n".join(csv_lines(point.to_json() for point in points)) + "\n")
        _save(folder / "pareto.png", points, resource.name, str(question.get("title", "")))
    return tuple(points)


def points_of(kept: Mapping[str, Any]) -> dict[int, ParetoPoint]:
    """The points of a document, by level."""
    points: dict[int, ParetoPoint] = {}
    for fact in kept.get("points", ()):
        score = fact["score_value"]
        if fact["layout"] is not None and score is None:
            score = -math.inf
        points[fact["level"]] = ParetoPoint(
            level=fact["level"],
            status=Status(fact["status"]),
            layout=None if fact["layout"] is None else tuple(fact["layout"]),
            score_value=score,
            amount=fact["amount"],
            gap=fact["gap"],
        )
    return points


def pareto_table(points: Sequence[ParetoPoint], unit: str) -> Any:
    """The points as a rich table, highest level first."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (f"{unit} up to", unit, "score value", "gap"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("layout", overflow="fold")
    for point in points:
        table.add_row(
            f"{point.level:,}",
            "-" if point.amount is None else f"{point.amount:,}",
            "-" if point.score_value is None else f"{point.score_value:.4f}",
            "-" if point.gap is None else f"{point.gap:.3g}",
            point.status.value,
            "-" if point.layout is None else format_layout(point.layout),
        )
    return table


def plot_pareto(points: Sequence[ParetoPoint], unit: str, ax: Axes | None = None) -> Axes:
    """Score against what is used of the resource, with the bound where an answer is not proven.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    if ax is None:
        ax = new_figure(5.6, 4.2).subplots()
    shown = [p for p in points if p.amount is not None and p.score_value is not None and math.isfinite(p.score_value)]
    xs, ys = [float(p.amount or 0) for p in shown], [float(p.score_value or 0.0) for p in shown]
    gaps = [float(p.gap or 0.0) for p in shown]
    ax.errorbar(xs, ys, yerr=[[0.0] * len(shown), gaps], fmt="none", ecolor=GREY, elinewidth=0.8)
    ax.plot(xs, ys, "o-", color=BLUE, markersize=5, linewidth=1)
    ax.set_xlabel(unit.replace("_", " "))
    ax.set_ylabel("score (bars: up to the bound)")
    clear_axes(ax)
    return ax


def _save(path: Path, points: Sequence[ParetoPoint], unit: str, title: str) -> None:
    ax = plot_pareto(points, unit)
    ax.set_title(title, fontsize=9, color=GREY)
    save_figure(figure_of(ax), path)


def _kept(path: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What a folder holds of the same question; nothing when it is new."""
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        kept = None
    if (
        not isinstance(kept, dict)
        or kept.get("schema_version") != SCHEMA_VERSION
        or kept.get("question") != asked
        or any("score_value" not in fact for fact in kept["points"])  # kept before scores had a key of their own
    ):
        raise InputError(
            "folder",
            given=str(path.parent),
            allowed="a new folder, or one of the same question",
            remedy="choose another --out",
        )
    return kept
