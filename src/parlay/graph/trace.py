"""``trace``: from any model to its width graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

from parlay.errors import InputError, TraceError, near_miss
from parlay.extras import Needs
from parlay.graph import rules
from parlay.graph.attributes import size_attributes
from parlay.graph.build import STATISTICS, is_constant_along
from parlay.graph.call import Ledger, Shape, WeightLayer
from parlay.graph.dims import BATCH, Dim, Guess, Unknowns
from parlay.graph.interpret import Interpreter
from parlay.graph.memory import live_sets, undominated
from parlay.graph.paths import LayerWidths, Width, activation_steps, path_shares, share_of
from parlay.graph.polynomials import Variables, product, summed
from parlay.graph.programs import BATCH_SIZE, Example, canonical_names, example_of, export, undisturbed
from parlay.graph.space import TracedSpace
from parlay.graph.verify import culprits, verify
from parlay.graph.widthgraph import WidthGraph
from parlay.layout import Connection, WidthGroup
from parlay.resources import PeakResource, Resource

with Needs("tracing networks", extra="train"):
    from torch import Tensor, nn
    from torch.export import ExportedProgram

__all__ = ["trace"]

assert rules  # importing it fills the table of rules

GUESSES = (
    Guess(),
    Guess(sizes_couple=True),
    Guess(leading_fixed=False),
    Guess(leading_fixed=False, sizes_couple=True),
    Guess(literals_follow=False),
)
"""Readings of what literals in a graph mean, most liberal first; the first that survives a run is taken."""


def trace(
    model: nn.Module, example_inputs: Tensor | Sequence[Any], *, pin: Sequence[str] = (), check: bool = True
) -> WidthGraph:
    """Trace a model into its coupled width groups.

    Args:
        model: any convolutional network that ``torch.export`` can follow; left as it is, hooks and modes included.
        example_inputs: a tensor or a tuple of inputs; the first dimension is the batch, of any size.
        pin: patterns of module paths, such as ``classifier.*``, whose widths stay.
        check: build and run the model at two random layouts, which finds widths that forward hard-codes.

    Returns:
        The width graph: groups, exact polynomials, and ``build``.

    Raises:
        InputError: for inputs the model does not accept, or a pattern that names no module.
        TraceError: for an operator without a rule, or a width that forward hard-codes; it names both and the remedy.

    >>> import torch
    >>> from parlay.families import plain
    >>> graph = trace(plain(depth=3, image=8).build((4, 6, 8)), torch.zeros(1, 3, 8, 8))
    >>> [(group.name, width) for group, width in zip(graph.space.groups, graph.layout)]
    [('features.0', 4), ('features.4', 6), ('features.8', 8)]
    >>> sum(p.numel() for p in graph.build((5, 9, 12)).parameters()) == graph.params((5, 9, 12))
    True
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError("model", given=type(model).__name__, allowed="a torch.nn.Module")
    patterns = (pin,) if isinstance(pin, str) else tuple(pin)
    _check_patterns(model, patterns)
    example = example_of(example_inputs)
    with undisturbed():
        return _traced(model, example, patterns, check=check)


def _traced(model: nn.Module, example: Example, patterns: Sequence[str], *, check: bool) -> WidthGraph:
    traced = _Exported(
        model=model,
        example=example,
        names=canonical_names(model),
        training=export(model, example, training=True),
        evaluation=export(model, example, training=False),
        pins=patterns,
    )
    refusals: list[tuple[TraceError, WidthGraph | None]] = []
    for guess in GUESSES:
        graph = None
        try:
            graph = traced.interpreted(Unknowns(batch=BATCH_SIZE, guess=guess))
            return _checked(graph) if check else graph
        except TraceError as error:
            if error.is_final:
                raise
            refusals.append((error, graph))
    first, graph = refusals[0]
    pins = culprits(graph) if graph is not None else ()
    raise first.with_pins(pins) if pins else first


def _checked(graph: WidthGraph) -> WidthGraph:
    """The graph if resized models run; else with attributes of the model's own modules that hold sizes following."""
    try:
        return replace(graph, unchecked=(*graph.unchecked, *verify(graph)))
    except TraceError:
        found = size_attributes(graph.model, graph.ledger, graph.unknowns)
        if not found:
            raise
    found, unchecked = _smallest(graph, found)
    followed = tuple(f"{path}.{name}".lstrip(".") for path, name in found)
    return replace(_following(graph, found), unchecked=(*graph.unchecked, *unchecked), followed=followed)


def _smallest(
    graph: WidthGraph, found: Mapping[tuple[str, str], Shape]
) -> tuple[Mapping[tuple[str, str], Shape], tuple[str, ...]]:
    """The fewest attributes with which resized models run: the others are numbers that only equal a width.

    All of them are tried, then each alone, then all but one; from what runs, one after the other is left out.

    Raises:
        TraceError: when no try runs.
    """
    kinds = list(dict.fromkeys(_kind(graph, key) for key in found))
    tries = [kinds, *([kind] for kind in kinds), *([k for k in kinds if k != kind] for kind in kinds)]
    first: TraceError | None = None
    for chosen in tries if len(kinds) > 1 else tries[:1]:
        some = {key: shape for key, shape in found.items() if _kind(graph, key) in chosen}
        try:
            unchecked = verify(_following(graph, some))
        except TraceError as error:
            first = first or error
            continue
        return _fewer(graph, some, chosen, unchecked) if len(chosen) > 1 else (some, unchecked)
    assert first is not None
    raise first


def _fewer(
    graph: WidthGraph,
    some: Mapping[tuple[str, str], Shape],
    kinds: Iterable[tuple[type[nn.Module], str]],
    unchecked: tuple[str, ...],
) -> tuple[Mapping[tuple[str, str], Shape], tuple[str, ...]]:
    """What is left of attributes that run when every kind without which they run too is left out."""
    for kind in kinds:
        fewer = {key: shape for key, shape in some.items() if _kind(graph, key) != kind}
        try:
            unchecked, some = verify(_following(graph, fewer)), fewer
        except TraceError:
            continue
    return some, unchecked


def _following(graph: WidthGraph, found: Mapping[tuple[str, str], Shape]) -> WidthGraph:
    return replace(graph, ledger=replace(graph.ledger, attributes={**graph.ledger.attributes, **found}))


def _kind(graph: WidthGraph, key: tuple[str, str]) -> tuple[type[nn.Module], str]:
    """Attributes of one name in modules of one class stand or fall together."""
    return type(graph.model.get_submodule(key[0])), key[1]


def _check_patterns(model: nn.Module, patterns: Sequence[str]) -> None:
    paths = [path for path, _ in [*model.named_modules(), *model.named_parameters()] if path]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise InputError(
                "pin",
                given=repr(pattern),
                allowed="a pattern of module paths, such as features.0 or classifier.*",
                remedy=near_miss(pattern, paths, "see the members that parlay trace lists"),
            )


@dataclass(frozen=True, kw_only=True)
class _Exported:
    """One model, exported in both modes: training shows every coupling, evaluation what a device runs."""

    model: nn.Module
    example: Example
    names: Mapping[str, str]
    training: ExportedProgram
    evaluation: ExportedProgram
    pins: Sequence[str]

    def interpreted(self, unknowns: Unknowns) -> WidthGraph:
        """Run the rules over both graphs and work out groups and polynomials."""
        shapes: dict[str, Shape] = {}
        passes = [
            Interpreter(
                program=program,
                unknowns=unknowns,
                parameters=shapes,
                canonical=dict(self.names),
                pins=self.pins,
                batched=self.example.batched,
            )
            for program in (self.training, self.evaluation)
        ]
        for one in passes:
            one.run()
        training, evaluation = passes
        ledger = Ledger(
            layers={**training.ledger.layers, **evaluation.ledger.layers},
            macs=evaluation.ledger.macs,
            attributes={**evaluation.ledger.attributes, **training.ledger.attributes},
            norms=evaluation.ledger.norms,
            readers=evaluation.ledger.readers,
            unruled=evaluation.ledger.unruled,
            groups=evaluation.ledger.groups,
            touched={**evaluation.ledger.touched, **training.ledger.touched},
        )
        layers = list(ledger.layers.values())
        _pin_contents(unknowns, shapes, self.model, self.names)
        _pin_unset(unknowns, shapes, layers, evaluation)
        variables, space = _groups(unknowns, ledger.layers, evaluation, self.pins)
        params = summed(product(unknowns, shapes[name]) for name in self._parameter_names if name in shapes)
        params[()] = params.get((), 0) + sum(
            parameter.numel() for name, parameter in self.model.named_parameters() if name not in shapes
        )
        points, peak = _activations(unknowns, variables, evaluation)
        return WidthGraph(
            model=self.model,
            space=space,
            params=variables.resource("params", params),
            macs=_macs(unknowns, variables, evaluation.ledger),
            stored=_stored(unknowns, variables, shapes, evaluation),
            activations=peak,
            sizes=_sizes(unknowns, variables, evaluation),
            points=points,
            pinned=tuple(dict.fromkeys(reason for reason in unknowns.reasons.values() if reason)),
            unchecked=tuple(dict.fromkeys(evaluation.ledger.unruled)),
            example=self.example,
            unknowns=unknowns,
            variables=variables,
            shapes=shapes,
            ledger=ledger,
            steps=tuple(evaluation.steps),
            ends=(tuple(evaluation.inputs), tuple(evaluation.outputs)),
        )

    @property
    def _parameter_names(self) -> list[str]:
        return [name for name, _ in self.model.named_parameters()]


def _pin_contents(unknowns: Unknowns, shapes: Mapping[str, Shape], model: nn.Module, names: Mapping[str, str]) -> None:
    """Keep widths along which a buffer has entries that differ: nobody knows what more of them should be."""
    unknowns.where = ""
    for name, buffer in model.named_buffers():
        if name.rpartition(".")[2] in STATISTICS or names[name] not in shapes:
            continue
        for axis, dim in enumerate(shapes[names[name]]):
            if not unknowns.is_fixed(dim) and not is_constant_along(buffer, axis):
                how = "are not known" if buffer.is_meta else "differ"
                unknowns.pin(dim, f"entries of buffer {name} {how}")


def _pin_unset(
    unknowns: Unknowns, shapes: Mapping[str, Shape], layers: Sequence[WeightLayer], evaluation: Interpreter
) -> None:
    """Keep the widths that no weight layer sets: there is nothing to resize them by."""
    unknowns.where = ""
    written = {s.width for layer in layers for s in unknowns.resolve(layer.outputs)}
    everything: list[Dim] = [dim for shape in shapes.values() for dim in shape]
    everything += [dim for step in evaluation.steps for _, shape in step.writes for dim in shape]
    everything += [dim for one in evaluation.ledger.macs for dim in one.dims]
    for dim in everything:
        for segment in unknowns.resolve(dim):
            if segment.width > BATCH and segment.width not in written:
                unknowns.pin((segment,), "set by no weight layer")


def _groups(
    unknowns: Unknowns, weighted: Mapping[str, WeightLayer], evaluation: Interpreter, pins: Sequence[str]
) -> tuple[Variables, TracedSpace]:
    """Groups in the order in which the forward pass meets them.

    A layout gives channels: where every layer of a group writes a multiple of the unknown (a grouped convolution, a
    gate that is cut in halves), the group's width is that multiple and must be divisible by it.
    """
    layers = list(weighted.values())
    members: dict[int, dict[str, None]] = {}
    multiples: dict[int, int] = {}
    for layer in layers:
        channels: dict[int, int] = {}
        for segment in unknowns.resolve(layer.outputs):
            if segment.width > BATCH:
                channels[segment.width] = channels.get(segment.width, 0) + segment.outer * segment.inner
        for width, many in channels.items():
            members.setdefault(width, {})[layer.name] = None
            multiples[width] = math.gcd(multiples.get(width, 0), many)
    index = {width: g for g, width in enumerate(members)}
    names: dict[str, int] = {}
    groups: list[WidthGroup] = []
    for width, layer_names in members.items():
        name = next(iter(layer_names))
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name}[{names[name]}]"
        step = multiples[width]
        groups.append(
            WidthGroup(
                name=name,
                multiplicity=len(layer_names),
                minimum=step,
                multiple_of=step,
                members=tuple(layer_names),
            )
        )
    if not groups:
        kept = [reason for reason in dict.fromkeys(unknowns.reasons.values()) if reason]
        raise TraceError(
            "the model",
            found="; ".join(["no width is free: inputs, outputs and pins fix them all", *kept]),
            remedy="pin fewer layers" if pins else "change what keeps them, or let it return less: an output stays",
        )
    today = tuple(unknowns.sizes[width] * multiples[width] for width in members)
    flows, outputs = evaluation.ledger.flows, evaluation.results
    connections = _connections(unknowns, weighted, index, path_shares(flows, outputs))
    widths = {origin: _widths(unknowns, layer, index) for origin, layer in weighted.items()}
    steps = activation_steps(flows, outputs, widths, len(groups))
    space = TracedSpace(groups=tuple(groups), connections=connections, steps=steps, today=today)
    return Variables(index=index, scale=multiples), space


def _connections(
    unknowns: Unknowns, layers: Mapping[str, WeightLayer], index: Mapping[int, int], shares: Mapping[str, Fraction]
) -> tuple[Connection, ...]:
    """The layers that write one width: what they read, and the share of all paths that go through them."""
    found: list[Connection] = []
    for origin, layer in layers.items():
        written, read = unknowns.resolve(layer.outputs), unknowns.resolve(layer.inputs)
        if len(written) != 1 or written[0].width not in index:
            continue
        source = index.get(read[0].width) if len(read) == 1 else None
        inputs = 0 if source is not None or len(read) != 1 else unknowns.size(read)
        link = Connection(
            target=index[written[0].width], source=source, fixed_inputs=inputs, share=share_of(shares, origin)
        )
        found.append(link)
    return tuple(found)


def _widths(unknowns: Unknowns, layer: WeightLayer, index: Mapping[int, int]) -> LayerWidths:
    """What a layer reads and writes as groups, or numbers of channels."""

    def named(dim: Dim) -> tuple[Width, ...]:
        segments = unknowns.resolve(dim)
        return tuple(Width(index[s.width]) if s.width in index else Width(None, unknowns.size((s,))) for s in segments)

    reads, writes = named(layer.inputs), named(layer.outputs)
    return LayerWidths(reads=reads, writes=writes, mixes=layer.mixes, is_spatial=layer.is_spatial)


def _macs(unknowns: Unknowns, variables: Variables, ledger: Ledger) -> Resource:
    total = summed(product(unknowns, one.dims, one.factor) for one in ledger.macs)
    return variables.resource("macs", total)


def _stored(
    unknowns: Unknowns, variables: Variables, shapes: Mapping[str, Shape], evaluation: Interpreter
) -> tuple[Resource, Resource]:
    """What a device stores for evaluation: numbers in the weights' type, and numbers in the biases' type.

    A bias for every output channel of a layer that has one or a batch norm to fold; two numbers a channel for a norm
    that folds into nothing, however often it is called. docs/counting.md has the convention.
    """
    ledger = evaluation.ledger
    folded = ledger.folded()
    stay = {(norm.parameters, norm.statistics): norm for norm in ledger.norms if norm.behind not in folded}
    stay.pop(((), ()), None)  # it computes with the image's own statistics and stores nothing
    biased = {origin: layer for origin, layer in ledger.layers.items() if layer.bias or origin in folded}
    taken = {layer.bias for layer in biased.values()} | {name for norm in ledger.norms for name in norm.parameters}
    weights = summed(product(unknowns, shapes[name]) for name in sorted(evaluation.used - taken))
    biases = summed(
        [
            *(product(unknowns, (layer.outputs,)) for layer in biased.values()),
            *(product(unknowns, norm.channels, 2) for norm in stay.values()),
        ]
    )
    return variables.resource("flash", weights), variables.resource("flash", biases)


def _sizes(
    unknowns: Unknowns, variables: Variables, evaluation: Interpreter
) -> tuple[tuple[str | None, Resource], ...]:
    """Elements of every activation, in the order in which they are written, and the module that writes it."""
    shapes: list[tuple[str | None, Shape]] = [(None, shape) for _, shape in evaluation.inputs]
    shapes += [(step.module, shape) for step in evaluation.steps for _, shape in step.writes]
    return tuple((module, variables.resource("activation", product(unknowns, shape))) for module, shape in shapes)


def _activations(
    unknowns: Unknowns, variables: Variables, evaluation: Interpreter
) -> tuple[tuple[str, ...], PeakResource]:
    """One polynomial for every point of the program that can be the peak."""
    amounts = {storage: product(unknowns, shape) for storage, shape in evaluation.inputs}
    for step in evaluation.steps:
        amounts.update((storage, product(unknowns, shape)) for storage, shape in step.writes)
    sets = live_sets(evaluation.steps, evaluation.inputs, evaluation.outputs)
    rows = [summed(amounts[storage] for storage in live if storage in amounts) for _, live in sets]
    kept = undominated(rows)
    points = tuple(variables.resource(sets[i][0], rows[i]) for i in kept)
    return tuple(sets[i][0] for i in kept), PeakResource(name="peak_activations", points=points)
