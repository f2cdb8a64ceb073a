"""Rules of the operators that have weights or multiply two activations, and of the norms."""

from __future__ import annotations

from itertools import zip_longest

from parlay.errors import InputError
from parlay.graph.call import Call, Memory, Shape, Traced, rule
from parlay.graph.dims import BATCH, ONE, Dim, Segment, constant

__all__: list[str] = []


@rule("conv1d", "conv2d", "conv3d", memory=Memory.POINT)
def _convolution(call: Call) -> Shape:
    x, weight, groups = call.tensor("input"), call.tensor("weight"), int(call.get("groups", 1))
    rank = len(weight.dims) - 2
    batch, channels, pixels = _parts(x.dims, rank)
    outputs, per_group = weight.dims[0], weight.dims[1]
    for kernel in weight.dims[2:]:
        call.unknowns.pin(kernel)
    if groups == 1:
        call.unify(channels, per_group)
    elif call.unknowns.size(channels) == groups:  # depthwise: as many groups as channels, whatever their number
        many = call.unknowns.size(outputs) // groups
        inner = tuple(_repeated(s, many) for s in call.unknowns.resolve(channels))
        call.unify(outputs, inner)
        call.attribute("groups", channels)
        call.ledger.groups.append(channels)
    else:
        call.unify(call.unknowns.in_groups(channels, groups), per_group)
        call.ledger.groups.append(constant(groups))
        call.unknowns.in_groups(outputs, groups)
    bias = call.optional("bias")
    if bias is not None:
        call.unify(outputs, bias.dims[0])
    sides = call.pixels(pixels, call.shape[len(call.shape) - rank :])
    mixes, is_spatial = not _is_depthwise(call, channels), _is_spatial(call, weight)
    call.weight_layer(weight, inputs=channels, outputs=outputs, bias=bias, mixes=mixes, is_spatial=is_spatial)
    call.multiply_adds(*batch, outputs, per_group, *weight.dims[2:], *sides)
    return (*batch, outputs, *sides)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d", memory=Memory.POINT)
def _transposed_convolution(call: Call) -> Shape:
    x, weight, groups = call.tensor("input"), call.tensor("weight"), int(call.get("groups", 1))
    rank = len(weight.dims) - 2
    batch, channels, spatial = _parts(x.dims, rank)
    per_group = weight.dims[1]
    for kernel in weight.dims[2:]:
        call.unknowns.pin(kernel)
    call.unify(channels, weight.dims[0])
    if groups == 1:
        outputs = per_group
    elif call.unknowns.size(channels) == groups:
        call.unknowns.pin(per_group, "channels a group of a depthwise convolution")
        many = call.unknowns.size(per_group)
        outputs = tuple(_repeated(s, many) for s in call.unknowns.resolve(channels))
        call.attribute("groups", channels)
        call.ledger.groups.append(channels)
    else:
        call.unknowns.in_groups(channels, groups)
        outputs = call.unknowns.merge([constant(groups), per_group])
        call.ledger.groups.append(constant(groups))
    bias = call.optional("bias")
    if bias is not None:
        call.unify(outputs, bias.dims[0])
    sides = call.pixels(spatial, call.shape[len(call.shape) - rank :])
    mixes, is_spatial = not _is_depthwise(call, channels), _is_spatial(call, weight)
    call.weight_layer(weight, inputs=channels, outputs=outputs, axis=1, bias=bias, mixes=mixes, is_spatial=is_spatial)
    call.multiply_adds(*batch, channels, per_group, *weight.dims[2:], *spatial)
    return (*batch, outputs, *sides)


def _is_depthwise(call: Call, channels: Dim) -> bool:
    """Whether every channel is convolved by itself."""
    groups = int(call.get("groups", 1))
    return groups > 1 and call.unknowns.size(channels) == groups


def _is_spatial(call: Call, weight: Traced) -> bool:
    """Whether a kernel covers several pixels."""
    return any(call.unknowns.size(side) > 1 for side in weight.dims[2:])


def _parts(dims: Shape, rank: int) -> tuple[Shape, Dim, Shape]:
    """Batch (absent without one), channels, and pixels of a convolution's input."""
    at = len(dims) - rank - 1
    return dims[:at], dims[at], dims[at + 1 :]


def _repeated(segment: Segment, many: int) -> Segment:
    if segment.width == 0:
        return segment._replace(outer=segment.outer * many)
    return segment._replace(inner=segment.inner * many)


@rule("linear", memory=Memory.POINT)
def _linear(call: Call) -> Shape:
    x, weight, bias = call.tensor("input"), call.tensor("weight"), call.optional("bias")
    outputs, inputs = weight.dims
    call.unify(x.dims[-1], inputs)
    if bias is not None:
        call.unify(outputs, bias.dims[0])
    call.weight_layer(weight, inputs=inputs, outputs=outputs, bias=bias)
    call.multiply_adds(*x.dims[:-1], inputs, outputs)
    return (*x.dims[:-1], outputs)


@rule("matmul", "mm", "bmm", "mv", "dot", memory=Memory.POINT)
def _matmul(call: Call) -> Shape:
    a, b = call.tensors[:2]
    return _product(call, a.dims, b.dims, b.origin, a.origin)


@rule("addmm", "baddbmm", "addbmm", memory=Memory.POINT)
def _addmm(call: Call) -> Shape:
    added, a, b = call.tensors[:3]
    outputs = _product(call, a.dims, b.dims, b.origin, a.origin)
    return broadcast(call, [outputs, added.dims])


def _product(call: Call, a: Shape, b: Shape, weight: str | None, other: str | None) -> Shape:
    """Matrix product with broadcasting; a parameter as one factor makes it a weight layer."""
    left = a if len(a) > 1 else (ONE, *a)
    right = b if len(b) > 1 else (*b, ONE)
    call.unify(left[-1], right[-2])
    lead = broadcast(call, [left[:-2], right[:-2]])
    if weight is not None:
        call.weight_layer(Traced(dims=b, origin=weight), inputs=right[-2], outputs=right[-1], axis=len(b) - 1)
    elif other is not None:
        call.weight_layer(Traced(dims=a, origin=other), inputs=left[-1], outputs=left[-2], axis=max(0, len(a) - 2))
    call.multiply_adds(*lead, left[-2], left[-1], right[-1])
    return (*lead, *(left[-2:-1] if len(a) > 1 else ()), *(right[-1:] if len(b) > 1 else ()))


@rule("einsum", memory=Memory.POINT)
def _einsum(call: Call) -> Shape:
    equation = str(call.get("equation")).replace(" ", "")
    operands = call.tensors
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if "." in equation or not arrow or len(terms) != len(operands) or len(terms) > 2:
        raise InputError("einsum", given=repr(equation), allowed="one or two operands, an arrow, no ellipsis")
    letters: dict[str, Dim] = {}
    for term, operand in zip(terms, operands, strict=True):
        for letter, dim in zip(term, operand.dims, strict=True):
            if letter in letters:
                call.unify(letters[letter], dim)
            else:
                letters[letter] = dim
    for term, operand in zip(terms, operands, strict=True):
        free = [letter for letter in term if letter in right]
        if operand.origin is not None and free and len(terms) == 2:
            summed = [letter for letter in term if letter not in right]
            inputs = letters[summed[0]] if summed else ONE
            call.weight_layer(operand, inputs=inputs, outputs=letters[free[0]], axis=term.index(free[0]))
    if len(terms) == 2:
        call.multiply_adds(*letters.values())
    else:
        call.reduced = tuple(dim for letter, dim in letters.items() if letter not in right)
    return tuple(letters[letter] for letter in right)


@rule("scaled_dot_product_attention", memory=Memory.POINT)
def _attention(call: Call) -> Shape:
    query, key, value = call.tensor("query"), call.tensor("key"), call.tensor("value")
    call.unify(query.dims[-1], key.dims[-1])
    call.unify(key.dims[-2], value.dims[-2])
    lead = broadcast(call, [query.dims[:-2], key.dims[:-2], value.dims[:-2]])
    call.multiply_adds(*lead, query.dims[-2], query.dims[-1], key.dims[-2])
    call.multiply_adds(*lead, query.dims[-2], key.dims[-2], value.dims[-1])
    return (*lead, query.dims[-2], value.dims[-1])


@rule("batch_norm", "instance_norm", "native_batch_norm", memory=Memory.FUSED)
def _batch_norm(call: Call) -> Shape:
    x = call.tensor("input")
    for name in ("weight", "bias", "running_mean", "running_var"):
        vector = call.optional(name)
        if vector is not None:
            call.unify(x.dims[1], vector.dims[0])
    if call.optional("weight") is None:
        call.attribute("num_features", x.dims[1])
    weight, bias = call.optional("weight"), call.optional("bias")
    if call.op != "instance_norm" or weight is not None:
        is_constant = call.op != "instance_norm" and not call.get("training")  # other statistics are the image's own
        call.norm((x.dims[1],), weight, bias, statistics=call.optional("running_mean") if is_constant else None)
    return x.dims


@rule("layer_norm", "rms_norm", memory=Memory.FUSED)
def _layer_norm(call: Call) -> Shape:
    x = call.tensor("input")
    rank = len(call.get("normalized_shape"))
    for name in ("weight", "bias"):
        vector = call.optional(name)
        if vector is not None:
            for a, b in zip(x.dims[-rank:], vector.dims, strict=True):
                call.unify(a, b)
    call.attribute("normalized_shape", *x.dims[-rank:])
    if call.optional("weight") is not None:
        call.norm(x.dims[-rank:], call.optional("weight"), call.optional("bias"))
    return x.dims


@rule("group_norm", memory=Memory.FUSED)
def _group_norm(call: Call) -> Shape:
    x, groups = call.tensor("input"), int(call.get("num_groups"))
    channels = x.dims[1]
    inside = call.unknowns.size(channels) // groups
    if inside == 1:
        call.unknowns.pin(channels, "as many groups as channels")
    elif groups > 1:
        call.unknowns.in_groups(channels, groups)
    for name in ("weight", "bias"):
        vector = call.optional(name)
        if vector is not None:
            call.unify(channels, vector.dims[0])
    call.attribute("num_channels", channels)
    if call.optional("weight") is not None:
        call.norm((channels,), call.optional("weight"), call.optional("bias"))
    return x.dims


@rule("prelu", "_prelu_kernel", memory=Memory.FUSED, nonlinear=True)
def _prelu(call: Call) -> Shape:
    x, weight = call.tensor("self"), call.tensor("weight")
    if call.unknowns.size(weight.dims[0]) > 1 and len(weight.dims) == 1:
        call.unify(x.dims[1 if len(x.dims) > 1 else 0], weight.dims[0])
        return x.dims
    return x.dims if len(weight.dims) == 1 else broadcast(call, [x.dims, weight.dims])


@rule("embedding", memory=Memory.POINT)
def _embedding(call: Call) -> Shape:
    weight, indices = call.tensor("weight"), call.tensor("indices")
    call.unknowns.pin(weight.dims[0], "rows of an embedding")
    return (*indices.dims, weight.dims[1])


def broadcast(call: Call, shapes: list[Shape]) -> Shape:
    """The shape of an element-wise operation: aligned at the end, sizes of 1 give way."""
    unknowns = call.unknowns
    columns = list(zip_longest(*(shape[::-1] for shape in shapes), fillvalue=None))
    result: list[Dim] = []
    for column in columns:
        present = [dim for dim in column if dim is not None]
        wide = [dim for dim in present if unknowns.size(dim) != 1]
        for dim in present:
            if wide and unknowns.size(dim) == 1:
                unknowns.pin(dim, "broadcast")
        for dim in wide[1:]:
            unknowns.unify(wide[0], dim)
        batch = [dim for dim in wide if unknowns.resolve(dim) == (Segment(BATCH, 1, 1),)]
        result.append((batch or wide or present)[0])
    return tuple(result[::-1])
