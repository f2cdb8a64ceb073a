"""``parlay study run``: what is not complete is trained."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.plan import PlanOptions
from parlay.cli.options.training import RunningOptions

__all__ = ["run"]


@command("parlay study run runs/digits --depth 3 --kernels 400 --layouts top:4 --data digits --n-seeds 3")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--study", "named", type=click.Path(path_type=Path), help="FOLDER in another place.")
@takes(running=RunningOptions, planned=PlanOptions)
@json_option
def run(folder: Path | None, named: Path | None, running: RunningOptions, planned: PlanOptions, as_json: bool) -> int:
    """Train what is not complete.

    Writes trials.csv and scatter.png into the study's folder. With --layouts it plans and runs these; without, it
    runs everything that the study holds. --n-seeds or --seed alone adds seeds to all of that first.
    """
    from parlay.cli.trials import finish
    from parlay.report.scatter import scatter_into
    from parlay.study.conduct import add_seeds, conduct
    from parlay.study.schema import has_study

    if (folder is None) == (named is None):
        raise click.UsageError("Missing argument 'FOLDER', such as runs/cifar (or --study runs/cifar, one of the two).")
    place = folder or named
    assert place is not None
    settings = running.settings()
    if running.ray is None:  # refused once rather than in every trial; a cluster may have what this machine has not
        running.machine.check()
    asked = None
    if planned.is_planning():
        asked = planned.make(place, device=settings.device, threads=running.machine.threads)
        for note in asked.notes:
            click.echo(f"note: {note}", err=True)
    elif planned.adds_seeds() and has_study(place):
        add_seeds(place, planned.seeds.make())
    elif not has_study(place):
        raise click.UsageError(f"Missing option '--layouts': there is no study in {place} yet.")
    executor = running.executor()
    try:
        return finish(
            place,
            as_json,
            lambda watcher: conduct(
                place,
                None if asked is None else asked.plan,
                None if asked is None else asked.data,
                problem=None if asked is None else asked.problem,
                source=None if asked is None else asked.source,
                executor=executor,
                settings=settings,
                watcher=watcher,
                draw=scatter_into(place),
            ),
        )
    finally:
        executor.shutdown(cancel_futures=True)
