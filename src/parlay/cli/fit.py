"""``parlay fit``: from a device's budget to a verdict and the winner's files."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, option, record, takes
from parlay.cli.options.model import DeviceOptions, FenceOptions, factory_option
from parlay.cli.options.training import DataOptions, RecipeOptions, RunningOptions, checked_seed, seeds_from
from parlay.cli.trials import INTERRUPTED, ProgressBar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from parlay.compare import CompareResult, Told
    from parlay.data import Dataset
    from parlay.layout import Layout
    from parlay.study import ModelNetwork

__all__ = ["fit", "teller"]

MOST_VALIDATION = 5000
SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class ArmOptions:
    """Which arms are trained, and how often."""

    heading: ClassVar[str] = "What is compared"
    model_arg: tuple[str, ...] = factory_option()
    device: DeviceOptions = field(metadata=record(DeviceOptions))
    fences: FenceOptions = field(metadata=record(FenceOptions))
    layouts: tuple[str, ...] = option(
        "--layouts",
        metavar="A,B",
        multiple=True,
        help="Your own layouts as arms besides ('original': today's); several are compared with the first; repeatable.",
    )
    val: int | None = option(
        "--val", type=int, help="Training images set aside to choose by; default a tenth, at most 5,000."
    )
    seeds: int | None = option("--n-seeds", "--seeds", type=int, help="Trainings of each arm, seeds 0, 1, ...; [5].")
    given: tuple[int, ...] = option("--seed", type=int, multiple=True, help="A seed of its own choice; repeatable.")
    random_seed: int = option("--random-seed", type=int, default=0, show_default=True, help="Draws the random arm.")
    quick: bool = option(
        "--quick", is_flag=True, help="A first answer in some ten minutes: 3 seeds, as many steps as fit."
    )
    time_limit: float | None = option(
        "--time-limit", type=float, help="Seconds for each search; default: until the gap is small, at most 60."
    )

    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        from parlay.fit import QUICK_SEEDS

        usual = None if self.given else QUICK_SEEDS if self.quick else SEEDS
        return seeds_from(usual if self.seeds is None else self.seeds, self.given)

    def own_layouts(self, network: ModelNetwork) -> tuple[Layout, ...]:
        """The user's own layouts, in the order named.

        Raises:
            InputError: for a text that is no layout of the model.
        """
        from parlay.layout import parse_layout
        from parlay.study import Kind

        names = [name.strip() for text in self.layouts for name in text.split(",")]
        return tuple(network.today if name == Kind.ORIGINAL else parse_layout(name) for name in names)

    def validation(self, data: Dataset) -> int:
        """Images set aside."""
        return min(MOST_VALIDATION, len(data.train_labels) // 10) if self.val is None else self.val


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
    from parlay.fit import FitQuestion
    from parlay.fit import fit as fit_model
    from parlay.graph.specs import parse_kwargs
    from parlay.study import ModelNetwork

    limits, seeds, recipe, settings = arms.device.make(), arms.numbers(), how.make(source.data), running.settings()
    data = source.load()
    network = ModelNetwork.traced(
        spec,
        in_channels=data.in_channels,
        image=data.image,
        classes=data.classes,
        kwargs=parse_kwargs(arms.model_arg),
    )
    asked = FitQuestion(
        network=network,
        data=data,
        limits=limits,
        recipe=recipe,
        seeds=seeds,
        validation=arms.validation(data),
        fences=vars(arms.fences),
        layouts=arms.own_layouts(network),
        steps=how.steps,
        precision=None if how.precision == "auto" else how.precision,
        is_quick=arms.quick,
        random_seed=checked_seed(arms.random_seed),
        time_limit=arms.time_limit,
    )
    executor = running.executor()
    try:
        with ProgressBar() as bar:
            try:
                result = fit_model(
                    folder,
                    asked,
                    source=source.source(data),
                    executor=executor,
                    settings=settings,
                    watcher=bar,
                    told=teller(bar),
                )
            except KeyboardInterrupt:
                bar.say(f"stopped: what ended is kept in {folder}; run the same command again to go on")
                return INTERRUPTED
    finally:
        executor.shutdown(cancel_futures=True)
    if as_json:
        click.echo(document({"study": str(folder), **result.to_json()}))
    else:
        _print(result, folder)
    return 0


def teller(bar: ProgressBar) -> Told:
    """What tells of a comparison on stderr."""
    from parlay.compare import ArmPlan, Told
    from parlay.layout import format_layout

    class Teller(Told):
        """Stages and arms as lines on stderr."""

        def stage(self, text: str) -> None:
            bar.say(f"{text} ...")

        def planned(self, plan: ArmPlan) -> None:
            bar.say(f"arms ({'; '.join(plan.constraints)}):")
            for arm in plan.arms:
                how = "; ".join(f"{name}: {text}" for name, text in arm.how.items())
                bar.say(f"  {format_layout(arm.layout)}{'' if arm.fits else ' (does not fit)'}  {how}")
            bar.say(f"{len(plan.arms)} arms x {len(plan.seeds)} seeds, {plan.steps:,} steps each, {plan.precision}")

        def noticed(self, text: str) -> None:
            bar.say(f"note: {text}")

        def measuring(self, done: int, total: int) -> None:
            if sys.stderr.isatty() and done < total:
                bar.say(f"  {done + 1} of {total}")

    return Teller()


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
