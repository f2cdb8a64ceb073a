"""Where trials run makes no difference to what comes of them; processes that die are replaced."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from hang import HANG
from parlay.data import Dataset, load
from parlay.errors import InputError, WorkerLostError
from parlay.study import Planned, Settings, Store, Watcher, make_executor, run_study
from parlay.study import workspace as workspace_module
from parlay.study.executors import processes
from parlay.study.executors.processes import ProcessExecutor
from parlay.study.handles import SharedArrays, SharedFile, opened
from parlay.study.workspace import Workspace
from study_checks import Results, results, small_plan


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The embedded data."""
    return load("digits")


def plan_for(data: Dataset) -> list[Planned]:
    """Three small networks."""
    return small_plan(data, ((4, 6), (5, 5), (3, 8)), steps=12)


@pytest.fixture(scope="module")
def undisturbed(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the plan comes to, one trial after another in this process, with one thread."""
    folder = tmp_path_factory.mktemp("serial")
    with Store(folder) as store:
        outcome = run_study(store, plan_for(digits), digits, executor=make_executor(threads=1))
    assert (outcome.trained, outcome.failed) == (3, 0)
    assert not (folder / "running").exists()
    return results(folder)


def test_processes_and_order_change_nothing(digits: Dataset, undisturbed: Results, tmp_path: Path):
    """Two worker processes, and the plan backwards, give the same bits: accuracies, losses, learning curves."""
    executor = make_executor(workers=2, threads=1)
    try:
        with Store(tmp_path) as store:
            outcome = run_study(store, plan_for(digits)[::-1], digits, executor=executor)
            pids = {row.pid for row in store.rows()}
    finally:
        executor.shutdown()
    assert outcome.trained == 3
    assert os.getpid() not in pids
    found = results(tmp_path)
    assert list(found) == list(undisturbed)[::-1]
    assert found == undisturbed
    assert all(len(values[-1]) == 12 and values[3] is not None for values in found.values())


def test_ctrl_c_at_any_step_and_going_on_change_nothing(
    digits: Dataset, undisturbed: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Interrupted at random steps, again and again, the study comes to the same bits; nothing is left lying about."""
    monkeypatch.setattr(workspace_module, "ASK_EVERY", 0.0)
    draw = random.Random(3)
    interrupts = 0

    class Interrupting(Watcher):
        def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
            if draw.random() < 0.15:
                os.kill(os.getpid(), signal.SIGINT)

    for _ in range(40):
        with Store(tmp_path) as store:
            try:
                run_study(store, plan_for(digits), digits, executor=make_executor(threads=1), watcher=Interrupting())
                break
            except KeyboardInterrupt:
                interrupts += 1
                assert {row.status for row in store.rows()} <= {"planned", "complete"}
    assert interrupts > 2
    assert results(tmp_path) == undisturbed
    assert not (tmp_path / "running").exists()


def test_a_damaged_checkpoint_is_passed_over(
    digits: Dataset, undisturbed: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Going on from a checkpoint that was damaged takes the one before, or begins anew, and comes to the same bits."""
    monkeypatch.setattr(workspace_module, "ASK_EVERY", 0.0)

    class Stop(Watcher):
        def beat(self, identity: str, step: int, loss: float, images_per_second: float | None) -> None:
            if step == 7:
                os.kill(os.getpid(), signal.SIGINT)

    with Store(tmp_path) as store, pytest.raises(KeyboardInterrupt):
        run_study(store, plan_for(digits), digits, executor=make_executor(threads=1), watcher=Stop())
    files = list((tmp_path / "running").rglob("*.checkpoint"))
    assert len(files) == 1
    files[0].write_bytes(files[0].read_bytes()[:-100] + bytes(100))
    with Store(tmp_path) as store:
        run_study(store, plan_for(digits), digits, executor=make_executor(threads=1))
    assert results(tmp_path) == undisturbed


def test_a_result_that_no_driver_wrote_down_is_kept(digits: Dataset, undisturbed: Results, tmp_path: Path):
    """A trial that ended just before its driver was killed is not trained again: its result is read from its file."""
    plan = plan_for(digits)
    with Store(tmp_path) as store:
        run_study(store, plan, digits, executor=make_executor(threads=1))
        [row] = [row for row in store.rows() if row.trial.identity == plan[0].trial.identity]
        curve = dict(store.curves())[row.trial.identity]
        values = {name: getattr(row, name) for name in ("accuracy", "loss", "train_loss", "seconds", "threads")}
        held = {name: getattr(row, name) for name in ("validation_accuracy", "validation_loss", "versions")}
        Workspace(folder=tmp_path).write_result(
            row.trial.identity, {"status": "complete", "losses": list(curve), **values, **held}
        )
        store.mark([row.trial.identity], "running")
        outcome = run_study(store, plan, digits, executor=make_executor(threads=1))
    assert (outcome.reused, outcome.trained) == (3, 0)
    assert results(tmp_path) == undisturbed


def test_shared_data_is_the_same_data(digits: Dataset, tmp_path: Path):
    """A mapped file and arrays of an object store hold the images, labels, moments and name of the data."""
    for handle in (SharedFile.write(digits, tmp_path), SharedArrays.of(digits), digits):
        data = opened(handle)
        assert (data.name, data.fingerprint, data.classes, data.flips) == ("digits", digits.fingerprint, 10, False)
        assert bool((data.train_images == digits.train_images).all()) and data.train_labels.equal(digits.train_labels)
        assert all(ours.equal(theirs) for ours, theirs in zip(data.moments, digits.moments, strict=True))


def crash_until(path: str, times: int) -> int:
    """End the process the hard way, as often as asked; then return how often it was called."""
    count = int(Path(path).read_text() or 0) + 1
    Path(path).write_text(str(count))
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


def test_killed_workers_are_replaced_and_their_calls_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A call survives kills of its process; one that is killed every time fails alone; errors are passed on."""
    monkeypatch.setattr(processes, "MOST_CRASHES", 2)
    for name in ("some", "all"):
        (tmp_path / name).write_text("0")
    with ProcessExecutor(2, threads=1) as executor:
        futures: list[Future[Any]] = [
            executor.submit(crash_until, str(tmp_path / "some"), 2),
            executor.submit(crash_until, str(tmp_path / "all"), 99),
            executor.submit(divmod, 7, 0),
            executor.submit(divmod, 7, 2),
        ]
        assert futures[0].result(timeout=HANG) == 3
        with pytest.raises(WorkerLostError, match="ended 3 times without a result"):
            futures[1].result(timeout=HANG)
        with pytest.raises(ZeroDivisionError):
            futures[2].result(timeout=HANG)
        assert futures[3].result(timeout=HANG) == (3, 1)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(divmod, 7, 2)


def is_running(pid: int) -> bool:
    """Whether a process is there and not just waiting to be noticed as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_end_with_their_driver(tmp_path: Path):
    """kill -9 of the driver ends its workers within moments, in the middle of a call."""
    script = textwrap.dedent("""
        import os, sys, time
        from parlay.study.executors.processes import ProcessExecutor
        if __name__ == "__main__":
            executor = ProcessExecutor(1)
            print(executor.submit(os.getpid).result(), flush=True)
            executor.submit(time.sleep, 600)
            time.sleep(600)
    """)
    (tmp_path / "driver.py").write_text(script)
    with subprocess.Popen([sys.executable, str(tmp_path / "driver.py")], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        worker = int(driver.stdout.readline())
        assert is_running(worker)
        driver.kill()
        driver.wait(timeout=HANG)
    deadline = time.monotonic() + HANG
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(worker)


def test_killing_an_executor_ends_what_runs():
    """kill() does not wait for a long call."""
    executor = ProcessExecutor(1)
    worker = executor.submit(os.getpid).result(timeout=HANG)
    future = executor.submit(time.sleep, 600)
    started = time.monotonic()
    executor.kill()
    assert time.monotonic() - started < 30
    assert isinstance(future.exception(timeout=HANG), WorkerLostError)
    assert not is_running(worker)


def test_executors_refuse_what_cannot_be():
    """Numbers out of range, and two executors at once, are one line each."""
    for options, message in (
        ({"workers": 0}, "workers: got 0"),
        ({"workers": 2, "ray": "auto"}, "one of the two"),
        ({"threads": 0}, "threads: got 0"),
        ({"ray": "auto", "ray_gpus": 1.5}, "ray-gpus: got 1.5"),
    ):
        with pytest.raises(InputError, match=message):
            make_executor(**options)
    for changes in ({"retries": -1}, {"checkpoint_seconds": 0}):
        with pytest.raises(InputError, match="allowed"):
            Settings(**changes)


@pytest.mark.parametrize(("asked", "threads"), [(None, 1), (3, 3)])
def test_a_trial_has_one_thread_unless_told_otherwise(asked: int | None, threads: int):
    """In this process and in several, however many cores there are."""
    for workers in (None, 2):
        executor = make_executor(workers=workers, threads=asked)
        assert executor.threads == threads
        executor.shutdown()
