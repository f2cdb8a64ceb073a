"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from parlay.evidence import Measured, Outcome, Relation
from parlay.layout import format_layout
from parlay.study import Row, strongest

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["relation_table", "relation_words", "trials_table"]


def trials_table(rows: Iterable[Row]) -> Table:
    """One line a trial, highest energy first; the error stands where the accuracy of a failed trial would.

    Validation comes before the test where images were set aside: it is what one chooses by.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layout")
    table.add_column("kind")
    rows = tuple(rows)
    has_validation = any(row.validation_accuracy is not None for row in rows)
    measured = ("validation %", "test %") if has_validation else ("accuracy %",)
    for column in ("energy", "weights", "MACs", "seed", *measured, "loss", "s"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: (-row.log_energy, row.trial.seed)):
        layout, weights = row.trial.layout, row.costs["weights"]
        kind = strongest(row.kinds)
        costs = (
            display_energy(row.log_energy),
            "-" if weights is None else f"{weights:,}",
            f"{row.costs['macs']:,}",
        )
        if row.accuracy is None or row.loss is None:
            result = (Text(row.error or row.status, style="magenta", overflow="ellipsis", no_wrap=True), "")
        else:
            result = (f"{100 * row.accuracy:.2f}", f"{row.loss:.3f}")
        held = "" if row.validation_accuracy is None else f"{100 * row.validation_accuracy:.2f}"
        style = "red" if kind == "top" else ""  # nothing else is red (``report.figure``)
        name = Text(format_layout(layout), style=style)
        table.add_row(
            name,
            Text(kind, style=style),
            *costs,
            str(row.trial.seed),
            *((held,) if has_validation else ()),
            *result,
            "" if row.seconds is None else f"{row.seconds:.1f}",
        )
    return table


def relation_table(relation: Relation) -> Table:
    """The coefficients with their 95 % bootstrap intervals."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("over layouts")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("p", justify="right")
    table.add_column("n", justify="right")
    score = (
        (f"{relation.score} and accuracy, Spearman", relation.ranks),
        (f"{relation.score} and multiply-adds, Spearman", relation.score_and_macs),
        (f"{relation.score} and accuracy given multiply-adds", relation.score_given_macs),
    )
    for name, found in (
        *(() if relation.is_of_energy else score),
        ("energy and accuracy, Spearman", relation.energy),
        ("energy and accuracy, Pearson", relation.energy_linear),
        ("multiply-adds and accuracy, Spearman", relation.macs),
        ("energy and multiply-adds, Spearman", relation.energy_and_macs),
        ("energy and accuracy given multiply-adds", relation.energy_given_macs),
    ):
        value = "-" if found.value is None else f"{found.value:.2f}"
        interval = "-" if found.low is None else f"{found.low:.2f} to {found.high:.2f}"
        chance = "-" if found.p_value is None else f"{found.p_value:.4f}"
        table.add_row(name, value, interval, chance, str(found.n))
    return table


def relation_words(measured: Measured, relation: Relation) -> str:
    """The word for "accuracy rises with the score" that the study judges, what it rests on, and who does not judge."""
    left_out = f"; {measured.left_out_words}" if measured.left_out else ""
    toy = f" (a toy: {measured.toy})" if measured.toy and relation.outcome is not Outcome.OPEN else ""
    return f"accuracy rises with {measured.score_words}: {relation.outcome}{toy}, Spearman {relation.ranks}{left_out}"


def display_energy(log_energy: float) -> str:
    """The energy, as people read it.

    >>> display_energy(5.1535), display_energy(float("-inf")), display_energy(2000.0)
    ('173.04', '0.00', 'e^2000.0')
    """
    return f"{math.exp(log_energy):,.2f}" if log_energy < 100 else f"e^{log_energy:.1f}"
