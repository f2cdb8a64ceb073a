"""``parlay train``: one layout, one run."""

from __future__ import annotations

from typing import Any

import click

from parlay.cli.inputs import family_for, load_data, recipe_for, training_options
from parlay.cli.options import family_options, json_option
from parlay.layout import parse_layout

__all__ = ["train"]


@click.command()
@click.argument("layout")
@training_options
@click.option("--seed", type=int, default=0, show_default=True, help="Of initial weights, data order, augmentation.")
@family_options
@json_option
def train(layout: str, seed: int, as_json: bool, steps: int | None, **options: Any) -> None:
    """Train the network of LAYOUT, such as 35-36-37-43, and test it once, at the end."""
    from parlay.cli.progress import ProgressBar
    from parlay.cli.reports import checked_seed
    from parlay.report.runs import run_document, run_text
    from parlay.study import Kind, make_plan
    from parlay.train.loop import train_layout

    seed = checked_seed(seed)
    widths, recipe = parse_layout(layout), recipe_for(options)
    data = load_data(options)
    family = family_for(data, options, groups=len(widths))
    chosen = {widths: frozenset({Kind.GIVEN})}
    [planned] = make_plan(family, chosen, data=data.fingerprint, recipe=recipe, steps=steps, seeds=[seed])
    trial = planned.trial
    with ProgressBar() as bar:
        bar.begin(planned, 1, 1)
        history = train_layout(family, widths, data, recipe, seed=seed, steps=trial.steps, progress=bar.step)
    click.echo(run_document(trial, history, data.name) if as_json else run_text(trial, history, data.name))
