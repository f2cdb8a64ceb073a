"""``parlay check``: does a file fit a device, before it is flashed?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, option, takes
from parlay.cli.options.device import NamedBoardOptions
from parlay.cli.options.kinds import Bytes
from parlay.cli.options.model import factory_option, traced
from parlay.documents import document
from parlay.errors import InputError
from parlay.layout import Layout, parse_layout

if TYPE_CHECKING:
    from parlay.device.check import Fitting, Need

__all__ = ["check"]


@dataclass(frozen=True, kw_only=True)
class LayoutOptions:
    """A model in the place of a file."""

    heading: ClassVar[str] = "A model, before there is a file"
    inputs: tuple[str, ...] = option(
        "--input", metavar="SHAPE", multiple=True, help="FILE is a model as in 'parlay trace', for such an image."
    )
    model_arg: tuple[str, ...] = factory_option()
    layout: str | None = option(
        "--layout", metavar="WIDTHS|FILE", help="Its widths, such as 16-24-32, or a layout.json; today's by default."
    )

    def need(self, spec: str) -> Need:
        """What the exported file will need.

        Raises:
            InputError: for widths that the model cannot have, or a file without any.
        """
        from parlay.device.check import need_of_layout
        from parlay.device.predict import predicted_file

        graph = traced(spec, self.inputs, self.model_arg, (), quiet=True)
        layout = graph.layout if self.layout is None else graph.check(self._widths(self.layout))
        return need_of_layout(predicted_file(graph), layout, spec)

    def _widths(self, text: str) -> Layout:
        if not text.endswith(".json"):
            return parse_layout(text)
        from parlay.device.tflite import content

        try:
            return tuple(int(width) for width in json.loads(content(Path(text)))["layout"])
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(text, given="no widths", allowed="a layout.json of parlay retrofit --out") from error


MOST_LIVING = 6
"""Tensors at the peak that are named; the rest is summed up."""


@command("parlay check model.tflite --board nrf52840 --reserve-ram 64KiB")
@click.argument("file")
@takes(board=NamedBoardOptions, widths=LayoutOptions)
@click.option("--ram", metavar="BYTES", help="RAM for the arena, such as 64KiB.")
@click.option("--flash", metavar="BYTES", help="Flash for the file, such as 256KiB.")
@click.option("--runtime-flash", type=Bytes(), help="Flash that the engine's code takes, such as 90KiB.")
@click.option(
    "--replan",
    "out",
    type=click.Path(path_type=Path),
    help="Write the file with the better plan in it, if there is one.",
)
@click.option("--png", type=click.Path(path_type=Path), help="Draw the arena over time into this file.")
@json_option
def check(
    file: str,
    board: NamedBoardOptions,
    widths: LayoutOptions,
    ram: str | None,
    flash: str | None,
    runtime_flash: int | None,
    out: Path | None,
    png: Path | None,
    as_json: bool,
) -> int:
    """Does a .tflite or .pte file fit a device, and what fills it?

    Says flash and arena, where memory is highest and what lives there. FILE need not come from parlay; with --input it
    is a model, whose exported file is predicted. RAM is all that LiteRT for Microcontrollers allocates on a 32-bit
    device, its records included, with the plan that the file carries or the engine makes. Exit code 1 where it does not
    fit.
    """
    from parlay.device.check import Fitting, check_file, replan

    limits = board.bytes(ram, flash)
    need = widths.need(file) if widths.inputs else check_file(Path(file))
    verdict = Fitting(need=need, ram=limits[0], flash=limits[1], runtime_flash=runtime_flash or 0)
    written = out is not None and replan(verdict.need, out)
    if png is not None:
        from parlay.report.arena import draw_arena

        draw_arena(verdict.need, png, limit=verdict.ram)
    if as_json:
        click.echo(document({**verdict.to_json(), "written": str(out) if written else None}))
    else:
        for line in _lines(verdict):
            click.echo(line)
        if out is not None:
            click.echo(f"written: {out}" if written else "nothing written: the file's own plan is as good")
    return 0 if verdict.fits else 1


def _lines(verdict: Fitting) -> list[str]:
    from parlay.device.picture import picture

    need = verdict.need
    peak = max(need.over_time)
    lines = [f"{need.file}: {need.engine}", f"flash      {need.flash:>11,} B, the file", *_arena(need)]
    lines += ["", *picture(need.over_time), ""]
    lines.append(f"highest at {need.step_name(need.peak_step)}: {peak:,} B live")
    for one in need.at_peak[:MOST_LIVING]:
        lines.append(f"  {one.bytes:>9,} B  {one.name}")
    if len(need.at_peak) > MOST_LIVING:
        rest = need.at_peak[MOST_LIVING:]
        lines.append(f"  {sum(one.bytes for one in rest):>9,} B  in {len(rest)} more")
    return [*lines, *(f"note: {note}" for note in need.notes), f"verdict: {verdict.sentence}"]


def _arena(need: Need) -> list[str]:
    """The arena by its parts, as it is and as it could be."""
    if need.ram is None or need.tail is None:
        return [f"arena      {need.head:>11,} B planned, {need.live:,} live at most"]
    lines = [f"arena      {need.ram:>11,} B: head {need.head:,} + records {need.tail:,}"]
    if need.best_ram is not None and need.best_ram < need.ram:
        bound = "as small as any" if need.best_head == need.live else f"none is below {need.live:,}"
        more = len(need.replanned) - need.flash
        lines.append(f"replanned  {need.best_ram:>11,} B: head {need.best_head:,}, {bound}; + {more:,} B of flash")
    if need.host is not None:
        lines.append(f"64-bit host{need.host:>11,} B, as tflite-micro prints it")
    return lines
