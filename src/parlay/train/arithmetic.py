"""bf16 on CPUs, but for the convolutions whose weight gradients it leaves unwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from parlay.errors import InputError
from parlay.extras import Needs

with Needs("training", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch.overrides import TorchFunctionMode

__all__ = ["SmallMapsInFloat", "sound_arithmetic"]

VOLUME = 3
FORWARD = {f"conv{rank}d" for rank in (1, 2, VOLUME)}
CONVOLUTIONS = FORWARD | {f"conv_transpose{rank}d" for rank in (1, 2, VOLUME)} | {"convolution"}
"""Names in ``torch``, ``torch.nn.functional`` and ``torch.ops.aten``; the stride is the fourth argument of each."""


class SmallMapsInFloat(TorchFunctionMode):
    """Within it, a convolution whose result would be bf16 is computed in fp32 where its map is too small.

    oneDNN does not write all of such a layer's gradients in bf16 (torch 2.14.1, docs/limits.md): they hold what the
    memory held before. In fp32 they are right. Too small is a map smaller than the stride in some dimension, or in
    convolutions of volumes than the kernel. Of a transposed convolution the output counts as well as the input. The
    result is bf16 again, as autocast would have given it.

    >>> layer = nn.Conv2d(1, 2, kernel_size=3, stride=2, padding=1)
    >>> with torch.autocast("cpu", torch.bfloat16), SmallMapsInFloat() as mode:
    ...     small, large = layer(torch.ones(1, 1, 1, 1)), layer(torch.ones(1, 1, 2, 2))
    >>> small.dtype, large.dtype, mode.calls
    (torch.bfloat16, torch.bfloat16, 1)

    Attributes:
        calls: how many convolutions were computed in fp32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        result = func(*args, **given)
        name = getattr(func, "__name__", "").partition(".")[0]
        if name not in CONVOLUTIONS or result.dtype is not torch.bfloat16:
            return result
        image: Tensor = args[0] if args else given["input"]
        weight: Tensor = args[1] if len(args) > 1 else given["weight"]
        stride = args[3] if len(args) > 3 else given.get("stride", 1)
        rank = weight.ndim - 2
        least = [stride] * rank if isinstance(stride, int) else [*stride] * (rank // len(stride))
        if rank == VOLUME:
            least = [max(pair) for pair in zip(least, weight.shape[2:], strict=True)]
        maps = [image.shape[-rank:]] if name in FORWARD else [image.shape[-rank:], result.shape[-rank:]]
        if all(side >= small for sides in maps for side, small in zip(sides, least, strict=True)):
            return result
        self.calls += 1
        with torch.autocast(image.device.type, enabled=False):
            return func(*map(_float, args), **{name: _float(value) for name, value in given.items()}).to(result.dtype)


def sound_arithmetic(model: nn.Module, *, precision: str, device: str) -> AbstractContextManager[object]:
    """What the steps of a training in this precision on this device run within, so that every gradient is written.

    Raises:
        InputError: for bf16 on a CPU with a part whose convolutions nobody can see: compiled or scripted.
    """
    if precision != "bf16" or not device.startswith("cpu"):
        return nullcontext()
    for name, part in model.named_modules():
        if isinstance(part, torch.jit.ScriptModule) or hasattr(part, "_orig_mod"):
            raise InputError(
                f"precision of {name or type(part).__name__}",
                given="bf16 on a CPU, of a compiled module",
                allowed="fp32",
                remedy="the strides of its convolutions cannot be checked (docs/limits.md)",
            )
    return SmallMapsInFloat()


def _float(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value
