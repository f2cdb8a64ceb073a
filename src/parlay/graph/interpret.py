"""One pass over an exported graph: every operator's rule in turn, and what each step keeps in memory."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlay.errors import InputError, TraceError
from parlay.extras import Needs
from parlay.graph.call import RULES, Call, Ledger, Memory, RuleEntry, Shape, Traced
from parlay.graph.dims import BATCH, Segment, Unknowns, constant
from parlay.graph.operators import base_name, is_in_place, run_on_shapes
from parlay.graph.paths import Flow

with Needs("tracing networks", extra="train"):
    import torch
    from torch import fx
    from torch.export import ExportedProgram
    from torch.export.graph_signature import InputKind, OutputKind

__all__ = ["Interpreter", "Step", "is_named", "source_line"]

IGNORED = {"sym_size", "sym_numel", "_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range"}
TORCH_FILES = re.compile(r"[/\\]torch[/\\]")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operator as activation memory sees it: which storages it reads and which it fills with how much.

    ``module`` is the path of the module in whose forward it stands, where that is known; ``options`` are the operator's
    arguments in their places, None for tensors.
    """

    name: str
    memory: Memory
    reads: tuple[int, ...]
    writes: tuple[tuple[int, Shape], ...]
    module: str = ""
    options: tuple[object, ...] = ()


@dataclass(kw_only=True)
class Interpreter:
    """Runs the rules over one exported program.

    Attributes:
        program: the exported model.
        unknowns: the widths, shared by all passes over one model.
        parameters: dimensions of every parameter and buffer by name, shared too; filled as they are met.
        canonical: name -> the name under which a tensor that has several is kept.
        pins: patterns of modules whose widths stay.
        batched: whether the first dimension of every input is the batch.
        steps, inputs, outputs: activation memory: operators in order, and the storages of inputs and outputs.
        values, results: paths: how many activations there are, and the numbers of those returned.
        reduced: activations from which dimensions were taken away, and these.
        used: parameters that some operator reads.
    """

    program: ExportedProgram
    unknowns: Unknowns
    parameters: dict[str, Shape]
    canonical: dict[str, str]
    pins: Sequence[str] = ()
    batched: bool = True
    ledger: Ledger = field(default_factory=Ledger)
    steps: list[Step] = field(default_factory=list[Step])
    inputs: list[tuple[int, Shape]] = field(default_factory=list[tuple[int, Shape]])
    outputs: list[int] = field(default_factory=list[int])
    used: set[str] = field(default_factory=set[str])
    storages: int = 0
    values: int = 0
    results: list[int] = field(default_factory=list[int])
    reduced: list[tuple[int, Shape]] = field(default_factory=list[tuple[int, Shape]])

    def run(self) -> None:
        """Interpret the whole program; inputs and outputs are pinned."""
        values = self._placeholders()
        results = self._graph(self.program.graph_module, values)
        specs = self.program.graph_signature.output_specs
        for spec, result in zip(specs, results, strict=True):
            if spec.kind is OutputKind.USER_OUTPUT and isinstance(result, Traced):
                self.outputs.append(result.storage)
                self.results.append(result.value)
                for dim in result.dims:
                    self.unknowns.pin(dim)
        self._pin_reduced()

    def _pin_reduced(self) -> None:
        """Keep what is reduced away between a network's last layers and its outputs: classes, bins, parts of a loss."""
        reached, flows = set(self.results), self.ledger.flows
        for flow in reversed(flows):
            if flow.value in reached and not flow.layers:
                reached |= {*flow.sources}
        self.unknowns.where = ""
        for value, dims in self.reduced:
            if value in reached:
                for dim in dims:
                    self.unknowns.pin(dim, "reduced away on the way to an output")

    def _placeholders(self) -> list[Traced]:
        nodes = [node for node in self.program.graph.nodes if node.op == "placeholder"]
        values: list[Traced] = []
        for node, spec in zip(nodes, self.program.graph_signature.input_specs, strict=True):
            value = node.meta.get("val")
            shape = tuple(int(size) for size in value.shape) if isinstance(value, torch.Tensor) else ()
            if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
                name = self.canonical.get(str(spec.target), str(spec.target))
                if name not in self.parameters:
                    self.parameters[name] = tuple(self.unknowns.fresh(size) for size in shape)
                origin = name if spec.kind is InputKind.PARAMETER else None
                if origin is not None and node.users:
                    self.used.add(origin)
                values.append(Traced(dims=self.parameters[name], origin=origin))
            elif spec.kind is InputKind.USER_INPUT and isinstance(value, torch.Tensor):
                dims = tuple(
                    (Segment(BATCH, 1, 1),) if i == 0 and self.batched else (Segment(0, size, 1),)
                    for i, size in enumerate(shape)
                )
                self.values += 1
                traced = Traced(dims=dims, depends_on_input=True, storage=self._storage(), value=self.values)
                self.inputs.append((traced.storage, dims))
                values.append(traced)
            else:
                values.append(Traced(dims=tuple((Segment(0, size, 1),) for size in shape)))
        return values

    def _storage(self) -> int:
        self.storages += 1
        return self.storages

    def _graph(self, module: fx.GraphModule, values: Iterable[Any]) -> list[Any]:
        known: dict[fx.Node, Any] = {}
        given = iter(values)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                known[node] = next(given)
            elif node.op == "get_attr":
                attribute = operator.attrgetter(str(node.target))(module)
                known[node] = attribute
                if isinstance(attribute, torch.Tensor):
                    known[node] = Traced(dims=tuple((Segment(0, size, 1),) for size in attribute.shape))
            elif node.op == "output":
                results = _filled(node.args[0], known)
                return list(results) if isinstance(results, list | tuple) else [results]
            else:
                known[node] = self._call(node, known)
        return []

    def _call(self, node: fx.Node, known: dict[fx.Node, Any]) -> Any:
        args = [_filled(argument, known) for argument in node.args]
        kwargs = {key: _filled(value, known) for key, value in node.kwargs.items()}
        if node.target is operator.getitem:
            return args[0][args[1]]
        modules = [argument for argument in args if isinstance(argument, fx.GraphModule)]
        if len(modules) == 1:  # such as a part of forward under torch.no_grad
            at = next(i for i, argument in enumerate(args) if argument is modules[0])
            return self._graph(modules[0], args[at + 1 :])
        shapes = _shapes(node.meta.get("val"))
        name = base_name(node.target)
        if name in IGNORED or not shapes:
            return None
        return self._apply(node, name, _named(node.target, args, kwargs), shapes)

    def _reads_alone(self, node: fx.Node) -> bool:
        """Whether the node is the only one that reads its first argument."""
        first = node.args[0] if node.args else None
        return isinstance(first, fx.Node) and len(first.users) == 1

    def _apply(
        self, node: fx.Node, name: str, arguments: dict[str, Any], shapes: list[tuple[int, ...]]
    ) -> Traced | list[Traced]:
        path, line = module_path(node), source_line(node)
        self.unknowns.where = f"{path or 'forward'}: {name}"
        call = Call(
            op=name,
            arguments=arguments,
            shapes=shapes,
            unknowns=self.unknowns,
            ledger=self.ledger,
            module=path,
            line=line,
            reads_alone=self._reads_alone(node),
            readers=_readers(node, len(shapes)),
        )
        is_pinned = any(is_named(path, pattern) for pattern in self.pins)
        entry = RULES.get(name)
        call.memory = entry.memory if entry else Memory.POINT
        result = self._ruled(call, entry, is_pinned=is_pinned)
        if result is None:
            result = self._unruled(node, call, is_pinned=is_pinned)
        several = result if isinstance(result, list) else [result] * len(shapes)
        named = call.layer is not None and any(is_named(call.layer, pattern) for pattern in self.pins)
        if is_pinned or named:
            for shape in several:
                for dim in shape:
                    self.unknowns.pin(dim)
        for shape, sizes in zip(several, shapes, strict=True):
            found = tuple(self.unknowns.size(dim) for dim in shape)
            if found != sizes:
                raise self._refusal(call, f"its rule gives shape {found}, torch gives {sizes}")
        self.ledger.touched.setdefault((path, line.partition(" ")[0]), []).extend(
            dim for shape in (*(traced.dims for traced in call.tensors), *several) for dim in shape
        )
        outputs = self._outputs(node, call, several)
        return outputs if isinstance(node.meta.get("val"), list | tuple) else outputs[0]

    def _ruled(self, call: Call, entry: RuleEntry | None, *, is_pinned: bool) -> Shape | list[Shape] | None:
        """What the operator's rule says; None without a rule, or where it fails and the widths stay in any case."""
        if entry is None:
            return None
        try:
            return entry.function(call)
        except InputError as error:
            if not (is_pinned or self._stays(call)):
                raise self._refusal(call, str(error)) from None
        except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            if not (is_pinned or self._stays(call)):
                found = f"a form its rule does not cover ({type(error).__name__}: {error})"
                raise self._refusal(call, found) from error
        return None

    def _stays(self, call: Call) -> bool:
        """Whether no width that a layer sets passes through the operator."""
        self._pin_unwritten(call)
        return all(self.unknowns.is_fixed(dim) for traced in call.tensors for dim in traced.dims)

    def _unruled(self, node: fx.Node, call: Call, *, is_pinned: bool) -> list[Shape]:
        """An operator whose widths all stay; its multiply-adds are those of a run at today's sizes."""
        if not (is_pinned or self._stays(call)):
            raise self._refusal(call, "there is no rule for it", is_final=True)
        for traced in call.tensors:
            for dim in traced.dims:
                self.unknowns.pin(dim)
        if any(traced.depends_on_input for traced in call.tensors):
            self._count_a_run(node, call)
        return [call.fixed(shape) for shape in call.shapes]

    def _count_a_run(self, node: fx.Node, call: Call) -> None:
        try:
            macs, others = run_on_shapes(node)
        except Exception as error:  # of whatever library the operator is
            macs, others = 0, [f"{call.op} does not run on shapes alone: {type(error).__name__}"]
        batch = any(s.width == BATCH for traced in call.tensors for dim in traced.dims for s in dim)
        macs, rest = divmod(macs, self.unknowns.batch if batch else 1)
        call.multiply_adds(constant(macs))
        what = f"{call.op}{f' in module {call.module}' if call.module else ''}, which no rule covers"
        if others or rest:
            self.ledger.unruled.append(f"multiply-adds are without those of {what}, and which torch cannot count")
        elif macs:
            self.ledger.unruled.append(f"multiply-adds hold {macs:,} of {what}: as many as a run has at today's widths")

    def _pin_unwritten(self, call: Call) -> None:
        """Keep what no layer sets in an unknown operator's tensors: its own weights, and states that were created."""
        for traced in call.tensors:
            for dim in traced.dims:
                for segment in self.unknowns.resolve(dim):
                    if segment.width not in self.unknowns.written:
                        self.unknowns.pin((segment,))

    def _refusal(self, call: Call, found: str, *, is_final: bool = False) -> TraceError:
        widths = {s.width for traced in call.tensors for dim in traced.dims for s in self.unknowns.resolve(dim)}
        setters = self.ledger.setters(self.unknowns, widths)
        return TraceError(
            f"operator {call.op}", module=call.module, line=call.line, found=found, pins=setters, is_final=is_final
        )

    def _outputs(self, node: fx.Node, call: Call, shapes: list[Shape]) -> list[Traced]:
        """The output tensors, and the step in memory."""
        tensors = call.tensors
        depends = any(traced.depends_on_input for traced in tensors)
        if depends:
            self.ledger.readers.update({t.origin for t in tensors if t.origin is not None and not t.depends_on_input})
        origins = {traced.origin for traced in tensors} - {None}
        origin = origins.pop() if len(origins) == 1 and not depends else None
        is_alias = tensors and (call.memory is Memory.VIEW or is_in_place(node.target))
        outputs: list[Traced] = []
        writes: list[tuple[int, Shape]] = []
        for shape, value in zip(shapes, _values(node.meta.get("val")), strict=True):
            storage = tensors[0].storage if is_alias else -1
            counts = depends and (value.is_floating_point() or value.is_complex())
            if counts and storage < 0:
                storage = self._storage()
                writes.append((storage, shape))
            traced = Traced(
                dims=shape,
                origin=origin,
                depends_on_input=depends,
                storage=storage,
                layer=call.layer,
                value=self._follow(call) if depends else -1,
            )
            outputs.append(traced)
            if call.reduced:
                self.reduced.append((traced.value, call.reduced))
        reads = tuple(sorted({traced.storage for traced in tensors if traced.storage >= 0}))
        if depends:
            name = f"{call.module or 'forward'}: {call.op}"
            self.steps.append(
                Step(
                    name=name,
                    memory=call.memory,
                    reads=reads,
                    writes=tuple(writes),
                    module=call.module,
                    options=tuple(None if isinstance(given, fx.Node) else given for given in node.args),
                )
            )
        return outputs

    def _follow(self, call: Call) -> int:
        """Write down what an activation is made of; returns its number."""
        read = [traced for traced in call.tensors if traced.value >= 0]
        layers = {traced.origin for traced in call.tensors if traced.origin in self.ledger.layers}
        self.values += 1
        self.ledger.flows.append(
            Flow(
                op=call.op,
                value=self.values,
                sources=tuple(traced.value for traced in read),
                sizes=tuple(math.prod(self.unknowns.size(dim) for dim in traced.dims) for traced in read),
                layers=tuple(sorted(filter(None, layers))),
                is_nonlinear=call.op in RULES and RULES[call.op].nonlinear,
                reduces=bool(call.reduced),
            )
        )
        return self.values


def module_path(node: fx.Node) -> str:
    """Path of the module in whose forward the node was made; empty for the model itself."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    paths = [str(entry[0]) for entry in stack.values()]
    path = paths[-1] if paths else ""
    return re.sub(r"@\d+$", "", path.removeprefix("L['self'].").removeprefix("L['self']"))


def source_line(node: fx.Node) -> str:
    """The line of the model's source that made the node, as file:line code."""
    return last_line(str(node.meta.get("stack_trace") or ""))


def last_line(trace: str) -> str:
    r"""The innermost frame of a printed stack that is not torch's own.

    >>> last_line('File "net.py", line 7, in forward\n    return x + 1')
    'net.py:7 return x + 1'
    """
    frames = re.findall(r'File "([^"]+)", line (\d+), in [^\n]*(?:\n\s+([^\n]*))?', trace)
    own = [frame for frame in frames if not TORCH_FILES.search(frame[0])] or frames
    if not own:
        return ""
    file, number, code = own[-1]
    return f"{file}:{number} {code.strip()}".strip()


def is_named(path: str, pattern: str) -> bool:
    """Whether a pattern names a module or one that contains it."""
    parts = path.split(".")
    return any(fnmatch.fnmatchcase(".".join(parts[:n]), pattern) for n in range(1, len(parts) + 1))


def _filled(argument: Any, known: dict[fx.Node, Any]) -> Any:
    if isinstance(argument, fx.Node):
        return known[argument]
    if isinstance(argument, list | tuple):
        return [_filled(item, known) for item in argument]
    return argument


def _named(target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    schema = getattr(target, "_schema", None)
    if schema is None:
        return {**{f"argument{i}": value for i, value in enumerate(args)}, **kwargs}
    names = [argument.name for argument in schema.arguments]
    defaults = {argument.name: argument.default_value for argument in schema.arguments if argument.has_default_value()}
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: given.get(name, defaults.get(name)) for name in names}


def _readers(node: fx.Node, outputs: int) -> list[set[str]]:
    """Names of the operators that read each output of a node."""
    if not isinstance(node.meta.get("val"), list | tuple):
        return [{base_name(user.target) for user in node.users}]
    return [
        {base_name(reader.target) for part in node.users if part.args[1] == i for reader in part.users}
        for i in range(outputs)
    ]


def _values(value: Any) -> list[torch.Tensor]:
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, torch.Tensor)]


def _shapes(value: Any) -> list[tuple[int, ...]]:
    return [tuple(int(size) for size in item.shape) for item in _values(value)]
