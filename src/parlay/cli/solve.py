"""``parlay solve``: the best layouts of one size, proven."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.command import command
from parlay.cli.facts import exit_code, layout_facts, question_words, result_facts
from parlay.cli.options import csv_option, json_option, takes
from parlay.cli.options.problem import FamilyOptions, LimitOptions, ProblemOptions
from parlay.cli.progress import solving
from parlay.documents import csv_lines, document, finite
from parlay.energy import EnergyGroup
from parlay.layout import format_layout

if TYPE_CHECKING:
    from parlay.energy import Score
    from parlay.families import Family
    from parlay.problem import Result

__all__ = ["solve"]

LONG_LAYOUT = 40
"""Characters from which layouts are printed below the table: beside the numbers they would not fit a terminal."""

COLUMNS = ("energy", "log_energy", "kernels", "weights", "params", "macs")


@command("parlay solve --depth 4 --kernels 4288 --top-k 3")
@takes(network=FamilyOptions, size=ProblemOptions, limits=LimitOptions)
@click.option("--top-k", type=int, default=1, show_default=True, help="How many layouts, best first.")
@click.option("--time-limit", type=float, help="Seconds; the best found by then is FEASIBLE, with its gap.")
@json_option
@csv_option
def solve(
    network: FamilyOptions,
    size: ProblemOptions,
    limits: LimitOptions,
    top_k: int,
    time_limit: float | None,
    as_json: bool,
    as_csv: bool,
) -> int:
    """The best layouts of one size, proven.

    They maximise the score (Eq. 4) under whatever else a device limits. State the size with one of --kernels,
    --weights, --max-kernels, --max-weights, limits with --max-params, --max-macs, --max-peak-memory. Exit code 1 when
    no layout keeps them; then what is in conflict is said, and what would do. Exit code 4 when it is not known.
    """
    from parlay.problem import Status
    from parlay.solver import conflict
    from parlay.solver import solve as solve_problem

    began = perf_counter()
    family = network.make()
    problem = size.make(family, limits)
    with solving(quiet=as_json or as_csv) as report:
        result = solve_problem(problem, top_k=top_k, time_limit=time_limit, progress=report)
    clash = None
    if result.status is Status.INFEASIBLE and len(problem.constraints) > 1:
        limit, wider = size.remedies(family, limits, problem)
        clash = conflict(problem, limit=limit, wider=wider)
    result = replace(result, runtime=perf_counter() - began)  # as it was waited for
    facts = _facts(family, result)
    if as_json:
        click.echo(document({**facts, "conflict": None if clash is None else clash.to_json()}))
    elif as_csv:
        for line in csv_lines(facts["solutions"]):
            click.echo(line)
        if not result.solutions:
            click.echo(result.summary(), err=True)
    else:
        click.echo(f"{question_words(family.title, problem)}, score {problem.score.name}")
        _print_solutions(facts["solutions"], problem.score)
        click.echo(result.summary())
        if clash is not None:
            click.echo(clash.summary())
    return exit_code(result.status)


def _facts(family: Family, result: Result) -> dict[str, Any]:
    constraint, nearest, proof = result.problem.constraints[0], result.nearest, result.proof
    return {
        **result_facts(result),
        "family": family.name,
        "depth": family.depth,
        "size": str(constraint),
        "solutions": [layout_facts(family, result.problem, solution.layout) for solution in result.solutions],
        "constraints": [
            {
                "limit": str(binding.constraint),
                "resource": binding.constraint.resource.name,
                "minimum": binding.constraint.minimum,
                "maximum": binding.constraint.maximum,
                "amount": binding.amount,
                "slack": binding.slack,
                "price": binding.price,
                "binds": binding.binds,
            }
            for binding in result.bindings()
        ]
        or [{"limit": str(one)} for one in result.problem.constraints],
        "nearest": None if nearest is None else {"unit": constraint.resource.name, **vars(nearest)},
        "proof": None
        if proof is None
        else {
            "method": proof.method,
            "threshold": finite(proof.threshold),
            "bound": finite(proof.bound),
            "multiplier": proof.multiplier,
            "labels": proof.labels,
        },
    }


def _print_solutions(solutions: list[dict[str, Any]], score: Score) -> None:
    """A line a layout, first the score where it is not the energy; long layouts below."""
    if not solutions:
        return
    from parlay.cli.terminal import number, table_of, wide_console

    columns = COLUMNS if isinstance(score, EnergyGroup) else ("score_value", *COLUMNS)
    table = table_of("layout", *(name.replace("_", " ") for name in columns))
    table.columns[0].style = "bold"
    layouts = [format_layout(facts["layout"]) for facts in solutions]
    is_long = len(layouts[0]) > LONG_LAYOUT
    names = [f"no. {rank}" for rank in range(1, len(layouts) + 1)]
    for name, layout, facts in zip(names, layouts, solutions, strict=True):
        table.add_row(name if is_long else layout, *(number(facts[key]) for key in columns))
    wide_console(120).print(table)
    if is_long:
        for name, layout in zip(names, layouts, strict=True):
            click.echo(f"{name}: {layout}")
