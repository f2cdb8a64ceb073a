"""Tables 1, 2, 4 and 5 as printed.

``printed.csv`` holds every layout and every energy exactly as the paper prints them, misprints included; nothing in
this file is computed.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

from parlay.families import Family, plain, resnet
from parlay.layout import Layout, parse_layout

__all__ = ["PANELS", "PrintedPanel", "PrintedRow", "panel_rows", "read_rows"]


@dataclass(frozen=True, kw_only=True)
class PrintedRow:
    """One printed layout.

    Attributes:
        table: which table and panel it stands in.
        family: ``plain`` or ``resnet32``.
        budget: the size the table states, in kernels.
        layout: the layout as printed.
        energy: the energy as printed, digit by digit; empty where the table gives none.
    """

    table: str
    family: str
    budget: int
    layout: Layout
    energy: str = ""

    @cached_property
    def network(self) -> Family:
        """The family the layout belongs to, as deep as the layout is long."""
        return resnet(depth=32) if self.family == "resnet32" else plain(depth=len(self.layout))


@dataclass(frozen=True, kw_only=True)
class PrintedPanel:
    """The printed heading of a group of rows.

    Attributes:
        table: as in ``PrintedRow``.
        budget: as in ``PrintedRow``.
        title: how a reader finds it.
        layers: convolutions the heading states; None where it states none.
        number: how many layouts the heading, or else the text, states.
        learned: whether the rows are stated to be the best layouts in order (Table 5).
    """

    table: str
    budget: int
    title: str
    layers: int | None
    number: int
    learned: bool = False


PANELS: tuple[PrintedPanel, ...] = (
    PrintedPanel(table="table1-three-conv", budget=4288, title="Table 1, three layers", layers=3, number=24),
    # The heading of the four-layer rows says "Three Convs/32" in print.
    PrintedPanel(table="table1-four-conv", budget=4288, title="Table 1, four layers", layers=3, number=32),
    PrintedPanel(table="table2-three-conv", budget=66304, title="Table 2, three layers", layers=3, number=32),
    PrintedPanel(table="table2-four-conv", budget=66304, title="Table 2, four layers", layers=4, number=32),
    # Table 4 prints no number; the text of section 4.3 says 12.
    PrintedPanel(table="table4", budget=51248, title="Table 4", layers=None, number=12),
    PrintedPanel(table="table5", budget=4288, title="Table 5, 4,288", layers=None, number=6, learned=True),
    PrintedPanel(table="table5", budget=66304, title="Table 5, 66,304", layers=None, number=6, learned=True),
)
"""Every panel, in the paper's order."""


def read_rows() -> tuple[PrintedRow, ...]:
    """Every printed row, in the paper's order.

    >>> rows = read_rows()
    >>> len(rows), rows[0].layout, rows[-1].budget
    (146, (8, 8, 525), 66304)
    """
    text = resources.files("parlay.paper").joinpath("printed.csv").read_text(encoding="utf-8")
    return tuple(
        PrintedRow(
            table=record["table"],
            family=record["family"],
            budget=int(record["budget"]),
            layout=parse_layout(record["layout_as_printed"]),
            energy=record["energy_as_printed"],
        )
        for record in csv.DictReader(text.splitlines())
    )


def panel_rows(panel: PrintedPanel, rows: tuple[PrintedRow, ...]) -> tuple[PrintedRow, ...]:
    """The rows of one panel, in the order given."""
    return tuple(row for row in rows if row.table == panel.table and row.budget == panel.budget)
