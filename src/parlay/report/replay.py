"""A replay as table and figure: gain of the pick against trainings used."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.documents import write_atomically
from parlay.evidence.replay import ENERGY, Curve, Replay
from parlay.extras import Needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

__all__ = ["plot_replay", "replay_table", "save_replay"]

NAMES = {
    "thompson": "the loop (thompson)",
    "ucb": "the loop (ucb)",
    "learn": "the loop (learn)",
    "top": "the score's top n",
    "random": "random search",
    "evolution": "regularised evolution",
    "tpe": "Optuna's TPE",
}
COLOURS = {
    "thompson": "#c0392b",
    "ucb": "#e67e22",
    "learn": "#8e44ad",
    "top": "#2f6db3",
    "random": "#999999",
    "evolution": "#27ae60",
    "tpe": "#16a2b8",
}


def name_of(curve: Curve) -> str:
    """What the method is called; a score that trains nothing by its own name."""
    return NAMES.get(curve.method, f"{curve.method} alone")


def replay_table(found: Replay) -> Table:
    """One line a method: gain after half and all of the trainings, and what it adds to the energy alone."""
    from rich.table import Table

    some = [max(1, found.trials // 2), found.trials]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("gain of the pick", no_wrap=True, min_width=21)
    for count in some:
        table.add_column(f"n = {count}", justify="right", no_wrap=True)
    for column in ("95 %", "above energy", "95 %", "runs"):
        table.add_column(column, justify="right", no_wrap=True)
    for curve in sorted(found.curves.values(), key=lambda curve: -curve.mean[-1]):
        at = [curve.mean[min(count, len(curve.mean)) - 1] for count in some]
        cells = [f"{value:.3f}" for value in at] + [_ends(curve.low[-1], curve.high[-1])]
        if curve.method == ENERGY:
            cells += ["", ""]
        else:
            cells += [f"{curve.above[-1]:+.3f}", _ends(curve.above_low[-1], curve.above_high[-1], sign="+")]
        table.add_row(name_of(curve), *cells, str(curve.repetitions))
    return table


def plot_replay(found: Replay, ax: Axes | None = None) -> Axes:
    """Draw mean gains with their 95 % bands against trainings.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    if ax is None:
        ax = _figure().subplots()
    for curve in found.curves.values():
        _draw(ax, curve)
    ax.set_xlabel("networks trained, one run each")
    ax.set_ylabel("accuracy of the pick above its bin's median")
    bins = f"{len(found.networks)} bins of one size, {sum(found.networks):,} networks"
    ax.set_title(f"{found.name}: {bins}\nbands: 95 %, bins resampled", fontsize=9, color="#555555")
    ax.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, framealpha=0.9)
    return ax


def save_replay(found: Replay, folder: Path) -> None:
    """Write ``replay.json`` and ``replay.png``, each as a whole.

    Raises:
        InputError: when the folder cannot be written.
        MissingExtraError: when matplotlib is not installed.
    """
    stream = io.BytesIO()
    figure = _figure()
    plot_replay(found, figure.subplots())
    figure.savefig(stream, format="png", dpi=150)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "replay.json", found.document() + "\n")
    write_atomically(folder / "replay.png", stream.getvalue())


def _figure() -> Figure:
    """A figure of its own, outside pyplot's global list, drawn by Agg whatever the user's settings."""
    with Needs("drawing", extra="train"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw(ax: Axes, curve: Curve) -> None:
    colour, label = COLOURS.get(curve.method, "#555555"), name_of(curve)
    if curve.trainings == (0,):
        style = "--" if curve.method == ENERGY else ":"
        ax.axhline(curve.mean[-1], color=colour, linestyle=style, linewidth=1.2, label=label)
        return
    at, emphasis = list(curve.trainings), 2.0 if curve.method in ("thompson", "ucb", "learn") else 1.2
    ax.plot(at, curve.mean, color=colour, linewidth=emphasis, label=label)
    ax.fill_between(at, curve.low, curve.high, color=colour, alpha=0.12, linewidth=0)


def _ends(low: float, high: float, *, sign: str = "") -> str:
    return "-" if math.isnan(low) else f"{low:{sign}.3f} to {high:{sign}.3f}"
