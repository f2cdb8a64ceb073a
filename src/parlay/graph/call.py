"""What a rule sees of one operator call, and the table of rules.

A rule is one function: it gets a ``Call``, says through ``call.unify`` which dimensions must agree, and returns the
dimensions of the output. ``add_rule`` adds one for an operator that parlay does not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from parlay.errors import InputError, unknown
from parlay.graph.dims import BATCH, Dim, Segment, Unknowns, constant
from parlay.graph.paths import Flow

__all__ = [
    "RULES",
    "Call",
    "Ledger",
    "Memory",
    "Norm",
    "Product",
    "Rule",
    "RuleEntry",
    "Shape",
    "Traced",
    "add_rule",
    "rule",
]

Shape = tuple[Dim, ...]
"""The dimensions of one tensor."""


class Memory(StrEnum):
    """How an operator uses activation memory.

    POINT: input and output exist together. FUSED: the output takes the place of an input that is not needed any more,
    as inference engines do with batch norm, activations, pooling and sums. VIEW: the output is the input.
    """

    POINT = "point"
    FUSED = "fused"
    VIEW = "view"


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A tensor of the graph.

    Attributes:
        dims: its dimensions.
        origin: qualified name of the one parameter it is made of, if it is.
        depends_on_input: whether it is an activation; what depends on parameters alone is none.
        storage: number of the storage it lives in; views share one.
        layer: weight of the layer that wrote it, if nothing has changed it since.
        value: number of the activation, for following paths; -1 for what is none.
    """

    dims: Shape
    origin: str | None = None
    depends_on_input: bool = False
    storage: int = -1
    layer: str | None = None
    value: int = -1


@dataclass(frozen=True, kw_only=True)
class Product:
    """Multiply-adds of one operator, in whose module they are: a product of dimensions."""

    owner: str
    dims: Shape
    factor: int = 1


@dataclass(frozen=True, kw_only=True)
class WeightLayer:
    """A convolution or linear layer.

    Attributes:
        name: path of its module, or name of the parameter where it is no module's ``weight``.
        inputs, outputs: what it reads and what it writes.
        axis: the dimension of its weight that holds the outputs, or those of one group.
        bias: name of its bias.
        mixes: whether an output reads several channels; a depthwise convolution's reads one.
        is_spatial: whether an output reads several pixels.
    """

    name: str
    inputs: Dim
    outputs: Dim
    axis: int = 0
    bias: str | None = None
    mixes: bool = True
    is_spatial: bool = False


@dataclass(frozen=True, kw_only=True)
class Norm:
    """One call of a normalisation.

    Attributes:
        parameters: names of its scale and shift.
        channels: what it normalises.
        statistics: dimensions of its running mean, which are those of no other buffer; () without.
        behind: weight of the layer right before it whose output nothing else reads, if it is a batch norm that could
            be folded into one.
    """

    parameters: tuple[str, ...]
    channels: Shape
    statistics: Shape = ()
    behind: str | None = None


@dataclass(kw_only=True)
class Ledger:
    """What a pass over a graph writes down, to be worked out when all widths are known.

    Attributes:
        macs: multiply-adds of every operator.
        layers: the weight layers, by the name of their weight.
        attributes: attributes of modules that hold sizes, by module path and name.
        norms: normalisations of activations.
        readers: how many operators read an activation and each parameter, by the parameter's name.
        unruled: operators without a rule that work on activations: how each is counted, in words.
        groups: number of groups of every convolution that has several.
        touched: dimensions that a line of a module's source handles, by module path and file:line.
        flows: every operator on activations, for following paths.
    """

    macs: list[Product] = field(default_factory=list[Product])
    layers: dict[str, WeightLayer] = field(default_factory=dict[str, WeightLayer])
    attributes: dict[tuple[str, str], Shape] = field(default_factory=dict[tuple[str, str], Shape])
    norms: list[Norm] = field(default_factory=list[Norm])
    readers: Counter[str] = field(default_factory=Counter[str])
    unruled: list[str] = field(default_factory=list[str])
    groups: list[Dim] = field(default_factory=list[Dim])
    touched: dict[tuple[str, str], list[Dim]] = field(default_factory=dict[tuple[str, str], list[Dim]])
    flows: list[Flow] = field(default_factory=list[Flow])

    def folded(self) -> set[str]:
        """The layers that a batch norm is folded into, by their weights.

        A layer that is called several times is stored once: it takes up a norm only if the same one follows every call.
        """
        behind: dict[str, list[Norm]] = {}
        for norm in self.norms:
            if norm.behind is not None:
                behind.setdefault(norm.behind, []).append(norm)
        return {layer for layer, norms in behind.items() if len(norms) == self.readers[layer] and len({*norms}) == 1}

    def setters(self, unknowns: Unknowns, widths: Iterable[int]) -> list[str]:
        """Names of the layers that set any of these widths: what to pin to keep them."""
        wanted = {width for width in widths if width > BATCH}
        return [
            layer.name
            for layer in self.layers.values()
            if any(segment.width in wanted for segment in unknowns.resolve(layer.outputs))
        ]


@dataclass(kw_only=True)
class Call:
    """One operator call.

    Attributes:
        op: base name, such as ``conv2d``; an in-place variant has the name of the other.
        arguments: by the names of the operator's schema: ``Traced`` tensors, lists of them, or plain values.
        shapes: today's shape of every output tensor.
        unknowns: the widths; ``unify``, ``cut``, ``merge``, ``factor`` and ``pin`` are its methods.
        module: path of the module in whose forward the call is, and ``line``, where.
        memory: how the operator uses memory; the rule's own unless the rule changes it for this call.
        reads_alone: whether nothing else reads the first tensor.
        readers: base names of the operators that read each output.
        reduced: dimensions that the operator takes away, set by the rules of reductions.
        layer: weight of the layer that the call is, if it is one; set by ``weight_layer``.
    """

    op: str
    arguments: dict[str, Any]
    shapes: list[tuple[int, ...]]
    unknowns: Unknowns
    ledger: Ledger
    module: str = ""
    line: str = ""
    memory: Memory = Memory.POINT
    reads_alone: bool = False
    readers: Sequence[Collection[str]] = ()
    reduced: Shape = ()
    layer: str | None = None

    def tensor(self, name: str) -> Traced:
        """A tensor argument.

        Raises:
            InputError: when it is none.
        """
        value = self.arguments.get(name)
        if not isinstance(value, Traced):
            raise InputError(f"argument {name} of {self.op}", given=type(value).__name__, allowed="a tensor")
        return value

    def optional(self, name: str) -> Traced | None:
        """A tensor argument, or None where none was given."""
        value = self.arguments.get(name)
        return value if isinstance(value, Traced) else None

    def get(self, name: str, default: Any = None) -> Any:
        """A plain argument."""
        return self.arguments.get(name, default)

    @property
    def tensors(self) -> list[Traced]:
        """Every tensor argument, lists included, in order."""
        found: list[Traced] = []
        for value in self.arguments.values():
            if isinstance(value, Traced):
                found.append(value)
            elif isinstance(value, list | tuple):
                found += [item for item in value if isinstance(item, Traced)]
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Today's shape of the first output."""
        return self.shapes[0]

    def unify(self, a: Dim, b: Dim) -> None:
        """Say that two dimensions are one."""
        self.unknowns.unify(a, b)

    def fixed(self, shape: Sequence[int]) -> Shape:
        """Dimensions that no width changes; the first one is the batch where that of an argument is."""
        has_batch = any(traced.dims[:1] == ((Segment(BATCH, 1, 1),),) for traced in self.tensors)
        return tuple(
            (Segment(BATCH, 1, 1),) if i == 0 and has_batch and size == self.unknowns.batch else constant(size)
            for i, size in enumerate(shape)
        )

    def created(self, shape: Sequence[int]) -> Shape:
        """Dimensions of a tensor made from literal sizes: they may follow widths, which a run will tell.

        A first one as large as the batch is open in any case: it is the batch if it meets it.
        """
        follow, batch = self.unknowns.guess.literals_follow, self.unknowns.batch
        return tuple(
            self.unknowns.fresh(size) if follow or (i == 0 and size == batch) else constant(size)
            for i, size in enumerate(shape)
        )

    def pixels(self, dims: Shape, sizes: Sequence[int]) -> Shape:
        """Pixels before and after an operator that needs to know them all: a width among them keeps its size."""
        for dim in dims:
            self.unknowns.pin(dim, "" if self.unknowns.is_fixed(dim) else "taken for pixels")
        return tuple(constant(size) for size in sizes)

    def index(self, name: str = "dim", *, of: int | None = None, default: int = 0) -> int:
        """A dimension argument, counted from the front."""
        value = int(self.get(name, default))
        rank = len(self.tensors[0].dims) if of is None else of
        return value % rank if rank else 0

    def multiply_adds(self, *dims: Dim, factor: int = 1) -> None:
        """Note the operator's multiply-adds: the product of the dimensions."""
        self.ledger.macs.append(Product(owner=self.module, dims=dims, factor=factor))

    def weight_layer(
        self,
        weight: Traced,
        *,
        inputs: Dim,
        outputs: Dim,
        axis: int = 0,
        bias: Traced | None = None,
        mixes: bool = True,
        is_spatial: bool = False,
    ) -> None:
        """Note a layer whose weights set the output width; ``axis`` is the weight's dimension that holds it."""
        if weight.origin is None:
            return
        self.layer = weight.origin
        self.unknowns.written |= {segment.width for segment in self.unknowns.resolve(outputs)}
        if weight.origin not in self.ledger.layers:
            name = weight.origin.removesuffix(".weight")
            self.ledger.layers[weight.origin] = WeightLayer(
                name=name,
                inputs=inputs,
                outputs=outputs,
                axis=axis,
                bias=None if bias is None else bias.origin,
                mixes=mixes,
                is_spatial=is_spatial,
            )

    def norm(self, channels: Shape, *parameters: Traced | None, statistics: Traced | None = None) -> None:
        """Note a normalisation of the first tensor; with the running mean, one that folds into the layer before it."""
        x = self.tensors[0]
        if not x.depends_on_input:
            return
        names = tuple(p.origin for p in parameters if p is not None and p.origin is not None)
        layer = self.ledger.layers.get(x.layer) if x.layer and statistics is not None and self.reads_alone else None
        written = () if layer is None else (self.unknowns.resolve(layer.outputs),)
        self.ledger.norms.append(
            Norm(
                parameters=names,
                channels=channels,
                statistics=() if statistics is None else statistics.dims,
                behind=x.layer if written == tuple(map(self.unknowns.resolve, channels)) else None,
            )
        )

    def attribute(self, name: str, *dims: Dim) -> None:
        """Note that an attribute of the calling module holds these sizes and must follow them."""
        self.ledger.attributes[self.module, name] = dims


Rule = Callable[[Call], Shape | list[Shape]]


@dataclass(frozen=True, kw_only=True)
class RuleEntry:
    """A rule, how its operator uses memory, and whether it is nonlinear: no affine function of what it reads."""

    function: Rule
    memory: Memory
    nonlinear: bool = False


RULES: dict[str, RuleEntry] = {}
"""Operator's base name -> rule."""


def rule(*names: str, memory: Memory, nonlinear: bool = False) -> Callable[[Rule], Rule]:
    """Register a function as the rule of these operators."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = RuleEntry(function=function, memory=memory, nonlinear=nonlinear)
        return function

    return register


def add_rule(operator: str, function: Rule, *, memory: Memory | str = Memory.POINT, nonlinear: bool = False) -> None:
    """Teach the tracer an operator.

    Args:
        operator: its name, such as ``aten.cumsum`` or ``mylib.fused_gate``; overloads share a rule.
        function: gets a ``Call``; returns the dimensions of the output, or a list of them, one an output.
        memory: ``point``, ``fused`` or ``view``, see ``Memory``.
        nonlinear: whether it is an activation function, or ends with one.

    Raises:
        InputError: for a name without library, or an unknown kind of memory.

    >>> add_rule("aten.cumsum", lambda call: call.tensor("self").dims, memory="fused")
    """
    library, _, base = operator.partition(".")
    if not library or not base:
        raise InputError("operator", given=repr(operator), allowed="library.name, such as aten.cumsum")
    if memory not in tuple(Memory):
        raise unknown("memory", memory, Memory)
    base = base.split(".")[0]
    name = base if library == "aten" else f"{library}.{base}"
    RULES[name] = RuleEntry(function=function, memory=Memory(memory), nonlinear=nonlinear)
