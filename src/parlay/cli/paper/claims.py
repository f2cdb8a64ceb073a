"""``parlay paper claims``: the paper's claims judged by our own trainings."""

from __future__ import annotations

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.paper.trial_options import TrialOptions
from parlay.documents import document

__all__ = ["claims"]


@command("parlay paper claims --results results")
@takes(trials=TrialOptions)
@json_option
def claims(trials: TrialOptions, as_json: bool) -> None:
    """Each claim of section 4, judged by trainings.

    Our estimate, 95 % interval and verdict; and ours on what the paper leaves out.
    """
    from collections import Counter

    from parlay.paper.judge_claims import gather, judge_all

    rows = trials.read()
    panels = gather(rows, recipe=trials.recipe, steps=trials.steps)
    judged = judge_all(panels, rows)
    counts = Counter(str(item.verdict) for item in judged)
    if as_json:
        click.echo(document({"trials": len(rows), "verdicts": dict(counts), "claims": [j.to_json() for j in judged]}))
        return
    from parlay.cli.terminal import plain_console
    from parlay.paper.show_claims import claims_table

    plain_console().print(claims_table(judged))
    click.echo(f"\n{', '.join(f'{count} {name}' for name, count in counts.items())}; {len(rows)} trials")
    if rows and not any(panel.points for panel in panels.values()):
        click.echo("none of them is of a panel of the paper; 'parlay paper run' trains those")
