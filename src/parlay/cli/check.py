"""``parlay check``: does a file fit a device, before it is flashed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, takes
from parlay.cli.options.device import NamedBoardOptions
from parlay.cli.options.kinds import Bytes
from parlay.documents import document

if TYPE_CHECKING:
    from parlay.device.check import Fitting, Need

__all__ = ["check"]

MOST_LIVING = 6
"""Tensors at the peak that are named; the rest is summed up."""


@command("parlay check model.tflite --device nrf52840 --reserve-ram 64KiB")
@click.argument("file", type=click.Path(path_type=Path))
@takes(board=NamedBoardOptions)
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
    file: Path,
    board: NamedBoardOptions,
    ram: str | None,
    flash: str | None,
    runtime_flash: int | None,
    out: Path | None,
    png: Path | None,
    as_json: bool,
) -> int:
    """Does a .tflite or .pte file fit a device: flash, arena, where its memory is highest, and what lives there.

    FILE need not come from parlay. RAM is all that LiteRT for Microcontrollers allocates on a 32-bit device, its
    records included, with the plan that the file carries or the engine makes. Exit code 1 where it does not fit.
    """
    from parlay.device.check import Fitting, check_file, replan

    limits = board.bytes(ram, flash)
    verdict = Fitting(need=check_file(file), ram=limits[0], flash=limits[1], runtime_flash=runtime_flash or 0)
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
