"""What the paper's families have in common: width spaces and resources in closed form, from their convolutions."""

# pyright: reportIncompatibleVariableOverride=false
# A cached property reads like the attribute that it stands for.

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from parlay.energy import Score, get_score, log_energy
from parlay.errors import InputError
from parlay.layout import ActivationStep, Connection, Layout, Order, WidthGroup, WidthSpace, require_integer
from parlay.network import ConvolutionShape, Network
from parlay.problem import Constraint, Problem
from parlay.resources import PeakResource, Resource

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LARGEST_DEPTH", "Convolution", "Family", "each_group"]

LARGEST_DEPTH = 10_000
"""Ten times the deepest chains that are proven in seconds."""
LARGEST_SIZE = 10**10
"""Kernels or weights that a size may have: ten times the largest networks of vision."""

DEFAULT_SCORE = "energy-group"
"""Eq. 3 as the paper counts it."""


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """``count`` equal convolutions of a family.

    Attributes:
        target: group they write.
        source: group they read, None for the image.
        kernel: side of the square kernel.
        resolution: side of their output, in pixels.
        share: share of all paths that go through each (``parlay.layout.Connection``).
    """

    target: int
    source: int | None
    kernel: int
    resolution: int
    count: int = 1
    share: Fraction = Fraction(1)


@dataclass(frozen=True, kw_only=True)
class Family(Network):
    """Networks that differ only in their widths.

    Attributes:
        depth: weight layers as the paper counts them (plain: convolutions; ResNet: 6n + 2).
        kernel_sizes: side of the kernels of each width group.
        in_channels: channels of the input (n_0 of Eq. 1).
        image: side of the square input, in pixels.
        classes: outputs of the linear classifier.
    """

    depth: int
    kernel_sizes: tuple[int, ...]
    in_channels: int = 3
    image: int = 32
    classes: int = 10

    name: ClassVar[str]

    def __post_init__(self) -> None:
        require_integer("in-channels", self.in_channels)
        require_integer("image side", self.image)
        require_integer("classes", self.classes)
        for size in self.kernel_sizes:
            require_integer("kernel size", size)
            if size > 2 * self.image + 1:  # its outer rows would read nothing but padding, wherever it stands
                raise InputError(
                    "kernel size",
                    given=size,
                    allowed=f"at most {2 * self.image + 1} on images of side {self.image}",
                    remedy="see --kernel-size and --image",
                )
        if len(self.kernel_sizes) != len(self.group_names):
            raise InputError(
                "kernel sizes",
                given=len(self.kernel_sizes),
                allowed=f"one for all or {len(self.group_names)}, one a width group ({', '.join(self.group_names)})",
            )

    @property
    @abstractmethod
    def group_names(self) -> tuple[str, ...]:
        """Names of the width groups, in layout order."""

    @abstractmethod
    def convolutions(self) -> tuple[Convolution, ...]:
        """Every convolution, in the order of the forward pass."""

    @abstractmethod
    def live_points(self) -> tuple[Resource, ...]:
        """Activation elements held at each convolution and at the classifier, one linear form a point."""

    @abstractmethod
    def _module(self, layout: Layout) -> nn.Module:
        """The network at a layout, its weights drawn from torch's generator."""

    @cached_property
    def space(self) -> WidthSpace:
        """Every layout, in free order; ``problem`` fences it as the paper does."""
        counts = self._channel_sums(lambda _: 1)
        groups = tuple(WidthGroup(name=name, multiplicity=counts[g]) for g, name in enumerate(self.group_names))
        connections = tuple(
            Connection(
                target=conv.target,
                source=conv.source,
                fixed_inputs=self.in_channels if conv.source is None else 0,
                count=conv.count,
                share=conv.share,
            )
            for conv in self.convolutions()
        )
        # behind every convolution, or the sum that it ends in, there is a ReLU: each is a step
        steps = tuple(
            ActivationStep(
                target=link.target, source=link.source, fixed_inputs=link.fixed_inputs, share=link.count * link.share
            )
            for link in connections
        )
        return WidthSpace(groups=groups, connections=connections, steps=steps)

    def problem(
        self,
        *,
        weights: int | None = None,
        kernels: int | None = None,
        params: int | None = None,
        max_weights: int | None = None,
        max_kernels: int | None = None,
        max_params: int | None = None,
        max_macs: int | None = None,
        max_peak_memory: int | None = None,
        min_weights: int | None = None,
        min_kernels: int | None = None,
        min_params: int | None = None,
        min_macs: int | None = None,
        dtype: str = "int8",
        score: Score | str | None = None,
        order: Order | str = Order.INCREASING,
        max_step: Fraction | str | float | None = None,
        min_width: int = 1,
        max_width: int | None = None,
        multiple_of: int = 1,
    ) -> Problem:
        """Eq. 4 for this family: the highest score under one size and whatever else a device limits.

        One limit at least, and at most one of the four sizes in weights or kernels (weights / k^2, the paper's unit);
        a minimum makes a range of a maximum. ``max_peak_memory`` is in bytes, for activations of ``dtype``.

        Raises:
            InputError: for no limit or several sizes, one below 1, kernels that differ counted in kernels, bad fences.

        >>> from parlay.families import plain
        >>> print(*plain(depth=4).problem(kernels=4288, max_macs=4_000_000).constraints, sep="; ")
        kernels = 4288; macs <= 4000000
        """
        sizes = {"weights": weights, "kernels": kernels, "max-weights": max_weights, "max-kernels": max_kernels}
        given = [name for name, amount in sizes.items() if amount is not None]
        every = {
            "weights": (weights, min_weights, max_weights),
            "kernels": (kernels, min_kernels, max_kernels),
            "params": (params, min_params, max_params),
            "macs": (None, min_macs, max_macs),
            "peak-memory": (None, None, max_peak_memory),
        }
        limits = {name: limit for name, limit in every.items() if limit != (None, None, None)}
        if len(given) > 1 or not limits:
            raise InputError(
                "size",
                given=", ".join(given) or "none",
                allowed="exactly one of weights, kernels, max-weights, max-kernels",
                remedy="" if given else "or a limit on params, macs or peak memory",
            )
        constraints = tuple(self._constraint(name, dtype, *limit) for name, limit in limits.items())
        if not isinstance(score, Score):
            score = get_score(DEFAULT_SCORE if score is None else str(score))
        space = self.space.fenced(
            order=order, max_step=max_step, min_width=min_width, max_width=max_width, multiple_of=multiple_of
        )
        return Problem(space=space, score=score, constraints=constraints)

    def _constraint(self, name: str, dtype: str, exact: int | None, least: int | None, most: int | None) -> Constraint:
        """One limit of ``problem`` by its name there."""
        for prefix, amount in (("", exact), ("min-", least), ("max-", most)):
            if amount is not None:
                largest = LARGEST_SIZE * (1 if name in ("weights", "kernels") else 10**5)
                require_integer(prefix + name, amount, largest=largest)
        if exact is not None and (least is not None or most is not None):
            raise InputError("size", given=f"{name} and a minimum or maximum of it", allowed="one or the other")
        resource = self.peak_activation_bytes(dtype) if name == "peak-memory" else getattr(self, name)
        if exact is not None:
            return Constraint.equal(resource, exact)
        return Constraint(resource=resource, minimum=least, maximum=most)

    def check(self, layout: Sequence[int]) -> Layout:
        """The layout as a tuple, if it has one positive width a group.

        Raises:
            InputError: otherwise.
        """
        remedy = "set --family and --depth to match" if len(layout) != len(self.group_names) else ""
        return self.space.check(layout, what=f"layout of {self.title}", remedy=remedy)

    def build(self, layout: Sequence[int], *, seed: int | None = None) -> nn.Module:
        """The network at a layout, freshly initialised, in fp32 on the CPU.

        Args:
            layout: channels per width group.
            seed: draws the initial weights from this seed and leaves torch's global generator as it was; without one
                they are drawn from the global generator.

        Returns:
            A module from float images (N, in_channels, image, image) to logits (N, classes).

        Raises:
            InputError: when the layout does not fit the family.
            MissingExtraError: when torch is not installed.

        >>> from parlay.families import plain
        >>> family = plain(depth=2, image=8)
        >>> net = family.build((4, 6), seed=0)
        >>> sum(p.numel() for p in net.parameters()) == family.params((4, 6))
        True
        """
        widths = self.check(layout)
        from parlay.nets import seeded

        with seeded(seed):
            return self._module(widths)

    def sizes(self, layout: Layout) -> dict[str, int | None]:
        """kernels and weights of a layout (Eq. 1); kernels are None where the kernels have different sizes.

        >>> from parlay.families import plain
        >>> plain(depth=4).sizes((35, 36, 37, 43))
        {'kernels': 4288, 'weights': 38592}
        """
        same = len(set(self.kernel_sizes)) == 1
        return {"kernels": self.kernels(layout) if same else None, "weights": self.weights(layout)}

    @property
    def title(self) -> str:
        """The family in words."""
        return f"{self.name} of depth {self.depth}"

    @property
    def config(self) -> dict[str, Any]:
        """What fixes the family, in plain JSON values."""
        return {
            "name": self.name,
            "depth": self.depth,
            "kernel_sizes": list(self.kernel_sizes),
            "in_channels": self.in_channels,
            "image": self.image,
            "classes": self.classes,
        }

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the input."""
        return (self.in_channels, self.image, self.image)

    def energy(self, layout: Layout) -> float:
        """ln of Eq. 3 as the paper counts it; -inf when a width is 1."""
        return log_energy(self.space, self.check(layout))

    @cached_property
    def convolution_shapes(self) -> tuple[ConvolutionShape, ...]:
        """Every convolution as a function of the widths, in the order of the forward pass."""
        groups = len(self.group_names)
        found: list[ConvolutionShape] = []
        for conv in self.convolutions():
            area = conv.kernel**2
            constant = area * self.in_channels if conv.source is None else 0
            linear = {} if conv.source is None else {conv.source: area}
            shape = ConvolutionShape(
                fan_in=Resource.of("fan-in", groups, constant=constant, linear=linear),
                outputs=Resource.of("outputs", groups, linear={conv.target: 1}),
                pixels=conv.resolution**2,
            )
            found += [shape] * conv.count
        return tuple(found)

    @cached_property
    def weights(self) -> Resource:
        """Eq. 1: convolution weights."""
        return self._per_convolution("weights", lambda conv: conv.kernel**2)

    @cached_property
    def kernels(self) -> Resource:
        """Eq. 1 divided by k^2, the paper's unit.

        Raises:
            InputError: when the kernels have different sizes, so that the unit has no meaning.
        """
        if len(set(self.kernel_sizes)) != 1:
            raise InputError(
                "kernels as unit",
                given=f"kernel sizes {', '.join(map(str, self.kernel_sizes))}",
                allowed="layers of one kernel size",
                remedy="state the size with --weights or --max-weights",
            )
        return self._per_convolution("kernels", lambda _: 1)

    @cached_property
    def params(self) -> Resource:
        """All parameters: convolutions without bias, batch norms (two a channel), the classifier with bias."""
        norms = Resource.of("params", len(self.group_names), linear=self._channel_sums(lambda _: 2))
        return norms + self._per_convolution("params", lambda conv: conv.kernel**2) + self._classifier(bias=True)

    @cached_property
    def macs(self) -> Resource:
        """Multiply-adds of the convolutions and the linear layer for one image."""
        macs = self._per_convolution("macs", lambda conv: conv.kernel**2 * conv.resolution**2)
        return macs + self._classifier(bias=False)

    @cached_property
    def activations(self) -> PeakResource:
        """Elements live at each convolution and at the classifier; batch norm, ReLU and pooling are fused."""
        return PeakResource(name="peak_activations", points=self.live_points())

    @cached_property
    def stored(self) -> tuple[Resource, Resource]:
        """Weights of convolutions and classifier; a bias a channel, into which the batch norm folds, and a class."""
        groups = len(self.group_names)
        weights = self._per_convolution("flash", lambda conv: conv.kernel**2) + self._classifier(bias=False)
        biases = Resource.of("flash", groups, constant=self.classes, linear=self._channel_sums(lambda _: 1))
        return weights, biases

    def _per_convolution(self, name: str, factor: Callable[[Convolution], int]) -> Resource:
        """Sum over convolutions of factor x input channels x output channels."""
        linear: dict[int, int] = {}
        quadratic: dict[tuple[int, int], int] = {}
        for conv in self.convolutions():
            amount = conv.count * factor(conv)
            if conv.source is None:
                linear[conv.target] = linear.get(conv.target, 0) + amount * self.in_channels
            else:
                key = (conv.source, conv.target)
                quadratic[key] = quadratic.get(key, 0) + amount
        return Resource.of(name, len(self.group_names), linear=linear, quadratic=quadratic)

    def _channel_sums(self, factor: Callable[[Convolution], int]) -> dict[int, int]:
        sums: dict[int, int] = {}
        for conv in self.convolutions():
            sums[conv.target] = sums.get(conv.target, 0) + conv.count * factor(conv)
        return sums

    def _classifier(self, *, bias: bool) -> Resource:
        last = len(self.group_names) - 1
        constant = self.classes if bias else 0
        return Resource.of("classifier", last + 1, constant=constant, linear={last: self.classes})

    def _live(self, name: str, *tensors: tuple[int | None, int]) -> Resource:
        """Elements of several feature maps: (group or None for the image, side)."""
        linear: dict[int, int] = {}
        constant = 0
        for group, side in tensors:
            if group is None:
                constant += self.in_channels * side**2
            else:
                linear[group] = linear.get(group, 0) + side**2
        return Resource.of(name, len(self.group_names), constant=constant, linear=linear)

    def _live_classifier(self) -> Resource:
        last = len(self.group_names) - 1
        return Resource.of("classifier", last + 1, constant=self.classes, linear={last: 1})


def each_group(given: int | Sequence[int], groups: int) -> tuple[int, ...]:
    """Kernel sizes, one a width group; one number holds for all."""
    sizes = (given,) if isinstance(given, int) else tuple(given)
    return sizes * groups if len(sizes) == 1 else sizes
