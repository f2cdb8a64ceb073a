"""``parlay fit``: from a device's budget to a verdict and the winner's files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.inputs import (
    load_data,
    precision_for,
    recipe_for,
    resources_options,
    source_of,
    training_options,
)
from parlay.cli.options import json_option, model_arg_option
from parlay.cli.plans import checked_seed, seeds_from
from parlay.cli.progress import ProgressBar
from parlay.cli.reports import INTERRUPTED
from parlay.cli.retrofits import FENCE_KEYS, LIMIT_KEYS, limits_options

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.fit import FitResult, Told

__all__ = ["fit"]

MOST_VALIDATION = 5000


@click.command()
@click.argument("spec")
@training_options(required=True, network=False)
@model_arg_option
@click.option("--val", type=int, help="Training images set aside to choose by; default a tenth, at most 5,000.")
@limits_options
@click.option("--study", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the study.")
@click.option("--n-seeds", "--seeds", "seeds", type=int, help="Trainings of each arm, seeds 0, 1, ...; [5].")
@click.option("--seed", "given", type=int, multiple=True, help="A seed of its own choice; repeatable.")
@click.option("--random-seed", type=int, default=0, show_default=True, help="Draws the random arm.")
@click.option("--quick", is_flag=True, help="A first answer in some ten minutes: 3 seeds, as many steps as fit.")
@click.option("--time-limit", type=float, help="Seconds for each search; default: until the gap is small, at most 60.")
@click.option("--workers", type=int, help="Trainings at a time, each in a process of its own; they share the cores.")
@click.option("--ray", help="auto or ADDRESS: train on a Ray cluster (extra 'ray').")
@click.option("--ray-cpus", type=float, default=1, show_default=True, help="Cores that one training reserves there.")
@click.option("--ray-gpus", type=float, default=0, show_default=True, help="GPUs that one training reserves.")
@click.option("--retries", type=int, default=0, show_default=True, help="Further tries of a training that fails.")
@click.option(
    "--checkpoint-seconds", type=float, default=60, show_default=True, help="Between checkpoints; a kill costs no more."
)
@resources_options
@json_option
@click.pass_context
def fit(context: click.Context, spec: str, folder: Path, as_json: bool, **options: Any) -> None:
    """The best layout of the model SPEC for a device, or none better: trained, quantised, compared, exported.

    Trains the model as it is, the layouts of highest energy and of the recommended score, uniform scaling and a random
    layout, all under the device's limits, all the same way, as one study that goes on where it stopped. Ends with one
    verdict, and the winner's files in DIR/winner. SPEC is as in 'parlay trace'.
    """
    from parlay.documents import document
    from parlay.fit import QUICK_SEEDS, Asked
    from parlay.fit import fit as fit_model
    from parlay.graph.specs import parse_kwargs
    from parlay.retrofit import Limits
    from parlay.study import DataSource, ModelNetwork, Settings, make_executor

    limits = Limits(**{key: options.pop(key) for key in LIMIT_KEYS})
    _check_units(limits)
    fences = {key: options.pop(key) for key in FENCE_KEYS if key in options}
    count, given, quick = options.pop("seeds"), options.pop("given"), options.pop("quick")
    if count is None and not given:
        count = QUICK_SEEDS if quick else 5
    recipe = recipe_for(options)
    settings = Settings(
        device=options["device"],
        retries=options.pop("retries"),
        checkpoint_seconds=options.pop("checkpoint_seconds"),
    )
    data = load_data(options)
    name, downloads = source_of(options)
    network = ModelNetwork.traced(
        spec,
        in_channels=data.in_channels,
        image=data.image,
        classes=data.classes,
        kwargs=parse_kwargs(options.pop("model_arg")),
    )
    asked = Asked(
        network=network,
        data=data,
        limits=limits,
        recipe=recipe,
        seeds=seeds_from(count, given),
        validation=_validation(options.pop("val"), data),
        fences=fences,
        steps=options.pop("steps"),
        precision=None if options["precision"] == "auto" else options["precision"],
        is_quick=quick,
        random_seed=checked_seed(options.pop("random_seed")),
        time_limit=options.pop("time_limit"),
    )
    executor = make_executor(
        workers=options.pop("workers"),
        ray=options.pop("ray"),
        ray_cpus=options.pop("ray_cpus"),
        ray_gpus=options.pop("ray_gpus"),
        threads=options.pop("threads"),
    )
    try:
        with ProgressBar() as bar:
            try:
                result = fit_model(
                    folder,
                    asked,
                    source=DataSource(name=data.name, spec=name, folder=downloads),
                    executor=executor,
                    settings=settings,
                    watcher=bar,
                    told=_teller(bar),
                    precision=lambda: precision_for(options, folder=folder),
                )
            except KeyboardInterrupt:
                bar.say(f"stopped: what ended is kept in {folder}; run the same command again to go on")
                context.exit(INTERRUPTED)
    finally:
        executor.shutdown(cancel_futures=True)
    if as_json:
        click.echo(document({"study": str(folder), **result.content()}))
    else:
        _print(result, folder)


def _check_units(limits: Any) -> None:
    """Meet misspelt amounts before data are read and models traced."""
    from parlay.retrofit import parse_bytes

    for name in ("flash", "ram"):
        text = getattr(limits, name)
        if text is not None:
            parse_bytes(text, name)


def _validation(given: int | None, data: Dataset) -> int:
    return min(MOST_VALIDATION, len(data.train_labels) // 10) if given is None else given


def _teller(bar: ProgressBar) -> Told:
    from parlay.fit import FitPlan, Told
    from parlay.layout import format_layout

    class Teller(Told):
        """Stages and arms as lines on stderr."""

        def stage(self, text: str) -> None:
            bar.say(f"{text} ...")

        def planned(self, plan: FitPlan) -> None:
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


def _print(result: FitResult, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from parlay.report.page.fits import HEADS, about, arm_cells, device_lines

    content = result.content()
    console = Console()
    console = Console(width=max(console.width, 175))
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(HEADS):
        table.add_column(head, justify="right" if place else "left", overflow="fold")
    for arm in content["arms"]:
        table.add_row(*arm_cells(arm))
    console.print(table)
    lines = (
        about(content),
        f"verdict: {result.sentence}",
        f"winner: {result.verdict.winner}; {', '.join(str(path) for path in result.files)}",
        *device_lines(content),
        f"parlay report {folder} makes the page",
    )
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)
