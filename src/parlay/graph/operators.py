"""Names of torch's operators, and the multiply-adds of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

from parlay.extras import Needs
from parlay.graph.call import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

with Needs("counting networks", extra="train"):
    import torch
    from torch import Tensor, fx
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map_only
    from torch.utils.flop_counter import FlopCounterMode

__all__ = ["base_name", "counter", "counting", "is_in_place", "run_on_shapes"]


@cache
def base_name(target: Any) -> str:
    """``conv2d`` of ``aten.conv2d.default`` and ``add`` of ``aten.add_.Tensor``; with the library for others.

    >>> base_name(torch.ops.aten.add_.Tensor)
    'add'
    """
    schema = getattr(target, "_schema", None)
    if schema is None:
        return str(getattr(target, "__name__", target))
    library, _, name = str(schema.name).partition("::")
    if not name.startswith("__"):
        name = name.removesuffix("_") if is_in_place(target) else name
    return name if library == "aten" else f"{library}.{name}"


def is_in_place(target: Any) -> bool:
    """Whether the operator writes into its first argument."""
    schema = getattr(target, "_schema", None)
    if schema is None or not schema.arguments:
        return False
    info = schema.arguments[0].alias_info
    return bool(info is not None and info.is_write)


def _deformable(_x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
    """Operations of a deformable convolution: those of a convolution; where it looks is interpolation."""
    return 2 * prod(weight) * out_shape[0] * prod(out_shape[2:])


def _bilinear(a: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    """Operations of ``nn.Bilinear``: a W for every output, and its product with b."""
    outputs, first, second = weight[-3:]
    return 2 * a[0] * outputs * (first * second + second)


def _vectors(a: Sequence[int], *_: Any, **__: Any) -> int:
    """Operations of a product of a matrix, or a vector, and a vector."""
    return 2 * prod(a)


def counter() -> FlopCounterMode:
    """torch's counter of operations, with formulas for layers that it has none for."""
    aten = torch.ops.aten
    formulas: dict[Any, Callable[..., int]] = {aten._trilinear: _bilinear, aten.mv: _vectors, aten.dot: _vectors}
    if hasattr(torch.ops.torchvision, "deform_conv2d"):  # once torchvision is imported
        formulas[torch.ops.torchvision.deform_conv2d] = _deformable
    return FlopCounterMode(display=False, custom_mapping=formulas)


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count operations; attention as its two products, which torch counts where its fused kernels hide them."""
    with counter() as found, sdpa_kernel(SDPBackend.MATH):
        yield found


class _Watched(TorchDispatchMode):
    """Writes down the operators that a counter of operations knows nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.unknown: set[str] = set()
        self.counted: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = base_name(func)
        is_free = name in RULES or torch.Tag.pointwise in func.tags or torch.Tag.reduction in func.tags
        is_view = any(result.alias_info is not None for result in func._schema.returns)
        if not (is_free or is_view or func._overloadpacket in self.counted):
            self.unknown.add(name)
        return func(*args, **(kwargs or {}))


def run_on_shapes(node: fx.Node) -> tuple[int, list[str]]:
    """Multiply-adds of one exported operator, by running it without data, and what of it nobody can count.

    Returns:
        The multiply-adds of the traced batch, and names of operators in it that are not known to have none.

    Raises:
        Exception: whatever an operator raises that cannot run on shapes alone.
    """
    given = fx.map_arg((node.args, node.kwargs), lambda other: other.meta["val"])
    args, kwargs = tree_map_only(Tensor, _on_meta, given)
    watched = _Watched()
    with torch.no_grad(), watched, counting() as found:
        watched.counted = set(found.flop_registry)
        node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
    return found.get_total_flops() // 2, sorted(watched.unknown)


def _on_meta(item: Tensor) -> Tensor:
    return torch.empty_strided(item.shape, item.stride(), dtype=item.dtype, device="meta")
