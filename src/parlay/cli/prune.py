"""``parlay prune``: a trained network under a device's limits, trained on, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.comparison import ComparisonOptions, carried_out
from parlay.cli.options import json_option, option, record, takes
from parlay.cli.options.kinds import Choice
from parlay.cli.options.model import ShrinkOptions
from parlay.cli.options.training import DataOptions, RecipeOptions, RunningOptions
from parlay.cli.trials import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from parlay.compare import CompareResult

__all__ = ["prune"]

SEEDS = 3
KINDS = ("taylor", "fisher", "l2", "bn-scale")


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """What is kept, and what it is compared with."""

    heading: ClassVar[str] = "What is kept"
    weights: str | None = option(
        "--weights", metavar="FILE", help="Weights to load into the model: a safetensors file."
    )
    importance: str = option(
        "--importance", type=Choice(KINDS), default="fisher", show_default=True, help="How channels are measured."
    )
    distill: bool = option("--distill", is_flag=True, help="Train on with the unpruned network as teacher.")
    fences: ShrinkOptions = field(metadata=record(ShrinkOptions))
    compared: ComparisonOptions = field(metadata=record(ComparisonOptions))


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
    """A trained network cut to a device's limits, and trained on.

    Measures how important every channel is, finds the widths that keep most of it under all limits, with a proof,
    slices the network and trains it on, beside uniform scaling, random channels and a network trained from scratch.
    Ends with one verdict, which may be 'no better than uniform', and the winner's files in DIR/winner. SPEC is as in
    'parlay trace'; its factory returns the trained model.
    """
    from parlay.documents import document
    from parlay.prune import PruneQuestion, prune_and_train

    recipe = how.make(source.data, usual=("prune", "prune-digits"))
    question = PruneQuestion(
        **asked.compared.asked(spec, source, how, recipe, usual_seeds=SEEDS),
        weights=None if asked.weights is None else Path(asked.weights),
        importance=asked.importance,
        distill=asked.distill,
        fences=vars(asked.fences),
    )
    work = partial(prune_and_train, folder, question, source=source.source(question.data))
    result = carried_out(folder, running, work)
    if result is None:
        return INTERRUPTED
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
