"""The studies behind the panels: plan, take over what the results hold already, train the rest, keep it as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parlay.errors import InputError
from parlay.paper.experiments import Experiment, get_experiment
from parlay.paper.results import read_results, write_results
from parlay.study import (
    DataSource,
    Planned,
    Row,
    RunCounts,
    Settings,
    Store,
    TrialExecutor,
    Watcher,
    run_study,
)
from parlay.study import make_plan as plan_of
from parlay.study.row import COMPLETE
from parlay.train.recipe import get_recipe

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["Protocol", "Ran", "adopt", "plan_panel", "run_panels"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How the layouts of a panel are trained.

    Attributes:
        recipe: ``fast``, ``paper`` (the paper's, which differs for ResNets) or another recipe's name.
        steps: batches; the recipe's if None.
        precision: ``fp32`` or ``bf16``.
        seeds: runs of each layout; as many as the panel says if None.
        layouts: only the first so many layouts; as many as the panel says if None.
        extremes: instead, only so many at both ends of the energies.
    """

    recipe: str = "fast"
    steps: int | None = None
    precision: str = "fp32"
    seeds: tuple[int, ...] | None = None
    layouts: int | None = None
    extremes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a call did for one panel.

    Attributes:
        panel: its name.
        outcome: of the study; ``reused`` counts what the study held and what came from the results.
        adopted: how many trials came from the results.
        kept: how many trials the panel's folder of results holds now; 0 without such a folder.
    """

    panel: str
    outcome: RunCounts
    adopted: int
    kept: int


def plan_panel(experiment: Experiment, protocol: Protocol, *, data: str) -> tuple[Planned, ...]:
    """The trials of a panel.

    Args:
        experiment: the panel.
        protocol: how to train.
        data: SHA-256 of the data set.

    >>> from parlay.paper.experiments import get_experiment
    >>> len(plan_panel(get_experiment("pairs"), Protocol(), data="d" * 64))
    72
    """
    picked = experiment.pick(protocol.layouts, extremes=protocol.extremes)
    return plan_of(
        experiment.family,
        {choice.layout: choice.kinds for choice in picked},
        data=data,
        recipe=get_recipe(protocol.recipe, family=experiment.family.name),
        steps=protocol.steps,
        seeds=tuple(range(experiment.seeds)) if protocol.seeds is None else protocol.seeds,
        precision=protocol.precision,
    )


def adopt(store: Store, plan: Sequence[Planned], rows: Sequence[Row]) -> int:
    """Take complete trials of a plan into a study as if it had trained them; what it holds already stays.

    Args:
        store: the open study.
        plan: what is to be run.
        rows: trials from elsewhere (``read_results``).

    Returns:
        How many were taken.
    """
    known = {row.trial.identity: row for row in rows if row.status == COMPLETE}
    done = store.complete()
    wanted = [p for p in plan if p.trial.identity in known and p.trial.identity not in done]
    for planned in wanted:
        row = known[planned.trial.identity]
        store.add([planned], data_name=row.data_name)
        store.write(row)
    return len(wanted)


def run_panels(
    names: Sequence[str],
    protocol: Protocol,
    *,
    study: Path,
    results: Path | None,
    load: Callable[[str], Dataset],
    sources: Mapping[str, DataSource],
    executor: TrialExecutor | None = None,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
) -> list[Ran]:
    """Train what is not complete of some panels, one panel after the other, in one study.

    Trials that the results hold are not trained again. Every trial that ends is in the results at once, so that a call
    that is killed has lost none.

    Args:
        names: panels.
        protocol: how to train.
        study: the study's folder.
        results: folder of results, read first and added to; None for neither.
        load: reads ``cifar10`` or ``cifar100``.
        sources: where each comes from, so that ``parlay study run`` could load it.
        executor: where trials run; in this process if None.
        settings: device, retries, checkpoints.
        watcher: told how it goes.

    Raises:
        InputError: for an unknown panel, or data that is not of the panel's kind.
        StudyError: when the study is in use, or cannot be written.
    """
    panels = [get_experiment(name) for name in dict.fromkeys(names)]
    if not panels:
        raise InputError("panels", given="none", allowed="at least one, such as --panel 3a")
    loaded: dict[str, Dataset] = {}
    ran: list[Ran] = []
    with Store(study) as store:
        for panel in panels:
            if panel.data not in loaded:
                loaded.clear()  # one at a time: each takes 180 MB
                loaded[panel.data] = _checked(panel, load(panel.data))
            data = loaded[panel.data]
            store.remember_source(data.fingerprint, sources.get(panel.data) or DataSource(name=panel.data))
            plan = plan_panel(panel, protocol, data=data.fingerprint)
            adopted = adopt(store, plan, [] if results is None else read_results(results))
            keeper = _Keeper(store=store, results=results, panel=panel.name, inner=watcher or Watcher())
            try:
                outcome = run_study(
                    store,
                    plan,
                    lambda _, data=data: data,
                    executor=executor,
                    settings=settings,
                    watcher=keeper,
                )
            finally:
                keeper.keep()
            ran.append(Ran(panel=panel.name, outcome=outcome, adopted=adopted, kept=keeper.kept))
    return ran


class _Keeper(Watcher):
    """Writes the results after every trial, and passes everything on."""

    def __init__(self, *, store: Store, results: Path | None, panel: str, inner: Watcher) -> None:
        self.store, self.results, self.panel, self.inner = store, results, panel, inner
        self.kept = 0

    def keep(self) -> None:
        if self.results is not None:
            self.results.mkdir(parents=True, exist_ok=True)
            self.kept = write_results(self.results, self.store.rows(), [self.panel]).get(self.panel, 0)

    def noticed(self, text: str) -> None:
        self.inner.noticed(text)

    def begin(self, planned: Planned, place: int, total: int) -> None:
        self.inner.begin(planned, place, total)

    def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
        self.inner.beat(identity, step, loss, images_per_second)

    def end(self, row: Row) -> None:
        self.keep()
        self.inner.end(row)

    def stopping(self) -> None:
        self.inner.stopping()


def _checked(panel: Experiment, data: Dataset) -> Dataset:
    """The data, if it has the images and classes that the panel's network takes."""
    family = panel.family
    wanted = (family.in_channels, family.image, family.classes)
    if (data.in_channels, data.image, data.classes) != wanted:
        raise InputError(
            f"data of panel {panel.name}",
            given=f"{data.name}: {data.in_channels} channels, side {data.image}, {data.classes} classes",
            allowed=f"{panel.data}: {wanted[0]} channels, side {wanted[1]}, {wanted[2]} classes",
        )
    return data
