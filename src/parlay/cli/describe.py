"""``parlay describe``: what one layout costs."""

from __future__ import annotations

from typing import Any

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.problem import FamilyOptions, dtype_option
from parlay.documents import document
from parlay.energy import energy_facts
from parlay.layout import format_layout, parse_layout

__all__ = ["describe"]


@command("parlay describe 35-36-37-43 --image 32")
@click.argument("layout")
@takes(network=FamilyOptions)
@dtype_option
@json_option
def describe(layout: str, network: FamilyOptions, dtype: str, as_json: bool) -> None:
    """Sizes and energy of one LAYOUT, such as 35-36-37-43.

    kernels = weights / k^2; weights = convolution weights (Eq. 1); params = all parameters of the network; macs =
    multiply-adds of its convolutions and linear layer for one image; energy = Eq. 3.
    """
    widths = parse_layout(layout)
    family = network.make(groups=len(widths))
    facts = {
        "layout": list(family.check(widths)),
        "family": family.name,
        "depth": family.depth,
        **family.sizes(widths),
        **family.amounts(widths, dtype),
        "dtype": dtype,
        **energy_facts(family.energy(widths)),
        "in_channels": family.in_channels,
        "kernel_sizes": list(family.kernel_sizes),
        "image": family.image,
        "classes": family.classes,
    }
    if as_json:
        click.echo(document(facts))
    else:
        _print(facts)


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table

    from parlay.cli.terminal import number, plain_console

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for key, value in facts.items():
        shown = format_layout(value) if key in ("layout", "kernel_sizes") else number(value)
        table.add_row(key.replace("_", " "), shown)
    plain_console().print(table)
