"""``parlay scores`` and ``score``: what ranks layouts without training, and what it says of one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.options import family_from, family_options, json_option, model_arg_option
from parlay.documents import document, finite
from parlay.errors import InputError
from parlay.layout import format_layout, parse_layout

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.layout import Layout
    from parlay.network import Network

__all__ = ["score", "scores"]


@click.command()
@json_option
def scores(as_json: bool) -> None:
    """The scores: what each is and needs, which 'solve' can maximise, and which one is recommended."""
    from parlay.evidence.scores import predictors

    facts = [
        {
            "name": one.name,
            "needs": list(one.needs),
            "source": one.source,
            "summary": one.summary,
            "objective": one.objective,
            "recommended": one.recommended,
        }
        for one in predictors().values()
    ]
    if as_json:
        click.echo(document({"scores": facts}))
        return
    for fact in facts:
        marks = ", ".join(word for word in ("recommended", "objective") if fact[word])
        click.echo(f"{fact['name']:14} {fact['summary']}" + (f" ({marks})" if marks else ""))
        click.echo(f"{'':14} needs {', '.join(fact['needs'])}; {fact['source']}")
    click.echo("objective: 'parlay solve --score' maximises it; the others only rank. Higher predicts better.")


@click.command()
@click.argument("layout")
@click.option("--score", "names", multiple=True, help="Score to compute; may be repeated; default: all that can be.")
@family_options
@click.option("--model", "spec", help="A model instead of a family, such as torchvision/resnet18; LAYOUT may be today.")
@click.option("--input", "inputs", multiple=True, help="Shape of one image for --model, such as 3x224x224.")
@model_arg_option
@click.option("--pin", multiple=True, help="Keep the widths of the modules that match, such as 'classifier.*'.")
@click.option("--data", help="digits, cifar10, cifar100 or an .npz file to look at; default: noise.")
@click.option("--data-dir", default="data", show_default=True, help="Where downloads are kept.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Images to look at.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the weights and the batch.")
@json_option
def score(
    layout: str,
    names: tuple[str, ...],
    data: str | None,
    data_dir: str,
    batch_size: int,
    seed: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Scores of one LAYOUT, such as 35-36-37-43, with the seconds that each takes.

    grad-norm, synflow and naswot build the network at one initialisation and run it on a batch; the others are
    arithmetic. Higher predicts better; only scores of layouts of one network and one size can be compared.
    """
    from parlay.evidence.scores import applicable, effectiveness, get_predictor
    from parlay.evidence.scores import score as score_of

    for name in names:
        get_predictor(name)
    images = _data(data, data_dir)
    title, network, widths = _network(layout, options, images)
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


def _network(layout: str, options: dict[str, Any], images: Dataset | None) -> tuple[str, Network, Layout]:
    """The network that is scored, in words and as one, and its layout."""
    if options["spec"] is not None:
        from parlay.cli.graphs import graph_from

        spec = options["spec"]
        if not options["inputs"]:
            raise click.UsageError("Missing option '--input': the shape of one image, such as --input 3x224x224.")
        graph = graph_from(options, quiet=True)
        return spec, graph, graph.layout if layout == "today" else graph.check(parse_layout(layout))
    if layout == "today":
        raise InputError("layout", given=repr(layout), allowed="widths such as 35-36-37-43", remedy="it needs --model")
    widths = parse_layout(layout)
    if images is not None:
        from parlay.cli.inputs import facts_of

        options |= facts_of(images)
    family = family_from(options, groups=len(widths))
    return family.title, family, family.check(widths)


def _print_scores(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"{facts['network']}, layout {format_layout(facts['layout'])}", soft_wrap=True, highlight=False)
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
    console.print(f"networks at seed {facts['seed']}, on {batch['size']} images of {batch['source']}", highlight=False)
    for name, reason in facts["left_out"].items():
        console.print(f"without {name}: {reason}", soft_wrap=True, highlight=False)
    for note in facts["unchecked"]:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
