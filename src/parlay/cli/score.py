"""``parlay score``: what the scores say of one layout."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, option, record, takes
from parlay.cli.options.kinds import OpenChoice
from parlay.cli.options.model import factory_option, pin_option, traced
from parlay.cli.options.problem import FamilyOptions
from parlay.documents import document, finite
from parlay.errors import InputError
from parlay.evidence.scores import predictors
from parlay.layout import format_layout, parse_layout

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.layout import Layout
    from parlay.network import Network

__all__ = ["score"]


@dataclass(frozen=True, kw_only=True)
class ScoredOptions:
    """A network of a family, or a model, which needs --input."""

    heading: ClassVar[str] = "Model"
    family: FamilyOptions = field(metadata=record(FamilyOptions))
    model: str | None = option(
        "--model",
        metavar="SPEC",
        help="A model instead of a family, such as torchvision/resnet18; LAYOUT may be today.",
    )
    inputs: tuple[str, ...] = option(
        "--input", metavar="SHAPE", multiple=True, help="Shape of one image for --model, such as 3x224x224."
    )
    model_arg: tuple[str, ...] = factory_option()
    pin: tuple[str, ...] = pin_option()

    def make(self, layout: str, images: Dataset | None) -> tuple[str, Network, Layout]:
        """The network that is scored, in words and as one, and its layout."""
        if self.model is not None:
            if not self.inputs:
                raise click.UsageError("Missing option '--input': the shape of one image, such as --input 3x224x224.")
            graph = traced(self.model, self.inputs, self.model_arg, self.pin, quiet=True)
            return self.model, graph, graph.layout if layout == "today" else graph.check(parse_layout(layout))
        if layout == "today":
            raise InputError(
                "layout", given=repr(layout), allowed="widths such as 35-36-37-43", remedy="it needs --model"
            )
        widths = parse_layout(layout)
        options = self.family
        if images is not None:
            from parlay.cli.options.training import facts_of

            options = replace(options, **facts_of(images))
        family = options.make(groups=len(widths))
        return family.title, family, family.check(widths)


@command("parlay score 35-36-37-43 --score path-energy")
@click.argument("layout")
@click.option(
    "--score",
    "names",
    multiple=True,
    type=OpenChoice(predictors()),
    metavar="SCORE",
    help="Score to compute (see 'parlay scores'); repeatable; default: all that can be.",
)
@takes(scored=ScoredOptions)
@click.option(
    "--data",
    type=OpenChoice(("digits", "cifar10", "cifar100"), "FILE.npz"),
    help="Images to look at; default: noise.",
)
@click.option("--data-dir", metavar="PATH", default="data", show_default=True, help="Where downloads are kept.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images to look at.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the weights and the batch.")
@json_option
def score(
    layout: str,
    names: tuple[str, ...],
    scored: ScoredOptions,
    data: str | None,
    data_dir: str,
    batch_size: int,
    seed: int,
    as_json: bool,
) -> None:
    """Scores of one LAYOUT, with the seconds that each takes.

    LAYOUT is such as 35-36-37-43. grad-norm, synflow and naswot build the network at one initialisation and run it on
    a batch; the others are arithmetic. Higher predicts better; only scores of layouts of one network and one size can
    be compared.
    """
    from parlay.evidence.scores import applicable, effectiveness, get_predictor
    from parlay.evidence.scores import score as score_of

    for name in names:
        get_predictor(name)
    images = _data(data, data_dir)
    title, network, widths = scored.make(layout, images)
    wanted = names or applicable(network)
    if any("network" in get_predictor(name).needs for name in wanted):
        from parlay.evidence.networks import warm_up

        warm_up()
    found: dict[str, dict[str, float | None]] = {}
    left_out: dict[str, str] = {}
    for name in wanted:
        start = time.perf_counter()
        try:
            value = score_of(name, network, widths, data=images, batch_size=batch_size, seed=seed)
        except InputError as error:
            if names:
                raise
            left_out[name] = str(error)
            continue
        found[name] = {"value": finite(value), "seconds": time.perf_counter() - start}
    facts = {
        "layout": list(widths),
        "network": title,
        "params": network.params(widths),
        "macs": network.macs(widths),
        "peak_memory": network.peak_activation_bytes()(widths),
        "batch": {"source": "noise" if images is None else images.name, "size": batch_size},
        "seed": seed,
        "scores": found,
        "effectiveness": effectiveness(network, widths) if network.convolution_shapes else None,
        "left_out": left_out,
        "unchecked": list(network.unchecked),
    }
    if as_json:
        click.echo(document(facts))
    else:
        _print_scores(facts)


def _data(spec: str | None, data_dir: str) -> Dataset | None:
    if spec is None:
        return None
    from parlay.data import load

    return load(spec, data_dir=data_dir)


def _print_scores(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from parlay.cli.terminal import plain_console

    console = plain_console()
    console.print(f"{facts['network']}, layout {format_layout(facts['layout'])}", soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("score", style="bold", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for name, fact in facts["scores"].items():
        value = "-inf" if fact["value"] is None else f"{fact['value']:,.6g}"
        table.add_row(name, value, f"{fact['seconds']:.2g}")
    console.print(table)
    if facts["effectiveness"] is not None:
        rho = f"{facts['effectiveness']:.4g}"
        console.print(f"effectiveness {rho} (depth over mean fan-in; DeepMAD keeps it below 0.3 to 0.5)")
    batch = facts["batch"]
    console.print(f"networks at seed {facts['seed']}, on {batch['size']} images of {batch['source']}")
    for name, reason in facts["left_out"].items():
        console.print(f"without {name}: {reason}", soft_wrap=True)
    for note in facts["unchecked"]:
        click.echo(f"note: {note}")
