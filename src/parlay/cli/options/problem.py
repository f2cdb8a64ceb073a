"""Options that state a problem: the family of networks, the size, the limits, the fences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import click

from parlay.cli.options import option
from parlay.cli.options.kinds import Bytes, Choice, Count, KernelSizes, OpenChoice
from parlay.energy import SCORES
from parlay.errors import InputError
from parlay.families import FAMILIES, Family, get_family
from parlay.layout import Order
from parlay.network import ELEMENT_BYTES
from parlay.problem import Constraint, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from parlay.solver import Wider

__all__ = ["FamilyOptions", "LeastOptions", "LimitOptions", "MemoryOptions", "ProblemOptions", "dtype_option"]

RESNET_DEPTH = 32
"""Depth of a resnet without --depth: Table 3's."""


dtype_option = click.option(
    "--dtype", type=Choice(ELEMENT_BYTES), default="int8", show_default=True, help="Type of activations."
)


@dataclass(frozen=True, kw_only=True)
class FamilyOptions:
    """What fixes a family."""

    heading: ClassVar[str] = "Network"
    family: str = option("--family", type=Choice(FAMILIES), default="plain", show_default=True, help="Kind of network.")
    depth: int | None = option(
        "--depth", type=int, help=f"Convolutions of a plain network; 6n + 2 for a resnet (default {RESNET_DEPTH})."
    )
    in_channels: int = option(
        "--in-channels", type=int, default=3, show_default=True, help="Channels of the input, n_0 of Eq. 1."
    )
    kernel_size: tuple[int, ...] = option(
        "--kernel-size",
        type=KernelSizes(),
        default="3",
        show_default=True,
        help="Kernel side; 5,3,3 for layers that differ.",
    )
    image: int = option("--image", type=int, default=32, show_default=True, help="Side of the input image in pixels.")
    classes: int = option("--classes", type=int, default=10, show_default=True, help="Outputs of the classifier.")

    def make(self, *, groups: int | None = None) -> Family:
        """The family.

        Args:
            groups: number of widths of a layout at hand, which sets a plain network's depth where none is given.
        """
        factory = get_family(self.family)
        depth = self.depth
        if depth is None:
            depth = groups if self.family == "plain" else RESNET_DEPTH
        if depth is None:
            raise click.UsageError("Missing option '--depth': the number of convolutions, such as --depth 4.")
        return factory(
            depth,
            kernel_size=self.kernel_size,
            in_channels=self.in_channels,
            image=self.image,
            classes=self.classes,
        )


@dataclass(frozen=True, kw_only=True)
class LeastOptions:
    """What a network has at least."""

    heading: ClassVar[str] = "Further limits"
    min_kernels: int | None = option(
        "--min-kernels", type=Count(), help="At least this many kernels; with --max-kernels a range."
    )
    min_weights: int | None = option("--min-weights", type=Count(), help="At least this many convolution weights.")
    min_params: int | None = option("--min-params", type=Count(), help="At least this many parameters.")
    min_macs: int | None = option("--min-macs", type=Count(), help="At least this many multiply-adds.")


@dataclass(frozen=True, kw_only=True)
class LimitOptions(LeastOptions):
    """What a device limits besides the size."""

    params: int | None = option("--params", type=Count(), help="Exactly this many parameters.")
    max_params: int | None = option("--max-params", type=Count(), help="At most this many parameters.")
    max_macs: int | None = option("--max-macs", type=Count(), help="At most this many multiply-adds for one image.")
    max_peak_memory: int | None = option(
        "--max-peak-memory", type=Bytes(), help="Most activation memory live at once, such as 64KiB."
    )
    dtype: str = option(
        "--dtype", type=Choice(ELEMENT_BYTES), default="int8", show_default=True, help="Type of activations."
    )


@dataclass(frozen=True, kw_only=True)
class ProblemOptions:
    """What fixes a problem within a family: the size, the score, the fences."""

    heading: ClassVar[str] = "Size, score, widths"
    kernels: int | None = option(
        "--kernels", type=Count(), help="Exact size in kernels, such as 4288 or 30k: weights / k^2, the paper's unit."
    )
    weights: int | None = option("--weights", type=Count(), help="Exact size in convolution weights (Eq. 1).")
    max_kernels: int | None = option("--max-kernels", type=Count(), help="Size of at most this many kernels.")
    max_weights: int | None = option(
        "--max-weights", type=Count(), help="Size of at most this many convolution weights."
    )
    score: str | None = option(
        "--score",
        type=OpenChoice(SCORES, "calibrated:FILE"),
        metavar="SCORE",
        help=f"What is maximised: {', '.join(SCORES)} or calibrated:FILE; default energy-group, the paper's.",
    )
    order: str = option(
        "--order", type=Choice(Order), default="increasing", show_default=True, help="How neighbours compare."
    )
    max_step: str | None = option(
        "--max-step", metavar="RATIO", help="Largest ratio between neighbouring widths, either way, such as 2 or 1.5."
    )
    min_width: int = option("--min-width", type=int, default=1, show_default=True, help="Smallest width.")
    max_width: int | None = option("--max-width", type=int, help="Largest width.")
    multiple_of: int = option(
        "--multiple-of", type=int, default=1, show_default=True, help="Every width is a multiple of this."
    )

    @property
    def has_size(self) -> bool:
        """Whether a size is asked for."""
        return any(size is not None for size in (self.kernels, self.weights, self.max_kernels, self.max_weights))

    def make(self, family: Family, limits: LimitOptions | None = None) -> Problem:
        """The problem in that family."""
        return family.problem(**vars(self), **({} if limits is None else vars(limits)))

    def remedies(
        self, family: Family, limits: LimitOptions, problem: Problem
    ) -> tuple[Callable[[int, Constraint], str], list[list[Wider]]]:
        """What ``conflict`` asks for: the option of a milder limit, and milder values of the fences."""
        from parlay.solver.remedies import limit_words, wider_fences

        def limit(place: int, new: Constraint) -> str:
            old = problem.constraints[place]
            name = old.resource.name
            return limit_words({"peak_activation_bytes": "peak-memory"}.get(name, name), old, new)

        def changed(**fence: str) -> Problem:
            values = {name: text if name in ("order", "max_step") else int(text) for name, text in fence.items()}
            return replace(self, **values).make(family, limits)

        fences = ("order", "max_step", "min_width", "max_width", "multiple_of")
        return limit, wider_fences(changed, {name: getattr(self, name) for name in fences})


@dataclass(frozen=True, kw_only=True)
class MemoryOptions:
    """What counting may take."""

    memory: float = option(
        "--memory", type=float, default=2.0, show_default=True, help="GiB that the counting tables may take."
    )

    @property
    def bytes(self) -> int:
        """The same in bytes.

        Raises:
            InputError: for nothing, or more than any machine has.
        """
        if not 0 < self.memory <= 1 << 20:
            raise InputError("memory", given=self.memory, allowed="GiB, above 0")
        return int(self.memory * (1 << 30))
