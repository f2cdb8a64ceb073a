"""Which share of a network's paths, from input to output, goes through each of its layers.

Paths part where a value is read several times and meet again where values are added or joined: a residual block has one
path through it and one around it. Every path counts the same (Veit et al. 2016). A product has one operand that the
paths run through, the largest one; the other, a gate, scales what passes and counts as much as it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Flow", "path_shares"]

GATED = frozenset({"mul", "div", "matmul", "bmm", "scaled_dot_product_attention"})


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One operator on activations.

    Attributes:
        op: its name.
        value: number of the activation it makes.
        sources: numbers of the activations it reads.
        sizes: numbers of elements of these.
        layers: weights of the layers it is made of.
    """

    op: str
    value: int
    sources: tuple[int, ...]
    sizes: tuple[int, ...]
    layers: tuple[str, ...]

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
    counts = _path_counts(flows)
    through: defaultdict[int, Fraction] = defaultdict(Fraction)
    beside: defaultdict[int, Fraction] = defaultdict(Fraction)  # of gates, which lie on no path of their own
    total = sum(counts.get(output, 1) for output in outputs)
    for output in outputs:
        through[output] += Fraction(counts.get(output, 1), total or 1)
    shares: defaultdict[str, Fraction] = defaultdict(Fraction)
    for flow in reversed(flows):
        passing, scaling = through[flow.value], beside[flow.value]
        for layer in flow.layers:
            shares[layer] = max(shares[layer], passing or min(scaling, Fraction(1)))
        for source in flow.main:
            part = Fraction(counts.get(source, 1), counts[flow.value] or 1)
            through[source] += passing * part
            beside[source] += scaling * part
        for source in set(flow.sources) - set(flow.main):
            beside[source] = max(beside[source], passing or scaling)
    return {layer: share for layer, share in reversed(shares.items()) if share}


def _path_counts(flows: Sequence[Flow]) -> dict[int, int]:
    """Paths from the input to each activation."""
    counts: dict[int, int] = {}
    for flow in flows:
        counts[flow.value] = sum(counts.get(source, 1) for source in flow.main)
    return counts


def share_of(shares: Mapping[str, Fraction], layer: str) -> Fraction:
    """A layer's share; 1 for one that lies on no path that was followed."""
    return min(shares.get(layer, Fraction(1)), Fraction(1))
