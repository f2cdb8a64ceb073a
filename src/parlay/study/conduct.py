"""A study from plan to table: run what is left, then gather the trials that answer the question asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.errors import StudyError
from parlay.problem import Problem
from parlay.study.executors import TrialExecutor
from parlay.study.plan import Planned, Trial
from parlay.study.row import Row
from parlay.study.runner import RunCounts, Settings, Watcher, run_study
from parlay.study.store import Added, DataSource, Reader, Store
from parlay.study.trials_csv import TABLE, table_row

if TYPE_CHECKING:
    from parlay.data import Dataset

__all__ = ["Conducted", "add_seeds", "alike", "conduct", "plan_into"]


@dataclass(frozen=True, kw_only=True)
class Conducted:
    """What a study holds after a call.

    Attributes:
        folder: where it is.
        outcome: what this call did.
        rows: the trials that answer the question asked now; the folder may hold others.
        others: how many others have ended.
    """

    folder: Path
    outcome: RunCounts
    rows: tuple[Row, ...]
    others: int = 0

    def summary(self) -> str:
        """One line on what this call did."""
        did = self.outcome
        failed = f", {did.failed} failed" if did.failed else ""
        others = f"; {self.others} that answer other questions are in trials.csv" if self.others else ""
        return f"{did.planned} trials: {did.reused} from before, {did.trained} trained now{failed}{others}"

    def to_json(self) -> dict[str, Any]:
        """As JSON values; ``accuracy`` is a share, 0 to 1."""
        did = self.outcome
        return {
            "study": str(self.folder),
            "trials_csv": str(self.folder / TABLE),
            "planned": did.planned,
            "reused": did.reused,
            "trained": did.trained,
            "failed": did.failed,
            "others": self.others,
            "trials": [table_row(row) for row in self.rows],
        }


def plan_into(folder: Path, plan: Sequence[Planned], source: DataSource) -> Added:
    """Add a plan to a study, which is made where it is not there; nothing is trained.

    Raises:
        StudyError: when the folder is in use, or holds something else.
    """
    with Store(folder) as store:
        store.remember_source(plan[0].trial.data, source)
        return store.add(plan, data_name=source.name)


def add_seeds(folder: Path, seeds: Sequence[int]) -> Added:
    """Plan every layout that a study holds, trained as it is there, with more seeds; nothing is trained.

    Args:
        folder: the study's.
        seeds: those that every layout is to have.

    Raises:
        StudyError: when there is no study, it holds no trial, or it is in use.
    """
    with Reader(folder) as study:
        rows = study.rows()
    if not rows:
        raise StudyError(f"study {folder} holds no trial to add seeds to; 'parlay study new' plans some")
    plans: dict[str, dict[str, Planned]] = {}
    for seed in dict.fromkeys(seeds):
        for row in rows:
            trial = replace(row.trial, seed=seed)
            more = Planned(trial=trial, kinds=row.kinds, counted=row.counted, score=row.score)
            plans.setdefault(row.data_name, {}).setdefault(more.trial.identity, more)
    with Store(folder) as store:
        added = [store.add(list(plan.values()), data_name=name) for name, plan in plans.items()]
    return Added(new=sum(one.new for one in added), known=sum(one.known for one in added))


def conduct(
    folder: Path,
    plan: Sequence[Planned] | None,
    data: Dataset | None,
    *,
    problem: Problem | None,
    source: DataSource | None = None,
    executor: TrialExecutor | None = None,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    draw: Callable[[Sequence[Row]], None] = lambda _: None,
) -> Conducted:
    """Train what is not complete, and write trials.csv into the study's folder.

    trials.csv has every trial of the folder that ended; drawn and returned are only those that answer one question:
    trained the same way on the same data and, where a problem is given, of its size within its fences. It is the
    question asked now, or, without a plan, the one with most trials.

    Args:
        folder: the study's.
        plan: what to run; everything that the study holds if None.
        data: of the plan; None loads what the study holds from where it came.
        problem: the plan's size and fences.
        source: where the data comes from, so that a later call can load it.
        executor: where trials run; in this process if None.
        settings: device, retries, checkpoints.
        watcher: told how it goes.
        draw: shows the trials that answer the question; called at the end, also when the study is interrupted.

    Raises:
        StudyError: when the folder is in use, or holds something else.
        InputError: when a file cannot be written.
    """
    kept: list[Row] = []
    others = 0

    def report(rows: list[Row]) -> None:
        nonlocal others
        if plan is None:
            kept[:] = _largest(rows)
        else:
            kept[:] = [row for row in rows if alike(row.trial, plan[0].trial, problem)]
        others = len(rows) - len(kept)
        draw(kept)

    with Store(folder) as store:
        if data is not None and source is not None:
            store.remember_source(data.fingerprint, source)
        outcome = run_study(
            store,
            plan,
            _loader(store) if data is None else data,
            executor=executor,
            settings=settings,
            watcher=watcher,
            after=report,
        )
    return Conducted(folder=folder, outcome=outcome, rows=tuple(kept), others=others)


def alike(trial: Trial, other: Trial, problem: Problem | None) -> bool:
    """Whether a trial was trained like another and, where a problem is given, answers it."""
    return trial.protocol == other.protocol and (problem is None or not problem.violations(trial.layout))


def _largest(rows: Sequence[Row]) -> list[Row]:
    """The trials of the protocol that has most; the first planned of equally many."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.trial.protocol, []).append(row)
    return max(groups.values(), key=len, default=[])


def _loader(store: Store) -> Callable[[str], Dataset]:
    """What loads a data set of the study from where it came."""

    def load_again(fingerprint: str) -> Dataset:
        from parlay.data import load

        source = store.sources().get(fingerprint)
        if source is None or source.spec is None:
            name = source.name if source is not None else fingerprint[:12]
            raise StudyError(
                f"study {store.folder} does not know where the data {name} comes from; name it with --data and"
                " --layouts"
            )
        return load(source.spec, data_dir=source.folder or "data")

    return load_again
