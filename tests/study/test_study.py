"""Studies: what is chosen, what is kept, and what happens when things go wrong."""

from __future__ import annotations

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hang import HANG
from parlay.errors import InputError, StudyError
from parlay.families import plain
from parlay.layout import Layout
from parlay.problem import Solution
from parlay.solver import list_layouts
from parlay.study import (
    COLUMNS,
    Kind,
    Planned,
    Reader,
    Row,
    Settings,
    Store,
    Watcher,
    csv_text,
    make_plan,
    run_study,
    select,
    strongest,
    work,
)
from parlay.study.selection import evenly
from parlay.study.work import Task
from parlay.train import get_recipe

FAMILY = plain(3, in_channels=1, image=8)
PROBLEM = FAMILY.problem(kernels=500)
NETWORK = FAMILY
DATA: Any = SimpleNamespace(name="toy", fingerprint="a" * 64, train_labels=range(896))
RECIPE = get_recipe("digits")


HISTORY: dict[str, Any] = {
    "loss": 1.0,
    "mean_average_precision": None,
    "validation_accuracy": 0.5,
    "validation_loss": 1.5,
    "test_images": 901,
    "train_loss": 0.9,
    "losses": (2.0, 1.0, 0.5),
    "seconds": 0.1,
    "images_per_second": 900.0,
    "threads": 1,
    "device": "cpu",
}
"""What a training leaves behind, but for the accuracy."""


def plan_for(*layouts: Layout, **changes: Any) -> tuple[Planned, ...]:
    """A plan of layouts given by name."""
    chosen = {layout: frozenset({Kind.GIVEN}) for layout in layouts}
    return make_plan(FAMILY, chosen, **{"data": DATA.fingerprint, "recipe": RECIPE, "steps": 3, **changes})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Layout]:
    """Training replaced by a formula; layouts beginning with 7 fail, with 9 are interrupted. Lists what was run."""
    ran: list[Layout] = []

    def train_trial(task: Task, data: object, progress: Any, should_stop: Any) -> object:
        layout, seed, steps = task.trial.layout, task.trial.seed, task.trial.steps
        ran.append(layout)
        if layout[0] == 7:
            raise ValueError("no luck\nat all")
        if layout[0] == 9:
            raise KeyboardInterrupt
        progress(steps, 0.5)
        return SimpleNamespace(**HISTORY, accuracy=sum(layout) / 1000 + seed / 100)

    monkeypatch.setattr(work, "train_trial", train_trial)
    return ran


def test_top_spread_all_and_given_combine():
    """A layout chosen twice is one entry with both reasons; top comes from the solver, all from the list."""
    everything = [solution.layout for solution in list_layouts(PROBLEM)]
    chosen = select(["top:2", "all", "10-14-25, 2-3-164"], family=FAMILY, problem=PROBLEM).layouts
    assert list(chosen)[:2] == everything[:2]
    assert set(chosen) == set(everything)
    assert chosen[10, 14, 25] == {Kind.TOP, Kind.ALL, Kind.GIVEN}
    assert chosen[2, 3, 164] == {Kind.ALL, Kind.GIVEN}
    assert strongest(chosen[10, 14, 25]) is Kind.TOP


def test_spread_takes_the_nearest_to_even_energies():
    """The ends are the extremes of all layouts, the rest nearest to evenly spaced energies, all distinct."""
    logs = (4.0, 3.9, 3.0, 2.0, 1.0, 0.0)
    solutions = [Solution(layout=(i,), score_value=value, log_energy=value) for i, value in enumerate(logs)]
    by = attrgetter("energy")
    energies = [s.energy for s in evenly(solutions, 3, by=by)]
    assert energies == [solutions[0].energy, solutions[2].energy, solutions[5].energy]
    assert len({s.layout for s in evenly(solutions, 5, by=by)}) == 5
    assert evenly(solutions, 9, by=by) == solutions
    assert [s.layout for s in evenly(solutions, 1, by=by)] == [(0,)]


def test_spread_runs_from_lowest_to_highest():
    """On a real size both extremes are among the layouts chosen."""
    everything = list_layouts(PROBLEM)
    chosen = list(select(["spread:5"], family=FAMILY, problem=PROBLEM).layouts)
    assert len(chosen) == 5
    assert {everything[0].layout, everything[-1].layout} <= set(chosen)


@pytest.mark.parametrize(
    "choice", ["top", "top:0", "top:-1", "top:x", "spread:", "best:3", "", "top:99999999999", "8-x-9", "all:3", "8-9-0"]
)
def test_choices_that_cannot_be_read_are_refused(choice: str):
    """Each gets one line that says what is allowed."""
    with pytest.raises(InputError, match="allowed"):
        select([choice], family=FAMILY, problem=PROBLEM)


def test_named_layouts_must_fit_the_question():
    """A wrong length, size or order is refused, and top needs a size."""
    for layouts, problem, message in (
        ("8-9", None, "2 widths for 3 groups"),
        ("8-9-10", PROBLEM, "kernels is 170, not kernels = 500"),
        ("25-14-10", PROBLEM, "not increasing"),
        ("top:3", None, "one size"),
    ):
        with pytest.raises(InputError, match=message):
            select([layouts], family=FAMILY, problem=problem)


@pytest.mark.parametrize("choice", ["top:2", "all"])
def test_a_size_without_layouts_names_the_nearest(choice: str):
    """An impossible size is an error that says which sizes exist nearby."""
    with pytest.raises(InputError, match="nearest"):
        select([choice], family=FAMILY, problem=FAMILY.problem(kernels=7))


def test_identity_is_decided_by_what_decides_the_run():
    """Everything that changes a run changes the identity; names, defaults and reasons do not."""
    [base] = plan_for((8, 12, 33))
    trial = base.trial
    others = [
        replace(trial, layout=(10, 14, 25)),
        replace(trial, seed=1),
        replace(trial, steps=4),
        replace(trial, data="b" * 64),
        replace(trial, recipe=replace(RECIPE, lr=0.3)),
        replace(trial, network=plain(3, in_channels=1, image=8, classes=11)),
        replace(trial, network=plain(3, in_channels=1, image=8, kernel_size=(5, 3, 3))),
        replace(trial, validation=10),
        replace(trial, precision="bf16"),
    ]
    assert len({trial.identity, *(other.identity for other in others)}) == 10
    assert replace(trial, recipe=replace(RECIPE, name="other", steps=9)).identity == trial.identity
    assert (
        trial.identity == "cc1109187e5befd3120e8f6c16871a71cdc316d0294a1101cc42d9c98c2dc465"
    )  # studies on disk know it by this


def test_plans_put_the_first_seed_of_every_layout_first():
    """All layouts with one seed come before the next; a repeated seed counts once; bad numbers are refused."""
    plan = plan_for((8, 12, 33), (10, 14, 25), seeds=(0, 1, 0))
    assert [(p.trial.layout[0], p.trial.seed) for p in plan] == [(8, 0), (10, 0), (8, 1), (10, 1)]
    assert plan_for((8, 12, 33), steps=None)[0].trial.steps == RECIPE.steps
    for changes in ({"seeds": ()}, {"seeds": (-1,)}, {"steps": 0}, {"validation": -1}, {"precision": "fp8"}):
        with pytest.raises(InputError, match="allowed"):
            plan_for((8, 12, 33), **changes)


def test_rows_come_back_as_they_were_written(tmp_path: Path, trained: list[Layout]):
    """Trial, reasons and numbers survive the file to the bit."""
    plan = plan_for((8, 12, 33), seeds=(0, 7))
    with Store(tmp_path) as store:
        outcome = run_study(store, plan, DATA)
        rows = store.rows()
    with Store(tmp_path) as store:
        assert store.rows() == rows
    assert [row.trial.identity for row in rows] == [p.trial.identity for p in plan]
    assert (outcome.trained, outcome.failed, outcome.reused) == (2, 0, 0)
    assert rows[1].accuracy == 53 / 1000 + 7 / 100
    assert trained == [(8, 12, 33)] * 2


def test_a_second_call_runs_only_what_is_left(tmp_path: Path, trained: list[Layout]):
    """Complete trials are reused, failed ones tried again, reasons added; trials.csv is always written."""
    with Store(tmp_path) as store:
        first = run_study(store, plan_for((8, 12, 33), (7, 17, 22)), DATA)
    assert (first.trained, first.failed) == (1, 1)
    (tmp_path / "trials.csv").unlink()
    chosen = {layout: frozenset({Kind.TOP}) for layout in ((8, 12, 33), (7, 17, 22))}
    plan = make_plan(FAMILY, chosen, data=DATA.fingerprint, recipe=RECIPE, steps=3)
    with Store(tmp_path) as store:
        second = run_study(store, plan, DATA)
        rows = {row.trial.layout: row for row in store.rows()}
    assert (second.reused, second.trained, second.failed) == (1, 0, 1)
    assert trained == [(8, 12, 33), (7, 17, 22), (7, 17, 22)]
    assert rows[8, 12, 33].kinds == rows[7, 17, 22].kinds == {Kind.TOP, Kind.GIVEN}
    assert rows[7, 17, 22].error == "ValueError: no luck at all"
    lines = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert {line["kind"] for line in lines} == {"top"} and {line["kinds"] for line in lines} == {"given+top"}


def test_ctrl_c_keeps_what_ended(tmp_path: Path, trained: list[Layout]):
    """The interrupt passes through; earlier trials are in the store and in trials.csv; a later call goes on."""
    plan = plan_for((8, 12, 33), (9, 10, 11), (10, 14, 25))
    reported: list[int] = []
    with Store(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        run_study(store, plan, DATA, after=lambda rows: reported.append(len(rows)))
    assert reported == [1]
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 2
    with Store(tmp_path) as store:
        outcome = run_study(store, plan[2:], DATA)
    assert outcome.trained == 1


def test_watchers_see_every_trial(tmp_path: Path, trained: list[Layout]):
    """Begin, step and end are told in order; only trials that are left count."""
    seen: list[str] = []

    class Told(Watcher):
        def begin(self, planned: Planned, place: int, total: int) -> None:
            seen.append(f"{place}/{total}")

        def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
            seen.append(f"step {step}")

        def end(self, row: Row) -> None:
            seen.append(row.status)

    with Store(tmp_path) as store:
        run_study(store, plan_for((8, 12, 33), (7, 17, 22)), DATA, watcher=Told())
    assert seen == ["1/2", "step 3", "complete", "2/2", "failed"]


def test_two_drivers_are_refused(tmp_path: Path):
    """The second one is told the process of the first; afterwards the study is free again."""
    with Store(tmp_path), pytest.raises(StudyError, match=f"in use by process {os.getpid()}"):
        Store(tmp_path)
    Store(tmp_path).close()


def test_a_study_is_widened(tmp_path: Path, trained: list[Layout]):
    """Other networks and other data are added to what is there; the same again adds nothing and runs nothing."""
    other: Any = SimpleNamespace(name="other", fingerprint="b" * 64, train_labels=range(896))
    deeper = make_plan(
        plain(4, in_channels=1, image=8),
        {(3, 4, 5, 6): frozenset({Kind.GIVEN})},
        data=other.fingerprint,
        recipe=RECIPE,
        steps=3,
    )
    with Store(tmp_path) as store:
        run_study(store, plan_for((8, 12, 33)), DATA)
        outcome = run_study(store, deeper, other)
        again = store.add(deeper, data_name="other")
        found = [(row.data_name, row.trial.network.title, row.status) for row in store.rows()]
        everything = run_study(store, None, lambda _: DATA)
    assert (outcome.trained, again.new, again.known) == (1, 0, 1)
    assert found == [("toy", "plain of depth 3", "complete"), ("other", "plain of depth 4", "complete")]
    assert (everything.planned, everything.reused, everything.trained) == (2, 2, 0)
    assert len(trained) == 2


def test_trials_are_planned_before_they_run(tmp_path: Path, trained: list[Layout]):
    """Planned trials are rows with figures and no outcome; they run in the order in which they were planned."""
    with Store(tmp_path) as store:
        added = store.add(plan_for((8, 12, 33), (10, 14, 25)), data_name="toy")
        planned = store.rows()
        run_study(store, None, lambda _: DATA)
        done = store.rows()
    assert (added.new, added.known) == (2, 0)
    assert [(row.status, row.attempts, row.accuracy, row.finished) for row in planned] == [
        ("planned", 0, None, None)
    ] * 2
    assert planned[0].costs["weights"] == FAMILY.weights((8, 12, 33))
    assert [(row.status, row.attempts) for row in done] == [("complete", 1)] * 2
    assert trained == [(8, 12, 33), (10, 14, 25)]
    assert all(row.started and row.finished and row.host and row.versions["cpu"] for row in done)


def test_retries_try_again_in_the_same_call(tmp_path: Path, trained: list[Layout]):
    """A trial that fails is tried as often as asked, after the others; its traceback is kept."""
    with Store(tmp_path) as store:
        outcome = run_study(store, plan_for((7, 17, 22), (8, 12, 33)), DATA, settings=Settings(retries=2))
        [failed, done] = store.rows()
    assert trained == [(7, 17, 22), (8, 12, 33), (7, 17, 22), (7, 17, 22)]
    assert (outcome.trained, outcome.failed) == (1, 1)
    assert (failed.status, failed.attempts, done.status) == ("failed", 3, "complete")
    assert failed.traceback is not None and "raise ValueError" in failed.traceback


def test_learning_curves_are_kept(tmp_path: Path, trained: list[Layout]):
    """The loss of every step comes back; failed and planned trials have no curve."""
    with Store(tmp_path) as store:
        run_study(store, plan_for((8, 12, 33), (7, 17, 22)), DATA)
        [row, _] = store.rows()
        curves = dict(store.curves())
    assert curves == {row.trial.identity: (2.0, 1.0, 0.5)}
    assert (row.validation_accuracy, row.validation_loss, row.images_per_second) == (0.5, 1.5, 900.0)


def test_data_that_has_changed_is_refused(tmp_path: Path, trained: list[Layout]):
    """Data loaded again that is not what the study was planned with is one clear error, before any training."""
    with Store(tmp_path) as store:
        store.add(plan_for((8, 12, 33)), data_name="toy")
        changed: Any = SimpleNamespace(name="toy", fingerprint="c" * 64)
        with pytest.raises(StudyError, match="has the content cccccccccccc, the study was planned with aaaaaaaaaaaa"):
            run_study(store, None, lambda _: changed)
        assert [row.status for row in store.rows()] == ["planned"]
    assert trained == []


def test_others_read_while_one_writes(tmp_path: Path, trained: list[Layout]):
    """A reader sees rows and the driver's process while the study is open, and that nobody has it open afterwards."""
    with pytest.raises(StudyError, match="there is no study in"):
        Reader(tmp_path)
    with Store(tmp_path) as store, Reader(tmp_path) as reader:
        run_study(store, plan_for((8, 12, 33)), DATA)
        assert [row.status for row in reader.rows()] == ["complete"]
        assert reader.driver() == os.getpid()
    with Reader(tmp_path) as reader:
        assert reader.driver() is None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM trials")


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, trained: list[Layout]):
    """When the file cannot grow the driver stops with a line; the next one takes the results that were not written."""
    with Store(tmp_path) as store:
        run_study(store, plan_for((8, 12, 33)), DATA)
        [pages] = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = plan_for(*[(8, 12, 33)], seeds=range(1, 60))
        with pytest.raises(StudyError, match="cannot be written: database or disk is full") as caught:
            run_study(store, many, DATA)
    assert "\n" not in str(caught.value)
    with Store(tmp_path) as store:
        assert [row.status for row in store.rows()] == ["complete"]
        assert run_study(store, many, DATA).trained == 59


def test_a_disk_that_fills_during_a_trial(tmp_path: Path, trained: list[Layout], monkeypatch: pytest.MonkeyPatch):
    """A result that cannot be written fails its trial with the reason; the study goes on."""
    from parlay.study import workspace

    real = workspace.write_atomically

    def full(path: Path, content: Any) -> None:
        if path.name == "result.json" and len(trained) == 1:
            raise InputError("file", given=str(path), allowed="a place that can be written", remedy="No space left")
        real(path, content)

    monkeypatch.setattr(workspace, "write_atomically", full)
    with Store(tmp_path) as store:
        outcome = run_study(store, plan_for((8, 12, 33), (10, 14, 25)), DATA)
        rows = store.rows()
    assert (outcome.trained, outcome.failed) == (1, 1)
    assert rows[0].error is not None and "No space left" in rows[0].error


def test_other_files_are_refused(tmp_path: Path):
    """Text, another program's database, a newer version and a folder that is a file are each one clear error."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "study.sqlite").write_text("hello, this is no database" * 50)
    for name, statement in (
        ("other", "CREATE TABLE t (x)"),
        ("newer", "PRAGMA user_version = 99"),
        ("older", "PRAGMA user_version = 1"),
    ):
        if name != "other":
            Store(tmp_path / name).close()
        else:
            (tmp_path / name).mkdir()
        connection = sqlite3.connect(tmp_path / name / "study.sqlite")
        connection.execute(statement)
        connection.commit()
        connection.close()
    (tmp_path / "file").write_text("")
    for name, message in (
        ("text", "not a study of parlay's"),
        ("other", "not a study of parlay's"),
        ("newer", "schema version 99"),
        ("older", "schema version 1, .* use another folder"),
        ("file", "cannot be used"),
    ):
        with pytest.raises(StudyError, match=message):
            Store(tmp_path / name)


def test_kill_9_loses_only_the_running_trial(tmp_path: Path):
    """A driver killed in its third trial leaves two rows and no lock; the next one runs the other two."""
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from types import SimpleNamespace
        from parlay.families import plain
        from parlay.study import Kind, Store, make_plan, run_study, work
        from parlay.train import get_recipe

        folder, slow = Path(sys.argv[1]), sys.argv[2] == "slow"
        ran = []

        def train_trial(task, *rest):
            ran.append(task)
            if slow and len(ran) == 3:
                print("third", flush=True)
                time.sleep(60)
            return SimpleNamespace(
                accuracy=0.5, loss=1.0, train_loss=1.0, seconds=0.1, threads=1, losses=(1.0,), device="cpu",
                images_per_second=1.0, validation_accuracy=None, validation_loss=None, mean_average_precision=None,
                test_images=9,
            )

        work.train_trial = train_trial
        chosen = {(width,): frozenset({Kind.GIVEN}) for width in (2, 3, 4, 5)}
        plan = make_plan(plain(1, image=8), chosen, data="d", recipe=get_recipe("fast"))
        with Store(folder) as store:
            outcome = run_study(store, plan, SimpleNamespace(name="toy", fingerprint="d", train_labels=range(9)))
        print(outcome.reused, outcome.trained, len((folder / "trials.csv").read_text().splitlines()) - 1)
    """)
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen([*command, "slow"], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "third\n"
        driver.send_signal(signal.SIGKILL)
        driver.wait(timeout=HANG)
    started = time.monotonic()
    done = subprocess.run([*command, "fast"], capture_output=True, text=True, check=True, timeout=HANG)
    assert done.stdout.split() == ["2", "2", "4"]
    assert time.monotonic() - started < 50


def test_trials_csv_has_every_column_and_survives_commas():
    """The header is COLUMNS; a width of 1 has energy 0 and no log-energy; text with commas and quotes comes back."""
    [planned] = plan_for((1, 19, 24))
    row = Row(
        trial=planned.trial,
        kinds=frozenset({Kind.SPREAD, Kind.GIVEN}),
        data_name='a, "b"',
        status="failed",
        seconds=1.5,
        finished="2017-10-23T00:00:00+00:00",
        error="x, y",
    )
    [line] = csv.DictReader(csv_text([row]).splitlines())
    assert list(line) == list(COLUMNS)
    assert (line["data"], line["error"], line["accuracy"], line["log_energy"]) == ('a, "b"', "x, y", "", "")
    assert (float(line["energy"]), line["layout"], line["kind"], line["schema_version"]) == (
        0.0,
        "1-19-24",
        "given",
        "1",
    )
    assert int(line["weights"]) == FAMILY.weights((1, 19, 24)) and int(line["kernels"]) == FAMILY.kernels((1, 19, 24))


def test_planning_a_study_loads_no_torch():
    """Choosing, planning and storing work without torch; only running a trial loads it."""
    code = (
        "import sys, parlay.study, parlay.evidence, parlay.report\n"
        "print([name for name in ('torch', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


DAMAGE = [
    "DROP TABLE trials",
    "UPDATE trials SET config = '{bad'",
    "UPDATE trials SET status = 'lost'",
    "UPDATE trials SET config = replace(config, '\"seed\": 0', '\"seed\": 1')",
    "DROP TABLE data",
]


@pytest.mark.parametrize("statement", DAMAGE)
def test_a_damaged_study_is_met_with_a_line(statement: str, tmp_path: Path, trained: list[Layout]):
    """A file whose header is intact but whose contents are not says that it is damaged, and is left as it is."""
    with Store(tmp_path) as store:
        run_study(store, plan_for((8, 12, 33)), DATA)
    connection = sqlite3.connect(tmp_path / "study.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()

    def read():
        with Store(tmp_path) as store:
            store.sources()
            store.rows()

    with pytest.raises(StudyError, match="is damaged") as caught:
        read()
    assert "\n" not in str(caught.value)
    assert len(trained) == 1


@pytest.mark.parametrize("name", ["trials.csv", "scatter.png"])
def test_files_that_are_not_a_studys_are_not_overwritten(name: str, tmp_path: Path):
    """A folder that has such a file but no study is refused, and the file stays what it was."""
    (tmp_path / name).write_text("my own data")
    with pytest.raises(StudyError, match=f"{name} but no study.sqlite"):
        Store(tmp_path)
    assert (tmp_path / name).read_text() == "my own data"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_samples_are_drawn_for_studies():
    """sample:K draws K layouts uniformly, another seed others, all where there are no more."""
    drawn = select(["sample:5"], family=FAMILY, problem=PROBLEM).layouts
    assert len(drawn) == 5
    assert all(kinds == {Kind.SAMPLE} for kinds in drawn.values())
    assert set(drawn) == set(select(["sample:5@0"], family=FAMILY, problem=PROBLEM).layouts)
    assert set(drawn) != set(select(["sample:5@3"], family=FAMILY, problem=PROBLEM).layouts)
    assert len(select(["sample:500"], family=FAMILY, problem=PROBLEM).layouts) == len(list_layouts(PROBLEM))
    for bad in ("sample:0", "sample:", "sample:3@x", "sample:3@"):
        with pytest.raises(InputError, match="layouts"):
            select([bad], family=FAMILY, problem=PROBLEM)
