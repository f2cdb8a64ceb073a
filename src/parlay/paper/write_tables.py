"""Tables 1 to 5 as Markdown and CSV: the layouts they mean, energies and multiply-adds recomputed, our accuracies."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parlay.documents import write_atomically
from parlay.families import Family, plain, resnet
from parlay.layout import Layout, format_layout
from parlay.paper.experiments import corrected, learned
from parlay.paper.points import PanelPoints

__all__ = ["PaperTable", "paper_tables", "write_tables"]

RESULTS = ("layout", "energy", "macs", "cifar10", "cifar10 runs", "cifar100", "cifar100 runs")


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table.

    Attributes:
        name: of its files.
        title: what it is.
        notes: what to know, below the title.
        header: names of the columns.
        rows: cells as text; an accuracy that there is not is empty.
    """

    name: str
    title: str
    notes: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table for people."""
        lines = [f"# {self.title}", "", *self.notes, *([""] if self.notes else [])]
        lines += [f"| {' | '.join(self.header)} |", f"|{'---|' * len(self.header)}"]
        lines += [f"| {' | '.join(cell or '-' for cell in row)} |" for row in self.rows]
        return "\n".join([*lines, ""])

    def csv(self) -> str:
        """The table for programs."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows((self.header, *self.rows))
        return stream.getvalue()


def paper_tables(panels: Mapping[str, PanelPoints]) -> tuple[PaperTable, ...]:
    """The five tables.

    Args:
        panels: the points of each panel (``parlay.paper.judge_claims.gather``).
    """
    found: list[PaperTable] = []
    for number, budget, names in ((1, 4288, ("3a", "3b", "3c", "3d")), (2, 66_304, ("4a", "4b", "4c", "4d"))):
        rows: list[tuple[str, ...]] = []
        for depth, word, ten, hundred in ((3, "three", names[0], names[2]), (4, "four", names[1], names[3])):
            layouts = corrected(f"table{number}-{word}-conv", budget)
            rows += [(f"{word} convolutions", *row) for row in _rows(plain(depth), layouts, panels, ten, hundred)]
        title = f"Table {number}: plain networks of {budget:,} kernels"
        found.append(_result_table(number, title, rows, _protocols(panels, names), first="type"))
    units = [("Conv1", "3×3, n₁", "1"), *((f"Conv{u}", f"3×3, n{'₁₂₃₄'[u - 1]}", "10") for u in (2, 3, 4))]
    found.append(
        PaperTable(
            name="table3",
            title="Table 3: the residual networks",
            notes=("31 convolutions; shortcuts have no parameters. A layout is (n₁, n₂, n₃, n₄).",),
            header=("unit", "convolutions", "number"),
            rows=tuple(units),
        )
    )
    rows = list(_rows(resnet(32), corrected("table4", 51_248), panels, "5a", "5b"))
    found.append(_result_table(4, "Table 4: ResNet-32 of 51,248 kernels", rows, _protocols(panels, ("5a", "5b"))))
    rows = []
    for budget, ten, hundred in ((4288, "3b", "3d"), (66_304, "4b", "4d")):
        rows += [(f"{budget:,}", *row) for row in _rows(plain(4), learned(4, budget), panels, ten, hundred)]
    protocols = _protocols(panels, ("3b", "3d", "4b", "4d"))
    found.append(_result_table(5, "Table 5: the six learned layouts of four layers", rows, protocols, first="kernels"))
    return tuple(found)


def write_tables(panels: Mapping[str, PanelPoints], folder: Path) -> list[Path]:
    """Write every table as Markdown and CSV.

    Args:
        panels: the points of each panel.
        folder: made where it is not there.

    Returns:
        The files written.

    Raises:
        InputError: when one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for table in paper_tables(panels):
        for path, text in (
            (folder / f"{table.name}.md", table.markdown()),
            (folder / f"{table.name}.csv", table.csv()),
        ):
            write_atomically(path, text)
            written.append(path)
    return written


def _result_table(
    number: int, title: str, rows: Sequence[tuple[str, ...]], notes: tuple[str, ...], *, first: str | None = None
) -> PaperTable:
    header = RESULTS if first is None else (first, *RESULTS)
    about = "Misprints corrected (`parlay paper check` lists them). Accuracies: our own, mean over runs, in per cent."
    return PaperTable(name=f"table{number}", title=title, notes=(about, *notes), header=header, rows=tuple(rows))


def _rows(
    family: Family, layouts: Sequence[Layout], panels: Mapping[str, PanelPoints], ten: str, hundred: str
) -> list[tuple[str, ...]]:
    import math

    return [
        (
            format_layout(layout),
            f"{math.exp(family.energy(layout)):.4f}",
            str(family.macs(layout)),
            *_accuracy(panels[ten], layout),
            *_accuracy(panels[hundred], layout),
        )
        for layout in layouts
    ]


def _accuracy(panel: PanelPoints, layout: Layout) -> tuple[str, str]:
    point = panel.by_layout.get(layout)
    return ("", "") if point is None else (f"{point.accuracy:.2f}", str(len(point.accuracies)))


def _protocols(panels: Mapping[str, PanelPoints], names: Sequence[str]) -> tuple[str, ...]:
    """How the networks of these panels were trained."""
    found = [f"panel {name}: {panels[name].protocol}" for name in names if panels[name].protocol]
    return (f"Trained: {'; '.join(found)}.",) if found else ("No runs yet.",)
