"""A comparison of layouts for the terminal: their accuracies, the differences, one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parlay.evidence.comparison import LayoutComparison, images_tested
from parlay.evidence.measured import MeasuredLayout
from parlay.evidence.paired import Difference, spread
from parlay.layout import format_layout

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["accuracy_table", "comparison_lines", "difference_table"]


def accuracy_table(found: LayoutComparison) -> Table:
    """One line a layout: what it costs, and its accuracy in per cent, mean ± standard deviation over seeds."""
    has_validation = any(one.validation is not None for one in found.others)
    table = _table("layout", "params", "MACs", "seeds", *(["validation %"] if has_validation else []), "test %")
    for one in found.layouts:
        measures = (["validation_accuracy"] if has_validation else []) + ["accuracy"]
        cells = [_accuracy(one, measure) for measure in measures]
        name = format_layout(one.layout)
        table.add_row(name, f"{one.amount('params'):,}", f"{one.macs:,}", str(len(one.rows)), *cells)
    return table


def difference_table(found: LayoutComparison) -> Table:
    """One line for each layout but the reference: its difference in points, with the interval and p after Holm."""
    table = _table(
        f"minus {format_layout(found.reference.layout)}", "on", "points", "95 %", "p Holm", "seeds", "verdict"
    )
    for one in found.others:
        name = format_layout(one.layout.layout)
        if one.validation is not None:
            table.add_row(name, "validation", *_difference(one.validation))
            name = ""
        table.add_row(name, "test", *_difference(one.test))
    return table


def comparison_lines(found: LayoutComparison) -> list[str]:
    """What was compared, the verdict, what goes on, and what was left out."""
    first = found.measured.first
    counted = images_tested(found.measured.complete)
    images = "an unknown number of test images" if counted is None else f"{counted:,} test images"
    held = f"{first.trial.validation:,} validation and " if first.trial.validation else ""
    return [
        f"{first.trial.network.title} on {first.data_name}, {found.measured.training}; {held}{images}; compared with"
        f" {format_layout(found.reference.layout)}, {found.chosen}",
        f"verdict: {found.sentence}",
        *([f"next: {found.command}"] if found.command else []),
        *(f"note: {note}" for note in found.notes),
    ]


def _table(first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="left" if name in ("on", "verdict") else "right", no_wrap=True)
    return table


def _accuracy(one: MeasuredLayout, measure: str) -> str:
    values = [value for row in one.rows if (value := getattr(row, measure)) is not None]
    if not values:
        return "-"
    mean, deviation = spread(values)
    return f"{100 * mean:.2f}" + (f" ± {100 * deviation:.2f}" if len(values) > 1 else "")


def _difference(found: Difference) -> tuple[str, ...]:
    ends = "no test" if found.low is None or found.high is None else f"{100 * found.low:.2f} to {100 * found.high:.2f}"
    p = "-" if found.p_holm is None else "< 0.001" if found.p_holm < 0.001 else f"{found.p_holm:.3f}"
    return f"{100 * found.mean:+.2f}", ends, p, str(found.seeds), str(found.outcome)
