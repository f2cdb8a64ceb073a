"""Options that several commands share: the family, the size, the fences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from parlay.families import FAMILIES, Family, get_family
from parlay.layout import Order
from parlay.network import ELEMENT_BYTES
from parlay.problem import Problem

__all__ = [
    "LIMIT_KEYS",
    "SIZE_KEYS",
    "family_from",
    "family_options",
    "json_option",
    "limit_options",
    "model_arg_option",
    "problem_from",
    "problem_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

FAMILY_KEYS = ("family", "depth", "in_channels", "kernel_size", "image", "classes")
SIZE_KEYS = ("weights", "kernels", "max_weights", "max_kernels")
LIMIT_KEYS = (
    "params",
    "max_params",
    "max_macs",
    "max_peak_memory",
    "min_weights",
    "min_kernels",
    "min_params",
    "min_macs",
    "dtype",
)
FENCE_KEYS = ("score", "order", "max_step", "min_width", "max_width", "multiple_of")


def _stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class KernelSizes(click.ParamType):
    """One kernel size, or one a width group, joined by commas."""

    name = "k[,k...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"got {value!r}; allowed: an integer, or one a width group such as 5,3,3", param, ctx)


family_options = _stack(
    click.option("--family", default="plain", show_default=True, help=f"Kind of network: {', '.join(FAMILIES)}."),
    click.option("--depth", type=int, help="Convolutions of a plain network; 6n + 2 for a resnet (default 32)."),
    click.option("--in-channels", type=int, default=3, show_default=True, help="Channels of the input, n_0 of Eq. 1."),
    click.option(
        "--kernel-size",
        type=KernelSizes(),
        default="3",
        show_default=True,
        help="Kernel side; 5,3,3 for layers that differ.",
    ),
    click.option("--image", type=int, default=32, show_default=True, help="Side of the input image in pixels."),
    click.option("--classes", type=int, default=10, show_default=True, help="Outputs of the classifier."),
)
"""What fixes a family."""

problem_options = _stack(
    click.option("--kernels", type=int, help="Exact size in kernels: weights / k^2, the paper's unit."),
    click.option("--weights", type=int, help="Exact size in convolution weights (Eq. 1)."),
    click.option("--max-kernels", type=int, help="Size of at most this many kernels."),
    click.option("--max-weights", type=int, help="Size of at most this many convolution weights."),
    click.option("--score", help="Score to maximise (see 'parlay scores'); default energy-group, the paper's."),
    click.option(
        "--order", default="increasing", show_default=True, help=f"How neighbours compare: {', '.join(Order)}."
    ),
    click.option("--max-step", help="Largest ratio between neighbouring widths, either way, such as 2 or 1.5."),
    click.option("--min-width", type=int, default=1, show_default=True, help="Smallest width."),
    click.option("--max-width", type=int, help="Largest width."),
    click.option("--multiple-of", type=int, default=1, show_default=True, help="Every width is a multiple of this."),
)
"""What fixes a problem within a family."""

limit_options = _stack(
    click.option("--params", type=int, help="Exactly this many parameters."),
    click.option("--max-params", type=int, help="At most this many parameters."),
    click.option("--max-macs", type=int, help="At most this many multiply-adds for one image."),
    click.option("--max-peak-memory", type=int, help="At most this many bytes of activations live at once."),
    click.option("--min-kernels", type=int, help="At least this many kernels; with --max-kernels a range."),
    click.option("--min-weights", type=int, help="At least this many convolution weights."),
    click.option("--min-params", type=int, help="At least this many parameters."),
    click.option("--min-macs", type=int, help="At least this many multiply-adds."),
    click.option("--dtype", default="int8", show_default=True, help=f"Activations: {', '.join(ELEMENT_BYTES)}."),
)
"""What a device limits besides."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else there."
)

model_arg_option = click.option(
    "--model-arg", "--model-kwargs", "model_arg", multiple=True, help="key=value for the model's factory; repeatable."
)
"""The second name is that of earlier versions."""


def family_from(options: dict[str, Any], *, groups: int | None = None) -> Family:
    """The family that the options describe; they are taken out of ``options``.

    Args:
        options: values by option name; the family's are removed.
        groups: number of widths of a layout at hand, which sets a plain network's depth where none is given.
    """
    values = {key: options.pop(key) for key in FAMILY_KEYS}
    name, depth = values.pop("family"), values.pop("depth")
    factory = get_family(name)
    if depth is None:
        if name != "plain":
            depth = 32
        elif groups is not None:
            depth = groups
        else:
            raise click.UsageError("Missing option '--depth': the number of convolutions, such as --depth 4.")
    return factory(depth, **values)


def problem_from(family: Family, options: dict[str, Any]) -> Problem:
    """The problem that the options describe; they are taken out of ``options``."""
    keys = [key for key in (*SIZE_KEYS, *LIMIT_KEYS, *FENCE_KEYS) if key in options]
    return family.problem(**{key: options.pop(key) for key in keys})
