"""Rules of element-wise operators, reductions, pooling and created tensors."""

from __future__ import annotations

from parlay.graph.call import Call, Memory, Shape, rule
from parlay.graph.dims import ONE, constant
from parlay.graph.rules.layers import broadcast

__all__: list[str] = []

NONLINEAR = """
relu relu6 leaky_relu elu celu selu gelu silu mish hardswish hardsigmoid hardtanh hardshrink softshrink tanhshrink
sigmoid log_sigmoid tanh softplus softsign rrelu threshold abs exp expm1 log log1p log2 sqrt rsqrt square sin cos
reciprocal sign erf clamp clamp_min clamp_max softmax log_softmax _softmax _log_softmax logit pow_scalar
""".split()
LINEAR = """
neg floor ceil round dropout alpha_dropout feature_dropout feature_alpha_dropout dropout1d dropout2d dropout3d clone
contiguous detach detach_copy alias to _to_copy type_as float half double bernoulli uniform normal zero fill
logical_not isnan nan_to_num cumsum local_response_norm lift_fresh_copy lift_fresh requires_grad native_dropout
masked_fill frac trunc exponential random geometric
""".split()
"""Operators on one tensor that make no activation: linear ones, norms, roundings, masks and noise."""
BINARY = """
add sub rsub mul div true_divide floor_divide remainder fmod eq ne lt le gt ge logical_and logical_or logical_xor
bitwise_and bitwise_or bitwise_not lerp addcmul addcdiv copy clamp_tensor square_difference
""".split()
NONLINEAR_BINARY = "pow maximum minimum where atan2 hypot float_power".split()
"""A product is nonlinear where both factors depend on the input, which ``parlay.graph.paths`` sees."""
REDUCTIONS = "mean sum amax amin prod var std logsumexp all any argmax argmin norm linalg_vector_norm".split()
WITH_PLACES = "max min median nanmedian kthvalue mode".split()
"""Reductions whose second output says where the first one was."""
POOLING = """
max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max_pool2d_with_indices lp_pool2d
fractional_max_pool2d mkldnn_max_pool2d _adaptive_avg_pool2d
""".split()
CREATED = "empty zeros ones full rand randn arange linspace eye scalar_tensor empty_strided randint randperm".split()
LIKE = "empty_like zeros_like ones_like full_like rand_like randn_like".split()
NEW = "new_empty new_zeros new_ones new_full new_empty_strided".split()


@rule(*LINEAR, memory=Memory.FUSED)
@rule(*NONLINEAR, memory=Memory.FUSED, nonlinear=True)
def _unary(call: Call) -> Shape | list[Shape]:
    """Every element by itself; other tensors among the arguments (masks) are broadcast."""
    shapes = [traced.dims for traced in call.tensors]
    out = broadcast(call, shapes) if len(shapes) > 1 else shapes[0]
    return out if len(call.shapes) == 1 else [out] * len(call.shapes)


@rule("glu", memory=Memory.FUSED, nonlinear=True)
def _glu(call: Call) -> Shape:
    dims = call.tensor("self").dims
    at = call.index(default=-1)
    half = call.unknowns.size(dims[at]) // 2
    first, second = call.unknowns.cut(dims[at], [half, half])
    call.unify(first, second)
    return (*dims[:at], first, *dims[at + 1 :])


@rule(*BINARY, memory=Memory.FUSED)
@rule(*NONLINEAR_BINARY, memory=Memory.FUSED, nonlinear=True)
def _binary(call: Call) -> Shape:
    return broadcast(call, [traced.dims for traced in call.tensors])


@rule(*REDUCTIONS, *"max min median nanmedian kthvalue mode aminmax var_mean std_mean".split(), memory=Memory.FUSED)
def _reduce(call: Call) -> Shape | list[Shape]:
    """Reduced dimensions vanish, or become 1 where they are kept.

    A dimension whose places are told, as argmax does, keeps its size: they are classes, and no two are alike.
    """
    if call.op in ("max", "min") and len(call.tensors) > 1:
        return _binary(call)
    dims = call.tensors[0].dims
    given = call.get("dim", -1 if call.op in ("kthvalue", "mode") else None)
    chosen = [given] if isinstance(given, int) else list(given or range(len(dims)))
    reduced = {i % len(dims) for i in chosen} if dims else set[int]()
    call.reduced = tuple(dims[i] for i in sorted(reduced))
    if call.op in ("argmax", "argmin") or (call.op in WITH_PLACES and call.readers[1:] and call.readers[1]):
        for dim in call.reduced:
            call.unknowns.pin(dim, "its places are told apart")
    kept = bool(call.get("keepdim", False))
    shape = tuple(ONE if i in reduced else dim for i, dim in enumerate(dims) if kept or i not in reduced)
    return shape if len(call.shapes) == 1 else [shape] * len(call.shapes)


@rule("topk", "sort", "argsort", "msort", "cummax", "cummin", "multinomial", memory=Memory.FUSED)
def _sorted(call: Call) -> Shape | list[Shape]:
    dims = list(call.tensors[0].dims)
    at = call.index(default=0 if call.op == "msort" else -1)
    call.unknowns.pin(dims[at], "sorted")
    dims[at] = constant(call.shape[at])
    return tuple(dims) if len(call.shapes) == 1 else [tuple(dims)] * len(call.shapes)


@rule("cross_entropy_loss", "nll_loss", "nll_loss_nd", "nll_loss2d", memory=Memory.FUSED)
def _loss_of_classes(call: Call) -> Shape:
    x = call.tensor("self")
    call.unknowns.pin(x.dims[1 if len(x.dims) > 1 else 0], "classes of a loss")
    return call.fixed(call.shape)


@rule(*POOLING, memory=Memory.FUSED)
def _pool(call: Call) -> Shape | list[Shape]:
    """Channels stay, pixels are fixed."""
    dims = call.tensors[0].dims
    rank = int(next(c for c in call.op if c.isdigit()))
    at = len(dims) - rank
    out = (*dims[:at], *call.pixels(dims[at:], call.shape[at:]))
    return out if len(call.shapes) == 1 else [out] * len(call.shapes)


@rule(*CREATED, memory=Memory.FUSED)
def _created(call: Call) -> Shape:
    return call.created(call.shape)


@rule(*LIKE, memory=Memory.FUSED)
def _like(call: Call) -> Shape:
    return call.tensors[0].dims


@rule(*NEW, memory=Memory.FUSED)
def _new(call: Call) -> Shape:
    return call.created(call.shape)


@rule("one_hot", memory=Memory.POINT)
def _one_hot(call: Call) -> Shape:
    return (*call.tensors[0].dims, constant(call.shape[-1]))


@rule("normalize", memory=Memory.FUSED)
def _normalize(call: Call) -> Shape:
    return call.tensors[0].dims


@rule("cdist", "pairwise_distance", "cosine_similarity", memory=Memory.POINT)
def _distance(call: Call) -> Shape:
    a, b = call.tensors[:2]
    call.unify(a.dims[-1], b.dims[-1])
    if call.op == "cdist":
        return (*a.dims[:-1], b.dims[-2])
    return broadcast(call, [a.dims, b.dims])[: len(call.shape)]
