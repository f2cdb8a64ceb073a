"""``parlay train``: one layout, one run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.training import (
    DataOptions,
    MachineOptions,
    NetworkOptions,
    RecipeOptions,
    checked_seed,
)

if TYPE_CHECKING:
    from parlay.study import Trial
    from parlay.train.loop import History
    from parlay.train.timing import Pace

__all__ = ["train"]


@command("parlay train 8-12-16 --data digits --steps 60")
@click.argument("layout")
@takes(source=DataOptions, options=NetworkOptions, how=RecipeOptions)
@click.option("--seed", type=int, default=0, show_default=True, help="Of initial weights, data order, augmentation.")
@takes(machine=MachineOptions)
@json_option
def train(
    layout: str,
    source: DataOptions,
    options: NetworkOptions,
    how: RecipeOptions,
    seed: int,
    machine: MachineOptions,
    as_json: bool,
) -> None:
    """Train the network of one LAYOUT and test it at the end.

    LAYOUT is such as 35-36-37-43. With --model, LAYOUT has one width a group of 'parlay trace', or is 'original', the
    model's own.
    """
    from parlay.cli.trials import ProgressBar
    from parlay.extras import Needs
    from parlay.layout import parse_layout
    from parlay.study import make_plan, select
    from parlay.study.work import check_fits

    seed = checked_seed(seed)
    groups = len(parse_layout(layout)) if layout != "original" else None
    recipe = how.make(source.data, family=options.family.family)
    data = source.load()
    network = options.make(data, groups=groups)
    with Needs("training", extra="train"):
        from parlay.train.device import precisions_of, resolve_device, set_threads
        from parlay.train.loop import train as train_model
        from parlay.train.timing import time_steps

    device, threads = resolve_device(machine.device), machine.threads
    if threads is not None:
        set_threads(threads)
    possible = precisions_of(how.precision, device)
    [planned] = make_plan(
        network,
        select([layout], family=network, problem=None).layouts,
        data=data.fingerprint,
        recipe=recipe,
        steps=how.steps,
        seeds=[seed],
        validation=options.val,
        precision=possible[-1],  # of two the one that takes less memory
    )
    least = check_fits(planned.trial, data, device=device)
    with ProgressBar() as bar:
        size = _before(planned.trial, least)
        if threads is None or len(possible) > 1:
            model = network.build(planned.trial.layout, seed=seed)
            pace = time_steps(model, data, recipe, precision=how.precision, threads=threads, device=device)
            del model
            set_threads(pace.threads)
            planned = replace(planned, trial=replace(planned.trial, precision=pace.precision))
            size = f"{size}; {_pace(planned.trial, pace)}"
        bar.say(size)
        trial = planned.trial
        bar.begin(planned, 1, 1)
        history = train_model(
            network.build(trial.layout, seed=seed),
            data.with_validation(options.val) if options.val else data,
            recipe,
            seed=seed,
            steps=trial.steps,
            precision=trial.precision,
            device=device,
            progress=lambda step, loss: bar.beat(trial.identity, step, loss, None),
        )
    click.echo(_document(trial, history, data.name) if as_json else _text(trial, history, data.name))


def _before(trial: Trial, least: int) -> str:
    """How large the network is, and the least that its training takes."""
    from parlay.layout import format_layout

    params = trial.network.params(trial.layout)
    return f"{format_layout(trial.layout)}: {params:,} parameters, at least {least / 1e6:,.1f} MB to train"


def _pace(trial: Trial, pace: Pace) -> str:
    """How long a training will take, by the time of a few steps."""
    seconds = trial.steps * pace.seconds
    whole = f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
    if seconds >= 7200:
        whole = f"{seconds / 3600:,.1f} h"
    threads = f"{pace.threads} thread{'' if pace.threads == 1 else 's'}"
    return f"{trial.steps:,} steps: about {whole} ({1000 * pace.seconds:,.1f} ms each, {pace.precision}, {threads})"


def _document(trial: Trial, history: History, data_name: str) -> str:
    """One JSON document: what was trained, on what, how, and the outcome. ``accuracy`` is a share, 0 to 1."""
    from parlay.documents import document
    from parlay.study.row import MEASURED
    from parlay.study.trial_network import layout_costs, network_columns

    return document(
        {
            "trial": trial.identity,
            **network_columns(trial.network),
            **layout_costs(trial.network, trial.layout),
            "data": data_name,
            "data_sha256": trial.data,
            "recipe": {"name": trial.recipe.name, **trial.config["recipe"]},
            "steps": trial.steps,
            "seed": trial.seed,
            "validation": trial.validation,
            "precision": history.precision,
            **{name: getattr(history, name) for name in MEASURED},
        }
    )


def _text(trial: Trial, history: History, data_name: str) -> str:
    """Two lines for people."""
    from parlay.layout import format_layout
    from parlay.study.trial_network import layout_costs

    costs = layout_costs(trial.network, trial.layout)
    energy = "no number" if costs["energy"] is None else f"{costs['energy']:.2f}"
    weights = "" if costs["weights"] is None else f" {costs['weights']:,} weights,"
    held = "" if history.validation_accuracy is None else f", validation {100 * history.validation_accuracy:.2f} %"
    return (
        f"{format_layout(trial.layout)}, {trial.network.title}: energy {energy},{weights}"
        f" {costs['params']:,} params, {costs['macs']:,} multiply-adds\n"
        f"{data_name}, {trial.steps:,} steps of recipe {trial.recipe.name}, seed {trial.seed}: test accuracy"
        f" {100 * history.accuracy:.2f} %{held}, test loss {history.loss:.3f}, {history.seconds:.1f} s"
    )
