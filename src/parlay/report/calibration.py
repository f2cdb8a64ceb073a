"""A calibration for the terminal: every weight with its uncertainty, and whether the weights help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parlay.evidence.calibrate import Calibration

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["calibration_lines", "weights_table"]


def weights_table(found: Calibration) -> Table:
    """One line a group: the weight before and after, and its 95 % interval."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("group")
    for column in ("layers", "before", "weight", "sd", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for w in found.weights:
        style = "bold" if w.is_new else ""
        ends = f"{w.low:.2f} to {w.high:.2f}"
        cells = (w.group, str(w.layers), f"{w.prior:g}", f"{w.weight:.2f}", f"{w.sd:.2f}", ends)
        table.add_row(*cells, style=style)
    return table


def calibration_lines(found: Calibration) -> list[str]:
    """What the fit rests on, how it ranks what it did not see, and the warnings."""
    sizes = "one size" if found.sizes == 1 else f"{found.sizes} sizes"
    lines = [
        f"{found.networks} networks of {sizes}; one unit of the score is worth {found.scale:.3g} in accuracy, "
        f"one accuracy strays by {found.noise:.3g}"
    ]
    held = found.held_out
    if held is not None:
        lines.append(
            f"pairs held out, agreeing less disagreeing: {held.calibrated:.2f} by the weights, {held.prior:.2f} by "
            f"{found.prior} (difference {held.low:+.2f} to {held.high:+.2f}; {held.pairs:,} pairs)"
        )
    rest = found.rest
    if rest is not None:
        lines.append(
            f"the {rest.networks} other networks of the size, Spearman: {rest.calibrated:.3f} by the weights, "
            f"{rest.prior:.3f} by {found.prior}"
        )
    return [*lines, *(f"warning: {warning}" for warning in found.warnings)]
