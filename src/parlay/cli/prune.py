"""``parlay prune``: a trained network under a device's limits, trained on, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.fit import MOST_VALIDATION, teller
from parlay.cli.options import json_option, option, record, takes
from parlay.cli.options.kinds import Choice
from parlay.cli.options.model import DeviceOptions, factory_option, pin_option
from parlay.cli.options.training import DataOptions, RecipeOptions, RunningOptions, checked_seed, seeds_from
from parlay.cli.trials import INTERRUPTED, ProgressBar
from parlay.layout import Order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parlay.compare import CompareResult

__all__ = ["prune"]

SEEDS = 3
KINDS = ("taylor", "fisher", "l2", "bn-scale")


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """What is kept, and what it is compared with."""

    heading: ClassVar[str] = "What is kept and compared"
    model_arg: tuple[str, ...] = factory_option()
    weights: str | None = option(
        "--weights", metavar="FILE", help="Weights to load into the model: a safetensors file."
    )
    importance: str = option(
        "--importance", type=Choice(KINDS), default="fisher", show_default=True, help="How channels are measured."
    )
    distill: bool = option("--distill", is_flag=True, help="Train on with the unpruned network as teacher.")
    device: DeviceOptions = field(metadata=record(DeviceOptions))
    multiple_of: int = option(
        "--multiple-of", type=int, default=1, show_default=True, help="Every free width is a multiple of this."
    )
    min_ratio: str = option(
        "--min-ratio", metavar="RATIO", default="0.1", show_default=True, help="Smallest ratio of a width to today's."
    )
    max_step: str | None = option(
        "--max-step", metavar="RATIO", help="Largest ratio between groups that follow each other, such as 2."
    )
    order: str = option("--order", type=Choice(Order), default="free", show_default=True, help="How they compare.")
    pin: tuple[str, ...] = pin_option()
    val: int | None = option(
        "--val", type=int, help="Training images set aside to choose by; default a tenth, at most 5,000."
    )
    seeds: int | None = option("--n-seeds", type=int, help="Trainings of each arm, seeds 0, 1, ...; [3].")
    given: tuple[int, ...] = option("--seed", type=int, multiple=True, help="A seed of its own choice; repeatable.")
    random_seed: int = option("--random-seed", type=int, default=0, show_default=True, help="Draws random channels.")
    time_limit: float | None = option(
        "--time-limit", type=float, help="Seconds for the search; default: until the gap is small, at most 60."
    )

    def fences(self) -> dict[str, Any]:
        """Fences of the widths."""
        names = ("multiple_of", "min_ratio", "max_step", "order", "pin")
        return {name: getattr(self, name) for name in names}


@command("parlay prune net.py:trained --data digits --max-params 0.5x --study runs/prune")
@click.argument("spec")
@click.option("--study", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the study.")
@takes(source=DataOptions, how=RecipeOptions, asked=PruneOptions, running=RunningOptions)
@json_option
def prune(
    spec: str,
    folder: Path,
    source: DataOptions,
    how: RecipeOptions,
    asked: PruneOptions,
    running: RunningOptions,
    as_json: bool,
) -> int:
    """From a trained network to one that keeps a device's limits, with its weights, trained on and exported.

    Measures how important every channel is, finds the widths that keep most of it under all limits, with a proof,
    slices the network and trains it on, beside uniform scaling, random channels and a network trained from scratch.
    Ends with one verdict, which may be 'no better than uniform', and the winner's files in DIR/winner. SPEC is as in
    'parlay trace'; its factory returns the trained model.
    """
    from parlay.documents import document
    from parlay.graph.specs import parse_kwargs
    from parlay.prune import PruneQuestion, prune_and_train
    from parlay.study import ModelNetwork

    limits, settings = asked.device.make(), running.settings()
    seeds = seeds_from(SEEDS if asked.seeds is None and not asked.given else asked.seeds, asked.given)
    recipe = how.make(source.data, usual=("prune", "prune-digits"))
    data = source.load()
    network = ModelNetwork.traced(
        spec,
        in_channels=data.in_channels,
        image=data.image,
        classes=data.classes,
        kwargs=parse_kwargs(asked.model_arg),
    )
    question = PruneQuestion(
        network=network,
        data=data,
        limits=limits,
        recipe=recipe,
        seeds=seeds,
        validation=min(MOST_VALIDATION, len(data.train_labels) // 10) if asked.val is None else asked.val,
        weights=None if asked.weights is None else Path(asked.weights),
        importance=asked.importance,
        distill=asked.distill,
        fences=asked.fences(),
        steps=how.steps,
        precision=None if how.precision == "auto" else how.precision,
        random_seed=checked_seed(asked.random_seed),
        time_limit=asked.time_limit,
    )
    executor = running.executor()
    try:
        with ProgressBar() as bar:
            try:
                result = prune_and_train(
                    folder,
                    question,
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
        _print(result.to_json(), result)
    return 0


def _print(content: Mapping[str, Any], result: CompareResult) -> None:
    """The verdict, what each arm cost, and the files."""
    from parlay.cli.terminal import table_of, wide_console
    from parlay.layout import format_layout

    console = wide_console(100)
    console.print(f"verdict: {result.sentence}", soft_wrap=True)
    before = content["before"]
    kind = "int8" if before["int8_accuracy"] is not None else "float"
    key = "int8_accuracy" if kind == "int8" else "accuracy"
    console.print(
        f"unpruned, {format_layout(content['original'])}: {before['accuracy']:.2%} in floats"
        + (f", {before[key]:.2%} in int8" if kind == "int8" else "")
        + f"; widths proven {content['status']}",
        soft_wrap=True,
    )
    costs = table_of("arm", "widths", "params", "MACs", "RAM", "flash")
    accuracies = table_of("arm", f"{kind} right after", "float", kind, "to uniform")
    for arm in content["arms"]:
        after = content["right_after"].get(arm["name"])
        amounts = [f"{arm[name]:,}" for name in ("params", "macs", "peak_activation_bytes", "flash_bytes")]
        costs.add_row(arm["name"], format_layout(arm["layout"]), *amounts)
        accuracies.add_row(
            arm["name"],
            "-" if after is None else f"{100 * after[key]:.2f}",
            _spread(arm["accuracy"]),
            _spread(arm[key]),
            _interval(arm["difference_to_reference"]),
        )
    for table in (costs, accuracies):
        console.print(table)
    console.print(f"winner: {content['winner']}; {', '.join(str(path) for path in result.files)}", soft_wrap=True)


def _spread(values: Mapping[str, Any]) -> str:
    return f"{100 * values['mean']:.2f}" + ("" if values["sd"] is None else f" ± {100 * values['sd']:.2f}")


def _interval(found: Mapping[str, Any] | None) -> str:
    """A difference in points, with its interval where there is one."""
    if found is None:
        return "-"
    ends = "" if found["low"] is None else f" [{100 * found['low']:+.2f}, {100 * found['high']:+.2f}]"
    return f"{100 * found['mean']:+.2f}{ends}"
