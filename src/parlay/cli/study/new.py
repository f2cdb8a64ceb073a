"""``parlay study new``: trials planned, none trained."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.plan import PlanOptions

__all__ = ["new"]


@command("parlay study new runs/digits --depth 3 --kernels 400 --layouts top:4 --data digits")
@click.argument("folder", type=click.Path(path_type=Path))
@takes(planned=PlanOptions)
@json_option
def new(folder: Path, planned: PlanOptions, as_json: bool) -> None:
    """Plan trials without training them.

    In a new study, or besides those of an old one. --n-seeds or --seed alone plans more seeds of everything that the
    study holds. Layouts of a model (--model) have exactly today's parameters and widths within half and twice today's,
    unless limits or fences say otherwise; no other amount is limited.
    """
    from parlay.documents import document
    from parlay.study import Reader
    from parlay.study.conduct import add_seeds, plan_into

    if planned.adds_seeds():
        added = add_seeds(folder, planned.seeds.make())
    elif planned.is_planning():
        asked = planned.make(folder)
        for note in asked.notes:
            click.echo(f"note: {note}", err=True)
        added = plan_into(folder, asked.plan, asked.source)
    else:
        raise click.UsageError("Missing option '--layouts', such as --layouts top:6: a plan needs it.")
    with Reader(folder) as study:
        for note in study.changed_models():
            click.echo(f"note: {note}", err=True)
    if as_json:
        trials = added.new + added.known
        click.echo(document({"study": str(folder), "planned": trials, "new": added.new, "known": added.known}))
    elif added.new:
        besides = f", besides {added.known} that it had" if added.known else ""
        trials = "1 trial" if added.new == 1 else f"{added.new} trials"
        click.echo(f"{folder}: {trials} planned{besides}; parlay study run {shlex.quote(str(folder))}")
    else:
        click.echo(
            f"{folder}: nothing added, {'its trial is' if added.known == 1 else f'all {added.known} trials are'} there"
        )
