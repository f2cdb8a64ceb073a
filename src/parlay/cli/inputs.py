"""Options of the commands that train: the data, the network, the recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from parlay.cli.options import FAMILY_KEYS, family_from, model_arg_option
from parlay.errors import InputError
from parlay.study.network import ModelNetwork, TrialNetwork
from parlay.study.store import Reader
from parlay.train.recipe import PAPER, RECIPES, Recipe, get_recipe

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = [
    "check_device",
    "facts_of",
    "load_data",
    "network_for",
    "precision_for",
    "recipe_for",
    "resources_options",
    "running_options",
    "source_of",
    "training_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

DATA = "digits, cifar10, cifar100, folder:PATH, voc2007:PATH, or a Keras-style .npz file."


def training_options(*, required: bool, network: bool = True) -> Callable[[Command], Command]:
    """Add the options that say what to train and how; all of them are part of a trial's identity.

    Args:
        required: whether the data must be named.
        network: whether the network and the number of validation images are among them.
    """
    chosen = (
        click.option("--val", type=int, default=0, show_default=True, help="Training images set aside to choose by."),
        click.option("--model", help="A PyTorch model instead of a family, as in 'parlay trace'."),
        model_arg_option,
    )
    options = (
        click.option("--data", required=required, help=DATA),
        click.option("--data-dir", default="data", show_default=True, help="Where downloads are kept."),
        *(chosen if network else ()),
        click.option("--recipe", help=f"{PAPER}, {', '.join(RECIPES)}; default digits for digits, else fast."),
        click.option("--recipe-set", multiple=True, help="A field of the recipe, such as lr=0.05; repeatable."),
        click.option("--steps", type=int, help="Batches to train on; default: the recipe's."),
        click.option(
            "--precision", default="auto", show_default=True, help="fp32, bf16, or auto: the study's, else the faster."
        ),
    )
    return _adding(options)


def running_options(command: Command) -> Command:
    """Add the options that say where trials of a study run."""
    options = (
        click.option(
            "--workers", type=int, help="Trials at a time, each in a process of its own; cores divided among them."
        ),
        click.option("--ray", help="auto or ADDRESS: run on a Ray cluster (extra 'ray')."),
        click.option(
            "--ray-cpus", type=float, default=1, show_default=True, help="Cores that one trial reserves there."
        ),
        click.option(
            "--ray-gpus", type=float, default=0, show_default=True, help="GPUs that one trial reserves, such as 0.25."
        ),
        click.option("--retries", type=int, default=0, show_default=True, help="Further tries of a trial that fails."),
        click.option(
            "--checkpoint-seconds",
            type=float,
            default=60,
            show_default=True,
            help="Between checkpoints; a kill costs no more.",
        ),
    )
    return _adding(options)(command)


def resources_options(command: Command) -> Command:
    """Add the options that say on what to train; none of them is part of a trial's identity."""
    options = (
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps."),
        click.option("--threads", type=int, help="CPU threads of a trial; default: torch's choice, or workers' share."),
    )
    return _adding(options)(command)


def _adding(options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def recipe_for(options: dict[str, Any]) -> Recipe:
    """The recipe asked for, or the one that suits the data; its options are taken out of ``options``."""
    name = options.pop("recipe") or ("digits" if options["data"] == "digits" else "fast")
    settings: dict[str, str] = {}
    for item in options.pop("recipe_set"):
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError("--recipe-set", given=repr(item), allowed="field=value, such as lr=0.05")
        settings[key.strip()] = value
    return get_recipe(name, family=options.get("family", "plain")).with_settings(settings)


def precision_for(options: dict[str, Any], *, folder: Path | None = None) -> str:
    """The precision asked for; taken out of ``options``.

    ``auto`` is what all trials of the study at hand have, so that it can be gone on with on another machine; without
    such a study it is what this machine is faster with.
    """
    from parlay.extras import Needs

    name = options.pop("precision")
    if name == "auto" and folder is not None and (folder / "study.sqlite").exists():
        with Reader(folder) as study:
            known = {row.trial.precision for row in study.rows()}
        if len(known) == 1:
            return known.pop()
    if name == "fp32":
        return name
    with Needs("training", extra="train"):
        from parlay.train.device import resolve_device, resolve_precision
    return resolve_precision(name, resolve_device(options.get("device") or "auto"))


def check_device(name: str) -> None:
    """Refuse a device that this machine has not."""
    from parlay.extras import Needs

    with Needs("training", extra="train"):
        from parlay.train.device import resolve_device
    resolve_device(name)


def load_data(options: dict[str, Any]) -> Dataset:
    """Read the data that the options name."""
    from parlay.data import load

    return load(options["data"], data_dir=options["data_dir"])


def source_of(options: dict[str, Any]) -> tuple[str, str]:
    """What names the data from any folder, and where its downloads are; both are taken out of ``options``."""
    spec, folder = options.pop("data"), options.pop("data_dir")
    kind, colon, path = spec.partition(":")
    if colon and path and kind.isalnum():
        spec = f"{kind}:{Path(path).expanduser().absolute()}"
    elif Path(spec).expanduser().is_file():
        spec = str(Path(spec).expanduser().absolute())
    return spec, str(Path(folder).expanduser().absolute())


def facts_of(data: Dataset) -> dict[str, int]:
    """Input channels, image side and classes, which the data decides.

    Raises:
        InputError: when the command line says otherwise.
    """
    facts = {"in_channels": data.in_channels, "image": data.image, "classes": data.classes}
    given = click.get_current_context().params
    for option, value in facts.items():
        if _is_given(option) and given[option] != value:
            raise InputError(
                f"--{option.replace('_', '-')}",
                given=given[option],
                allowed=f"{value}, that of the data {data.name}",
                remedy="leave the option out: the data decides",
            )
    return facts


def _is_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def network_for(data: Dataset, options: dict[str, Any], *, groups: int | None = None) -> TrialNetwork:
    """The network that the options describe, with input and classes from the data; its options are taken out.

    Args:
        data: what it is trained on.
        options: values by option name.
        groups: number of widths of a layout at hand, which sets a plain network's depth where none is given.

    Raises:
        InputError: when the command line says otherwise than the data, or names both a model and a family.
    """
    facts = facts_of(data)
    options |= facts
    spec, arguments = options.pop("model"), options.pop("model_arg")
    if spec is None:
        if arguments:
            raise InputError("--model-arg", given=", ".join(arguments), allowed="together with --model")
        return family_from(options, groups=groups)
    for option in ("family", "depth", "kernel_size"):
        if _is_given(option):
            raise InputError(f"--{option.replace('_', '-')}", given="with --model", allowed="one of the two")
    for key in FAMILY_KEYS:
        options.pop(key)
    from parlay.graph.specs import parse_kwargs, placed

    return ModelNetwork.traced(placed(spec), **facts, kwargs=parse_kwargs(arguments))
