"""The .tflite file that parlay will export for a layout, before it is: its operators and tensors, and its arena.

Every operator of the traced program becomes an operator of the file, is folded into the one before it, or is refused.
Sizes of tensors are polynomials in the widths, so the arena has a bound that the solver keeps; at a layout it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from parlay.device.planner import Plan
from parlay.device.tflite import Operator, Tensor, TfliteModel, same_padding
from parlay.device.tflm import ALIGNED, MICRO, Allocation, Arena, Target, aligned
from parlay.errors import InputError
from parlay.resources import RecountedPeak, Resource

if TYPE_CHECKING:
    from parlay.graph import WidthGraph
    from parlay.graph.interpret import Step
    from parlay.layout import Layout

__all__ = ["ARENA", "FLASH", "Predicted", "predicted_file"]

FOLDED = frozenset(
    "batch_norm native_batch_norm _native_batch_norm_legit_no_training dropout dropout_ pad constant_pad_nd contiguous "
    "clone flatten view reshape squeeze unsqueeze detach alias identity feature_dropout".split()
)
"""Operators that leave nothing in the file: norms and zeros around pixels fold into layers, the rest moves nothing."""
PADS = ("pad", "constant_pad_nd")
ACTIVATIONS = frozenset("relu relu_ relu6 relu6_ hardtanh hardtanh_".split())
"""Operators that become part of the layer or sum before them."""
OPERATORS = {
    "conv2d": "CONV_2D",
    "linear": "FULLY_CONNECTED",
    "add": "ADD",
    "add_": "ADD",
    "mean": "MEAN",
    "adaptive_avg_pool2d": "MEAN",
    "max_pool2d": "MAX_POOL_2D",
    "avg_pool2d": "AVERAGE_POOL_2D",
    "cat": "CONCATENATION",
}
"""Operators of a traced program -> those of the file."""
WEIGHTED = ("CONV_2D", "FULLY_CONNECTED")
ARENA = "tflm_arena_bytes"
RECOUNTS = 100_000
"""Arenas that are remembered: a search comes back to layouts that it refused."""
PER_CHANNEL = 8
"""Bytes of records an output channel: a multiplier and a shift."""


FLASH = "tflite_file_bytes"
OPTIONS = {
    "CONV_2D": 24,
    "FULLY_CONNECTED": 8,
    "ADD": 8,
    "MEAN": 4,
    "MAX_POOL_2D": 28,
    "AVERAGE_POOL_2D": 28,
    "PAD": 4,
    "CONCATENATION": 12,
}
"""Bytes of an operator's options in the file; a convolution's as if it were depthwise, which takes 4 more."""
PER_SCALE = 12
"""Bytes of a scale and its zero point in the file, one of each a channel for weights and again for biases."""
ACTIVATION, LAYER, CONSTANT, OPERATOR, CODE = 80, 171, 56, 40, 20
"""Bytes of tables in the file: of an activation; of a layer's weights and biases, up to 3 that fill weights up to 4 and
up to 4 before each list of 64-bit numbers included; of a constant; of an operator but for inputs and options; of a kind
of operators."""
FRAME = 700
"""Bytes of all else: header, forms of tables, signature, metadata. 29 exported files of six networks had 690 to 820
with the gaps before 64-bit numbers, which stand above."""
PLAN_FRAME = 200
"""Bytes of a plan in the file beside 4 for every tensor and 4 for every value, whose lists are written anew."""


@dataclass(frozen=True, kw_only=True)
class FileNode:
    """An operator of the file to be.

    Attributes:
        kind: as in the file.
        reads: numbers of activations.
        writes: number of the activation that it computes.
        channels: outputs of its weights; None without weights.
        constant: its further argument, which the file holds once for all operators that share it.
    """

    kind: str
    reads: tuple[int, ...]
    writes: int
    channels: Resource | None = None
    constant: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A file of a network whose widths are not fixed yet.

    Attributes:
        nodes: its operators, in order.
        sizes: number of an activation -> its bytes.
        inputs, outputs: numbers of activations.
        weights: elements of all weights.
        groups: how many widths a layout has.
        steps: what each width is a multiple of.
    """

    nodes: tuple[FileNode, ...]
    sizes: dict[int, Resource] = field(repr=False)
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: Resource
    groups: int
    steps: tuple[int, ...]

    def at(self, layout: Layout) -> TfliteModel:
        """The file's tensors and operators at a layout."""
        tensors: list[Tensor] = []
        operators: list[Operator] = []
        places: dict[int, int] = {}

        def placed(number: int) -> int:
            if number not in places:
                size = self.sizes[number](layout)
                tensors.append(Tensor(name=f"activation {number}", shape=(1, size), type="int8", bytes=size, scales=1))
                places[number] = len(tensors) - 1
            return places[number]

        def stored(shape: tuple[int, ...], kind: str, size: int, scales: int = 0) -> int:
            count = math.prod(shape) * size
            tensors.append(Tensor(name="weights", shape=shape, type=kind, bytes=count, stored=count, scales=scales))
            return len(tensors) - 1

        inputs = tuple(placed(number) for number in self.inputs)
        constants: dict[tuple[int, ...], int] = {}
        for node in self.nodes:
            read = [placed(number) for number in node.reads]
            if node.channels is not None:
                count = node.channels(layout)
                read += [stored((count, 1), "int8", 1, count), stored((count,), "int32", 4, count)]
            if node.constant:
                if node.constant not in constants:
                    constants[node.constant] = stored((len(node.constant),), "int32", 4)
                read.append(constants[node.constant])
            operators.append(Operator(kind=node.kind, inputs=tuple(read), outputs=(placed(node.writes),)))
        return TfliteModel(
            file_bytes=0,
            tensors=tuple(tensors),
            operators=tuple(operators),
            inputs=inputs,
            outputs=tuple(places[number] for number in self.outputs),
        )

    def arena(self, layout: Layout, target: Target, *, plan: bool = True) -> Arena:
        """The arena at a layout, with the best plan in the file or without one."""
        allocation = Allocation(model=self.at(layout), target=target)
        return allocation.arena(allocation.best if plan else None)

    def plan(self, layout: Layout, target: Target) -> Plan:
        """The best plan at a layout."""
        return Allocation(model=self.at(layout), target=target).best

    def bound(self, today: Layout, target: Target, *, plan: bool = True) -> RecountedPeak:
        """At least the arena at every layout: a limit for the solver.

        Its polynomials are what lives at each operator, rounded up to 16 bytes a tensor as far as it may have to be,
        and the records, which are linear in the widths. They suppose a plan that reaches the live peak, as the best one
        does as a rule (docs/device.md) and the engine's own in two of three layouts; so each layout that would be kept
        is planned, and counts as what its plan takes.

        Args:
            today: some layout, at which the records that no width changes are counted.
            target: the machine.
            plan: whether the file carries the best plan.
        """
        exact = Allocation(model=self.at(today), target=target).arena()
        tail, start = (self._records(part, today) for part in (exact.tail, exact.starting))
        points = [Resource.total(ARENA, self.groups, [*parts, tail]) for parts in self._living()]

        @lru_cache(maxsize=RECOUNTS)
        def recount(layout: Layout) -> int:
            return self.arena(layout, target, plan=plan).total

        return RecountedPeak(name=ARENA, points=_undominated([*points, start]), recount=recount)

    def flash(self, *, plan: bool = True, runtime: int = 0) -> RecountedPeak:
        """At least the bytes of the file at every layout: weights, biases, 12 bytes a scale, and the file's tables.

        A plan is counted at the layouts whose file carries one.

        Args:
            plan: whether files may carry one.
            runtime: bytes that the engine's code takes beside the file.
        """
        fixed = Resource.of(FLASH, self.groups, constant=self._tables + runtime)
        channels = [one.times(4 + 2 * PER_SCALE) for one in self._weighted]
        points = (Resource.total(FLASH, self.groups, [fixed, self.weights, *channels]),)

        @lru_cache(maxsize=RECOUNTS)
        def recount(layout: Layout) -> int:
            allocation = Allocation(model=self.at(layout), target=MICRO)
            carries = plan and allocation.best.bytes < allocation.planned().bytes
            tensors = allocation.model.tensors
            values = sum(tensor.stored > 0 for tensor in tensors)
            return points[0](layout) + carries * (PLAN_FRAME + 4 * (len(tensors) + values))

        return RecountedPeak(name=FLASH, points=points, recount=recount)

    @cached_property
    def _tables(self) -> int:
        """Bytes of the file that no width changes."""
        kinds = {node.kind for node in self.nodes}
        constants = {node.constant for node in self.nodes if node.constant}
        inputs = [len(n.reads) + 2 * (n.channels is not None) + bool(n.constant) for n in self.nodes]
        return (
            FRAME
            + ACTIVATION * len(self.sizes)
            + LAYER * len(self._weighted)
            + sum(CONSTANT + 4 * len(constant) for constant in constants)
            + sum(OPERATOR + 4 * count for count in inputs)
            + sum(OPTIONS[node.kind] for node in self.nodes)
            + CODE * (len(kinds) + ("CONV_2D" in kinds))
        )

    @cached_property
    def _weighted(self) -> list[Resource]:
        return [node.channels for node in self.nodes if node.channels is not None]

    def _records(self, exact: int, today: Layout) -> Resource:
        """Bytes that are exact today, as far as no width changes them, and two lists of every layer's channels."""
        lists = sum(2 * aligned(one(today) * PER_CHANNEL // 2) for one in self._weighted)
        fixed = Resource.of("records", self.groups, constant=exact - lists)
        growing = [self._aligned(one.times(PER_CHANNEL // 2)).times(2) for one in self._weighted]
        return Resource.total(ARENA, self.groups, [fixed, *growing])

    def _living(self) -> list[list[Resource]]:
        """Bytes of what lives at each step, tensor by tensor; step 0 is before the first operator."""
        first = dict.fromkeys(self.inputs, 0)
        last = dict.fromkeys(self.inputs, 0)
        for step, node in enumerate(self.nodes, start=1):
            first[node.writes] = last[node.writes] = step
            for number in node.reads:
                last[number] = step
        last.update(dict.fromkeys(self.outputs, len(self.nodes)))
        found: list[list[Resource]] = []
        for step in range(len(self.nodes) + 1):
            living = [self._aligned(self.sizes[n]) for n in first if first[n] <= step <= last[n]]
            if step and self.nodes[step - 1].kind == "MEAN":
                sums = self.sizes[self.nodes[step - 1].writes].times(4)
                living += [self._aligned(sums), Resource.of("scratch", self.groups, constant=2 * ALIGNED)]
            found.append(living)
        return found

    def _aligned(self, size: Resource) -> Resource:
        """At least the size rounded up to 16 bytes; exactly so where every layout's size is a multiple of 16."""
        if not any(size.coefficients()):
            return Resource.of(size.name, self.groups, constant=-(-size.constant // size.divisor // ALIGNED) * ALIGNED)
        unit = math.gcd(size.constant, *(c * s for c, s in zip(size.linear, self.steps, strict=True)))
        unit = math.gcd(unit, *(c * self.steps[g] * self.steps[h] for g, h, c in size.quadratic))
        more = ALIGNED - math.gcd(unit // size.divisor, ALIGNED)
        return size + Resource.of("alignment", self.groups, constant=more)


def predicted_file(graph: WidthGraph, steps: Sequence[int] | None = None) -> Predicted:
    """The .tflite file that parlay exports for a traced model, at any layout.

    Args:
        graph: the traced model.
        steps: what each width is a multiple of; that of its group by default.

    Raises:
        InputError: for an operator whose form in the file is not known.
    """
    inputs, outputs = graph.ends
    layers = {layer.name: layer for layer in graph.ledger.layers.values()}
    sizes: dict[int, Resource] = {}
    value: dict[int, int] = {}  # storage -> the activation that it holds now
    nodes: list[FileNode] = []
    written = {storage: shape for step in graph.steps for storage, shape in step.writes}

    def hold(storage: int, shape: object) -> int:
        number = len(sizes)
        sizes[number] = graph.elements(shape)  # pyright: ignore[reportArgumentType]
        value[storage] = number
        return number

    entered = tuple(hold(storage, shape) for storage, shape in inputs)
    # activation -> pixels around it, above, below, left, right, for the convolution that reads it next: a pad is a view
    zeros: dict[int, tuple[int, int, int, int]] = {}
    for step in graph.steps:
        op = step.name.rpartition(": ")[2]
        kind = OPERATORS.get(op)
        if op in PADS:
            zeros[value[step.reads[0]]] = _zeros(step)
        if kind is None:
            if not _leaves_nothing(op, step, nodes, value):
                raise InputError(
                    "engine",
                    given=f"tflm for a model with {step.name}",
                    allowed=f"operators {', '.join(sorted({*OPERATORS, *ACTIVATIONS}))}",
                    remedy="use --engine live",
                )
            for storage, _ in step.writes:
                value[storage] = value[step.reads[0]]
            continue
        reads = tuple(value[storage] for storage in step.reads)
        storage = step.writes[0][0] if step.writes else step.reads[0]
        shape = step.writes[0][1] if step.writes else written.get(storage, dict(inputs).get(storage))
        layer = layers.get(step.module)
        if kind in WEIGHTED and layer is None:
            raise InputError("engine", given=f"tflm for {step.name}", allowed="layers that are modules of their own")
        channels = graph.elements((layer.outputs,)) if kind in WEIGHTED and layer is not None else None
        if op == "conv2d" and (padded := _padded(graph, step, zeros.pop(reads[0], (0, 0, 0, 0)))) is not None:
            number = len(sizes)
            sizes[number] = padded[1]
            nodes.append(FileNode(kind="PAD", reads=reads, writes=number, constant=padded[0]))
            reads = (number,)
        constant = (1, 2) if kind == "MEAN" else ()
        nodes.append(
            FileNode(kind=kind, reads=reads, writes=hold(storage, shape), channels=channels, constant=constant)
        )
    return Predicted(
        nodes=tuple(nodes),
        sizes=sizes,
        inputs=entered,
        outputs=tuple(value[storage] for storage in outputs),
        weights=graph.stored[0],
        groups=len(graph.space.groups),
        steps=tuple(steps or (group.multiple_of for group in graph.space.groups)),
    )


def _zeros(step: Step) -> tuple[int, int, int, int]:
    """Pixels that a pad puts above, below, left and right."""
    amounts = step.options[1]
    if not isinstance(amounts, list | tuple) or len(amounts) != 4:
        raise InputError("engine", given=f"tflm for {step.name}", allowed="pads of pixels", remedy="use --engine live")
    left, right, above, below = (int(amount) for amount in amounts)
    return above, below, left, right


def _padded(graph: WidthGraph, step: Step, zeros: tuple[int, int, int, int]) -> tuple[tuple[int, ...], Resource] | None:
    """The pad that a convolution needs before it, and the bytes of what it pads; None where "same" or none will do.

    The file's convolutions know no other padding than these two.
    """
    from parlay.graph.dims import constant

    layer = graph.model.get_submodule(step.module)
    shape = next(shape for storage, shape in _written(graph) if storage == step.reads[0])
    kernel, stride, padding, dilation = (
        _pair(getattr(layer, name)) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    wanted, given, sides = [], [], []
    for axis in (0, 1):
        side = graph.unknowns.size(shape[2 + axis])
        wanted += same_padding(side, kernel=kernel[axis], stride=stride[axis], dilation=dilation[axis])
        given += [zeros[2 * axis] + padding[axis], zeros[2 * axis + 1] + padding[axis]]
        sides.append(side + given[2 * axis] + given[2 * axis + 1])
    if given in (wanted, [0, 0, 0, 0]):
        return None
    return tuple(given), graph.elements((*shape[:2], constant(sides[0]), constant(sides[1])))


def _written(graph: WidthGraph) -> list[tuple[int, Any]]:
    return [*graph.ends[0], *(one for step in graph.steps for one in step.writes)]


def _pair(value: Any) -> tuple[int, int]:
    """A side as both; padding in words has to be spelled out before."""
    if isinstance(value, str):
        raise InputError("engine", given=f"tflm for padding={value!r}", allowed="numbers", remedy="use --engine live")
    if isinstance(value, list | tuple):
        return int(value[0]), int(value[-1])
    return int(value), int(value)


def _undominated(points: Sequence[Resource]) -> tuple[Resource, ...]:
    """The points that no other exceeds in every coefficient: only they can be the largest."""
    kept: list[Resource] = []
    for point in points:
        if any(_exceeds(other, point) for other in kept):
            continue
        kept = [*(other for other in kept if not _exceeds(point, other)), point]
    return tuple(kept)


def _exceeds(one: Resource, other: Resource) -> bool:
    """Whether no coefficient is below the other's."""
    more = Resource.total(one.name, one.groups, [one, other.times(-1)])
    return more.constant >= 0 and all(coefficient >= 0 for coefficient in more.coefficients())


def _leaves_nothing(op: str, step: Step, nodes: Sequence[FileNode], value: dict[int, int]) -> bool:
    """Whether an operator becomes part of another: an activation only of what was computed right before."""
    if op in FOLDED:
        return True
    return op in ACTIVATIONS and bool(nodes) and nodes[-1].writes == value[step.reads[0]]
