"""``parlay study``: many networks trained the same way, planned, run, watched and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from parlay.cli.inputs import check_device, resources_options, running_options
from parlay.cli.options import json_option
from parlay.cli.plans import is_planning, plan_from, planning_options

__all__ = ["study"]

folder_argument = click.argument("folder", type=click.Path(path_type=Path))


@click.group()
def study() -> None:
    """Train many layouts, keep every result, go on where it stopped. FOLDER is the study's."""


@study.command()
@folder_argument
@planning_options
@json_option
def new(folder: Path, as_json: bool, **options: Any) -> None:
    """Plan trials without training them, in a new study or besides those of an old one."""
    from parlay.documents import document
    from parlay.study.conduct import plan_into

    if not is_planning(options):
        raise click.UsageError("Missing option '--layouts', such as --layouts top:6: a plan needs it.")
    asked = plan_from(options, folder)
    added = plan_into(folder, asked.plan, asked.source)
    if as_json:
        click.echo(document({"study": str(folder), "planned": len(asked.plan), "new": added.new, "known": added.known}))
    elif added.new:
        besides = f", besides {added.known} that it had" if added.known else ""
        click.echo(f"{folder}: {added.new} trials planned{besides}; parlay study run {folder}")
    else:
        click.echo(f"{folder}: nothing added, all {added.known} trials are there")


@study.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--study", "named", type=click.Path(path_type=Path), help="FOLDER in another place.")
@running_options
@resources_options
@planning_options
@json_option
@click.pass_context
def run(
    context: click.Context,
    folder: Path | None,
    named: Path | None,
    workers: int | None,
    ray: str | None,
    ray_cpus: float,
    ray_gpus: float,
    retries: int,
    checkpoint_seconds: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Train what is not complete, and write trials.csv and scatter.png into the study's folder.

    With --layouts it plans and runs these; without, it runs everything that the study holds.
    """
    from parlay.cli.reports import finish
    from parlay.report.scatter import scatter_into
    from parlay.study import Settings, make_executor
    from parlay.study.conduct import conduct

    if (folder is None) == (named is None):
        raise click.UsageError("Missing argument 'FOLDER', such as runs/cifar (or --study runs/cifar, one of the two).")
    place = folder or named
    assert place is not None
    threads, device = options.pop("threads"), options["device"]
    settings = Settings(device=device, retries=retries, checkpoint_seconds=checkpoint_seconds)
    if ray is None:  # refused here once rather than in every trial; a cluster's machines may have what this one has not
        check_device(device)
    if is_planning(options):
        asked = plan_from(options, place)
    elif (place / "study.sqlite").exists():
        asked = None
    else:
        raise click.UsageError(f"Missing option '--layouts': there is no study in {place} yet.")
    executor = make_executor(workers=workers, ray=ray, ray_cpus=ray_cpus, ray_gpus=ray_gpus, threads=threads)
    try:
        finish(
            context,
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


@study.command()
@folder_argument
@click.option("--watch", is_flag=True, help="Go on showing it until nothing is left or nobody works on it.")
@json_option
def status(folder: Path, watch: bool, as_json: bool) -> None:
    """What is running, done, failed and left; works while another process runs the study."""
    from parlay.study.status import gather

    if as_json:
        click.echo(gather(folder).document())
        return
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not watch:
        console.print(gather(folder).renderable())
        return
    import time

    with Live(gather(folder).renderable(), console=console, refresh_per_second=2) as live:
        while True:
            found = gather(folder)
            live.update(found.renderable())
            if found.driver is None or not found.left:
                break
            time.sleep(1)


@study.command()
@folder_argument
@click.option("--csv", "table", type=click.Path(path_type=Path), help="Every trial as a line; - for stdout.")
@click.option("--curves", type=click.Path(path_type=Path), help="Loss of every step: .csv, or .npz by trial.")
@json_option
def export(folder: Path, table: Path | None, curves: Path | None, as_json: bool) -> None:
    """Every trial of the study, planned ones too, as CSV (on stdout unless told otherwise) or JSON."""
    from parlay.study.export import export_curves, trials_document, trials_text

    if curves is not None:
        export_curves(folder, curves)
    if as_json:
        click.echo(trials_document(folder))
    elif table is not None and str(table) != "-":
        from parlay.documents import write_atomically

        write_atomically(table, trials_text(folder))
    elif table is not None or curves is None:
        click.echo(trials_text(folder), nl=False)
