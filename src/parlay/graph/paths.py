"""Which share of a network's paths, from input to output, goes through each of its layers; and its activation steps.

Paths part where a value is read several times and meet again where values are added or joined: a residual block has one
path through it and one around it. Every path counts the same (Veit et al. 2016). A product has one operand that the
paths run through, the largest one; the other, a gate, scales what passes and counts as much as it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from parlay.layout import ActivationStep

__all__ = ["Flow", "LayerWidths", "Width", "activation_steps", "path_shares", "share_of"]

GATED = frozenset({"mul", "div", "matmul", "bmm", "scaled_dot_product_attention"})
PRODUCTS = GATED | {"einsum", "mm", "mv", "dot", "true_divide", "addmm", "baddbmm", "addbmm", "addcmul", "addcdiv"}
"""Nonlinear where two of the factors depend on the input."""
SUMS = frozenset({"add", "sub", "rsub", "lerp"})


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One operator on activations.

    Attributes:
        op: its name.
        value: number of the activation it makes.
        sources: numbers of the activations it reads.
        sizes: numbers of elements of these.
        layers: weights of the layers it is made of.
        is_nonlinear: whether it is no affine function of what it reads; of products ``activation_steps`` finds it out.
        reduces: whether it takes dimensions away, as means do.
    """

    op: str
    value: int
    sources: tuple[int, ...]
    sizes: tuple[int, ...]
    layers: tuple[str, ...]
    is_nonlinear: bool = False
    reduces: bool = False

    @property
    def main(self) -> tuple[int, ...]:
        """The activations that paths run through: all, but of a product the largest alone."""
        if self.op not in GATED or not self.sources:
            return self.sources
        return (self.sources[max(range(len(self.sources)), key=lambda i: self.sizes[i])],)


def path_shares(flows: Sequence[Flow], outputs: Sequence[int]) -> dict[str, Fraction]:
    """Share of all paths through each layer, by its weight; above 0, at most 1.

    Args:
        flows: the operators in order.
        outputs: the activations that the network returns.

    >>> block = [
    ...     Flow(op="conv2d", value=1, sources=(0,), sizes=(4,), layers=("a",)),
    ...     Flow(op="add", value=2, sources=(1, 0), sizes=(4, 4), layers=()),
    ... ]
    >>> path_shares(block, [2])
    {'a': Fraction(1, 2)}
    """
    values = _value_shares(flows, outputs)
    shares: defaultdict[str, Fraction] = defaultdict(Fraction)
    for flow in flows:
        for layer in flow.layers:
            shares[layer] = max(shares[layer], values[flow.value])
    return {layer: share for layer, share in shares.items() if share}


def _value_shares(flows: Sequence[Flow], outputs: Sequence[int]) -> dict[int, Fraction]:
    """Share of all paths through each activation; of one in a gate the share of what the gate scales."""
    counts = _path_counts(flows)
    through: defaultdict[int, Fraction] = defaultdict(Fraction)
    beside: defaultdict[int, Fraction] = defaultdict(Fraction)  # of gates, which lie on no path of their own
    total = sum(counts.get(output, 1) for output in outputs)
    for output in outputs:
        through[output] += Fraction(counts.get(output, 1), total or 1)
    for flow in reversed(flows):
        passing, scaling = through[flow.value], beside[flow.value]
        for source in flow.main:
            part = Fraction(counts.get(source, 1), counts[flow.value] or 1)
            through[source] += passing * part
            beside[source] += scaling * part
        for source in set(flow.sources) - set(flow.main):
            beside[source] = max(beside[source], passing or scaling)
    return {flow.value: through[flow.value] or min(beside[flow.value], Fraction(1)) for flow in flows}


def _path_counts(flows: Sequence[Flow]) -> dict[int, int]:
    """Paths from the input to each activation."""
    counts: dict[int, int] = {}
    for flow in flows:
        counts[flow.value] = sum(counts.get(source, 1) for source in flow.main)
    return counts


def share_of(shares: Mapping[str, Fraction], layer: str) -> Fraction:
    """A layer's share; 1 for one that lies on no path that was followed."""
    return min(shares.get(layer, Fraction(1)), Fraction(1))


@dataclass(frozen=True)
class Width:
    """A width as a step ends at it: index of its group, or the number of channels where no layout changes it."""

    group: int | None
    channels: int = 0


@dataclass(frozen=True, kw_only=True)
class LayerWidths:
    """What one layer reads and writes.

    Attributes:
        reads, writes: the widths; several where it reads widths joined, or where its output is cut.
        mixes: whether an output reads several channels.
        is_spatial: whether an output reads several pixels.
    """

    reads: tuple[Width, ...]
    writes: tuple[Width, ...]
    mixes: bool = True
    is_spatial: bool = False


def activation_steps(
    flows: Sequence[Flow], outputs: Sequence[int], layers: Mapping[str, LayerWidths], groups: int
) -> tuple[ActivationStep, ...]:
    """The steps from one layer that makes symbols to the next.

    A step ends at a layer whose kernels cover several pixels, and at one that mixes channels and whose output meets a
    nonlinearity before another layer reads it; sums, norms and pooling in between change nothing. It begins at the
    nearest activations upstream, through linear layers, which carry it; at a sum the way leads through what is deepest
    in the network, so through the last block of a residual stream and not around it. Where no layer's output meets a
    nonlinearity, every layer is a step. A layer behind which no other layer comes is the network's output layer and no
    step, unless it alone reads a linear width.

    Args:
        flows: the operators in order.
        outputs: the activations that the network returns.
        layers: what each layer reads and writes, by its weight; others are taken for none.
        groups: number of width groups: each of them has to do with one step at least.

    >>> block = [  # of a linear bottleneck: 1x1 to 24 channels, ReLU, 1x1 back to 8, sum, 1x1, ReLU, classifier
    ...     Flow(op="conv2d", value=1, sources=(0,), sizes=(4,), layers=("widen",)),
    ...     Flow(op="relu", value=2, sources=(1,), sizes=(4,), layers=(), is_nonlinear=True),
    ...     Flow(op="conv2d", value=3, sources=(2,), sizes=(4,), layers=("narrow",)),
    ...     Flow(op="add", value=4, sources=(3, 0), sizes=(4, 4), layers=()),
    ...     Flow(op="conv2d", value=5, sources=(4,), sizes=(4,), layers=("last",)),
    ...     Flow(op="relu", value=6, sources=(5,), sizes=(4,), layers=(), is_nonlinear=True),
    ...     Flow(op="linear", value=7, sources=(6,), sizes=(4,), layers=("classifier",)),
    ... ]
    >>> image, stream, hidden, last = Width(None, 3), Width(0), Width(1), Width(2)
    >>> widths = {
    ...     "widen": LayerWidths(reads=(image,), writes=(hidden,)),
    ...     "narrow": LayerWidths(reads=(hidden,), writes=(stream,)),
    ...     "last": LayerWidths(reads=(stream,), writes=(last,)),
    ...     "classifier": LayerWidths(reads=(last,), writes=(Width(None, 10),)),
    ... }
    >>> for step in activation_steps(block, [7], widths, 3):
    ...     print(step.source, step.carriers, step.target, step.share)
    None () 1 1/2
    1 (0,) 2 1
    """
    return _StepFinder(flows, outputs, layers).steps(groups)


@dataclass(frozen=True, kw_only=True)
class _Upstream:
    """Where a value comes from.

    Attributes:
        direct: part of it that is an activation, without a layer behind it.
        sources: width of the activations that the first of linear layers read -> part.
        carriers: groups that linear layers on the way write.
    """

    direct: Fraction
    sources: Mapping[Width, Fraction]
    carriers: tuple[int, ...]


ACTIVATION = _Upstream(direct=Fraction(1), sources={}, carriers=())


class _StepFinder:
    """What is nonlinear, what meets it, and where everything comes from."""

    def __init__(self, flows: Sequence[Flow], outputs: Sequence[int], layers: Mapping[str, LayerWidths]) -> None:
        self.flows, self.layers = flows, layers
        self.shares = _value_shares(flows, outputs)
        self.statistics = self._statistics()
        self.feeding = self._upstream(lambda flow: bool(flow.layers), lambda _: True)
        self.activations = {flow.value for flow in flows if self._is_activation(flow)}
        self.meeting = self._upstream(
            lambda flow: flow.value in self.activations and not self._makes(flow),
            lambda flow: not self._makes(flow),
        )
        self.origins = self._origins()

    def steps(self, groups: int) -> tuple[ActivationStep, ...]:
        """Every step, equal ones added up."""
        nonlinear = self.meeting | self.activations
        found: list[ActivationStep] = []
        if self._calls(lambda flow: flow.value in nonlinear):
            ends = self._calls(lambda flow: flow.value in nonlinear or self._is_spatial(flow))
            found = [step for flow, layer in ends for step in self._steps_into(flow, layer)]
        else:
            ends = self._calls(lambda flow: flow.value in self.feeding)
            found = [step for flow, layer in ends for step in self._steps_into(flow, layer, ACTIVATION)]
        missing = set(range(groups)).difference(*(step.groups for step in found))
        for flow, layer in self._calls(lambda flow: flow.value not in self.feeding) if missing else ():
            found += [step for step in self._steps_into(flow, layer) if missing.intersection(step.carriers)]
        for group in sorted(missing.difference(*(step.groups for step in found))):
            calls = self._calls(lambda _: True)
            shares = [self.shares[flow.value] for flow, layer in calls if Width(group) in layer.writes]
            share = max(shares, default=Fraction(0)) or Fraction(1)
            found.append(ActivationStep(target=group, share=share / 2))  # leaving is half a step
        return _added_up(found)

    def _layer(self, flow: Flow) -> LayerWidths | None:
        """The layer that the operator is."""
        return next((self.layers[name] for name in flow.layers if name in self.layers), None)

    def _makes(self, flow: Flow) -> bool:
        """Whether the operator is a layer that mixes channels or pixels."""
        layer = self._layer(flow)
        return layer is not None and (layer.mixes or layer.is_spatial)

    def _is_spatial(self, flow: Flow) -> bool:
        """Whether it is a layer that mixes pixels, and another layer reads what comes of it."""
        layer = self._layer(flow)
        return layer is not None and layer.is_spatial and flow.value in self.feeding

    def _statistics(self) -> set[int]:
        """Means, variances and what is computed from them without a layer: what norms divide by."""
        found: set[int] = set()
        for flow in self.flows:
            if flow.reduces or (flow.sources and not flow.layers and found.issuperset(flow.sources)):
                found.add(flow.value)
        return found

    def _factors(self, flow: Flow) -> tuple[int, ...]:
        """What an operator reads; of a product without statistics that only scale it, as in a norm written by hand."""
        if flow.op not in PRODUCTS or self.statistics.issuperset(flow.sources):
            return flow.sources
        return tuple(source for source in flow.sources if source not in self.statistics)

    def _is_activation(self, flow: Flow) -> bool:
        """Whether it is nonlinear and a layer reads what comes of it; the network's last function is none."""
        is_product = flow.op in PRODUCTS and len(self._factors(flow)) > 1
        return (flow.is_nonlinear or is_product) and flow.value in self.feeding

    def _upstream(self, begins: Callable[[Flow], bool], passes: Callable[[Flow], bool]) -> set[int]:
        """Values that an operator at which it ``begins`` reads, by way of operators that it ``passes``."""
        found: set[int] = set()
        for flow in reversed(self.flows):
            if begins(flow) or (flow.value in found and passes(flow)):
                found.update(self._factors(flow))
        return found

    def _origins(self) -> dict[int, _Upstream]:
        found: dict[int, _Upstream] = {}
        depths: dict[int, int] = {}  # layers on the longest way from the input
        for flow in self.flows:
            depths[flow.value] = max((depths.get(s, 0) for s in flow.sources), default=0) + bool(flow.layers)
            layer = self._layer(flow)
            if flow.value in self.activations or self._is_spatial(flow):
                found[flow.value] = ACTIVATION
                continue
            read = [source for source in flow.main if source in self._factors(flow)] or [*flow.main]
            if flow.op in SUMS and len(read) > 1:
                deepest = max(depths.get(source, 0) for source in read)
                read = [source for source in read if depths.get(source, 0) == deepest]
            origin = _mean([found.get(source, ACTIVATION) for source in read])
            found[flow.value] = _carried(origin, layer) if layer is not None and layer.mixes else origin
        return found

    def _calls(self, counts: Callable[[Flow], bool]) -> list[tuple[Flow, LayerWidths]]:
        """The layers whose operator counts; of several calls of one layer that through which most paths go."""
        found: dict[str, tuple[Flow, LayerWidths]] = {}
        for flow in self.flows:
            layer = self._layer(flow)
            if layer is None or not counts(flow):
                continue
            name = next(name for name in flow.layers if name in self.layers)
            if name not in found or self.shares[flow.value] > self.shares[found[name][0].value]:
                found[name] = flow, layer
        return list(found.values())

    def _steps_into(self, flow: Flow, layer: LayerWidths, origin: _Upstream | None = None) -> list[ActivationStep]:
        """The steps that end at a layer, which begin at ``origin``, by default where what it reads comes from.

        A depthwise layer and the linear one that writes what it reads are one layer from what the latter reads, with
        the former's kernels.
        """
        if origin is None:
            origin = _mean([self.origins.get(source, ACTIVATION) for source in flow.main])
        share = self.shares[flow.value] or Fraction(1)  # a layer that lies on no path that was followed
        targets = dict.fromkeys(layer.writes)
        found: list[ActivationStep] = []
        for target in targets:
            ways: list[tuple[Width, tuple[int, ...], Fraction]] = []
            if not layer.mixes:
                ways += [(target, (), origin.direct)]
                between = tuple(group for group in origin.carriers if group != target.group)
                ways += [(source, between, part) for source, part in origin.sources.items() if layer.is_spatial]
            elif len(layer.reads) > 1:
                ways += [(Width(None), origin.carriers, Fraction(1))]
            else:
                ways += [(width, (), origin.direct) for width in layer.reads]
                ways += [(source, origin.carriers, part) for source, part in origin.sources.items()]
            found += [
                ActivationStep(
                    target=target.group,
                    fixed_outputs=target.channels,
                    source=source.group,
                    fixed_inputs=source.channels,
                    carriers=carriers,
                    share=share * part / len(targets),
                )
                for source, carriers, part in ways
                if part and {source.group, target.group, *carriers} != {None}  # no layout changes others
            ]
        return found


def _mean(origins: Sequence[_Upstream]) -> _Upstream:
    """The origin of what several values, each as much as another, are made of."""
    if len(origins) <= 1:
        return origins[0] if origins else ACTIVATION
    sources: defaultdict[Width, Fraction] = defaultdict(Fraction)
    for origin in origins:
        for width, part in origin.sources.items():
            sources[width] += part / len(origins)
    direct = sum((origin.direct for origin in origins), Fraction(0)) / len(origins)
    carriers = dict.fromkeys(group for origin in origins for group in origin.carriers)
    return _Upstream(direct=direct, sources=sources, carriers=tuple(carriers))


def _carried(origin: _Upstream, layer: LayerWidths) -> _Upstream:
    """The origin of a linear layer's output."""
    sources = defaultdict(Fraction, origin.sources)
    for width in layer.reads if origin.direct else ():
        sources[width] += origin.direct / len(layer.reads)
    written = (width.group for width in layer.writes if width.group is not None)
    return _Upstream(direct=Fraction(0), sources=sources, carriers=tuple(dict.fromkeys((*origin.carriers, *written))))


def _added_up(steps: Iterable[ActivationStep]) -> tuple[ActivationStep, ...]:
    shares: defaultdict[ActivationStep, Fraction] = defaultdict(Fraction)
    for step in steps:
        shares[replace(step, share=Fraction(1))] += step.share
    return tuple(replace(step, share=share) for step, share in shares.items())
