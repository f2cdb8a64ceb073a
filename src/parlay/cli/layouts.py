"""``parlay describe`` and ``solve``: layouts without training."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.options import (
    family_from,
    family_options,
    json_option,
    limit_options,
    problem_from,
    problem_options,
)
from parlay.documents import document, finite
from parlay.families import Family
from parlay.layout import Layout, format_layout, parse_layout
from parlay.network import ELEMENT_BYTES
from parlay.problem import Solution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from parlay.problem import Result
    from parlay.solver import Conflict, Progress

__all__ = ["describe", "progress_report", "solve"]

LONG_LAYOUT = 40
"""Characters from which layouts are printed below the table."""


@click.command()
@click.argument("layout")
@family_options
@click.option("--dtype", default="int8", show_default=True, help=f"Activations: {', '.join(ELEMENT_BYTES)}.")
@json_option
def describe(layout: str, dtype: str, as_json: bool, **options: Any) -> None:
    """Sizes and energy of one LAYOUT, such as 35-36-37-43.

    kernels = weights / k^2; weights = convolution weights (Eq. 1); params = all parameters of the network; macs =
    multiply-adds of its convolutions and linear layer for one image; energy = Eq. 3.
    """
    widths = parse_layout(layout)
    family = family_from(options, groups=len(widths))
    facts = describe_layout(family, family.check(widths), dtype)
    if as_json:
        click.echo(document(facts))
    else:
        _print_facts(facts)


@click.command()
@family_options
@problem_options
@limit_options
@click.option("--top-k", type=int, default=1, show_default=True, help="How many layouts, best first.")
@click.option("--time-limit", type=float, help="Seconds; the best found by then is FEASIBLE, with its gap.")
@json_option
def solve(top_k: int, time_limit: float | None, as_json: bool, **options: Any) -> int:
    """The best layouts of one size, proven (Eq. 4), under whatever else a device limits.

    State the size with one of --kernels, --weights, --max-kernels, --max-weights, limits with --max-params, --max-macs,
    --max-peak-memory. Exit code 1 when no layout keeps them; then what is in conflict is said.
    """
    from parlay.problem import Status
    from parlay.solver import conflict
    from parlay.solver import solve as solve_problem

    family = family_from(options)
    problem = problem_from(family, options)
    with progress_report(quiet=as_json or not sys.stderr.isatty()) as report:
        result = solve_problem(problem, top_k=top_k, time_limit=time_limit, progress=report)
    clash = conflict(problem) if result.status is Status.INFEASIBLE and len(problem.constraints) > 1 else None
    if as_json:
        click.echo(document(result_facts(family, result) | {"conflict": conflict_facts(clash)}))
    else:
        _print_result(family, result)
        _print_conflict(clash)
    return 0 if result.solutions else 1


def describe_layout(family: Family, layout: Layout, dtype: str = "int8") -> dict[str, Any]:
    """Everything ``parlay describe`` tells, by JSON key."""
    log_energy = family.energy(layout)
    return {
        "layout": list(layout),
        "family": family.name,
        "depth": family.depth,
        **family.sizes(layout),
        **family.amounts(layout, dtype),
        "dtype": dtype,
        "energy": finite(Solution(layout=layout, log_energy=log_energy).energy),
        "log_energy": finite(log_energy),
        "in_channels": family.in_channels,
        "kernel_sizes": list(family.kernel_sizes),
        "image": family.image,
        "classes": family.classes,
    }


def result_facts(family: Family, result: Result) -> dict[str, Any]:
    """Everything ``parlay solve`` tells, by JSON key; -inf and unknown numbers are null."""
    constraint = result.problem.constraints[0]
    nearest = result.nearest
    return {
        "status": result.status.value,
        "meaning": result.status.meaning,
        "bound": finite(result.bound),
        "gap": finite(result.gap),
        "runtime": result.runtime,
        "family": family.name,
        "depth": family.depth,
        "score": result.problem.score.name,
        "size": str(constraint),
        "top_k": result.top_k,
        "solutions": [_solution_facts(family, solution) for solution in result.solutions],
        "fences": fences_of(result),
        "constraints": binding_facts(result),
        "nearest": None
        if nearest is None
        else {
            "unit": constraint.resource.name,
            "below": nearest.below,
            "above": nearest.above,
            "proven": nearest.proven,
        },
        "proof": None
        if result.proof is None
        else {
            "method": result.proof.method,
            "threshold": finite(result.proof.threshold),
            "bound": finite(result.proof.bound),
            "multiplier": result.proof.multiplier,
            "labels": result.proof.labels,
        },
    }


def _solution_facts(family: Family, solution: Solution) -> dict[str, Any]:
    return {
        "layout": list(solution.layout),
        "energy": finite(solution.energy),
        "log_energy": finite(solution.log_energy),
        **family.sizes(solution.layout),
        **family.amounts(solution.layout),
    }


def binding_facts(result: Result) -> list[dict[str, Any]]:
    """How every constraint stands at the best layout, by JSON key."""
    from parlay.solver import bindings

    if not result.solutions:
        return [{"limit": str(constraint)} for constraint in result.problem.constraints]
    return [
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
        for binding in bindings(result)
    ]


def conflict_facts(clash: Conflict | None) -> dict[str, Any] | None:
    """What cannot be kept together, by JSON key."""
    if clash is None:
        return None
    return {
        "parts": list(clash.parts),
        "irreducible": clash.irreducible,
        "reach": [
            {"resource": reach.resource, "lowest": reach.lowest, "highest": reach.highest, "proven": reach.proven}
            for reach in clash.reach
        ],
    }


def fences_of(result: Result) -> list[str]:
    """Where the best layout stands on a fence."""
    from parlay.solver import fences_reached

    return fences_reached(result.problem, result.best.layout) if result.solutions else []


def _print_conflict(clash: Conflict | None) -> None:
    if clash is None:
        return
    whole = "" if clash.irreducible else " (perhaps not all of them are needed)"
    click.echo(f"in conflict{whole}: {'; '.join(clash.parts)}")
    for reach in clash.reach:
        if reach.lowest is not None and reach.highest is not None:
            about = "" if reach.proven else ", and perhaps beyond"
            click.echo(f"without its own limit {reach.resource} can be {reach.lowest:,} to {reach.highest:,}{about}")
        else:
            click.echo(
                f"without its own limit {reach.resource} {'has no layout either' if reach.proven else 'is open'}"
            )


def _print_facts(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for key, value in facts.items():
        shown = format_layout(value) if key in ("layout", "kernel_sizes") else _number(value)
        table.add_row(key.replace("_", " "), shown)
    Console().print(table)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1e9 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _print_result(family: Family, result: Result) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    size = ", ".join(str(constraint) for constraint in result.problem.constraints)
    console.print(
        f"{family.title}, {size}, order {result.problem.space.order}, score {result.problem.score.name}", soft_wrap=True
    )
    if result.solutions:
        table = Table(box=None, pad_edge=False)
        table.add_column("layout", style="bold", overflow="fold")
        for name in ("energy", "log energy", "kernels", "weights", "params", "macs"):
            table.add_column(name, justify="right", no_wrap=True)
        is_long = len(format_layout(result.best.layout)) > LONG_LAYOUT
        for rank, solution in enumerate(result.solutions, start=1):
            facts = _solution_facts(family, solution)
            numbers = (facts[key] for key in ("energy", "log_energy", "kernels", "weights", "params", "macs"))
            name = f"no. {rank}" if is_long else format_layout(solution.layout)
            table.add_row(name, *(_number(number) for number in numbers))
        Console(width=max(console.width, 120)).print(table)  # a narrow terminal wraps lines, not columns
        if is_long:  # beside the numbers they would not fit a terminal
            for rank, solution in enumerate(result.solutions, start=1):
                console.print(f"no. {rank}: {format_layout(solution.layout)}", soft_wrap=True, highlight=False)
    gap = "" if result.gap is None else f", gap {result.gap:.3g} in log-energy"
    console.print(f"{result.status.value} in {result.runtime:.2f} s{gap}: {result.status.meaning}", soft_wrap=True)
    if len(result.problem.constraints) > 1 and result.solutions:
        for fact in binding_facts(result):
            left = "" if fact["slack"] is None else f", {fact['slack']:,} left"
            console.print(
                f"{fact['limit']}: {fact['amount']:,}{left}{', binds' if fact['binds'] else ''}", soft_wrap=True
            )
    if result.solutions and len(result.solutions) < result.top_k and result.proof is not None:
        some = len(result.solutions)
        console.print("this is the only one" if some == 1 else f"these {some} are all there are", soft_wrap=True)
    for fence in fences_of(result):
        console.print(f"on a fence: {fence}", soft_wrap=True)
    if result.nearest is not None:
        console.print(_nearest_words(result), soft_wrap=True)


def _nearest_words(result: Result) -> str:
    nearest, unit = result.nearest, result.problem.constraints[0].resource.name
    assert nearest is not None
    known = [f"{amount:,}" for amount in (nearest.below, nearest.above) if amount is not None]
    if not known:
        return (
            "no other size has a layout within these fences" if nearest.proven else "no size nearby was found in time"
        )
    certainty = "nearest sizes that have a layout" if nearest.proven else "sizes nearby that have a layout"
    return f"{certainty}: {' and '.join(known)} {unit}"


@contextmanager
def progress_report(*, quiet: bool, stops: bool = True) -> Iterator[Callable[[Progress], None]]:
    """Time, best and bound on stderr; the first Ctrl-C ends the solve with what it has, the second one at once.

    Without ``stops`` already the first one ends everything.
    """
    from rich.console import Console

    from parlay.solver import StopSolvingError

    is_stopped = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_stopped
        is_stopped = True
        signal.signal(signal.SIGINT, before)
        click.echo("parlay: stopping with the best found so far; Ctrl-C again to quit at once", err=True)

    def report(now: Progress) -> None:
        if is_stopped:
            raise StopSolvingError
        if status is not None:
            best = "none yet" if now.best is None else f"{now.best:.6f}"
            bound = "unknown" if now.bound is None else f"{now.bound:.6f}"
            status.update(f"{now.seconds:.1f} s, best log-energy {best}, bound {bound}; Ctrl-C ends it")

    before = signal.signal(signal.SIGINT, stop if stops else signal.getsignal(signal.SIGINT))
    status = None if quiet else Console(stderr=True).status("solving")
    try:
        with status or nullcontext():
            yield report
    finally:
        signal.signal(signal.SIGINT, before)
