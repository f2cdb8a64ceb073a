"""``parlay study status``: how far a study is."""

from __future__ import annotations

import time
from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option
from parlay.documents import document

__all__ = ["status"]


@command("parlay study status runs/digits --watch")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Go on showing it until nothing is left or nobody works on it.")
@json_option
def status(folder: Path, watch: bool, as_json: bool) -> None:
    """What is running, done, failed and left.

    It works while another process runs the study.
    """
    from parlay.study.status import gather

    if as_json:
        click.echo(document(gather(folder).to_json()))
        return
    from rich.live import Live

    from parlay.cli.terminal import plain_console

    console = plain_console()
    if not watch:
        console.print(gather(folder).renderable())
        return
    with Live(gather(folder).renderable(), console=console, refresh_per_second=2) as live:
        while True:
            found = gather(folder)
            live.update(found.renderable())
            if found.driver is None or not found.left:
                break
            time.sleep(1)
