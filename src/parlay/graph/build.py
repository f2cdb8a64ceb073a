"""A new module of the same class and forward code at another layout."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from parlay.errors import InputError, TraceError
from parlay.extras import Needs
from parlay.graph.call import Shape
from parlay.graph.dims import Dim
from parlay.graph.programs import canonical_names, structure_of

with Needs("building networks", extra="train"):
    import torch
    from torch import Tensor, nn
    from torch._subclasses.fake_tensor import unset_fake_temporarily

__all__ = ["STATISTICS", "Resizing", "is_constant_along", "rebuilt", "refuse_meta"]

STATISTICS = ("running_mean", "running_var")
"""Buffers whose module resets them, whatever they hold."""


@dataclass(frozen=True, kw_only=True)
class Resizing:
    """What changes between the given model and the new one.

    Attributes:
        shapes: canonical name of a parameter or buffer -> its dimensions.
        attributes: (module path, attribute) -> the dimensions whose sizes it holds.
        size: size of a dimension in the new model.
        today: size of a dimension in the given model.
        kept: index of the old positions that are kept along a dimension, and of the new positions they go to; None
            when no weights are kept.
        initialise: whether weights get values; a module that is only asked for shapes needs none.
        device: where parameters and buffers are put; where they are now if None.
    """

    shapes: Mapping[str, Shape]
    attributes: Mapping[tuple[str, str], Shape]
    size: Callable[[Dim], int]
    today: Callable[[Dim], int]
    kept: Callable[[Dim], tuple[Tensor, Tensor]] | None = None
    initialise: bool = True
    device: str | None = None


def rebuilt(model: nn.Module, resizing: Resizing) -> nn.Module:
    """The new module; the given one is left as it is.

    Parameters are initialised by ``reset_parameters`` of the module that owns them. Parameters of modules without one
    are filled with the constant they hold now, or drawn from a normal distribution of their mean and spread. Buffers
    that no module resets are kept, repeated where they are the same along a width.

    Raises:
        TraceError: for a buffer whose new content nobody knows.
    """
    names = canonical_names(model)
    tensors = dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])
    fresh: dict[int, Tensor] = {}
    for name, tensor in tensors.items():
        if names[name] == name:
            fresh[id(tensor)] = _emptied(name, tensor, resizing)
    module = structure_of(model, fresh)
    _set_attributes(module, resizing)
    if resizing.initialise:
        _fill(module, _reset(module), tensors)
    if resizing.kept is not None:
        old = {names[name]: tensor for name, tensor in tensors.items()}
        _keep(dict([*module.named_parameters(), *module.named_buffers()]), old, resizing)
    return module


def _emptied(name: str, tensor: Tensor, resizing: Resizing) -> Tensor:
    dims = resizing.shapes.get(name)
    shape = tuple(tensor.shape) if dims is None else tuple(resizing.size(dim) for dim in dims)
    if not isinstance(tensor, nn.Parameter):
        buffer = _resized_buffer(name, tensor, shape)
        return buffer if resizing.device is None else buffer.to(resizing.device)
    data = torch.empty(shape, dtype=tensor.dtype, device=resizing.device or tensor.device)
    return nn.Parameter(data, requires_grad=tensor.requires_grad)


def _resized_buffer(name: str, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Old content, the same along every changed dimension or cut; statistics are reset later by their module."""
    result = tensor.detach().clone()
    for axis, size in enumerate(shape):
        if size == result.shape[axis]:
            continue
        leaf = name.rpartition(".")[2]
        if leaf not in STATISTICS and not is_constant_along(tensor, axis):
            raise TraceError(
                f"buffer {name}",
                module=name.rpartition(".")[0],
                found=f"its {result.shape[axis]} entries differ, so what {size} of them should be is unknown",
            )
        first = result.narrow(axis, 0, 1)
        result = first.expand(*result.shape[:axis], size, *result.shape[axis + 1 :]).clone()
    return result


def refuse_meta(model: nn.Module, what: str) -> None:
    """Tensors on the meta device have shapes and no values.

    Raises:
        InputError: for a model with such tensors, which are asked for as ``what``.
    """
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise InputError(
            what,
            given="a model on the meta device, which has none",
            allowed="a model on a device with values",
            remedy='load its weights first, or model.to_empty(device="cpu") and initialise it',
        )


def is_constant_along(tensor: Tensor, axis: int) -> bool:
    """Whether all slices of a tensor along an axis are equal; not known, so no, of one on the meta device."""
    if tensor.is_meta:
        return False
    with unset_fake_temporarily():  # values are asked for even where a module is built for its shapes
        return bool((tensor == tensor.narrow(axis, 0, 1)).all())


def _set_attributes(module: nn.Module, resizing: Resizing) -> None:
    """Make the attributes that say sizes follow; they matter for printing, resetting and for forward."""
    paths = dict(module.named_modules())
    for (path, name), dims in resizing.attributes.items():
        owner = paths.get(path)
        old = tuple(resizing.today(dim) for dim in dims)
        new = tuple(resizing.size(dim) for dim in dims)
        current: Any = getattr(owner, name, None)
        if isinstance(current, int) and (current,) == old:
            setattr(owner, name, new[0])
        elif isinstance(current, tuple | list) and tuple(current) == old:
            setattr(owner, name, type(current)(new))
    for owner in module.modules():
        if not isinstance(getattr(owner, "weight", None), Tensor):
            continue
        for kind, sizes in SIZES_OF_LAYERS.items():
            if isinstance(owner, kind):
                for name, size in sizes(owner).items():
                    setattr(owner, name, size)


def _sizes_of_convolution(layer: Any) -> dict[str, int]:
    first, second = layer.weight.shape[0], layer.weight.shape[1] * layer.groups
    outputs, inputs = (second, first) if layer.transposed else (first, second)
    return {"out_channels": outputs, "in_channels": inputs}


SIZES_OF_LAYERS: dict[type[nn.Module], Callable[[Any], dict[str, int]]] = {
    nn.modules.conv._ConvNd: _sizes_of_convolution,
    nn.Linear: lambda layer: dict(zip(("out_features", "in_features"), layer.weight.shape, strict=True)),
    nn.modules.batchnorm._NormBase: lambda layer: {"num_features": layer.weight.shape[0]},
    nn.GroupNorm: lambda layer: {"num_channels": layer.weight.shape[0]},
    nn.PReLU: lambda layer: {"num_parameters": layer.weight.shape[0]},
    nn.Embedding: lambda layer: dict(zip(("num_embeddings", "embedding_dim"), layer.weight.shape, strict=True)),
}
"""Layer of torch -> the attributes that repeat the shape of its weight."""


def _reset(module: nn.Module) -> set[nn.Module]:
    """Initialise every layer as it does itself; returns the modules that have no way of doing so at these sizes."""
    left: set[nn.Module] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # empty tensors
        for owner in module.modules():
            reset = _resetter(owner)
            shapes = [parameter.shape for parameter in owner.parameters(recurse=False)]
            try:
                if reset is not None:
                    reset()
            except Exception:  # it counts with sizes that its constructor kept
                reset = None
            if reset is None:
                left.add(owner)
            assert shapes == [parameter.shape for parameter in owner.parameters(recurse=False)]
    return left


def _resetter(owner: nn.Module) -> Callable[[], Any] | None:
    """What initialises the parameters that a module owns itself."""
    owns = any(tensor is not None for tensor in (*owner._parameters.values(), *owner._buffers.values()))
    reset: Any = getattr(owner, "reset_parameters", None) or getattr(owner, "_reset_parameters", None)
    return reset if owns and callable(reset) else None


def _fill(module: nn.Module, owners: set[nn.Module], old: Mapping[str, Tensor]) -> None:
    """Give values to the parameters of modules that cannot initialise them: the constant or moments they have now."""
    for path, owner in module.named_modules():
        if owner not in owners:
            continue
        for name, parameter in owner.named_parameters(recurse=False):
            values = old[f"{path}.{name}" if path else name].detach()
            with torch.no_grad():
                if values.is_meta:
                    continue
                if values.numel() and bool((values == values.flatten()[0]).all()):
                    parameter.fill_(values.flatten()[0].item())
                elif values.is_floating_point() and values.numel() > 1:
                    parameter.normal_(float(values.mean()), float(values.std()))


def _keep(new: dict[str, Tensor], old: Mapping[str, Tensor], resizing: Resizing) -> None:
    """Copy the overlap of every tensor."""
    assert resizing.kept is not None
    with torch.no_grad():
        for name, tensor in new.items():
            source, dims = old.get(name), resizing.shapes.get(name)
            if source is None:
                continue
            if dims is None or not dims:
                tensor.copy_(source)
                continue
            pairs = [resizing.kept(dim) for dim in dims]
            rank = len(pairs)
            # One index an axis, shaped to broadcast: the positions are never written out one by one.
            shaped = [
                [index.reshape([-1 if i == axis else 1 for i in range(rank)]) for index in pair]
                for axis, pair in enumerate(pairs)
            ]
            tensor[tuple(new for _, new in shaped)] = source[tuple(old for old, _ in shaped)]
