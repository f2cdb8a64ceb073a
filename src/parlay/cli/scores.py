"""``parlay scores``: what ranks layouts without training."""

from __future__ import annotations

import click

from parlay.cli.command import command
from parlay.cli.options import json_option
from parlay.documents import document

__all__ = ["scores"]


@command("parlay scores")
@json_option
def scores(as_json: bool) -> None:
    """The scores that rank layouts, and which one is recommended.

    Of each: what it is, what it needs, whether 'solve' can maximise it.
    """
    from parlay.evidence.scores import predictors

    facts = [
        {
            "name": one.name,
            "needs": list(one.needs),
            "source": one.source,
            "summary": one.summary,
            "objective": one.objective,
            "recommended": one.recommended,
        }
        for one in predictors().values()
    ]
    if as_json:
        click.echo(document({"scores": facts}))
        return
    for fact in facts:
        marks = ", ".join(word for word in ("recommended", "objective") if fact[word])
        click.echo(f"{fact['name']:14} {fact['summary']}" + (f" ({marks})" if marks else ""))
        click.echo(f"{'':14} needs {', '.join(fact['needs'])}; {fact['source']}")
    click.echo("objective: 'parlay solve --score' maximises it; the others only rank. Higher predicts better.")
