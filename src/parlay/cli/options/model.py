"""Options that name a PyTorch model, what a device allows it, and how far its widths may move."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from parlay.cli.options import argument, given, is_given, option, record
from parlay.cli.options.device import BoardOptions, NamedBoardOptions
from parlay.cli.options.kinds import Choice
from parlay.cli.options.problem import ProblemOptions
from parlay.device import ENGINES
from parlay.errors import InputError
from parlay.layout import Order
from parlay.network import ELEMENT_BYTES

if TYPE_CHECKING:
    from parlay.graph import WidthGraph
    from parlay.problem import Problem
    from parlay.retrofit import Limits
    from parlay.retrofit.files import Origin

__all__ = [
    "DeviceOptions",
    "FenceOptions",
    "ModelLimitOptions",
    "ModelOptions",
    "NamedDeviceOptions",
    "RatioOptions",
    "ShrinkOptions",
    "factory_option",
    "pin_option",
    "refuse_family_sizes",
    "traced",
]

OF_A_FAMILY = ("--kernels", "--weights", "--max-kernels", "--max-weights", "--min-width", "--max-width")
"""What states the size of a family's networks, and bounds all widths by one number."""


def factory_option() -> Any:
    """Arguments of a model's factory; the second name is that of earlier versions."""
    return option(
        "--model-arg", "--model-kwargs", metavar="KEY=VALUE", multiple=True, help="For the model's factory; repeatable."
    )


def pin_option() -> Any:
    """Widths that are kept."""
    return option(
        "--pin",
        metavar="PATTERN",
        multiple=True,
        help="Keep the widths of the modules that match, such as 'classifier.*'.",
    )


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is traced, and on what input."""

    heading: ClassVar[str] = "Model"
    spec: str = argument()
    inputs: tuple[str, ...] = option(
        "--input",
        metavar="SHAPE",
        multiple=True,
        required=True,
        help="Shape of one image, such as 3x224x224, or tokens:20 for integers; again for every further input.",
    )
    part: str = option(
        "--part", metavar="PATH", default="", help="Trace a part of the model alone, by its path, such as backbone."
    )
    model_arg: tuple[str, ...] = factory_option()
    pin: tuple[str, ...] = pin_option()

    @property
    def name(self) -> str:
        """What ``load_model`` knows the model by, or the part of it."""
        return f"{self.spec}#{self.part}" if self.part else self.spec

    def trace(self, *, quiet: bool) -> WidthGraph:
        """Load and trace the model."""
        return traced(self.name, self.inputs, self.model_arg, self.pin, quiet=quiet)

    def origin(self) -> Origin:
        """Where the model comes from, as its files say it."""
        from parlay.graph.specs import input_shape, is_tokens, parse_kwargs
        from parlay.retrofit.files import Origin

        return Origin(
            spec=self.name,
            kwargs=parse_kwargs(self.model_arg),
            inputs=[text if is_tokens(text) else input_shape(text) for text in self.inputs],
            pins=list(self.pin),
        )


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """What a device allows a model."""

    heading: ClassVar[str] = "Limits of the device"
    params: str | None = option("--params", metavar="N|same", help="Exactly so many parameters, or 'same' as today.")
    max_params: str | None = option(
        "--max-params",
        metavar="N|RATIOx|none",
        help="At most so many, such as 30k, or a ratio of today's such as 1.0x; 'none' lifts it.",
    )
    params_range: str | None = option("--params-range", metavar="A:B", help="From A to B parameters.")
    max_macs: str | None = option(
        "--max-macs",
        metavar="N|RATIOx|none",
        help="Multiply-adds of an image: a number or a ratio of today's; 'none' lifts it.",
    )
    max_peak_memory: str | None = option(
        "--max-peak-memory",
        metavar="BYTES|RATIOx|none",
        help="Peak activation memory: bytes (64KiB) or a ratio of today's; 'none' lifts it.",
    )
    flash: str | None = option(
        "--flash",
        metavar="BYTES",
        help="Bytes for the weights, such as 256KiB; takes the place of the default on parameters.",
    )
    ram: str | None = option(
        "--ram",
        metavar="BYTES",
        help="Bytes for activations, such as 64KiB; takes the place of the default on peak memory.",
    )
    engine: str = option(
        "--engine",
        type=Choice(ENGINES),
        default="live",
        show_default=True,
        help="What --ram and --flash count: live activations and weights, or all that LiteRT for Microcontrollers"
        " (tflm) allocates and its file.",
    )
    plan: bool = option(
        "--plan/--no-plan", default=True, help="Leave the plan of the arena out of the exported file (tflm)."
    )
    runtime_flash: str | None = option(
        "--runtime-flash", metavar="BYTES", help="Part of --flash that the engine's code takes, such as 90KiB (tflm)."
    )
    board: BoardOptions = field(metadata=record(BoardOptions))
    dtype: str = option(
        "--dtype", type=Choice(ELEMENT_BYTES), default="int8", show_default=True, help="Type on the device."
    )

    def make(self, *, levelled: str | None = None) -> Limits:
        """The limits, their amounts checked where that needs no model; a front's where an amount is levelled."""
        from parlay.retrofit import Limits

        written = {name: value for name, value in vars(self).items() if name != "board"}
        ram, flash = self.board.limits(self.ram, self.flash)
        return Limits(**{**written, "ram": ram, "flash": flash}, levelled=levelled)


@dataclass(frozen=True, kw_only=True)
class NamedDeviceOptions(DeviceOptions):
    """The same for commands that train nothing: ``--device`` names what is built for."""

    board: NamedBoardOptions = field(metadata=record(NamedBoardOptions))


@dataclass(frozen=True, kw_only=True)
class RatioOptions:
    """How far every width may move from today's."""

    heading: ClassVar[str] = "Widths"
    min_ratio: str = option(
        "--min-ratio", metavar="RATIO", default="0.5", show_default=True, help="Smallest ratio of a width to today's."
    )
    max_ratio: str = option(
        "--max-ratio", metavar="RATIO", default="2", show_default=True, help="Largest ratio of a width to today's."
    )


@dataclass(frozen=True, kw_only=True)
class RelationOptions:
    """How widths compare, with numbers and with each other."""

    heading: ClassVar[str] = "Widths"
    multiple_of: int = option(
        "--multiple-of", type=int, default=1, show_default=True, help="Every free width is a multiple of this."
    )
    max_step: str | None = option(
        "--max-step",
        metavar="RATIO",
        help="Largest ratio between groups that follow each other in the list, such as 2.",
    )
    order: str = option("--order", type=Choice(Order), default="free", show_default=True, help="How they compare.")


@dataclass(frozen=True, kw_only=True)
class FenceOptions(RelationOptions, RatioOptions):
    """How far widths may move from today's, and how they compare."""


@dataclass(frozen=True, kw_only=True)
class ShrinkOptions(RelationOptions):
    """How far widths may fall, and how they compare."""

    min_ratio: str = option(
        "--min-ratio", metavar="RATIO", default="0.1", show_default=True, help="Smallest ratio of a width to today's."
    )
    pin: tuple[str, ...] = pin_option()


@dataclass(frozen=True, kw_only=True)
class ModelLimitOptions:
    """Retrofit's limits and fences, for commands that take a family as well."""

    heading: ClassVar[str] = "Widths"
    device: DeviceOptions = field(metadata=record(DeviceOptions))
    ratios: RatioOptions = field(metadata=record(RatioOptions))
    pin: tuple[str, ...] = pin_option()

    def problem(self, graph: WidthGraph, size: ProblemOptions, limits: Limits) -> Problem:
        """The question that layouts of the model answer.

        Raises:
            InputError: for limits or fences that cannot be.
        """
        from parlay.energy import RECOMMENDED
        from parlay.retrofit import retrofit_problem

        return retrofit_problem(
            graph,
            limits,
            multiple_of=size.multiple_of,
            order=size.order if is_given("order") else Order.FREE,
            max_step=size.max_step,
            score=size.score or RECOMMENDED,
            pin=self.pin,
            **vars(self.ratios),
        )


def refuse_family_sizes() -> None:
    """Refuse sizes and widths that only a family has, where there is a model.

    Raises:
        InputError: for the first that the command line names.
    """
    for name in given(ProblemOptions):
        if name in OF_A_FAMILY:
            raise InputError(name, given="with --model", allowed="a family's; of a model, --params and --max-ratio")


def traced(
    spec: str, inputs: tuple[str, ...], model_arg: tuple[str, ...], pin: tuple[str, ...], *, quiet: bool
) -> WidthGraph:
    """Load and trace a model; says so on stderr where somebody looks."""
    from rich.text import Text

    from parlay.cli.terminal import plain_console
    from parlay.graph import trace
    from parlay.graph.specs import load_model, parse_inputs, parse_kwargs

    kwargs = parse_kwargs(model_arg)
    parse_inputs(inputs)  # what is misspelt is met before a model is loaded
    is_shown = not quiet and sys.stderr.isatty()
    with plain_console(stderr=True).status(Text(f"tracing {spec}")) if is_shown else nullcontext():
        model = load_model(spec, kwargs)
        return trace(model, parse_inputs(inputs, model), pin=pin)
