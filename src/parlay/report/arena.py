"""The arena over time: a rectangle a tensor, as the plan lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.report.figure import BLUE, GREY, INK, clear_axes, new_figure, save_figure

if TYPE_CHECKING:
    from parlay.device.check import Need

__all__ = ["draw_arena"]


def draw_arena(need: Need, path: Path, *, limit: int | None = None) -> None:
    """Draw what lies where in the arena at each step, and the RAM there is, into a PNG.

    Raises:
        InputError: for another kind of file, or a folder that cannot be written.
        MissingExtraError: when matplotlib is not installed.
    """
    if path.suffix != ".png":
        raise InputError("png", given=str(path), allowed="a file that ends in .png")
    figure = new_figure(8, 4)
    ax = figure.add_subplot()
    clear_axes(ax)
    named: set[str] = set()
    for one in need.placed:
        at_peak = one.first <= need.peak_step <= one.last
        label = "tensor that lives at the peak" if at_peak else "other tensor"
        ax.broken_barh(
            [(one.first - 0.5, one.last - one.first + 1)],
            (one.offset, one.bytes),
            facecolor=INK if at_peak else BLUE,
            edgecolor="white",
            linewidth=0.5,
            alpha=0.85,
            label="_" if label in named else label,  # matplotlib leaves names that begin so out of the key
        )
        named.add(label)
    ax.axhline(need.live, color=GREY, linewidth=0.8, linestyle=":", label=f"live peak {need.live:,} B")
    if limit is not None and need.tail is not None:
        left = limit - need.tail
        ax.axhline(left, color=INK, linewidth=1, linestyle="--", label=f"left by {limit:,} B of RAM and the records")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("operator")
    ax.set_ylabel("offset in the arena's head, bytes")
    ax.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
