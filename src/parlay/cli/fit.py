"""``parlay fit``: from a device's budget to a verdict and the winner's files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.comparison import ComparisonOptions, carried_out
from parlay.cli.options import json_option, option, record, takes
from parlay.cli.options.model import FenceOptions
from parlay.cli.options.training import DataOptions, RecipeOptions, RunningOptions
from parlay.cli.trials import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from parlay.compare import CompareResult
    from parlay.layout import Layout
    from parlay.study import ModelNetwork

__all__ = ["fit"]

SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class ArmOptions:
    """Which arms are trained, and how often."""

    heading: ClassVar[str] = "What is compared"
    compared: ComparisonOptions = field(metadata=record(ComparisonOptions))
    fences: FenceOptions = field(metadata=record(FenceOptions))
    layouts: tuple[str, ...] = option(
        "--layouts",
        metavar="A,B",
        multiple=True,
        help="Your own layouts as arms besides ('original': today's); several are compared with the first; repeatable.",
    )
    quick: bool = option(
        "--quick", is_flag=True, help="A first answer in some ten minutes: 3 seeds, as many steps as fit."
    )

    def own_layouts(self, network: ModelNetwork) -> tuple[Layout, ...]:
        """The user's own layouts, in the order named.

        Raises:
            InputError: for a text that is no layout of the model.
        """
        from parlay.layout import parse_layout
        from parlay.study import Kind

        names = [name.strip() for text in self.layouts for name in text.split(",")]
        return tuple(network.today if name == Kind.ORIGINAL else parse_layout(name) for name in names)


@command("parlay fit net.py:small --data digits --flash 64KiB --ram 32KiB --study runs/fit")
@click.argument("spec")
@click.option("--study", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the study.")
@takes(source=DataOptions, how=RecipeOptions, arms=ArmOptions, running=RunningOptions)
@json_option
def fit(
    spec: str,
    folder: Path,
    source: DataOptions,
    how: RecipeOptions,
    arms: ArmOptions,
    running: RunningOptions,
    as_json: bool,
) -> int:
    """From a device's limits to the best layout, trained and exported.

    Or to the verdict that no layout is better than the model SPEC as it is.

    Trains the model as it is, the layouts of highest energy and of the recommended score, uniform scaling and a random
    layout, all under the device's limits, all the same way, as one study that goes on where it stopped; and your own
    --layouts. Ends with one verdict, and the winner's files in DIR/winner. SPEC is as in 'parlay trace', limits and
    their defaults as in 'parlay retrofit'.
    """
    from parlay.documents import document
    from parlay.fit import QUICK_SEEDS, FitQuestion
    from parlay.fit import fit as fit_model

    asked = arms.compared.asked(
        spec, source, how, how.make(source.data), usual_seeds=QUICK_SEEDS if arms.quick else SEEDS
    )
    question = FitQuestion(
        **asked,
        fences=vars(arms.fences),
        layouts=arms.own_layouts(asked["network"]),
        is_quick=arms.quick,
    )
    work = partial(fit_model, folder, question, source=source.source(question.data))
    result = carried_out(folder, running, work)
    if result is None:
        return INTERRUPTED
    if as_json:
        click.echo(document({"study": str(folder), **result.to_json()}))
    else:
        _print(result, folder)
    return 0


def _print(result: CompareResult, folder: Path) -> None:
    """The verdict, the arms, the files; what the numbers mean stands in the card."""
    from parlay.cli.study.compare import differences_table
    from parlay.cli.terminal import plain_console
    from parlay.compare.card import CARD
    from parlay.report.page.fits import device_lines

    content = result.to_json()
    console = plain_console()
    console.print(f"verdict: {result.sentence}", soft_wrap=True)
    between = [] if result.given is None else [differences_table(result.given)]
    for table in (*arm_tables(content["arms"]), *between):
        console.print(table)
    lines = (
        f"winner: {result.verdict.winner}; {', '.join(str(path) for path in result.files)}",
        *device_lines(content),
        f"{folder / 'winner' / CARD} says what the numbers mean; parlay report {shlex.quote(str(folder))} makes a page",
    )
    for line in lines:
        console.print(line, soft_wrap=True)


def arm_tables(arms: Sequence[Mapping[str, Any]]) -> list[Table]:
    """Two tables that fit 80 columns, from the arms' JSON values: what each costs, and how good it is."""
    from rich.table import Table

    from parlay.report.page.fits import HEADS, TERMINAL, arm_cells

    rows = [dict[str, str](zip(HEADS, arm_cells(arm), strict=True)) for arm in arms]
    tables: list[Table] = []
    for heads in TERMINAL:
        table = Table(box=None, pad_edge=False)
        for head in heads:
            is_name = head == HEADS[0]  # only names are folded
            table.add_column(head, justify="left" if is_name else "right", overflow="fold", no_wrap=not is_name)
        for row in rows:
            table.add_row(*(row[head] for head in heads))
        tables.append(table)
    return tables
