"""A search that trains: a study under it, its decisions in ``search.json``, its weights in ``weights.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.documents import document, write_atomically
from parlay.errors import InputError, StudyError
from parlay.evidence.candidates import begin
from parlay.evidence.controls import ENERGY, OWN, PICK, RANDOM, RECOMMENDED, Control, compare
from parlay.evidence.search import Found, Query, Record, Turn, search
from parlay.extras import Needs
from parlay.layout import Layout
from parlay.report.scatter import save_scatter, scatter_data
from parlay.report.studies import alike
from parlay.study import (
    DataSource,
    Kind,
    Network,
    Outcome,
    Planned,
    Row,
    Settings,
    Store,
    Watcher,
    make_plan,
    run_study,
)
from parlay.train.recipe import Recipe

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.study import TrialExecutor

__all__ = ["FILE", "WEIGHTS", "SearchPlan", "Searched", "conduct_search", "read_record"]

FILE, WEIGHTS = "search.json", "weights.json"
KIND = "parlay search"


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What is searched, and how its layouts are trained; all of it is written down before the search begins.

    Attributes:
        query: what is asked.
        network: everything but its widths.
        data: SHA-256 of the data set.
        recipe, steps, precision: how a layout is trained.
        validation: training images set aside, by which layouts are chosen; at least 1.
        control_seeds: trainings of each layout of the last comparison, with seeds that chose nothing.
        dtype: of activations, where their memory is limited.
    """

    query: Query
    network: Network
    data: str
    recipe: Recipe
    validation: int
    steps: int | None = None
    precision: str = "fp32"
    control_seeds: int = 3
    dtype: str = "int8"

    def __post_init__(self) -> None:
        if type(self.validation) is not int or self.validation < 1:
            raise InputError(
                "validation images", given=self.validation, allowed="at least 1: layouts are chosen by them", remedy=""
            )
        if type(self.control_seeds) is not int or not 1 <= self.control_seeds <= 1000:
            raise InputError("control-seeds", given=self.control_seeds, allowed="an integer from 1 to 1000")
        if not 0 <= self.query.seed <= 2**62:
            raise InputError("seed", given=self.query.seed, allowed="an integer from 0 to 2^62")

    def planned(self, layouts: Sequence[Layout], kind: Kind, seeds: Sequence[int]) -> tuple[Planned, ...]:
        """Trials of these layouts with these seeds."""
        return make_plan(
            self.network,
            {layout: frozenset({kind}) for layout in layouts},
            data=self.data,
            recipe=self.recipe,
            steps=self.steps,
            seeds=seeds,
            validation=self.validation,
            precision=self.precision,
        )

    @property
    def fresh_seeds(self) -> range:
        """Seeds of the controls; the search itself trains with the one before."""
        return range(self.query.seed + 1, self.query.seed + 1 + self.control_seeds)

    def question(self) -> dict[str, Any]:
        """Everything that decides the search, by the names of its options, as JSON values."""
        query = self.query
        space = query.problem.space
        return {
            "network": self.network.config,
            "limits": [str(constraint) for constraint in query.problem.constraints],
            "dtype": self.dtype,
            "order": str(space.order),
            "max-step": None if space.max_step is None else str(space.max_step),
            "widths": [[group.minimum, group.maximum, group.multiple_of] for group in space.groups],
            "score": query.prior,
            "policy": query.policy,
            "n-trials": query.trials,
            "batch": query.batch,
            "seed": query.seed,
            "layout": None if query.own is None else list(query.own),
            "control-seeds": self.control_seeds,
            "data": self.data,
            "val": self.validation,
            "recipe": json.loads(json.dumps(self.recipe.numbers())),
            "steps": self.recipe.steps if self.steps is None else self.steps,
            "precision": self.precision,
        }


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a call of a search ended with.

    Attributes:
        folder: the study's.
        plan: what was asked.
        found: the recommendation, and what it rests on.
        controls: the last comparison, on the test images.
        outcome: trials of this call, added up.
        rows: all trials of the search.
    """

    folder: Path
    plan: SearchPlan
    found: Found
    controls: tuple[Control, ...]
    outcome: Outcome
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def failed(self) -> int:
        """How many trials of the search have failed."""
        return sum(row.error is not None and row.accuracy is None for row in self.rows)


def read_record(folder: Path) -> tuple[dict[str, Any], Record] | None:
    """The question of the search in a folder and what it has decided; None where none was begun.

    Raises:
        StudyError: when search.json is no search's.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != KIND:
            raise ValueError("it is of another kind")
        return dict(content["question"]), Record.read(content["record"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is not the file of a search ({error}); use another folder") from None


def conduct_search(
    folder: Path,
    plan: SearchPlan,
    data: Dataset,
    *,
    source: DataSource | None = None,
    executor: TrialExecutor | None = None,
    settings: Settings | None = None,
    watcher: Watcher | None = None,
    told: Callable[[Turn], None] = lambda _: None,
) -> Searched:
    """Search to the end, or go on where a call that was stopped had come to.

    Layouts are chosen by validation accuracy; the test accuracies are read once, when the recommendation stands and
    its controls are trained. Beside the files of a study it writes search.json and weights.json.

    Args:
        folder: of the study.
        plan: what is asked.
        data: what the layouts are trained on.
        source: where that comes from.
        executor: where trials run; in this process if None.
        settings: device, retries, checkpoints.
        watcher: told how trials go.
        told: called after every round.

    Raises:
        InputError: when there is nothing to search, or the folder holds a search that asked something else.
        StudyError: when the folder is in use or holds something else, or no training ended well.
    """
    with Needs("the figure", extra="train"):  # better missed before hours of training than after
        import_module("matplotlib")
    query = plan.query
    record = _going_on(folder, plan)
    if record is None:  # before the folder is made: what cannot be searched leaves nothing behind
        record = Record(start=begin(query.problem, prior=query.prior, own=query.own, seed=query.seed))
    with Store(folder) as store:
        record = _going_on(folder, plan) or record
        keep = partial(_write, folder, plan)
        keep(record)
        if source is not None:
            store.remember_source(plan.data, source)
        driver = _Trainer(
            store=store,
            plan=plan,
            pick=record.start.pick,
            data=data,
            executor=executor,
            settings=settings,
            watcher=watcher,
        )
        try:
            found = search(query, driver.judge, record=record, keep=keep, told=told)
            if found.calibration is not None:
                write_atomically(folder / WEIGHTS, found.calibration.document() + "\n")
            roles = _roles(plan, found)
            tests = driver.test(list(dict.fromkeys(roles.values())))
        finally:
            rows = driver.rows()
            save_scatter(scatter_data(rows), folder / "scatter.png")
    outcome = Outcome(
        planned=sum(one.planned for one in driver.outcomes),
        reused=sum(one.reused for one in driver.outcomes),
        trained=sum(one.trained for one in driver.outcomes),
        failed=sum(one.failed for one in driver.outcomes),
    )
    return Searched(
        folder=folder, plan=plan, found=found, controls=compare(roles, tests), outcome=outcome, rows=tuple(rows)
    )


@dataclass(kw_only=True, eq=False)
class _Trainer:
    """Trains what the search proposes, in one study."""

    store: Store
    plan: SearchPlan
    pick: Layout
    data: Dataset
    executor: TrialExecutor | None
    settings: Settings | None
    watcher: Watcher | None
    outcomes: list[Outcome] = field(default_factory=list)

    def judge(self, layouts: Sequence[Layout]) -> dict[Layout, float]:
        """Validation accuracy of layouts, in shares; those that failed are left out."""
        rows = self._run(self.plan.planned(layouts, Kind.SEARCH, [self.plan.query.seed]))
        return {row.trial.layout: row.validation_accuracy for row in rows if row.validation_accuracy is not None}

    def test(self, layouts: Sequence[Layout]) -> dict[Layout, dict[int, float]]:
        """Test accuracy of layouts by fresh seeds, in shares."""
        rows = self._run(self.plan.planned(layouts, Kind.CONTROL, self.plan.fresh_seeds))
        found: dict[Layout, dict[int, float]] = {}
        for row in rows:
            if row.accuracy is not None:
                found.setdefault(row.trial.layout, {})[row.trial.seed] = row.accuracy
        return found

    def rows(self) -> list[Row]:
        """Every trial of the search that ended."""
        [like] = self.plan.planned([self.pick], Kind.SEARCH, [self.plan.query.seed])
        return [row for row in self.store.rows() if row.has_ended and alike(row.trial, like.trial, None)]

    def _run(self, plan: Sequence[Planned]) -> list[Row]:
        done = sum(outcome.planned for outcome in self.outcomes)
        most = max(self.plan.query.trials, done + len(plan))
        watcher = None if self.watcher is None else _Shifted(self.watcher, by=done, most=most)
        outcome = run_study(
            self.store, plan, self.data, executor=self.executor, settings=self.settings, watcher=watcher
        )
        self.outcomes.append(outcome)
        order = {planned.trial.identity: place for place, planned in enumerate(plan)}
        rows = [row for row in self.store.rows() if row.trial.identity in order]
        return sorted(rows, key=lambda row: order[row.trial.identity])


class _Shifted(Watcher):
    """Counts the trials of a round among those of the whole search."""

    def __init__(self, inner: Watcher, *, by: int, most: int) -> None:
        self._inner, self._by, self._most = inner, by, most

    def begin(self, planned: Planned, place: int, total: int) -> None:
        self._inner.begin(planned, place + self._by, self._most)

    def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
        self._inner.beat(identity, step, loss, images_per_second)

    def end(self, row: Row) -> None:
        self._inner.end(row)

    def stopping(self) -> None:
        self._inner.stopping()


def _roles(plan: SearchPlan, found: Found) -> dict[str, Layout]:
    """The layouts of the last comparison, by what each stands for."""
    start = found.record.start
    roles = {
        RECOMMENDED: found.recommended,
        OWN: plan.query.own,
        PICK: start.pick,
        ENERGY: start.energy,
        RANDOM: start.random,
    }
    return {role: layout for role, layout in roles.items() if layout is not None}


def _going_on(folder: Path, plan: SearchPlan) -> Record | None:
    """What the folder's search has decided; None where none was begun.

    Raises:
        InputError: when it asked something else.
    """
    known = read_record(folder)
    if known is None:
        return None
    asked, record = known
    now = plan.question()
    other = [name for name in now if asked.get(name) != now[name]]
    if other:
        raise InputError(
            f"search in {folder}",
            given=", ".join(f"{name} {_brief(now[name])}" for name in other),
            allowed=f"{', '.join(f'{name} {_brief(asked.get(name))}' for name in other)}, as it was begun",
            remedy="use another folder",
        )
    return record


def _brief(value: Any) -> str:
    text = "-".join(map(str, value)) if isinstance(value, list) and all(type(v) is int for v in value) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _write(folder: Path, plan: SearchPlan, record: Record) -> None:
    content: Mapping[str, Any] = {"kind": KIND, "question": plan.question(), "record": record.content()}
    write_atomically(folder / FILE, document(content) + "\n")
