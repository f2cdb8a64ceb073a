"""The paper's plain networks, drawn layer by layer (its Figure 2)."""

# matplotlib gives the **kwargs of what draws no type.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parlay.report.figure import BLUE, GREY, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DrawnBlock", "draw_architectures"]

COLOURS = {"image": "#d9d9d9", "conv": BLUE, "pool": "#e0a03c", "linear": "#7a5aa8"}


@dataclass(frozen=True, kw_only=True)
class DrawnBlock:
    """One step of a network.

    Attributes:
        kind: ``image``, ``conv``, ``pool`` or ``linear``.
        lines: what stands in the block, top to bottom.
        output: what comes out, such as ``16 x 16 x n_1``; written behind the block.
        side: of the output in pixels; the block is as high as its image is large.
    """

    kind: str
    lines: tuple[str, ...]
    output: str
    side: int


def draw_architectures(networks: Sequence[tuple[str, Sequence[DrawnBlock]]], *, title: str, note: str) -> Figure:
    """Networks one above the other, each from left to right.

    Args:
        networks: title and blocks of each.
        title: of the figure.
        note: under it.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    figure = new_figure(15.2, 2.9 * len(networks) + 0.9)
    whole = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.9, 2.9 * len(networks)])[:, 0]
    whole[0].text(0.012, 0.74, title, fontsize=15, fontweight="bold", va="center", color=INK)
    whole[0].text(0.012, 0.26, note, fontsize=10.5, va="center", color=GREY)
    longest = max(len(blocks) for _, blocks in networks)
    for ax, (name, blocks) in zip(whole[1].subplots(len(networks), 1, squeeze=False)[:, 0], networks, strict=True):
        _network(ax, name, blocks, longest)
    return figure


def _network(ax: Axes, name: str, blocks: Sequence[DrawnBlock], longest: int) -> None:
    from matplotlib.patches import FancyBboxPatch

    ax.set_axis_off()
    ax.set_xlim(-0.1, longest * 1.62)
    ax.set_ylim(-1.5, 1.35)
    ax.text(0.0, 1.2, name, fontsize=12, fontweight="bold", color=INK)
    largest = max(block.side for block in blocks)
    for place, block in enumerate(blocks):
        x, height = place * 1.62, 0.8 + 1.15 * (block.side / largest) ** 0.5
        dark = block.kind in ("conv", "linear")
        ax.add_patch(
            FancyBboxPatch(
                (x + 0.08, -height / 2),
                1.12,
                height,
                boxstyle="round,pad=0.02,rounding_size=0.06",
                facecolor=COLOURS[block.kind],
                edgecolor="none",
            )
        )
        ax.text(
            x + 0.64, 0, "\n".join(block.lines), ha="center", va="center", fontsize=10, color="white" if dark else INK
        )
        ax.text(x + 0.64, -1.2, block.output, ha="center", va="center", fontsize=9.5, color=GREY)
        if place + 1 < len(blocks):
            ax.annotate(
                "", (x + 1.66, 0), (x + 1.26, 0), arrowprops={"arrowstyle": "-|>", "color": "#8c8c8c", "linewidth": 1.4}
            )
