"""Rules of the operators that move elements: views, cuts, joins, padding, resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parlay.graph.call import Call, Memory, Shape, Traced, rule
from parlay.graph.dims import ONE, Dim, constant
from parlay.graph.memory import makes_up

__all__: list[str] = []


@rule(
    *"view reshape flatten unflatten squeeze unsqueeze _unsafe_view ravel view_as reshape_as".split(),
    memory=Memory.VIEW,
)
def _view(call: Call) -> Shape:
    return viewed(call, call.tensors[0].dims, call.shape)


def viewed(call: Call, dims: Shape, shape: Sequence[int]) -> Shape:
    """Match the old dimensions with the new sizes from the left, piece by piece of equal size."""
    unknowns = call.unknowns
    old = [dim for dim in dims if unknowns.size(dim) != 1]
    new = [size for size in shape if size != 1]
    found: list[Dim] = []
    while old and new:
        taken, sizes = [old.pop(0)], [new.pop(0)]
        while math.prod(map(unknowns.size, taken)) != math.prod(sizes):
            if math.prod(map(unknowns.size, taken)) < math.prod(sizes) and old:
                taken.append(old.pop(0))
            else:
                sizes.append(new.pop(0))
        merged = taken[0] if len(taken) == 1 else unknowns.merge(taken)
        if (len(taken) > 1 or len(sizes) > 1) and unknowns.guess.sizes_couple:
            _couple(call, merged)
        found += [merged] if len(sizes) == 1 else unknowns.factor(merged, sizes)
    rest = iter(found)
    return tuple(constant(size) if size == 1 else next(rest) for size in shape)


def _couple(call: Call, merged: Dim) -> None:
    """Say that a width put together or split (heads x channels) is the one of that size its module began with."""
    size = call.unknowns.size(merged)
    if call.unknowns.is_fixed(merged):
        return
    for (path, _), dims in call.ledger.touched.items():
        if path == call.module or not call.module or path.startswith(f"{call.module}."):
            for dim in dims:
                if call.unknowns.size(dim) == size and not call.unknowns.is_fixed(dim):
                    call.unify(dim, merged)
                    return


@rule("permute", memory=Memory.VIEW)
def _permute(call: Call) -> Shape:
    dims = call.tensor("self").dims
    return tuple(dims[i % len(dims)] for i in call.get("dims"))


@rule("transpose", "swapaxes", "swapdims", memory=Memory.VIEW)
def _transpose(call: Call) -> Shape:
    x = call.tensors[0]
    a, b = [int(value) for name, value in call.arguments.items() if name != "self" and isinstance(value, int)][:2]
    order = list(range(len(x.dims)))
    order[a], order[b] = order[b], order[a]
    return tuple(x.dims[i] for i in order)


@rule("real", "imag", "view_as_real", "view_as_complex", "conj", "_conj", "resolve_conj", memory=Memory.VIEW)
def _complex(call: Call) -> Shape:
    dims = call.tensors[0].dims
    if call.op == "view_as_real":
        return (*dims, constant(2))
    return dims[:-1] if call.op == "view_as_complex" else dims


@rule("t", "numpy_T", "mT", memory=Memory.VIEW)
def _turned(call: Call) -> Shape:
    dims = call.tensors[0].dims
    return (*dims[:-2], *dims[:-3:-1]) if len(dims) > 1 else dims


@rule("movedim", memory=Memory.VIEW)
def _movedim(call: Call) -> Shape:
    dims = call.tensor("self").dims
    values = [call.get("source"), call.get("destination")]
    source, target = ([v % len(dims)] if isinstance(v, int) else [i % len(dims) for i in v] for v in values)
    rest = iter(i for i in range(len(dims)) if i not in source)
    placed = dict(zip(target, source, strict=True))
    return tuple(dims[placed[i] if i in placed else next(rest)] for i in range(len(dims)))


@rule("expand", "expand_as", "broadcast_to", memory=Memory.VIEW)
def _expand(call: Call) -> Shape:
    dims, shape = call.tensors[0].dims, call.shape
    if call.op == "expand_as":
        like = call.tensors[1].dims
        return tuple(b if call.unknowns.size(a) == 1 else a for a, b in zip(_lead(dims, len(like)), like, strict=True))
    made = call.created(shape)
    old = _lead(dims, len(shape))
    return tuple(new if call.unknowns.size(dim) == 1 else dim for dim, new in zip(old, made, strict=True))


def _lead(dims: Shape, rank: int) -> Shape:
    return (*[ONE] * (rank - len(dims)), *dims)


@rule("repeat", "tile", memory=Memory.POINT)
def _repeat(call: Call) -> Shape:
    old = _lead(call.tensor("self").dims, len(call.shape))
    made = call.created(call.shape)
    result: list[Dim] = []
    for dim, new, size in zip(old, made, call.shape, strict=True):
        today = call.unknowns.size(dim)
        many = size // today if today else 1
        result.append(new if today == 1 else call.unknowns.merge([constant(many), dim]) if many > 1 else dim)
    return tuple(result)


@rule("repeat_interleave", memory=Memory.POINT)
def _repeat_interleave(call: Call) -> Shape:
    dims = list(call.tensor("self").dims)
    at = call.index()
    many = call.shape[at] // call.unknowns.size(dims[at])
    dims[at] = call.unknowns.merge([dims[at], constant(many)])
    return tuple(dims)


@rule("slice", memory=Memory.VIEW)
def _slice(call: Call) -> Shape:
    return sliced(call)


def sliced(call: Call) -> Shape:
    """A part of one dimension; two halves of a width are taken for equal."""
    dims = list(call.tensor("self").dims)
    at, step = call.index(), int(call.get("step", 1) or 1)
    size = call.unknowns.size(dims[at])
    start, end, _ = slice(call.get("start"), call.get("end")).indices(size)
    if step > 1:
        call.unknowns.pin(dims[at], "sliced with a step")
        dims[at] = constant(call.shape[at])
    elif (start, end) != (0, size):
        parts = [(start, False), (end - start, True), (size - end, False)]
        cut = call.unknowns.cut(dims[at], [length for length, _ in parts if length > 0])
        if len(cut) == 2 and call.unknowns.size(cut[0]) == call.unknowns.size(cut[1]):
            call.unify(cut[0], cut[1])  # halves
        dims[at] = cut[[is_kept for length, is_kept in parts if length > 0].index(True)] if end > start else constant(0)
    return tuple(dims)


@rule("narrow", memory=Memory.VIEW)
def _narrow(call: Call) -> Shape:
    call.arguments["end"] = int(call.get("start")) + int(call.get("length"))
    return sliced(call)


@rule("chunk", "split", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split", memory=Memory.VIEW)
def _split(call: Call) -> list[Shape]:
    dims = call.tensor("self").dims
    at = call.index()
    sizes = [shape[at] for shape in call.shapes]
    parts = call.unknowns.cut(dims[at], sizes)
    is_by_sizes = any(isinstance(value, list | tuple) for value in call.arguments.values())
    if not is_by_sizes:  # equal parts by one number, which tells neither the count nor the size apart
        if len(set(sizes)) > 1:
            call.unknowns.pin(dims[at], "split into unequal parts")
        for part in parts[1:]:
            if call.unknowns.size(part) == call.unknowns.size(parts[0]):
                call.unify(parts[0], part)
    return [(*dims[:at], part, *dims[at + 1 :]) for part in parts]


@rule("unbind", memory=Memory.VIEW)
def _unbind(call: Call) -> list[Shape]:
    dims = call.tensor("self").dims
    at = call.index()
    call.unknowns.pin(dims[at], "taken apart")
    return [(*dims[:at], *dims[at + 1 :])] * len(call.shapes)


@rule("select", memory=Memory.VIEW)
def _select(call: Call) -> Shape:
    dims = call.tensor("self").dims
    at = call.index()
    call.unknowns.pin(dims[at], "one element taken")
    return (*dims[:at], *dims[at + 1 :])


@rule("index_select", "index", "gather", "take_along_dim", memory=Memory.POINT)
def _index(call: Call) -> Shape:
    for traced in call.tensors:
        for dim in traced.dims:
            call.unknowns.pin(dim, "indexed")
    return call.fixed(call.shape)


@rule("cat", "concat", "concatenate", memory=Memory.POINT)
def _cat(call: Call) -> Shape:
    parts = [part.dims for part in call.tensors if len(part.dims) == len(call.shape)]
    at = call.index(of=len(call.shape))
    for part in parts[1:]:
        for i, (a, b) in enumerate(zip(parts[0], part, strict=True)):
            if i != at:
                call.unify(a, b)
    joined = tuple(segment for part in parts for segment in part[at])
    return (*parts[0][:at], joined, *parts[0][at + 1 :])


@rule("stack", memory=Memory.POINT)
def _stack(call: Call) -> Shape:
    parts = call.tensors
    at = call.index(of=len(call.shape))
    for part in parts[1:]:
        for a, b in zip(parts[0].dims, part.dims, strict=True):
            call.unify(a, b)
    return (*parts[0].dims[:at], constant(len(parts)), *parts[0].dims[at:])


@rule(
    *"pad constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d zero_pad2d".split(),
    *"_pad_circular reflection_pad3d replication_pad3d".split(),
    memory=Memory.FUSED,
)
def _pad(call: Call) -> Shape:
    """Padded pixels are fixed; padded channels are a width of their own, since the amount may follow from others.

    Pixels around an image cost no memory where every layer that reads them makes them up.
    """
    x = call.tensors[0]
    amounts = list(call.get("pad") or call.get("padding") or ())
    mode = call.get("mode", "constant")
    if mode == "circular" or call.op == "_pad_circular":
        call.memory = Memory.POINT  # torch writes it out, piece by piece
    elif mode == "constant" and not call.op.startswith(("reflection", "replication")):
        value = float(call.get("value") or 0)
        if len(amounts) < 2 * (len(x.dims) - 1) and all(makes_up(reader, value) for reader in call.readers[0]):
            call.memory = Memory.VIEW
    result = list(x.dims)
    for i in range(len(amounts) // 2):
        at = len(result) - 1 - i
        before, after = int(amounts[2 * i]), int(amounts[2 * i + 1])
        if call.unknowns.is_fixed(result[at]):
            if before or after:
                result[at] = constant(call.shape[at])
        elif call.unknowns.guess.literals_follow:
            result[at] = call.unknowns.fresh(call.shape[at])
        elif before or after:
            kept = result[at]
            if min(before, after) < 0:
                call.unknowns.pin(kept, "cropped")
                kept = constant(call.unknowns.size(kept) + min(before, 0) + min(after, 0))
            left, right = (constant(n) if n > 0 else () for n in (before, after))
            result[at] = (*left, *kept, *right)
    return tuple(result)


@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", memory=Memory.POINT)
@rule("upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d", memory=Memory.POINT)
@rule("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", memory=Memory.POINT)
def _interpolate(call: Call) -> Shape:
    dims = call.tensors[0].dims
    return (*dims[:2], *call.pixels(dims[2:], call.shape[2:]))


@rule("grid_sampler", "grid_sampler_2d", memory=Memory.POINT)
def _grid_sample(call: Call) -> Shape:
    dims = call.tensors[0].dims
    return (*dims[:2], *call.pixels(dims[2:], call.shape[2:]))


@rule("pixel_shuffle", memory=Memory.FUSED)
def _pixel_shuffle(call: Call) -> Shape:
    x, factor = call.tensor("self"), int(call.get("upscale_factor"))
    channels = inside_out(call, x.dims[-3], factor**2)
    return (*x.dims[:-3], channels, *map(constant, call.shape[-2:]))


def inside_out(call: Call, dim: Dim, many: int) -> Dim:
    """The dimension whose ``many``-fold (inner) a dimension is."""
    size = call.unknowns.size(dim) // many
    outer = call.unknowns.fresh(size)
    call.unify(dim, call.unknowns.merge([outer, constant(many)]))
    return outer


@rule("pixel_unshuffle", memory=Memory.FUSED)
def _pixel_unshuffle(call: Call) -> Shape:
    x, factor = call.tensor("self"), int(call.get("downscale_factor"))
    channels = call.unknowns.merge([x.dims[-3], constant(factor**2)])
    return (*x.dims[:-3], channels, *map(constant, call.shape[-2:]))


@rule("channel_shuffle", "native_channel_shuffle", memory=Memory.FUSED)
def _channel_shuffle(call: Call) -> Shape:
    x, groups = call.tensor("self"), int(call.get("groups"))
    inside = call.unknowns.in_groups(x.dims[1], groups)
    return (x.dims[0], call.unknowns.merge([inside, constant(groups)]), *x.dims[2:])


@rule("roll", "flip", "rot90", memory=Memory.FUSED)
def _moved(call: Call) -> Shape:
    return call.tensors[0].dims


@rule("unfold", "im2col", "col2im", memory=Memory.POINT)
def _unfold(call: Call) -> Shape:
    x: Traced = call.tensors[0]
    if call.op == "im2col":
        many = call.shape[1] // call.unknowns.size(x.dims[1])
        return (x.dims[0], call.unknowns.merge([x.dims[1], constant(many)]), constant(call.shape[2]))
    if call.op == "unfold":  # Tensor.unfold: windows along one dimension
        at = call.index("dimension")
        call.unknowns.pin(x.dims[at], "unfolded")
        return (*x.dims[:at], constant(call.shape[at]), *x.dims[at + 1 :], constant(call.shape[-1]))
    for dim in x.dims:
        call.unknowns.pin(dim, "folded")
    return call.fixed(call.shape)
