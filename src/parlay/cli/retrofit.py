"""``parlay retrofit``: better widths for a model under what a device allows."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.command import command
from parlay.cli.facts import exit_code, result_facts
from parlay.cli.options import json_option, takes
from parlay.cli.options.kinds import OpenChoice
from parlay.cli.options.model import FenceOptions, ModelOptions, NamedDeviceOptions
from parlay.cli.progress import solving
from parlay.documents import document, finite
from parlay.energy import RECOMMENDED, SCORES
from parlay.layout import Layout, format_layout

if TYPE_CHECKING:
    from parlay.retrofit import Latency, Retrofit, Written

__all__ = ["retrofit"]

AMOUNTS = {"params": "params", "macs": "macs", "peak_activation_bytes": "peak memory", "flash_bytes": "flash"}
"""What the table compares, by JSON key."""
ENGINE_AMOUNTS = {"bytes": "arena (tflm)", "records": "  of it records", "file_bytes": "file (tflm)"}
"""The same of what is exported for LiteRT for Microcontrollers."""


@command("parlay retrofit torchvision/squeezenet1_1 --input 3x224x224 --flash 1MiB --out slim")
@takes(model=ModelOptions, device=NamedDeviceOptions, fences=FenceOptions)
@click.option(
    "--score",
    type=OpenChoice(SCORES, "calibrated:FILE"),
    metavar="SCORE",
    default=RECOMMENDED,
    show_default=True,
    help=f"What is maximised: {', '.join(SCORES)} or calibrated:FILE.",
)
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
    model: ModelOptions,
    device: NamedDeviceOptions,
    fences: FenceOptions,
    score: str,
    top_k: int,
    time_limit: float | None,
    out: Path | None,
    keep_weights: bool,
    seed: int,
    overwrite: bool,
    latency: bool,
    as_json: bool,
) -> int:
    """Better widths for a model under a device's limits, certified.

    Unless told otherwise: at most today's parameters, multiply-adds and peak memory, every width within half and twice
    today's. SPEC is as in 'parlay trace'. Exit code 1 when nothing satisfies the limits, 4 when that is not known.
    """
    from parlay.retrofit import compare_latency, retrofit_or_conflict, write_files
    from parlay.retrofit.files import refuse_overwriting

    began = perf_counter()
    limits, origin = device.make(), model.origin()
    if out is not None and not overwrite:
        refuse_overwriting(out)
    graph = model.trace(quiet=as_json)
    with solving(quiet=as_json) as report:
        found, conflict = retrofit_or_conflict(
            graph, limits, score=score, top_k=top_k, time_limit=time_limit, progress=report, **vars(fences)
        )
    written = timed = None
    if found.result.solutions and out is not None:
        written = write_files(found, out, origin, keep_weights=keep_weights, seed=seed, overwrite=overwrite)
    if found.result.solutions and latency:
        new = written.module if written else graph.build(found.layout, seed=seed)
        timed = compare_latency(graph.model, new, graph.example.sized(1))
    found = replace(found, result=replace(found.result, runtime=perf_counter() - began))  # as it was waited for
    facts = {
        **_facts(model.name, found),
        "conflict": None if conflict is None else conflict.to_json(),
        "files": [str(path) for path in written.paths] if written else [],
        "onnx_difference": finite(written.onnx_difference) if written else None,
        "onnx_note": written.onnx_note if written else "",
        "latency": None if timed is None else _latency_facts(timed),
    }
    if as_json:
        click.echo(document(facts))
    else:
        _print_tables(facts, found)
        click.echo(found.summary())
        notes = [f"note: {note}" for note in facts["unchecked"]]
        told = _written_lines(written, found, model.spec, device, keeps=keep_weights, seed=seed)
        for line in (
            conflict and conflict.summary(),
            *notes,
            timed,
            *told,
        ):
            if line is not None:
                click.echo(line)
    return exit_code(found.result.status)


def _facts(spec: str, found: Retrofit) -> dict[str, Any]:
    """Everything that is told of the search, by JSON key."""
    graph = found.graph
    today = found.problem.solution(graph.layout, found.before)
    return {
        "spec": spec,
        **result_facts(found.result),
        "gained": finite(found.gained),
        "constraints": [str(constraint) for constraint in found.problem.constraints],
        "today": {**today.to_json(), "satisfies_the_limits": found.keeps_today, **_costs(found, graph.layout)},
        "uniform": _uniform_facts(found),
        "solutions": [{**one.to_json(), **_costs(found, one.layout)} for one in found.solutions()],
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
            for b in found.result.bindings()
        ],
        "unchecked": list(graph.unchecked),
    }


def _costs(found: Retrofit, layout: Layout) -> dict[str, Any]:
    """Amounts of a layout, and what engines allocate for it."""
    return {**found.amounts(layout), "engines": found.engines(layout)}


def _uniform_facts(found: Retrofit) -> dict[str, Any] | None:
    """Today's widths times one number, as far as the limits allow."""
    uniform = found.uniform
    if uniform is None:
        return None
    layout = uniform.layout
    return {**found.problem.solution(layout).to_json(), "multiplier": str(uniform.multiplier), **_costs(found, layout)}


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


def _print_tables(facts: dict[str, Any], found: Retrofit) -> None:
    """Widths and amounts today, scaled uniformly, and solved; further layouts in a line each."""
    from parlay.cli.terminal import number, table_of, wide_console

    click.echo(f"{facts['spec']}: {'; '.join(facts['constraints'])}; score {facts['score']}")
    if not facts["solutions"]:
        return
    console = wide_console(110)
    before, uniform, after = facts["today"], facts["uniform"] or {}, facts["solutions"][0]
    table = table_of("group", "layers", "before", "uniform", "after", "ratio")
    scaled = found.uniform.layout if found.uniform else (None,) * len(found.layout)
    for group, old, same, new in zip(found.graph.space.groups, found.graph.layout, scaled, found.layout, strict=True):
        table.add_row(group.name, *map(number, (group.multiplicity, old, same, new)), f"{new / old:.2f}")
    console.print(table)
    table = table_of("", "before", "uniform", "after", "ratio")
    for key, name in AMOUNTS.items():
        unit = f" ({facts['dtype']})" if "bytes" in key else ""
        amounts = [one.get(key) for one in (before, uniform, after)]
        table.add_row(name + unit, *map(number, amounts), f"{after[key] / max(1, before[key]):.4f}")
    for key, name in ENGINE_AMOUNTS.items():
        arenas = [one.get("engines", {}).get("tflm", {}).get(key) for one in (before, uniform, after)]
        if arenas[0] is not None and arenas[2] is not None:
            table.add_row(name, *map(number, arenas), f"{arenas[2] / arenas[0]:.4f}")
    values = (one.get("score_value") for one in (before, uniform, after))
    table.add_row("score value", *("-" if value is None else f"{value:.6f}" for value in values), "")
    console.print(table)
    if len(facts["solutions"]) > 1:
        for rank, solution in enumerate(facts["solutions"], start=1):
            click.echo(f"no. {rank}: score value {solution['score_value']:.6f}, {format_layout(solution['layout'])}")


def _written_lines(
    written: Written | None, found: Retrofit, spec: str, device: NamedDeviceOptions, *, keeps: bool, seed: int
) -> Iterable[str]:
    """What was written, what it is not, and what makes it so."""
    if written is None:
        return
    weights = "copied where they overlap" if keeps else f"drawn from seed {seed}"
    yield f"written, untrained and in float32 (weights {weights}): {', '.join(str(path) for path in written.paths)}"
    if written.onnx_note:
        yield f"no ONNX file: {written.onnx_note}"
    elif written.onnx_difference is not None:
        yield f"ONNX checked with onnxruntime: {written.onnx_difference:.1e} of the largest output apart"
    limits = "".join(f" --{name} {value}" for name in ("flash", "ram") if (value := getattr(device, name)) is not None)
    yield (
        f"next: parlay train {format_layout(found.layout)} --model {shlex.quote(spec)} --data DATA trains it;"
        f" parlay fit {shlex.quote(spec)}"
        f" --data DATA{limits} --study DIR trains it beside today's widths and writes the int8 file"
    )
