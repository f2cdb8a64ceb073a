"""Options of the commands that train: the data, the recipe, and a network that fits the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from parlay.cli.options import family_from
from parlay.errors import InputError
from parlay.families import Family
from parlay.train.recipe import RECIPES, Recipe, get_recipe

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["family_for", "load_data", "recipe_for", "training_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_options = (
    click.option("--data", required=True, help="digits, cifar10, cifar100, or a Keras-style .npz file."),
    click.option("--data-dir", default="data", show_default=True, help="Where downloads are kept."),
    click.option("--recipe", help=f"How to train: {', '.join(RECIPES)}; default digits for digits, else fast."),
    click.option("--steps", type=int, help="Batches to train on; default: the recipe's."),
    click.option("--threads", type=int, help="CPU threads; default: torch's choice."),
)


def training_options(command: Command) -> Command:
    """Add the options that say what to train on and how."""
    for option in reversed(_options):
        command = option(command)
    return command


def recipe_for(options: dict[str, Any]) -> Recipe:
    """The recipe asked for, or the one that suits the data; taken out of ``options``."""
    name = options.pop("recipe")
    return get_recipe(name or ("digits" if options["data"] == "digits" else "fast"))


def load_data(options: dict[str, Any]) -> Dataset:
    """Read the data and set the threads that the options ask for; both are taken out of ``options``."""
    from parlay.data import load
    from parlay.train.loop import set_threads

    threads = options.pop("threads")
    if threads is not None:
        set_threads(threads)
    return load(options.pop("data"), data_dir=options.pop("data_dir"))


def family_for(data: Dataset, options: dict[str, Any], *, groups: int | None = None) -> Family:
    """The family that the options describe, with input and classes from the data.

    Raises:
        InputError: when the command line says otherwise than the data.
    """
    context = click.get_current_context()
    facts = {"in_channels": data.in_channels, "image": data.image, "classes": data.classes}
    for option, value in facts.items():
        asked = context.get_parameter_source(option) is not ParameterSource.DEFAULT
        if asked and options[option] != value:
            raise InputError(
                f"--{option.replace('_', '-')}",
                given=options[option],
                allowed=f"{value}, that of the data {data.name}",
                remedy="leave the option out: the data decides",
            )
        options[option] = value
    return family_from(options, groups=groups)
