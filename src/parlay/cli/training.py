"""``parlay train``: one layout, one run."""

from __future__ import annotations

from typing import Any

import click

from parlay.cli.inputs import (
    load_data,
    network_for,
    precision_for,
    recipe_for,
    resources_options,
    training_options,
)
from parlay.cli.options import family_options, json_option

__all__ = ["train"]


@click.command()
@click.argument("layout")
@training_options(required=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of initial weights, data order, augmentation.")
@resources_options
@family_options
@json_option
def train(layout: str, seed: int, as_json: bool, steps: int | None, val: int, **options: Any) -> None:
    """Train the network of LAYOUT, such as 35-36-37-43, and test it once, at the end.

    With --model, LAYOUT has one width a group of 'parlay trace', or is 'original', the model's own.
    """
    from parlay.cli.plans import checked_seed
    from parlay.cli.progress import ProgressBar
    from parlay.layout import parse_layout
    from parlay.report.runs import run_document, run_text
    from parlay.study import make_plan, select
    from parlay.study.work import check_fits

    seed = checked_seed(seed)
    groups = len(parse_layout(layout)) if layout != "original" else None
    recipe, precision = recipe_for(options), precision_for(options)
    threads, device = options.pop("threads"), options.pop("device")
    data = load_data(options)
    network = network_for(data, options, groups=groups)
    [planned] = make_plan(
        network,
        select([layout], family=network, problem=None),
        data=data.fingerprint,
        recipe=recipe,
        steps=steps,
        seeds=[seed],
        validation=val,
        precision=precision,
    )
    trial = planned.trial
    check_fits(trial, data)
    from parlay.train.device import resolve_device, set_threads
    from parlay.train.loop import train as train_model

    if threads is not None:
        set_threads(threads)
    with ProgressBar() as bar:
        bar.begin(planned, 1, 1)
        history = train_model(
            network.build(trial.layout, seed=seed),
            data.with_validation(val) if val else data,
            recipe,
            seed=seed,
            steps=trial.steps,
            precision=precision,
            device=resolve_device(device),
            progress=lambda step, loss: bar.beat(trial.identity, step, loss, None),
        )
    click.echo(run_document(trial, history, data.name) if as_json else run_text(trial, history, data.name))
