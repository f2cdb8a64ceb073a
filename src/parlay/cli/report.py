"""``parlay report``: one self-contained page on studies."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option
from parlay.documents import document, portable

__all__ = ["report"]


@command("parlay report runs/cifar --out report.html")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...", type=click.Path(path_type=Path))
@click.option(
    "--out", default="report.html", show_default=True, type=click.Path(path_type=Path), help="The page's file."
)
@click.option("--title", help="Heading of the page; networks and data without one.")
@click.option("--force", is_flag=True, help="Replace a file that is no report.")
@json_option
def report(studies: tuple[Path, ...], out: Path, title: str | None, force: bool, as_json: bool) -> None:
    """One page on studies, which opens offline.

    The verdict, figures to explore, every trial, how it was run. A STUDY may be kept as text: a folder with its
    trials.csv, or with folders that have one, such as results.
    """
    from parlay.report.page import write_page

    words = [
        "parlay",
        "report",
        *map(portable, studies),
        "--out",
        portable(out),
        *(["--title", title] if title else []),
    ]
    written = write_page(studies, out, title=title, command=shlex.join(words), force=force)
    if as_json:
        click.echo(document(written.to_json()))
        return
    for fit in written.page.fits:
        click.echo(f"{fit.study}: {fit.verdict}")
    for judged in written.page.questions:
        click.echo(
            f"{judged.measured.study}: {judged.measured.title}: {judged.verdict.word}. {judged.verdict.headline}"
        )
    click.echo(f"{out} ({written.size / 1e6:.1f} MB, opens in any browser, offline)")
