"""The paper's two families of networks: their width spaces and their resources in closed form.

A family fixes everything but the widths: depth, kernel sizes, input, classes. ``plain(depth)`` is Figure 2,
``resnet(depth)`` Table 3 of Liao et al. (2017). ``parlay.nets`` builds the same networks; a test pins the two together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property
from typing import ClassVar, final

from parlay.energy import Score, get_score
from parlay.errors import InputError
from parlay.layout import Connection, Layout, Order, WidthGroup, WidthSpace, parse_step, require_integer
from parlay.problem import Constraint, Problem
from parlay.resources import PeakResource, Resource

__all__ = ["ELEMENT_BYTES", "FAMILIES", "Convolution", "Family", "PlainFamily", "ResNetFamily", "plain", "resnet"]

ELEMENT_BYTES = {"int8": 1, "float16": 2, "bfloat16": 2, "float32": 4}
"""Bytes an activation takes."""

LARGEST_DEPTH = 10_000
LARGEST_SIZE = 10**10
"""Kernels or weights that a size may have: ten times the largest networks of vision."""

POOLED_LAYERS = 3


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
class Family(ABC):
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
    default_score: ClassVar[str] = "energy-group"

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

    def space(
        self,
        *,
        order: Order | str = Order.INCREASING,
        max_step: Fraction | str | float | None = None,
        min_width: int = 1,
        max_width: int | None = None,
        multiple_of: int = 1,
    ) -> WidthSpace:
        """The layouts to choose from; as it stands the paper's: any widths, strictly increasing.

        Raises:
            InputError: for an unknown order, a step below 1, or bounds that leave no width.
        """
        counts = [0] * len(self.group_names)
        for conv in self.convolutions():
            counts[conv.target] += conv.count
        require_integer("smallest width", min_width)
        require_integer("multiple-of", multiple_of)
        if max_width is not None:
            require_integer("largest width", max_width)
        groups = tuple(
            WidthGroup(name=name, multiplicity=m, minimum=min_width, maximum=max_width, multiple_of=multiple_of)
            for name, m in zip(self.group_names, counts, strict=True)
        )
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
        if order not in tuple(Order):
            raise InputError("order", given=repr(order), allowed=", ".join(Order))
        step = None if max_step is None else parse_step(max_step)
        return WidthSpace(groups=groups, connections=connections, order=Order(order), max_step=step)

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
            score = get_score(self.default_score if score is None else str(score))
        space = self.space(
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

    def check(self, layout: Layout) -> Layout:
        """The layout, if it has one positive width a group.

        Raises:
            InputError: otherwise.
        """
        if len(layout) != len(self.group_names) or min(layout) < 1:
            raise InputError(
                "layout",
                given="-".join(map(str, layout)),
                allowed=f"{len(self.group_names)} positive widths for {self.title}",
                remedy="set --family and --depth to match" if len(layout) != len(self.group_names) else "",
            )
        return layout

    def amounts(self, layout: Layout) -> dict[str, int | None]:
        """kernels, weights, params and macs of a layout; kernels are None where the kernels have different sizes.

        >>> plain(depth=4).amounts((35, 36, 37, 43))
        {'kernels': 4288, 'weights': 38592, 'params': 39334, 'macs': 4867486}
        """
        same = len(set(self.kernel_sizes)) == 1
        return {
            "kernels": self.kernels(layout) if same else None,
            "weights": self.weights(layout),
            "params": self.params(layout),
            "macs": self.macs(layout),
        }

    @property
    def title(self) -> str:
        """The family in words."""
        return f"{self.name} of depth {self.depth}"

    def energy(self, layout: Layout) -> float:
        """ln of Eq. 3 as the paper counts it for this family; -inf when a width is 1."""
        return get_score(self.default_score).terms(self.space()).__call__(self.check(layout))

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

    def peak_activation_bytes(self, dtype: str = "int8") -> PeakResource:
        """Peak activation memory for one image: the most that is live at any weight layer.

        Live are its input, its output, and in a residual block the block's input for as long as the shortcut needs it.
        Batch norm, ReLU and pooling are taken as fused into the layer before them, as inference engines do.

        Raises:
            InputError: for an unknown dtype.
        """
        if dtype not in ELEMENT_BYTES:
            raise InputError("dtype", given=repr(dtype), allowed=", ".join(ELEMENT_BYTES))
        size = ELEMENT_BYTES[dtype]
        points = tuple(point.times(size) for point in self.live_points())
        return PeakResource(name="peak_activation_bytes", points=points)

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


@final
@dataclass(frozen=True, kw_only=True)
class PlainFamily(Family):
    """Convolution, batch norm, ReLU, ``depth`` times; 2x2 max pooling after each of the first three; global average
    pooling; one linear layer.

    Figure 2 of the paper is an image without a text; where the pooling stands is our reading of it.
    """

    name: ClassVar[str] = "plain"

    def __post_init__(self) -> None:
        super().__post_init__()
        pools = min(self.depth, POOLED_LAYERS)
        if self.image < 2**pools:
            raise InputError(
                "image side", given=self.image, allowed=f"at least {2**pools}, since {pools} poolings halve it"
            )

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(f"conv{i}" for i in range(1, self.depth + 1))

    def convolutions(self) -> tuple[Convolution, ...]:
        return tuple(
            Convolution(
                target=i,
                source=i - 1 if i else None,
                kernel=kernel,
                resolution=self.image // 2 ** min(i, POOLED_LAYERS),
            )
            for i, kernel in enumerate(self.kernel_sizes)
        )

    def live_points(self) -> tuple[Resource, ...]:
        points = [
            self._live(f"conv{i}", (conv.source, conv.resolution), (conv.target, conv.resolution))
            for i, conv in enumerate(self.convolutions(), start=1)
        ]
        return (*points, self._live_classifier())


@final
@dataclass(frozen=True, kw_only=True)
class ResNetFamily(Family):
    """The CIFAR ResNet of depth 6n + 2 with parameter-free shortcuts (Table 3).

    Unit 1 is one convolution; units 2 to 4 are n blocks of two convolutions each, units 3 and 4 begin with stride 2. A
    shortcut that meets another width is padded with zeros or sliced.
    """

    name: ClassVar[str] = "resnet"

    def __post_init__(self) -> None:
        if self.depth < 8 or (self.depth - 2) % 6:
            raise InputError("depth of a resnet", given=self.depth, allowed="6n + 2: 8, 14, 20, 26, 32, ...")
        super().__post_init__()

    @property
    def blocks(self) -> int:
        """Blocks in each of the units 2 to 4."""
        return (self.depth - 2) // 6

    @property
    def group_names(self) -> tuple[str, ...]:
        return ("unit1", "unit2", "unit3", "unit4")

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Side of the feature maps of each unit, in pixels."""
        half = (self.image + 1) // 2
        return (self.image, self.image, half, (half + 1) // 2)

    def convolutions(self) -> tuple[Convolution, ...]:
        convs = [Convolution(target=0, source=None, kernel=self.kernel_sizes[0], resolution=self.image)]
        for unit in (1, 2, 3):
            one = Convolution(
                target=unit,
                source=unit - 1,
                kernel=self.kernel_sizes[unit],
                resolution=self.sides[unit],
                share=Fraction(1, 2),  # around every block there is a shortcut
            )
            convs += [one, replace(one, source=unit, count=2 * self.blocks - 1)]
        return tuple(convs)

    def live_points(self) -> tuple[Resource, ...]:
        points = [self._live("unit1", (None, self.image), (0, self.image))]
        for unit in (1, 2, 3):
            before, now = (unit - 1, self.sides[unit - 1]), (unit, self.sides[unit])
            points.append(self._live(f"unit{unit + 1} block1 conv1", before, now))
            points.append(self._live(f"unit{unit + 1} block1 conv2", before, now, now))
            if self.blocks > 1:
                points.append(self._live(f"unit{unit + 1} block2 conv2", now, now, now))
        return (*points, self._live_classifier())


def plain(
    depth: int, *, kernel_size: int | Sequence[int] = 3, in_channels: int = 3, image: int = 32, classes: int = 10
) -> PlainFamily:
    """Plain networks of ``depth`` convolutions (Figure 2).

    Raises:
        InputError: for a depth below 1 or above 10,000, or other values out of range.

    >>> net = plain(depth=4)
    >>> net.kernels((35, 36, 37, 43)), net.weights((35, 36, 37, 43)), net.macs((35, 36, 37, 43))
    (4288, 38592, 4867486)
    """
    require_integer("depth", depth, largest=LARGEST_DEPTH)
    sizes = _kernel_sizes(kernel_size, depth)
    return PlainFamily(depth=depth, kernel_sizes=sizes, in_channels=in_channels, image=image, classes=classes)


def resnet(
    depth: int = 32, *, kernel_size: int | Sequence[int] = 3, in_channels: int = 3, image: int = 32, classes: int = 10
) -> ResNetFamily:
    """ResNets of ``depth`` = 6n + 2 (Table 3).

    Raises:
        InputError: for any other depth, or values out of range.

    >>> resnet(depth=32).kernels((16, 16, 32, 64))
    51248
    """
    require_integer("depth", depth, largest=LARGEST_DEPTH)
    sizes = _kernel_sizes(kernel_size, 4)
    return ResNetFamily(depth=depth, kernel_sizes=sizes, in_channels=in_channels, image=image, classes=classes)


FAMILIES: dict[str, Callable[..., Family]] = {"plain": plain, "resnet": resnet}
"""Every family by name."""


def get_family(name: str) -> Callable[..., Family]:
    """The factory of that family.

    Raises:
        InputError: when there is none, with the nearest name.
    """
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1)
        raise InputError(
            "family",
            given=repr(name),
            allowed=", ".join(FAMILIES),
            remedy=f"did you mean {near[0]}?" if near else "",
        )
    return FAMILIES[name]


def _kernel_sizes(given: int | Sequence[int], groups: int) -> tuple[int, ...]:
    sizes = (given,) if isinstance(given, int) else tuple(given)
    return sizes * groups if len(sizes) == 1 else sizes
