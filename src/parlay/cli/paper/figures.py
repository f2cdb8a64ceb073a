"""``parlay paper figures``: the paper's figures and tables from our own trainings."""

from __future__ import annotations

from pathlib import Path

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.kinds import Choice
from parlay.cli.paper.trial_options import TrialOptions
from parlay.documents import document

__all__ = ["figures"]


@command("parlay paper figures --results results --out figures --format png")
@takes(trials=TrialOptions)
@click.option("--out", type=click.Path(path_type=Path), default="figures", show_default=True, help="Folder to write.")
@click.option(
    "--format", "kinds", type=Choice(("pdf", "svg", "png")), multiple=True, help="Repeatable; default: all three."
)
@json_option
def figures(
    trials: TrialOptions,
    out: Path,
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw Figures 2 to 5, and write Tables 1 to 5.

    Free order, matched pairs and the claims stand beside them.
    """
    from parlay.documents import write_atomically
    from parlay.paper.figures import FORMATS, write_figures
    from parlay.paper.judge_claims import gather, judge_all
    from parlay.paper.show_claims import claims_markdown
    from parlay.paper.write_tables import write_tables

    rows = trials.read()
    panels = gather(rows, recipe=trials.recipe, steps=trials.steps)
    files = write_figures(panels, out, kinds=kinds or FORMATS)
    files += write_tables(panels, out)
    write_atomically(out / "claims.md", claims_markdown(judge_all(panels, rows)))
    files.append(out / "claims.md")
    points = {name: len(found.points) for name, found in panels.items()}
    if as_json:
        click.echo(document({"files": [str(path) for path in files], "layouts": points}))
        return
    drawn = ", ".join(f"{name} {count}" for name, count in points.items() if count) or "none"
    click.echo(f"{len(files)} files in {out}; layouts with runs: {drawn}")
