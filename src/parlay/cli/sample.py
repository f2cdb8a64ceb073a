"""``parlay sample``: layouts of a size drawn at random."""

from __future__ import annotations

import click

from parlay.cli.command import command
from parlay.cli.facts import layout_facts, question_facts
from parlay.cli.options import csv_option, json_option, takes
from parlay.cli.options.problem import FamilyOptions, MemoryOptions, ProblemOptions
from parlay.cli.progress import counting
from parlay.documents import csv_lines, document
from parlay.layout import format_layout

__all__ = ["sample"]


@command("parlay sample --depth 4 --kernels 4288 --n-samples 5 --seed 1")
@takes(network=FamilyOptions, size=ProblemOptions)
@click.option("--n-samples", type=int, default=32, show_default=True, help="How many layouts to draw.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same layouts, on any machine.")
@click.option("--replace", is_flag=True, help="Let a layout come more than once.")
@takes(tables=MemoryOptions)
@json_option
@csv_option
def sample(
    network: FamilyOptions,
    size: ProblemOptions,
    n_samples: int,
    seed: int,
    replace: bool,
    tables: MemoryOptions,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Draw layouts of one size at random, all equally likely.

    None comes twice, unless --replace is given.
    """
    from parlay.solver import Sampler

    family = network.make()
    problem = size.make(family)
    with counting() as tick:
        sampler = Sampler(problem, memory=tables.bytes, tick=tick)
    drawn = sampler.draw(n_samples, seed=seed, replace=replace)
    rows = (layout_facts(family, problem, layout) for layout in drawn)
    if as_json:
        facts = {
            "count": sampler.total,
            **question_facts(family, problem),
            "n_samples": n_samples,
            "seed": seed,
            "replace": replace,
            "layouts": list(rows),
        }
        click.echo(document(facts))
    else:
        click.echo("\n".join(csv_lines(rows) if as_csv else map(format_layout, drawn)))
