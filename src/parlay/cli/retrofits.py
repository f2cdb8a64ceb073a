"""``parlay retrofit``: better widths for a model under what a device allows."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from parlay.cli.graphs import graph_from, model_options
from parlay.cli.layouts import conflict_facts, progress_report
from parlay.cli.options import json_option
from parlay.documents import document, finite
from parlay.layout import Layout, Order, format_layout
from parlay.network import ELEMENT_BYTES

if TYPE_CHECKING:
    from rich.console import Console

    from parlay.retrofit import Latency, Retrofit, Written

__all__ = ["FENCE_KEYS", "LIMIT_KEYS", "limits_options", "retrofit"]

Command = TypeVar("Command", bound=Callable[..., Any])

LIMIT_KEYS = ("params", "max_params", "params_range", "max_macs", "max_peak_memory", "flash", "ram", "dtype")
FENCE_KEYS = ("multiple_of", "min_ratio", "max_ratio", "order", "max_step", "score")
MOST_SHOWN = 12


def limits_options(command: Command) -> Command:
    """Add what a device allows, and the fences on the widths."""
    options = (
        click.option("--params", help="Exactly so many parameters, or 'same' as today."),
        click.option(
            "--max-params", help="At most so many, or a ratio of today's such as 1.0x (the default); 'none' lifts it."
        ),
        click.option("--params-range", help="A:B, from A to B parameters."),
        click.option(
            "--max-macs", help="Multiply-adds of one image: a number or a ratio; default 1.0x; 'none' lifts it."
        ),
        click.option(
            "--max-peak-memory", help="Peak activation memory: bytes (64KiB) or a ratio; default 1.0x, 'none' lifts it."
        ),
        click.option(
            "--flash", help="Bytes for the weights, such as 256KiB; takes the place of the default on parameters."
        ),
        click.option(
            "--ram", help="Bytes for activations, such as 64KiB; takes the place of the default on peak memory."
        ),
        click.option(
            "--dtype", default="int8", show_default=True, help=f"Type on the device: {', '.join(ELEMENT_BYTES)}."
        ),
        click.option(
            "--multiple-of", type=int, default=1, show_default=True, help="Every free width is a multiple of this."
        ),
        click.option("--min-ratio", default="0.5", show_default=True, help="Smallest ratio of a width to today's."),
        click.option("--max-ratio", default="2", show_default=True, help="Largest ratio of a width to today's."),
        click.option("--max-step", help="Largest ratio between groups that follow each other in the list, such as 2."),
        click.option("--order", default="free", show_default=True, help=f"How they compare: {', '.join(Order)}."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@model_options
@limits_options
@click.option("--score", default="energy-layer", show_default=True, help="What is maximised (see 'parlay scores').")
@click.option("--top-k", type=int, default=1, show_default=True, help="How many layouts, best first.")
@click.option("--time-limit", type=float, help="Seconds for the search; default: until the gap is small, at most 60.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for layout.json, weights, ONNX and rebuild.py.")
@click.option("--keep-weights", is_flag=True, help="Copy what overlaps from the model into the written weights.")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Initialises the written weights."
)
@click.option("--overwrite", is_flag=True, help="Replace files of an earlier retrofit in --out.")
@click.option("--latency", is_flag=True, help="Time the old and the new network on this host.")
@json_option
def retrofit(
    top_k: int,
    time_limit: float | None,
    out: Path | None,
    keep_weights: bool,
    seed: int,
    overwrite: bool,
    latency: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Better widths for the model SPEC under everything a device limits, with a certificate.

    Without a word: at most today's parameters, multiply-adds and peak memory, every width within half and twice
    today's. SPEC is as in 'parlay trace'. Exit code 1 when nothing satisfies the limits.
    """
    from parlay.graph.specs import parse_inputs, parse_kwargs
    from parlay.retrofit import Limits, compare_latency, retrofit_or_conflict, write_files
    from parlay.retrofit.files import Origin, refuse_overwriting

    limits = Limits(**{key: options.pop(key) for key in LIMIT_KEYS})
    fences = {key: options.pop(key) for key in FENCE_KEYS}
    origin = Origin(
        spec=options["spec"],
        kwargs=parse_kwargs(options["model_arg"]),
        inputs=[list(item.shape[1:]) for item in parse_inputs(options["inputs"])],
        pins=list(options["pin"]),
    )
    if out is not None and not overwrite:
        refuse_overwriting(out)
    graph = graph_from(options, quiet=as_json)
    with progress_report(quiet=as_json or not sys.stderr.isatty()) as report:
        found, conflict = retrofit_or_conflict(
            graph, limits, top_k=top_k, time_limit=time_limit, progress=report, **fences
        )
    written = timed = None
    if found.result.solutions and out is not None:
        written = write_files(found, out, origin, keep_weights=keep_weights, seed=seed, overwrite=overwrite)
    if found.result.solutions and latency:
        new = written.module if written else graph.build(found.layout, seed=seed)
        timed = compare_latency(graph.model, new, graph.example.sized(1))
    facts = retrofit_facts(origin.spec, found)
    facts["conflict"] = conflict_facts(conflict)
    facts["files"] = [str(path) for path in written.paths] if written else []
    facts["onnx_difference"] = finite(written.onnx_difference) if written else None
    facts["onnx_note"] = written.onnx_note if written else ""
    facts["latency"] = None if timed is None else _latency_facts(timed)
    if as_json:
        click.echo(document(facts))
    else:
        _print(facts, found, written, timed)
    return 0 if found.result.solutions else 1


def retrofit_facts(spec: str, found: Retrofit) -> dict[str, Any]:
    """Everything ``parlay retrofit`` tells of the search, by JSON key."""
    from parlay.solver import bindings, fences_reached

    result, graph = found.result, found.graph
    solutions = [
        {
            "layout": list(s.layout),
            "log_energy": finite(s.log_energy),
            "energy": finite(s.energy),
            **found.amounts(s.layout),
        }
        for s in found.solutions()
    ]
    return {
        "spec": spec,
        "status": result.status.value,
        "meaning": result.status.meaning,
        "bound": finite(result.bound),
        "gap": finite(result.gap),
        "gained": finite(found.gained),
        "runtime": result.runtime,
        "score": found.problem.score.name,
        "constraints": [str(constraint) for constraint in found.problem.constraints],
        "top_k": result.top_k,
        "today": {
            "layout": list(graph.layout),
            "log_energy": finite(found.before),
            "satisfies_the_limits": found.keeps_today,
            **found.amounts(graph.layout),
        },
        "solutions": solutions,
        "groups": [
            {"name": g.name, "multiplicity": g.multiplicity, "multiple_of": g.multiple_of, "members": list(g.members)}
            for g in found.problem.space.groups
        ],
        "dtype": found.limits.dtype,
        "binding": [
            {
                "constraint": str(b.constraint),
                "amount": b.amount,
                "slack": b.slack,
                "price": finite(b.price),
                "binds": b.binds,
            }
            for b in (bindings(result) if result.solutions else ())
        ],
        "fences": fences_reached(found.problem, found.layout) if result.solutions else [],
        "unchecked": list(graph.unchecked),
    }


def _latency_facts(timed: Latency) -> dict[str, Any]:
    return {
        "old_ms": timed.old,
        "new_ms": timed.new,
        "old_quartiles_ms": list(timed.old_spread),
        "new_quartiles_ms": list(timed.new_spread),
        "ratio": timed.ratio,
        "rounds": timed.rounds,
        "host": timed.host,
    }


def _print(facts: dict[str, Any], found: Retrofit, written: Written | None, timed: Latency | None) -> None:
    from rich.console import Console

    console = Console()
    console = Console(width=max(console.width, 110))
    limits = "; ".join(facts["constraints"])
    console.print(f"{facts['spec']}: {limits}; score {facts['score']}", soft_wrap=True, highlight=False)
    if found.result.solutions:
        _print_widths(console, found, found.layout)
        _print_amounts(console, facts)
        if len(facts["solutions"]) > 1:
            for rank, solution in enumerate(facts["solutions"], start=1):
                shown = format_layout(tuple(solution["layout"]))
                console.print(
                    f"no. {rank}: log energy {solution['log_energy']:.6f}, {shown}", soft_wrap=True, highlight=False
                )
    gap = "" if facts["gap"] is None else f", gap {facts['gap']:.3g} in log-energy"
    gained = "" if facts["gained"] is None else f", {facts['gained']:.1%} of the way from today to the bound"
    console.print(
        f"{facts['status']} in {facts['runtime']:.2f} s{gap}{gained}: {facts['meaning']}",
        soft_wrap=True,
        highlight=False,
    )
    lines = [
        f"{'binds' if b['binds'] else 'does not bind'}: {b['constraint']} ({b['amount']:,} used)"
        for b in facts["binding"]
    ]
    fences = facts["fences"]
    lines += [f"on a fence: {fence}" for fence in fences[:MOST_SHOWN]]
    if len(fences) > MOST_SHOWN:
        lines.append(f"on a fence: {len(fences) - MOST_SHOWN} more (--json has all)")
    lines += _conflict_lines(facts)
    lines += [f"note: {note}" for note in facts["unchecked"]]
    if timed is not None:
        (a, b), (c, d) = timed.old_spread, timed.new_spread
        lines.append(
            f"latency on this host ({timed.host}): {timed.old:.2f} ms [{a:.2f}, {b:.2f}] before, "
            f"{timed.new:.2f} ms [{c:.2f}, {d:.2f}] after, ratio {timed.ratio:.3f}; "
            f"medians and quartiles of {timed.rounds} interleaved runs; other hosts differ"
        )
    if written is not None:
        lines.append(f"written: {', '.join(str(path) for path in written.paths)}")
        if written.onnx_note:
            lines.append(f"no ONNX file: {written.onnx_note}")
        elif written.onnx_difference is not None:
            lines.append(f"ONNX checked with onnxruntime: {written.onnx_difference:.1e} of the largest output apart")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)


def _conflict_lines(facts: dict[str, Any]) -> list[str]:
    conflict = facts["conflict"]
    if conflict is None:
        return []
    certainty = "each of them is needed for the conflict" if conflict["irreducible"] else "not all may be needed"
    several = f"cannot be kept together: {'; '.join(conflict['parts'])} ({certainty})"
    lines = [several if len(conflict["parts"]) > 1 else f"cannot be kept at any widths: {conflict['parts'][0]}"]
    for reach in conflict["reach"]:
        if reach["lowest"] is None and reach["highest"] is None:
            lines.append(f"{reach['resource']}: nothing is reachable while the other limits are kept")
            continue
        ends = [f"{end:,}" if end is not None else "unknown" for end in (reach["lowest"], reach["highest"])]
        proven = "" if reach["proven"] else " (found so far)"
        lines.append(f"{reach['resource']}: {ends[0]} to {ends[1]} can be had while the other limits are kept{proven}")
    return lines


def _print_widths(console: Console, found: Retrofit, layout: Layout) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("group", "layers", "before", "after", "ratio"):
        table.add_column(name, justify="left" if name == "group" else "right", no_wrap=True)
    for group, before, after in zip(found.graph.space.groups, found.graph.layout, layout, strict=True):
        table.add_row(group.name, str(group.multiplicity), f"{before:,}", f"{after:,}", f"{after / before:.2f}")
    console.print(table)


def _print_amounts(console: Console, facts: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", "before", "after", "ratio"):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    before, after = facts["today"], facts["solutions"][0]
    names = {"params": "params", "macs": "macs", "peak_activation_bytes": "peak memory", "flash_bytes": "flash"}
    for key, name in names.items():
        unit = f" ({facts['dtype']})" if "bytes" in key else ""
        table.add_row(name + unit, f"{before[key]:,}", f"{after[key]:,}", f"{after[key] / max(1, before[key]):.4f}")
    old, new = (some["log_energy"] for some in (before, after))
    table.add_row("log energy", *("-" if e is None or math.isnan(e) else f"{e:.6f}" for e in (old, new)), "")
    console.print(table)
