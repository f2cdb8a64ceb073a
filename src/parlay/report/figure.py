"""What every figure shares: a figure of its own outside pyplot, its colours and axes, and a file of it.

matplotlib is loaded by the functions that draw, never by importing this.
"""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from parlay.documents import write_atomically
from parlay.extras import Needs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "RED",
    "clear_axes",
    "figure_of",
    "need_matplotlib",
    "new_figure",
    "rendered",
    "save_figure",
]

RED = "#c0392b"
"""A layout that the score in question chose as one of its best. Nothing else is red, on any picture, page or table."""
BLUE, GREY, INK = "#2f6db3", "#5f5f5f", "#222222"
"""Every other layout, what is said beside the data (or what a layout is compared with), and text."""


def need_matplotlib() -> None:
    """Ask for matplotlib before the work that ends in a figure, which may take hours.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    with Needs("drawing", extra="train"):
        import_module("matplotlib.backends.backend_agg")


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own in inches, outside pyplot's global list, drawn by Agg whatever the user's settings.

    Raises:
        MissingExtraError: when matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_of(ax: Axes) -> Figure:
    """The figure that axes made by ``new_figure`` stand in; matplotlib's own type allows for none."""
    return cast("Figure", ax.get_figure(root=True))


def clear_axes(ax: Axes) -> None:
    """A light grid behind the data, no frame above and to the right."""
    ax.grid(visible=True, color="#ececec", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#999999")
    ax.tick_params(colors=INK, labelsize=9)


def rendered(figure: Figure, kind: str, *, dpi: int = 150) -> bytes:
    """The figure as a file of that kind, the same bytes each time: no date, no random names.

    Args:
        figure: what is drawn.
        kind: ``pdf``, ``svg`` or ``png``.
        dpi: pixels an inch of a PNG.
    """
    import matplotlib

    stream = io.BytesIO()
    nameless = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}[kind]
    with matplotlib.rc_context({"svg.hashsalt": "parlay", "pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(stream, format=kind, dpi=dpi, metadata=nameless)
    return stream.getvalue()


def save_figure(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write the figure as the kind of file that the path ends in, all of it or nothing.

    Raises:
        InputError: when the folder cannot be written.
    """
    write_atomically(path, rendered(figure, path.suffix[1:], dpi=dpi))
