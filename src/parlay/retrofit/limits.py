"""What a device allows, as constraints on the exact resources of a traced model."""

from __future__ import annotations

from dataclasses import dataclass

from parlay.errors import InputError
from parlay.graph import WidthGraph
from parlay.problem import Constraint
from parlay.resources import PeakResource, Resource
from parlay.retrofit.amounts import parse_bytes, parse_limit, parse_range

__all__ = ["Limits"]

NO_LIMIT = "none"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits as they are written; None stands for the default, ``none`` lifts it.

    Without a word the new network has at most today's parameters, multiply-adds and peak memory. A limit on flash takes
    the place of the one on parameters, a limit on RAM that of the one on peak memory.

    Attributes:
        params: exact number of parameters, or ``same``.
        max_params: at most so many, or a ratio of today's (``1.0x``).
        params_range: ``A:B``.
        max_macs: multiply-adds for one image, as ``max_params``.
        max_peak_memory: peak activation memory in bytes, as ``max_params``, with units allowed.
        flash: bytes for weights (docs/counting.md), such as ``256KiB``.
        ram: bytes for activations.
        dtype: type of weights and activations: int8, float16, bfloat16, float32.
    """

    params: str | None = None
    max_params: str | None = None
    params_range: str | None = None
    max_macs: str | None = None
    max_peak_memory: str | None = None
    flash: str | None = None
    ram: str | None = None
    dtype: str = "int8"

    def __post_init__(self) -> None:
        sizes = {"params": self.params, "max-params": self.max_params, "params-range": self.params_range}
        given = [name for name, value in sizes.items() if value is not None]
        for name in ("max_params", "max_macs", "max_peak_memory", "flash", "ram"):
            value = getattr(self, name)
            if value is not None and value.strip().lower() == NO_LIMIT:  # in one spelling from here on
                object.__setattr__(self, name, None if name in ("flash", "ram") else NO_LIMIT)
        if len(given) > 1:
            raise InputError("size", given=" and ".join(given), allowed="one of params, max-params, params-range")

    def constraints(self, graph: WidthGraph) -> tuple[Constraint, ...]:
        """The constraints on a traced model.

        Raises:
            InputError: for amounts that are no amounts.
        """
        found: list[Constraint] = [
            *self._params(graph),
            *self._at_most("max-macs", self.max_macs, graph, graph.macs, default="1.0x"),
            *self._peaks(graph),
        ]
        if self.flash is not None:
            found.append(Constraint.at_most(graph.flash_bytes(self.dtype), parse_bytes(self.flash, "flash")))
        if not found:
            raise InputError(
                "limits", given="none", allowed="at least one limit", remedy="give --max-params, --flash or another"
            )
        return tuple(found)

    def _params(self, graph: WidthGraph) -> list[Constraint]:
        today = graph.params(graph.layout)
        if self.params is not None:
            same = self.params.strip().lower() == "same"
            amount = today if same else parse_limit(self.params, today=today, what="params")
            return [Constraint.equal(graph.params, amount)]
        if self.params_range is not None:
            low, high = parse_range(self.params_range, today=today, what="params-range")
            return [Constraint(resource=graph.params, minimum=low, maximum=high)]
        default = "1.0x" if self.flash is None else NO_LIMIT
        return self._at_most("max-params", self.max_params, graph, graph.params, default=default)

    def _peaks(self, graph: WidthGraph) -> list[Constraint]:
        peak = graph.peak_activation_bytes(self.dtype)
        default = "1.0x" if self.ram is None else NO_LIMIT
        text = self.max_peak_memory if self.max_peak_memory is not None else default
        found: list[Constraint] = []
        if text != NO_LIMIT:
            is_ratio = text.strip().endswith("x")
            amount = (
                parse_limit(text, today=peak(graph.layout), what="max-peak-memory")
                if is_ratio
                else parse_bytes(text, "max-peak-memory")
            )
            found.append(Constraint.at_most(peak, amount))
        if self.ram is not None:
            found.append(Constraint.at_most(peak, parse_bytes(self.ram, "ram")))
        return sorted(found, key=lambda constraint: constraint.maximum or 0)[:1]  # the tighter one says it all

    @staticmethod
    def _at_most(
        what: str, text: str | None, graph: WidthGraph, resource: Resource | PeakResource, *, default: str
    ) -> list[Constraint]:
        text = default if text is None else text
        if text == NO_LIMIT:
            return []
        return [Constraint.at_most(resource, parse_limit(text, today=resource(graph.layout), what=what))]
