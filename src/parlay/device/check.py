"""``check``: does a file fit a device? What it needs, where its memory is highest, and what lives there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from parlay.device.planner import Buffer, Plan, live_peak
from parlay.device.predict import Predicted
from parlay.device.pte import Placed, read_pte
from parlay.device.tflite import content, parse_tflite, with_plan
from parlay.device.tflm import HOST, MICRO, Allocation, Arena
from parlay.documents import write_atomically
from parlay.errors import InputError
from parlay.layout import Layout

__all__ = ["READERS", "Need", "Fitting", "check_file"]

ENGINE = "LiteRT for Microcontrollers, reference kernels, 32-bit"
MOST_LETTERS = 60


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a file needs of a device.

    Attributes:
        file: its name.
        engine: what runs it.
        flash: bytes of the file.
        head: bytes of tensors and scratch, as they are planned.
        tail: bytes of the engine's records; None where it has none in its arena.
        ram: bytes of the arena, or None where the engine allocates out of sight.
        best_head, best_ram: the same with the best plan that was found, where the file can carry one.
        live: most bytes that live at one step, below which no plan comes.
        host: bytes of the arena on a 64-bit host, as ``tflite-micro`` prints them; None where that does not run it.
        steps: names of what is computed, in order.
        placed: what lies in the arena, and when.
        notes: what else to know.
        replanned: the file with the best plan in it; empty where its own is as good, or it carries none.
    """

    file: str
    engine: str
    flash: int
    head: int
    tail: int | None
    ram: int | None
    best_head: int | None = None
    best_ram: int | None = None
    live: int
    host: int | None = None
    steps: tuple[str, ...]
    placed: tuple[Placed, ...]
    notes: tuple[str, ...] = ()
    replanned: bytes = b""

    @cached_property
    def over_time(self) -> tuple[int, ...]:
        """Bytes that live at each step; step 0 is before the first operator."""
        return tuple(sum(one.bytes for one in self._living(step)) for step in range(len(self.steps) + 1))

    @property
    def peak_step(self) -> int:
        """The first step at which most bytes live."""
        return self.over_time.index(max(self.over_time))

    def _living(self, step: int) -> list[Placed]:
        return [one for one in self.placed if one.first <= step <= one.last]

    @property
    def at_peak(self) -> list[Placed]:
        """What lives there, the largest first."""
        return sorted(self._living(self.peak_step), key=lambda one: -one.bytes)

    def step_name(self, step: int) -> str:
        """A step in words, such as ``CONV_2D (operator 3 of 31)``."""
        return f"{self.steps[step - 1]} (operator {step} of {len(self.steps)})" if step else "the input, at the start"

    def to_json(self) -> dict[str, Any]:
        """Everything but the new file, in JSON values."""
        left_out = ("replanned", "placed", "steps", "notes")
        return {
            **{key: value for key, value in vars(self).items() if key not in (*left_out, "over_time")},
            "peak": {
                "step": self.peak_step,
                "operator": self.step_name(self.peak_step),
                "bytes": max(self.over_time),
                "living": [{"name": one.name, "bytes": one.bytes} for one in self.at_peak],
            },
            "steps": list(self.steps),
            "over_time": list(self.over_time),
            "placed": [dict(vars(one)) for one in self.placed],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Whether a file fits.

    Attributes:
        need: what it needs.
        ram, flash: bytes that there are; None where no limit was given.
        runtime_flash: bytes of flash that the engine's code takes.
    """

    need: Need
    ram: int | None = None
    flash: int | None = None
    runtime_flash: int = 0

    @property
    def short_of(self) -> list[str]:
        """What there is too little of, in words; empty where it fits."""
        found: list[str] = []
        amounts = (("RAM", self.need.ram, self.ram), ("flash", self.need.flash + self.runtime_flash, self.flash))
        for what, needed, limit in amounts:
            if limit is None:
                continue
            if needed is None:
                found.append(f"{what} that is not known: the engine allocates out of sight")
            elif needed > limit:
                found.append(f"{what}: {needed:,} of {limit:,} B, {needed - limit:,} too many")
        return found

    @property
    def fits(self) -> bool:
        """Whether there is enough of everything that was asked about."""
        return not self.short_of

    @property
    def would_fit_replanned(self) -> bool:
        """Whether another plan alone makes it fit."""
        best, flash = self.need.best_ram, len(self.need.replanned) + self.runtime_flash
        if self.fits or best is None or not self.need.replanned:
            return False
        return (self.ram is None or best <= self.ram) and (self.flash is None or flash <= self.flash)

    @property
    def sentence(self) -> str:
        """The verdict."""
        if self.ram is None and self.flash is None:
            return "no limits given: --board NAME, --ram or --flash"
        if self.fits:
            return "fits"
        rest = "; it fits with the better plan (--replan OUT.tflite)" if self.would_fit_replanned else ""
        return f"does not fit: {'; '.join(self.short_of)}{rest}"

    def to_json(self) -> dict[str, Any]:
        """Everything, in JSON values."""
        return {
            **self.need.to_json(),
            "limits": {"ram": self.ram, "flash": self.flash, "runtime_flash": self.runtime_flash},
            "fits": self.fits,
            "would_fit_replanned": self.would_fit_replanned,
            "verdict": self.sentence,
        }


def check_file(path: Path) -> Need:
    """What a .tflite or .pte file needs.

    Raises:
        InputError: for a file that cannot be read or planned.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(str(path), given=path.suffix or "no ending", allowed=", ".join(READERS))
    return reader(path)


def replan(need: Need, out: Path) -> bool:
    """Write the file with the best plan in it; whether there was one better than its own."""
    if need.replanned:
        write_atomically(out, need.replanned)
    return bool(need.replanned)


def need_of_tflite(path: Path) -> Need:
    """What a .tflite file needs of TFLM on a 32-bit device."""
    data, name = content(path), str(path)
    model = parse_tflite(data, name)
    outside = [tensor for tensor in model.tensors if tensor.is_external]
    if outside:
        raise InputError(
            name,
            given=f"{len(outside)} weights behind the flatbuffer",
            allowed="weights within it, where TFLM reads them",
            remedy="quantise it without packing, or export it with parlay fit",
        )
    allocation = Allocation(model=model, target=MICRO)
    try:
        plan, best = allocation.planned(), allocation.best
    except InputError as error:
        raise InputError(name, given=str(error)) from None
    own, better = allocation.arena(plan), allocation.arena(best)
    host = Allocation(model=model, target=HOST).arena()
    return Need(
        file=name,
        engine=ENGINE,
        flash=model.file_bytes,
        head=own.head,
        tail=own.tail,
        ram=own.total,
        best_head=better.head,
        best_ram=better.total,
        live=best.bound,
        host=host.used,
        steps=tuple(operator.kind for operator in model.operators),
        placed=_placed(allocation, plan),
        notes=_notes(own),
        replanned=with_plan(data, allocation.offsets(best), name) if better.total < own.total else b"",
    )


def need_of_layout(predicted: Predicted, layout: Layout, name: str) -> Need:
    """What the int8 file that parlay exports will need, before there is one: with its plan, and no file to write.

    Args:
        predicted: the file to be.
        layout: widths.
        name: what the answer calls it.
    """
    allocation = Allocation(model=predicted.at(layout), target=MICRO)
    best = allocation.best
    arena = allocation.arena(best)
    return Need(
        file=name,
        engine=f"{ENGINE}, predicted",
        flash=predicted.flash()(layout),
        head=arena.head,
        tail=arena.tail,
        ram=arena.total,
        live=best.bound,
        host=predicted.arena(layout, HOST).used,
        steps=tuple(operator.kind for operator in allocation.model.operators),
        placed=_placed(allocation, best),
        notes=(*_notes(arena), "flash is the most that the file takes: some 200 B less where gaps fall well"),
    )


def _placed(allocation: Allocation, plan: Plan) -> tuple[Placed, ...]:
    """Every tensor and scratch where the plan has it."""
    model = allocation.model
    makers = {place: operator.kind for operator in model.operators for place in operator.outputs}
    names = [_short(model.tensors[p].name) or f"output of {makers.get(p, 'nothing')}" for p in model.lives]
    names += ["scratch"] * (len(allocation.buffers) - len(names))
    return tuple(
        Placed(name=title, bytes=buffer.bytes, first=buffer.first, last=buffer.last, offset=offset)
        for title, buffer, offset in zip(names, allocation.buffers, plan.offsets, strict=True)
    )


def _short(name: str) -> str:
    """The last of the names that a converter joined, and no more of it than fits a line.

    >>> _short("model/relu;model/conv2d/BiasAdd;model/conv2d/Conv2D1")
    'model/conv2d/Conv2D1'
    """
    return name.rstrip(";").rpartition(";")[2][-MOST_LETTERS:]


def _notes(arena: Arena) -> tuple[str, ...]:
    if arena.starting > arena.used:
        return (f"it runs in {arena.used:,} B, and needs {arena.starting:,} B while it starts",)
    return ()


def need_of_pte(path: Path) -> Need:
    """What a .pte file needs of ExecuTorch, as far as its own plan says it."""
    program = read_pte(path)
    buffers = [Buffer(bytes=one.bytes, first=one.first, last=one.last) for one in program.placed]
    notes = ("ExecuTorch's own records, some kilobytes, come on top of the planned arena",)
    if program.delegates:
        names = ", ".join(dict.fromkeys(program.delegates))
        notes = (f"parts are handed to {names}, which allocates for itself: the arena is not all of it",)
    return Need(
        file=str(path),
        engine="ExecuTorch, its planned arena",
        flash=program.file_bytes,
        head=program.arena,
        tail=None,
        ram=None if program.delegates else program.arena,
        live=live_peak(buffers),
        steps=program.steps,
        placed=program.placed,
        notes=notes,
    )


READERS: dict[str, Callable[[Path], Need]] = {".tflite": need_of_tflite, ".pte": need_of_pte}
"""Ending of a file -> what reads it."""
