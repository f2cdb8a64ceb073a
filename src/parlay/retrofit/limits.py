"""What a device allows, as constraints on the exact resources of a traced model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real

from parlay.amounts import parse_bytes, parse_limit, parse_range
from parlay.device import ENGINES
from parlay.device.predict import ARENA, FLASH, predicted_file
from parlay.device.tflm import MICRO
from parlay.errors import InputError, unknown
from parlay.graph import WidthGraph
from parlay.network import AMOUNTS, element_bytes
from parlay.problem import Constraint
from parlay.resources import PeakResource, Resource
from parlay.solver.remedies import limit_words

__all__ = ["Limits"]

NO_LIMIT = "none"
LIFTED = ("max_params", "max_macs", "max_peak_memory", "flash", "ram")
"""Limits that can be lifted."""
LEVELLED = {
    "macs": ("max_macs",),
    "peak-memory": ("max_peak_memory",),
    "params": ("max_params",),
    "flash": ("max_params", "max_macs"),
    "ram": ("max_peak_memory", "max_macs"),
}
"""Amount that a front levels -> the defaults that a limit on it takes the place of, or lifts."""
SIZES = ("params", "max_params", "params_range")
"""Of which one can be given."""
MOST_RATIO = 100
"""A float above this was hardly meant as a ratio of today's amount: 1e6 parameters are written 10**6."""
SOME = 10**9
"""An amount of today's to read texts with, before a model is known."""

Amount = str | int | float | Fraction


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits as they are written; None stands for the default, ``none`` lifts it.

    Numbers do as well: an integer is an amount, a fraction or a decimal is a ratio of today's. They are kept as text.

    >>> Limits(max_params=3000, max_macs=0.9) == Limits(max_params="3000", max_macs="0.9x")
    True

    Unless told otherwise the new network has at most today's parameters, multiply-adds and peak memory. A limit on
    flash takes the place of the one on parameters, a limit on RAM that of the one on peak memory, and either of them
    lifts the one on multiply-adds: it says what the device is short of.

    Attributes:
        params: exact number of parameters, or ``same``.
        max_params: at most so many, or a ratio of today's (``1.0x``).
        params_range: ``A:B``, or both ends as a pair.
        max_macs: multiply-adds for one image, as ``max_params``.
        max_peak_memory: peak activation memory in bytes, as ``max_params``, with units allowed.
        flash: bytes such as ``256KiB``: for weights (docs/counting.md), or for the whole file if the engine is tflm.
        ram: bytes for activations, or for all that the engine allocates.
        dtype: type of weights and activations: int8, float16, bfloat16, float32.
        engine: what ``ram`` counts: ``live``, the activations that live at once, or ``tflm``, the whole arena of LiteRT
            for Microcontrollers on a 32-bit device, for the int8 file that parlay exports.
        plan: whether that file carries the best plan of its arena, or leaves planning to the engine.
        runtime_flash: bytes that the engine's code takes of ``flash``; with the engine tflm.
        levelled: the amount that a front has levels of: macs, peak-memory, params, flash or ram. Every level is a limit
            on it, so the defaults that such a limit takes the place of are lifted.

    Raises:
        InputError: for what is no amount, an unknown dtype, or several limits on the same.
    """

    params: Amount | None = None
    max_params: Amount | None = None
    params_range: str | tuple[Amount, Amount] | None = None
    max_macs: Amount | None = None
    max_peak_memory: Amount | None = None
    flash: str | int | None = None
    ram: str | int | None = None
    dtype: str = "int8"
    engine: str = "live"
    plan: bool = True
    runtime_flash: str | int | None = None
    levelled: str | None = None

    def __post_init__(self) -> None:
        for name, reads in READS.items():
            value = getattr(self, name)
            if value is None:
                continue
            text = _written(value, name)
            if text.strip().lower() == NO_LIMIT and name in LIFTED:  # in one spelling from here on
                object.__setattr__(self, name, None if name in ("flash", "ram") else NO_LIMIT)
                continue
            reads(text, name.replace("_", "-"))  # whatever is no amount is met here
            object.__setattr__(self, name, text)
        element_bytes(self.dtype)
        if self.engine not in ENGINES:
            raise unknown("engine", self.engine, ENGINES)
        if self.engine == "tflm" and self.dtype != "int8":
            raise InputError("engine", given=f"tflm with dtype {self.dtype}", allowed="dtype int8")
        others = {"no-plan": not self.plan, "runtime-flash": self.runtime_flash is not None}
        for name in (name for name, is_given in others.items() if is_given and self.engine != "tflm"):
            raise InputError(name, given=f"engine {self.engine}", allowed="engine tflm")
        given = [n for n in SIZES if getattr(self, n) is not None]
        if len(given) > 1:
            written = " and ".join(name.replace("_", "-") for name in given)
            raise InputError("size", given=written, allowed="one of params, max-params, params-range")
        if self.levelled is not None and self.levelled not in LEVELLED:
            raise unknown("levelled", self.levelled, LEVELLED)
        for name in LEVELLED.get(self.levelled or "", ()):
            if getattr(self, name) is None and not (name in SIZES and given):
                object.__setattr__(self, name, NO_LIMIT)

    def of_one_size(self) -> Limits:
        """The same limits on layouts of one size: exactly today's parameters where no size is given, and no other.

        >>> Limits(max_macs="1.2x").of_one_size() == Limits(params="same", max_macs="1.2x", max_peak_memory="none")
        True
        """
        has_size = any(getattr(self, name) is not None for name in (*SIZES, "flash"))
        return replace(
            self,
            params=self.params if has_size else "same",
            max_macs=self.max_macs or NO_LIMIT,
            max_peak_memory=self.max_peak_memory or (None if self.ram is not None else NO_LIMIT),
        )

    def _text(self, name: str, default: str = NO_LIMIT) -> str:
        value = getattr(self, name)
        return default if value is None else str(value)

    def constraints(self, graph: WidthGraph) -> tuple[Constraint, ...]:
        """The constraints on a traced model.

        Raises:
            InputError: for amounts that are no amounts.
        """
        is_stated = self.flash is not None or self.ram is not None
        found: list[Constraint] = [
            *self._params(graph),
            *self._at_most("max_macs", graph, graph.macs, default=NO_LIMIT if is_stated else "1.0x"),
            *self._peaks(graph),
        ]
        if self.flash is not None:
            found.append(Constraint.at_most(self._storage(graph), parse_bytes(self._text("flash"), "flash")))
        if not found and self.levelled is None:
            raise InputError(
                "limits", given="none", allowed="at least one limit", remedy="give --max-params, --flash or another"
            )
        return tuple(found)

    def level(self, graph: WidthGraph) -> Resource | PeakResource:
        """What a front has levels of.

        Raises:
            InputError: where nothing is levelled, or the engine's memory of this model is not known.

        >>> import torch
        >>> from parlay.families import plain
        >>> from parlay.graph import trace
        >>> graph = trace(plain(depth=3, image=8).build((4, 8, 16)), torch.zeros(1, 3, 8, 8))
        >>> limits = Limits(levelled="flash")
        >>> print(*limits.constraints(graph)), limits.level(graph)(graph.layout)
        peak_activation_bytes <= 448
        (None, 1860)
        """
        if self.levelled is None:
            raise InputError("levelled", given="none", allowed=", ".join(LEVELLED))
        of_engine = {"ram": self._memory, "flash": self._storage}.get(self.levelled)
        return graph.resources(self.dtype)[AMOUNTS[self.levelled]] if of_engine is None else of_engine(graph)

    def words(self, old: Constraint, new: Constraint) -> str:
        """The options that state a milder constraint in the place of one of ``constraints``."""
        name = old.resource.name
        if name in ("flash", FLASH):
            return f"--flash {new.maximum}"
        if name == ARENA:
            return f"--ram {new.maximum}"
        if name == "peak_activation_bytes":
            stated = {"--ram": self.ram, "--max-peak-memory": self.max_peak_memory}
            given = [option for option, value in stated.items() if value not in (None, NO_LIMIT)]
            return " with ".join(f"{option} {new.maximum}" for option in given or ["--max-peak-memory"])
        if name == "params" and self.params_range is not None:
            return f"--params-range {new.minimum}:{new.maximum}"
        return limit_words(name, old, new)

    def _params(self, graph: WidthGraph) -> list[Constraint]:
        today = graph.params(graph.layout)
        if self.params is not None:
            text = self._text("params")
            amount = today if _is_same(text) else parse_limit(text, today=today, what="params")
            return [Constraint.equal(graph.params, amount)]
        if self.params_range is not None:
            low, high = parse_range(self._text("params_range"), today=today, what="params-range")
            return [Constraint(resource=graph.params, minimum=low, maximum=high)]
        return self._at_most("max_params", graph, graph.params, default="1.0x" if self.flash is None else NO_LIMIT)

    def _peaks(self, graph: WidthGraph) -> list[Constraint]:
        peak = graph.peak_activation_bytes(self.dtype)
        text = self._text("max_peak_memory", "1.0x" if self.ram is None else NO_LIMIT)
        found: list[Constraint] = []
        if text != NO_LIMIT:
            found.append(Constraint.at_most(peak, _bytes_or_ratio(text, "max-peak-memory", today=peak(graph.layout))))
        if self.ram is None:
            return found
        found.append(Constraint.at_most(self._memory(graph), parse_bytes(self._text("ram"), "ram")))
        if self.engine == "tflm":
            return found
        return sorted(found, key=lambda constraint: constraint.maximum or 0)[:1]  # the tighter one says it all

    def _memory(self, graph: WidthGraph) -> PeakResource:
        """What the engine takes of RAM."""
        if self.engine == "tflm":
            return predicted_file(graph).bound(graph.layout, MICRO, plan=self.plan)
        return graph.peak_activation_bytes(self.dtype)

    def _storage(self, graph: WidthGraph) -> Resource | PeakResource:
        """What the engine takes of flash."""
        if self.engine == "tflm":
            runtime = 0 if self.runtime_flash is None else parse_bytes(str(self.runtime_flash), "runtime-flash")
            return predicted_file(graph).flash(plan=self.plan, runtime=runtime)
        return graph.flash_bytes(self.dtype)

    def _at_most(
        self, name: str, graph: WidthGraph, resource: Resource | PeakResource, *, default: str
    ) -> list[Constraint]:
        text = self._text(name, default)
        if text == NO_LIMIT:
            return []
        amount = parse_limit(text, today=resource(graph.layout), what=name.replace("_", "-"))
        return [Constraint.at_most(resource, amount)]


def _is_same(text: str) -> bool:
    return text.strip().lower() == "same"


def _bytes_or_ratio(text: str, what: str, *, today: int) -> int:
    return parse_limit(text, today=today, what=what) if text.strip().endswith("x") else parse_bytes(text, what)


def _read_range(text: str, what: str) -> None:
    if ":" not in text:
        parse_range(text, today=SOME, what=what)
    for end in text.split(":", 1):  # which is larger shows where today's amount is known
        parse_limit(end, today=SOME, what=what)


READS: dict[str, Callable[[str, str], object]] = {
    "params": lambda text, what: _is_same(text) or parse_limit(text, today=SOME, what=what),
    "max_params": lambda text, what: parse_limit(text, today=SOME, what=what),
    "params_range": _read_range,
    "max_macs": lambda text, what: parse_limit(text, today=SOME, what=what),
    "max_peak_memory": lambda text, what: _bytes_or_ratio(text, what, today=SOME),
    "flash": parse_bytes,
    "ram": parse_bytes,
    "runtime_flash": parse_bytes,
}
"""Limit -> what reads its text, and refuses what is no amount."""


def _written(value: object, name: str) -> str:
    """An amount as text: an integer is an amount, another number a ratio of today's."""
    what = name.replace("_", "-")
    if isinstance(value, str):
        return value
    if name == "params_range" and isinstance(value, tuple | list) and len(value) == 2:
        return ":".join(_written(end, name) for end in value)
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    is_ratio = isinstance(value, Real) and not isinstance(value, Integral) and name not in ("flash", "ram")
    if is_ratio and 0 < value <= MOST_RATIO:  # pyright: ignore[reportOperatorIssue]
        return f"{value}x" if isinstance(value, Fraction) else f"{Decimal(str(value)):f}x"
    allowed = 'an integer or text such as "256KiB"'
    if name not in ("flash", "ram"):
        allowed = f'an integer, a ratio of today\'s above 0 and up to {MOST_RATIO}, or text such as "3000" or "0.9x"'
    raise InputError(what, given=repr(value), allowed=allowed)
