"""``parlay paper run``: the networks behind the figures trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from parlay.cli.command import command
from parlay.cli.options import json_option, option, takes
from parlay.cli.options.kinds import Choice
from parlay.cli.options.training import MachineOptions, seeds_from
from parlay.documents import document
from parlay.errors import InputError
from parlay.paper.experiments import EXPERIMENTS
from parlay.study.plan import PRECISIONS
from parlay.train.recipe import PAPER, RECIPES

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.paper.runs import Protocol
    from parlay.study import DataSource

__all__ = ["run"]


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """How the layouts of a panel are trained, and which of them."""

    heading: ClassVar[str] = "Training"
    recipe: str = option(
        "--recipe",
        type=Choice((PAPER, *RECIPES)),
        default="fast",
        show_default=True,
        help="paper: its 40,000 or 80,000 steps.",
    )
    steps: int | None = option("--steps", type=int, help="Batches to train on; default: the recipe's.")
    precision: str = option("--precision", type=Choice(PRECISIONS), default="fp32", show_default=True)
    seeds: int | None = option("--n-seeds", "--seeds", type=int, help="Runs of each layout; default 1, for pairs 3.")
    given: tuple[int, ...] = option("--seed", type=int, multiple=True, help="A seed of its own choice; repeatable.")
    layouts: int | None = option(
        "--layouts", type=int, help="Only the panel's first so many; default: all, in Figure 4 14."
    )
    extremes: int | None = option("--extremes", type=int, help="Only so many at both ends of the energies.")

    def make(self) -> Protocol:
        """The protocol; the panel says how many seeds where the command line does not."""
        from parlay.paper.runs import Protocol

        return Protocol(
            recipe=self.recipe,
            steps=self.steps,
            precision=self.precision,
            seeds=None if self.seeds is None and not self.given else seeds_from(self.seeds, self.given),
            layouts=self.layouts,
            extremes=self.extremes,
        )


@dataclass(frozen=True, kw_only=True)
class PanelDataOptions:
    """Images of the panels, which are CIFAR-10 or CIFAR-100."""

    heading: ClassVar[str] = "Data"
    data: str | None = option(
        "--data", type=Choice(("cifar10", "cifar100")), help="Default: the panel's own, which it must be."
    )
    data_dir: str = option(
        "--data-dir", metavar="PATH", default="data", show_default=True, help="Where downloads are kept."
    )
    data_file: tuple[str, ...] = option(
        "--data-file",
        metavar="PATH",
        multiple=True,
        help="A Keras-style .npz instead: PATH, or cifar10=PATH; repeatable.",
    )

    def make(self, panels: Sequence[str]) -> tuple[Callable[[str], Dataset], dict[str, DataSource]]:
        """What reads each data set of some panels, and where it comes from.

        Raises:
            InputError: for panels of another data set than asked for, or a file whose data set is not clear.
        """
        from parlay.extras import Needs
        from parlay.paper.experiments import get_experiment
        from parlay.study import DataSource

        needed = list(dict.fromkeys(get_experiment(name).data for name in panels))
        if self.data is not None and needed != [self.data]:
            raise InputError("--data", given=self.data, allowed=f"{', '.join(needed)}, of panel {', '.join(panels)}")
        specs = {name: name for name in needed}
        for item in self.data_file:
            name, equals, path = item.partition("=")
            if not equals or name not in ("cifar10", "cifar100"):
                name, path = needed[0], item
                if len(needed) > 1:
                    raise InputError(
                        "--data-file", given=item, allowed="cifar10=PATH or cifar100=PATH, since panels differ"
                    )
            specs[name] = str(Path(path).expanduser().absolute())
        folder = str(Path(self.data_dir).expanduser().absolute())

        def load(name: str) -> Dataset:
            with Needs("reading image data", extra="train"):
                from parlay.data import load as read
            return read(specs[name], data_dir=self.data_dir)

        return load, {name: DataSource(name=name, spec=spec, folder=folder) for name, spec in specs.items()}


@command("parlay paper run --panel 3a --study runs/paper")
@click.option("--panel", "panels", type=Choice(EXPERIMENTS), multiple=True, help="Repeatable.")
@takes(protocol=ProtocolOptions, images=PanelDataOptions)
@click.option("--study", type=click.Path(path_type=Path), help="Folder of the study; needed.")
@click.option("--results", type=click.Path(path_type=Path), help="Trials as text: read first, added to.")
@click.option("--workers", type=int, help="Trials at a time, each in a process of its own.")
@click.option("--checkpoint-seconds", type=float, default=60, show_default=True, help="Between checkpoints.")
@takes(machine=MachineOptions)
@json_option
def run(
    panels: tuple[str, ...],
    protocol: ProtocolOptions,
    images: PanelDataOptions,
    study: Path | None,
    results: Path | None,
    workers: int | None,
    checkpoint_seconds: float,
    machine: MachineOptions,
    as_json: bool,
) -> int:
    """Train the networks behind panels of the figures.

    The same command goes on where it stopped. With --results, trials that are there already are not trained again,
    and every trial is added as it ends.
    """
    from parlay.cli.trials import ProgressBar
    from parlay.paper.runs import run_panels
    from parlay.study import Settings, make_executor

    if not panels:
        raise click.UsageError("Missing option '--panel', such as --panel 3a.")
    if study is None:
        raise click.UsageError("Missing option '--study', such as --study runs/paper.")
    asked = protocol.make()
    load, sources = images.make(panels)
    executor = make_executor(workers=workers, threads=machine.threads)
    try:
        with ProgressBar() as bar:
            ran = run_panels(
                panels,
                asked,
                study=study,
                results=results,
                load=load,
                sources=sources,
                executor=executor,
                settings=Settings(device=machine.device, checkpoint_seconds=checkpoint_seconds),
                watcher=bar,
            )
    finally:
        executor.shutdown(cancel_futures=True)
    if as_json:
        done = [{"panel": r.panel, **vars(r.outcome), "adopted": r.adopted, "kept": r.kept} for r in ran]
        click.echo(document({"study": str(study), "results": results and str(results), "panels": done}))
    else:
        for one in ran:
            did = one.outcome
            failed = f", {did.failed} failed" if did.failed else ""
            kept = f"; {one.kept} in {results / one.panel}" if results else ""
            click.echo(
                f"{one.panel}: {did.planned} trials: {did.reused} from before, {did.trained} trained now{failed}{kept}"
            )
    return 1 if any(one.outcome.failed for one in ran) else 0
