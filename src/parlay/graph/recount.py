"""Counting a module by running it: parameters, multiply-adds, and peak activation memory.

Nothing here knows the tracer's polynomials; its numbers are what the predictions are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from parlay.extras import Needs
from parlay.graph.call import RULES, Memory
from parlay.graph.interpret import Step
from parlay.graph.memory import live_sets, makes_up
from parlay.graph.operators import base_name, counting, is_in_place
from parlay.network import element_bytes

with Needs("measuring networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

__all__ = [
    "Recounted",
    "Recorder",
    "count_macs",
    "count_params",
    "measure",
    "measure_peak_activation_bytes",
    "record",
]

VIEWS = {"view", "_unsafe_view", "t", "detach", "as_strided", "alias", "permute", "transpose", "expand", "slice"}
FUSED = ("native_", "_native_", "_softmax", "_log_softmax", "_to_copy")
"""Beginnings of names that only the dispatcher knows; all others are the rules' own."""


@dataclass(frozen=True, kw_only=True)
class Recounted:
    """What a run of a module showed, for one image in evaluation mode."""

    params: int
    macs: int
    peak_activation_bytes: int


def measure(module: nn.Module, inputs: Sequence[Any], *, dtype: str = "int8") -> Recounted:
    """Count a module on inputs that hold one image.

    >>> from parlay.families import plain
    >>> measure(plain(depth=2, image=8).build((4, 6)), [torch.zeros(1, 3, 8, 8)])
    Recounted(params=414, macs=10428, peak_activation_bytes=448)
    """
    return Recounted(
        params=count_params(module),
        macs=count_macs(module, inputs),
        peak_activation_bytes=measure_peak_activation_bytes(module, inputs, dtype=dtype),
    )


def count_params(module: nn.Module) -> int:
    """Elements of all parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, inputs: Sequence[Any]) -> int:
    """Half the operations that torch's ``FlopCounterMode`` counts in evaluation mode."""
    with _evaluating(module), torch.no_grad(), counting() as found:
        module(*inputs)
    return found.get_total_flops() // 2


def measure_peak_activation_bytes(module: nn.Module, inputs: Sequence[Any], *, dtype: str = "int8") -> int:
    """The most activation memory that is live at once, by following every storage through a run.

    The storages, their sizes, readers and writers are those of the run; what counts as fused is the convention of
    ``parlay.graph.memory``.
    """
    recorded, _ = record(module, inputs)
    return recorded.peak * element_bytes(dtype)


def record(module: nn.Module, inputs: Sequence[Any]) -> tuple[Recorder, Any]:
    """Run a module in evaluation mode and write down its activations; also the outputs."""
    recorder = Recorder()
    for leaf in tree_leaves(list(inputs)):
        if isinstance(leaf, Tensor):  # by its own elements: it may be a part of the caller's batch
            recorder.sizes[recorder.key(leaf)] = leaf.numel()
    recorder.began = list(recorder.sizes)
    with _evaluating(module), torch.no_grad(), recorder:
        result = module(*inputs)
    leaves = [leaf for leaf in tree_leaves(_plain(result)) if isinstance(leaf, Tensor)]
    recorder.ended = [recorder.key(leaf) for leaf in leaves]
    recorder.leave_out_padding()
    return recorder, result


def _plain(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else value


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every module's own mode comes back."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


class Recorder(TorchDispatchMode):
    """Writes down every operator of a run: the storages it read and the ones it made.

    A convolution whose groups do not divide its channels is refused: on shapes alone torch lets it pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.steps: list[Step] = []
        self.kept: list[Any] = []  # storages stay alive, so that none is reused under the same key
        self.keys: dict[int, int] = {}
        self.began: list[int] = []
        self.ended: list[int] = []
        self.groups: list[int] = []
        self.padding: dict[int, tuple[int, float]] = {}  # what its readers may make up: what it pads, and with what

    @property
    def peak(self) -> int:
        """The most elements that were live at once."""
        sets = live_sets(self.steps, [(key, ()) for key in self.began], [k for k in self.ended if k in self.sizes])
        return max(sum(self.sizes[key] for key in live) for _, live in sets)

    def key(self, tensor: Tensor) -> int:
        """A number for the tensor's storage."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self.keys:
            self.keys[address] = len(self.keys) + 1
            self.kept.append(storage)
        return self.keys[address]

    def leave_out_padding(self) -> None:
        """Take padding that its readers make up for what it pads; called once, after the run."""
        for key in self.ended:
            self.padding.pop(key, None)
        for key in self.padding:
            self.sizes.pop(key, None)
        for number, step in enumerate(self.steps):
            reads = tuple(self.padding.get(key, (key,))[0] for key in step.reads)
            writes = tuple((key, shape) for key, shape in step.writes if key not in self.padding)
            self.steps[number] = replace(step, reads=reads, writes=writes)

    def activation(self, tensor: Tensor) -> int:
        """Note a storage that holds an activation, all of it."""
        key = self.key(tensor)
        self.sizes.setdefault(key, tensor.untyped_storage().nbytes() // tensor.element_size())
        return key

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if base_name(func) == "convolution":
            self.groups.append(_checked_groups(*args))
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        reads = {self.key(tensor) for tensor in tensors} & set(self.sizes)
        if not reads:
            return result
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        name = base_name(func)
        self._note_padding(name, args, reads, leaves)
        if name.startswith(("native_", "_native_", "_scaled_dot_product")):
            leaves = leaves[:1]  # the others are statistics that only training needs
        new = [
            leaf
            for leaf in leaves
            if (leaf.is_floating_point() or leaf.is_complex()) and self.key(leaf) not in self.sizes
        ]
        writes = tuple(dict.fromkeys((self.activation(leaf), ()) for leaf in new))
        memory = Memory.VIEW if is_in_place(func) else self._memory(name)
        self.steps.append(Step(name=name, memory=memory, reads=tuple(reads), writes=writes))
        return result

    def _note_padding(self, name: str, args: Sequence[Any], reads: set[int], leaves: Sequence[Tensor]) -> None:
        """Keep what an operator pads, and forget the padding that it reads and could not make up itself."""
        for key in reads & set(self.padding):
            if not makes_up(name, self.padding[key][1]):
                del self.padding[key]
        if name == "constant_pad_nd" and len(args[1]) < 2 * (args[0].dim() - 1):
            self.padding[self.key(leaves[0])] = self.key(args[0]), float((*args, 0)[2])

    @staticmethod
    def _memory(name: str) -> Memory:
        if name in VIEWS:
            return Memory.VIEW
        if name.startswith(FUSED):
            return Memory.FUSED
        return RULES[name].memory if name in RULES else Memory.POINT


def _checked_groups(x: Tensor, weight: Tensor, *rest: Any) -> int:
    """The number of groups; raises where they do not fit, which torch checks only with data."""
    transposed, groups = bool(rest[4]), int(rest[6])
    channels = x.shape[-(weight.dim() - 1)]
    expected = weight.shape[0] if transposed else weight.shape[1] * groups
    if channels != expected or weight.shape[0] % groups:
        raise RuntimeError(f"{groups} groups do not fit a weight of {list(weight.shape)} and {channels} channels")
    return groups
