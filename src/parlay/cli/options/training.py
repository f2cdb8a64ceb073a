"""Options of the commands that train: the data, the network, the recipe, the seeds, the machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from parlay.cli.options import is_given, option, record
from parlay.cli.options.kinds import Choice, OpenChoice
from parlay.cli.options.model import factory_option
from parlay.cli.options.problem import FamilyOptions
from parlay.errors import InputError
from parlay.study.plan import PRECISIONS
from parlay.study.schema import has_study
from parlay.train.recipe import PAPER, RECIPES, Recipe, get_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parlay.data import Dataset
    from parlay.layout import Layout
    from parlay.study import DataSource, Settings, TrialExecutor
    from parlay.study.trial_network import TrialNetwork

__all__ = [
    "DataOptions",
    "MachineOptions",
    "NetworkOptions",
    "RecipeOptions",
    "RunningOptions",
    "SeedOptions",
    "checked_seed",
    "facts_of",
    "seeds_from",
]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What is trained on."""

    heading: ClassVar[str] = "Data"
    data: str | None = option(
        "--data",
        type=OpenChoice(("digits", "cifar10", "cifar100"), "folder:PATH", "voc2007:PATH", "FILE.npz"),
        help="Images to train on; a file is Keras-style.",
    )
    data_dir: str = option(
        "--data-dir", metavar="PATH", default="data", show_default=True, help="Where downloads are kept."
    )

    def load(self) -> Dataset:
        """Read the data."""
        from parlay.data import load

        if not self.data:
            raise click.UsageError("Missing option '--data', such as --data cifar10.")
        return load(self.data, data_dir=self.data_dir)

    def source(self, data: Dataset) -> DataSource:
        """Where the data comes from, named so that it is found from any folder."""
        from parlay.study import DataSource

        spec = self.data or ""
        kind, colon, path = spec.partition(":")
        if colon and path and kind.isalnum():
            spec = f"{kind}:{Path(path).expanduser().absolute()}"
        elif Path(spec).expanduser().is_file():
            spec = str(Path(spec).expanduser().absolute())
        return DataSource(name=data.name, spec=spec, folder=str(Path(self.data_dir).expanduser().absolute()))


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """How it is trained."""

    heading: ClassVar[str] = "Training"
    recipe: str | None = option(
        "--recipe", type=Choice((PAPER, *RECIPES)), help="Default: digits for digits, else fast; of prune its own two."
    )
    recipe_set: tuple[str, ...] = option(
        "--recipe-set", metavar="FIELD=VALUE", multiple=True, help="A field of the recipe, such as lr=0.05; repeatable."
    )
    steps: int | None = option("--steps", type=int, help="Batches to train on; default: the recipe's.")
    precision: str = option(
        "--precision",
        type=Choice(("auto", *PRECISIONS)),
        default="auto",
        show_default=True,
        help="auto: the study's, else the faster.",
    )

    def make(self, data: str | None, *, family: str = "plain", usual: tuple[str, str] = ("fast", "digits")) -> Recipe:
        """The recipe asked for, or the usual one, the second for digits."""
        settings: dict[str, str] = {}
        for item in self.recipe_set:
            key, equals, value = item.partition("=")
            if not equals:
                raise InputError("--recipe-set", given=repr(item), allowed="field=value, such as lr=0.05")
            settings[key.strip()] = value
        name = self.recipe or usual[data == "digits"]
        return get_recipe(name, family=family).with_settings(settings)

    def known(self, folder: Path) -> str:
        """The precision asked for, where ``auto`` is what all trials of a study have, on any machine."""
        if self.precision == "auto" and has_study(folder):
            from parlay.study import Reader

            with Reader(folder) as study:
                found = {row.trial.precision for row in study.rows()}
            if len(found) == 1:
                return found.pop()
        return self.precision

    def precision_of(
        self,
        network: TrialNetwork,
        layout: Layout,
        data: Dataset,
        recipe: Recipe,
        *,
        folder: Path,
        device: str,
        threads: int | None,
    ) -> str:
        """The precision asked for; ``auto`` is the study's, else what a few steps of this network are faster in."""
        from parlay.extras import Needs

        name = self.known(folder)
        if name == "fp32":
            return name
        with Needs("training", extra="train"):
            from parlay.train.device import precisions_of, resolve_device
        device = resolve_device(device)
        possible = precisions_of(name, device)
        if len(possible) == 1:
            return possible[0]
        from parlay.train.footprint import check_memory
        from parlay.train.timing import time_steps

        batch = min(recipe.batch, len(data.train_labels))
        check_memory(network, layout, batch=batch, recipe=recipe, precision="bf16", device=device)
        model = network.build(layout, seed=0)
        return time_steps(model, data, recipe, threads=threads or 1, device=device).precision


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """A network of a family, or any model."""

    heading: ClassVar[str] = "Network"
    val: int = option("--val", type=int, default=0, show_default=True, help="Training images set aside to choose by.")
    model: str | None = option(
        "--model", metavar="SPEC", help="A PyTorch model instead of a family, as in 'parlay trace'."
    )
    model_arg: tuple[str, ...] = factory_option()
    family: FamilyOptions = field(metadata=record(FamilyOptions))

    def make(self, data: Dataset, *, groups: int | None = None) -> TrialNetwork:
        """The network, with input and classes from the data.

        Args:
            data: what it is trained on.
            groups: number of widths of a layout at hand, which sets a plain network's depth where none is given.

        Raises:
            InputError: when the command line says otherwise than the data, or names both a model and a family.
        """
        from parlay.study import ModelNetwork

        facts = facts_of(data)
        if self.model is None:
            if self.model_arg:
                raise InputError("--model-arg", given=", ".join(self.model_arg), allowed="together with --model")
            return replace(self.family, **facts).make(groups=groups)
        for name in ("family", "depth", "kernel_size"):
            if is_given(name):
                raise InputError(f"--{name.replace('_', '-')}", given="with --model", allowed="one of the two")
        from parlay.graph.specs import parse_kwargs, placed

        return ModelNetwork.traced(placed(self.model), **facts, kwargs=parse_kwargs(self.model_arg))


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """Which seeds every layout is trained with."""

    heading: ClassVar[str] = "Seeds"
    seeds: int | None = option(
        "--n-seeds", "--seeds", type=int, help="Runs of each layout, seeds 0, 1, ...; default 1."
    )
    given: tuple[int, ...] = option("--seed", type=int, multiple=True, help="A seed of its own choice; repeatable.")

    def make(self, count: int = 1) -> tuple[int, ...]:
        """The seeds; so many unless told otherwise."""
        return seeds_from(count if self.seeds is None and not self.given else self.seeds, self.given)


@dataclass(frozen=True, kw_only=True)
class MachineOptions:
    """On what it is trained; no part of a trial's identity."""

    heading: ClassVar[str] = "Machine"
    device: str = option(
        "--device", type=OpenChoice(("auto", "cpu", "cuda", "mps"), "cuda:N"), default="auto", show_default=True
    )
    threads: int | None = option(
        "--threads", type=int, help="CPU threads of a trial; default 1, or what train finds faster."
    )

    def check(self) -> None:
        """Refuse a device that this machine has not."""
        from parlay.extras import Needs

        with Needs("training", extra="train"):
            from parlay.train.device import resolve_device
        resolve_device(self.device)


@dataclass(frozen=True, kw_only=True)
class RunningOptions:
    """Where trials run, and what happens when one fails or is killed."""

    heading: ClassVar[str] = "Trials"
    workers: int | None = option("--workers", type=int, help="Trials at a time, each in a process of its own.")
    ray: str | None = option("--ray", type=OpenChoice(("auto",), "ADDRESS"), help="Run on a Ray cluster (extra 'ray').")
    ray_cpus: float = option(
        "--ray-cpus", type=float, default=1, show_default=True, help="Cores that one trial reserves there."
    )
    ray_gpus: float = option(
        "--ray-gpus", type=float, default=0, show_default=True, help="GPUs that one trial reserves, such as 0.25."
    )
    retries: int = option(
        "--retries", type=int, default=0, show_default=True, help="Further tries of a trial that fails."
    )
    checkpoint_seconds: float = option(
        "--checkpoint-seconds",
        type=float,
        default=60,
        show_default=True,
        help="Between checkpoints; a kill costs no more.",
    )
    machine: MachineOptions = field(metadata=record(MachineOptions))

    def executor(self) -> TrialExecutor:
        """What runs trials."""
        from parlay.study import make_executor

        return make_executor(
            workers=self.workers,
            ray=self.ray,
            ray_cpus=self.ray_cpus,
            ray_gpus=self.ray_gpus,
            threads=self.machine.threads,
        )

    def settings(self) -> Settings:
        """How every trial runs."""
        from parlay.study import Settings

        return Settings(device=self.machine.device, retries=self.retries, checkpoint_seconds=self.checkpoint_seconds)


def facts_of(data: Dataset) -> dict[str, int]:
    """Input channels, image side and classes, which the data decides.

    Raises:
        InputError: when the command line says otherwise.
    """
    facts = {"in_channels": data.in_channels, "image": data.image, "classes": data.classes}
    given = click.get_current_context().params
    for name, value in facts.items():
        if is_given(name) and given[name] != value:
            raise InputError(
                f"--{name.replace('_', '-')}",
                given=given[name],
                allowed=f"{value}, that of the data {data.name}",
                remedy="leave the option out: the data decides",
            )
    return facts


def checked_seed(seed: int) -> int:
    """The seed, if torch takes it."""
    if not 0 <= seed < 2**63:
        raise InputError("--seed", given=seed, allowed="an integer from 0 to 2^63 - 1")
    return seed


def seeds_from(count: int | None, given: Sequence[int]) -> tuple[int, ...]:
    """Seeds 0 to count - 1, or those given one by one; seed 0 without either."""
    if count is not None and given:
        raise InputError("seeds", given="--n-seeds and --seed", allowed="one of the two")
    if given:
        return tuple(checked_seed(seed) for seed in given)
    if count is not None and not 1 <= count <= 1000:
        raise InputError("--n-seeds", given=count, allowed="an integer from 1 to 1000")
    return tuple(range(1 if count is None else count))
