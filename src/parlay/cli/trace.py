"""``parlay trace``: the width groups and exact polynomials of any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.model import ModelOptions
from parlay.cli.options.problem import dtype_option
from parlay.documents import document
from parlay.network import element_bytes

if TYPE_CHECKING:
    from parlay.graph import WidthGraph
    from parlay.resources import Resource

__all__ = ["trace"]

LONGEST = 12
"""Terms of a polynomial that are printed; --json has them all."""


@command("parlay trace torchvision/squeezenet1_1 --input 3x224x224")
@takes(model=ModelOptions)
@dtype_option
@click.option("--by-module", is_flag=True, help="Show what every module costs, with everything inside it.")
@json_option
def trace(model: ModelOptions, dtype: str, by_module: bool, as_json: bool) -> None:
    """The coupled widths of a model, and what they cost, exactly.

    SPEC is torchvision/resnet18, timm/mobilenetv3_small_100, package.module:factory or path/file.py:factory; the last
    two run the code they name. params = all parameters; macs = multiply-adds of one image in evaluation mode; peak =
    activation memory that is live at once. docs/counting.md says what counts.
    """
    graph = model.trace(quiet=as_json)
    facts = _facts(model.name, graph, dtype)
    if as_json:
        click.echo(document(facts))
    else:
        _print(graph, facts)
        if by_module:
            _print_modules(facts["modules"])


def _facts(spec: str, graph: WidthGraph, dtype: str) -> dict[str, Any]:
    """Everything ``parlay trace`` tells, by JSON key."""
    layout = graph.layout
    peak = graph.peak_activation_bytes(dtype)
    return {
        "spec": spec,
        "model": type(graph.model).__name__,
        "input": graph.example.shapes,
        "layout": list(layout),
        "groups": [
            {
                "name": group.name,
                "width": width,
                "multiple_of": group.multiple_of,
                "multiplicity": group.multiplicity,
                "members": list(group.members),
            }
            for group, width in zip(graph.space.groups, layout, strict=True)
        ],
        **graph.amounts(layout, dtype),
        "dtype": dtype,
        "polynomials": {
            "params": _polynomial(graph.params),
            "macs": _polynomial(graph.macs),
            "peak_activation_bytes": [
                {"point": name, **_polynomial(point)} for name, point in zip(graph.points, peak.points, strict=True)
            ],
        },
        "modules": _modules(graph, dtype),
        "pinned": list(graph.pinned),
        "followed": list(graph.followed),
        "unchecked": list(graph.unchecked),
    }


def _modules(graph: WidthGraph, dtype: str) -> list[dict[str, Any]]:
    """What every module costs at today's widths, with everything inside it; the model itself comes first, as ""."""
    return [
        {
            "module": path,
            "class": costs.kind,
            "params": costs.params(graph.layout),
            "macs": costs.macs(graph.layout),
            "written_bytes": costs.written(graph.layout) * element_bytes(dtype),
        }
        for path, costs in graph.by_module().items()
    ]


def _polynomial(resource: Resource) -> dict[str, Any]:
    """A polynomial: (constant + sum linear[g] w_g + sum c w_g w_h) / divisor; quadratic terms as [g, h, c]."""
    return {
        "constant": resource.constant,
        "linear": list(resource.linear),
        "quadratic": [list(term) for term in resource.quadratic],
        "divisor": resource.divisor,
    }


def polynomial_text(resource: Resource) -> str:
    """A polynomial as people write it, cut after a dozen terms.

    >>> from parlay.resources import Resource
    >>> polynomial_text(Resource.of("weights", 2, constant=10, linear={0: 27}, quadratic={(0, 1): 9, (1, 1): 18}))
    '10 + 27 w1 + 9 w1 w2 + 18 w2^2'
    """
    terms = [f"{resource.constant:,}"] if resource.constant else []
    terms += [_times(c, f"w{g + 1}") for g, c in enumerate(resource.linear) if c]
    terms += [_times(c, f"w{g + 1}^2" if g == h else f"w{g + 1} w{h + 1}") for g, h, c in resource.quadratic]
    shown = " + ".join(terms[:LONGEST]) or "0"
    if len(terms) > LONGEST:
        shown += f" + ... ({len(terms)} terms; --json has all)"
    return shown if resource.divisor == 1 else f"({shown}) / {resource.divisor}"


def _times(coefficient: int, widths: str) -> str:
    return widths if coefficient == 1 else f"{coefficient:,} {widths}"


def _print(graph: WidthGraph, facts: dict[str, Any]) -> None:
    from rich.table import Table

    from parlay.cli.terminal import wide_console

    console = wide_console(110)
    console.print(f"{facts['model']} on {facts['input']}: {len(graph.space)} width groups")
    table = Table(box=None, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("group", no_wrap=True)
    table.add_column("width", justify="right", no_wrap=True)
    table.add_column("multiple of", justify="right", no_wrap=True)
    table.add_column("layers", justify="right")
    table.add_column("members", overflow="fold")
    for number, group in enumerate(facts["groups"], start=1):
        members = group["members"]
        shown = ", ".join(members[:4]) + (f", ... ({len(members)})" if len(members) > 4 else "")
        multiple = "" if group["multiple_of"] == 1 else str(group["multiple_of"])
        row = (f"w{number}", group["name"], f"{group['width']:,}", multiple, str(group["multiplicity"]), shown)
        table.add_row(*row)
    console.print(table)
    peak = graph.peak_activation_bytes(facts["dtype"])
    largest = max(range(len(peak.points)), key=lambda i: peak.points[i](graph.layout))
    lines = (
        f"params {facts['params']:,} = {polynomial_text(graph.params)}",
        f"macs {facts['macs']:,} = {polynomial_text(graph.macs)}",
        f"peak activation memory {facts['peak_activation_bytes']:,} bytes ({facts['dtype']}), the largest of "
        f"{len(peak.points)}; now at {graph.points[largest]}: {polynomial_text(peak.points[largest])}",
    )
    for line in lines:
        click.echo(line)
    if facts["followed"]:
        shown = ", ".join(facts["followed"][:LONGEST])
        more = f", ... ({len(facts['followed'])})" if len(facts["followed"]) > LONGEST else ""
        click.echo(f"numbers of the model that follow the widths: {shown}{more}")
    for note in facts["unchecked"]:
        click.echo(f"note: {note}")
    for reason in facts["pinned"]:
        click.echo(f"not free: {reason}")


def _print_modules(modules: list[dict[str, Any]]) -> None:
    """The modules that cost anything, as a tree."""
    from rich.table import Table

    from parlay.cli.terminal import wide_console

    console = wide_console(110)
    table = Table(box=None, pad_edge=False)
    table.add_column("module", no_wrap=True)
    table.add_column("class", no_wrap=True)
    amounts = ("params", "macs", "written_bytes")
    for name in ("params", "macs", "bytes written"):
        table.add_column(name, justify="right", no_wrap=True)
    for module in modules:
        if any(module[name] for name in amounts):
            path = module["module"]
            depth = path.count(".") + 1 if path else 0
            shown = "  " * depth + path.rpartition(".")[2] if path else "the model"
            table.add_row(shown, module["class"], *(f"{module[name]:,}" for name in amounts))
    console.print(table)
