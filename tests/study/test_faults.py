"""Studies under fire: workers, drivers and nodes are killed at random, and nothing that ended is lost or changed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parlay.data import load
from parlay.study import DataSource, Reader, Store, make_executor, run_study
from study_checks import Results, results, small_plan

LAYOUTS = [(width, 14 - width) for width in range(2, 14)]
KILLS = 50
STEPS = 500
"""Long enough that 50 kills fit in: a few seconds a trial."""
LIMIT = 1200.0
"""Seconds after which a test gives up."""


def plan_study(folder: Path, *, steps: int, layouts: Any = LAYOUTS, seeds: tuple[int, ...] = (0, 1)) -> None:
    """Put a plan into a study, for drivers of their own to run."""
    digits = load("digits")
    plan = small_plan(digits, layouts, steps=steps, seeds=seeds)
    with Store(folder) as store:
        store.remember_source(digits.fingerprint, DataSource(name="digits", spec="digits"))
        store.add(plan, data_name="digits")


def undisturbed(folder: Path) -> Results:
    """What the study comes to when nothing happens to it."""
    digits = load("digits")
    with Store(folder) as store:
        run_study(store, None, lambda _: digits, executor=make_executor(threads=1))
    return results(folder)


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    command = [sys.executable, "-m", "parlay", "study", "run", str(folder), "--threads", "1", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def workers(driver: int) -> list[int]:
    """The trial processes of a driver."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == driver and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def complete(folder: Path) -> set[str]:
    """Identities of the trials that are done."""
    with Reader(folder) as reader:
        return reader.complete()


def checkpoints(folder: Path) -> set[tuple[str, int]]:
    """Every checkpoint and when it was written."""
    found = set()
    for path in folder.glob("running/*/*.checkpoint"):
        try:
            found.add((str(path), path.stat().st_mtime_ns))
        except OSError:
            continue
    return found


def moments(draw: random.Random, folder: Path) -> Iterator[None]:
    """Yields when to kill next: at any moment, the start of a process among them, or just after some progress."""
    for number in range(KILLS):
        if number % 2:
            time.sleep(draw.uniform(0.05, 1.0))
        else:
            before, deadline = checkpoints(folder), time.monotonic() + 30
            while not checkpoints(folder) - before and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(draw.uniform(0.0, 0.2))
        yield


@pytest.mark.slow
def test_fifty_kills_change_nothing(tmp_path: Path):
    """24 trials under 50 random kill -9 of workers and drivers: 24 rows, each equal to the undisturbed study's."""
    plan_study(tmp_path / "quiet", steps=STEPS)
    plan_study(tmp_path / "loud", steps=STEPS)
    expected = undisturbed(tmp_path / "quiet")
    draw = random.Random(20171023)
    folder = tmp_path / "loud"
    options = ("--workers", "2", "--checkpoint-seconds", "0.2")
    driver = start(folder, *options)
    done: set[str] = set()
    killed = {"worker": 0, "driver": 0}
    for _ in moments(draw, folder):
        assert driver.poll() is None, f"the study ended after {killed}: {driver.communicate()[0]}"
        found = workers(driver.pid)
        if found and draw.random() < 0.75:
            os.kill(draw.choice(found), signal.SIGKILL)
            killed["worker"] += 1
        else:
            driver.kill()
            driver.communicate()
            killed["driver"] += 1
            driver = start(folder, *options)
        now = complete(folder)
        assert now >= done, "a finished trial was lost"
        done = now
    out = driver.communicate(timeout=LIMIT)[0]
    assert driver.returncode == 0, out
    assert sum(killed.values()) == KILLS and min(killed.values()) > 3, killed
    found_results = results(folder)
    assert len(found_results) == 24 and {values[0] for values in found_results.values()} == {"complete"}
    assert found_results == expected
    with Reader(folder) as reader:
        assert {row.attempts for row in reader.rows()} == {1}
    assert not (folder / "running").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_lost_ray_node_changes_nothing(tmp_path: Path):
    """A cluster of two nodes on one machine loses one in the middle of trials: every row equals the undisturbed."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    layouts = LAYOUTS[:4]
    plan_study(tmp_path / "quiet", steps=3000, layouts=layouts, seeds=(0,))
    plan_study(tmp_path / "loud", steps=3000, layouts=layouts, seeds=(0,))
    expected = undisturbed(tmp_path / "quiet")
    folder = tmp_path / "loud"
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        driver = start(folder, "--ray", cluster.address, "--checkpoint-seconds", "0.5")
        deadline = time.monotonic() + 300
        while len({path for path, _ in checkpoints(folder)}) < 4 and time.monotonic() < deadline:
            assert driver.poll() is None, driver.communicate()[0]
            time.sleep(0.1)
        running = {path.parent for path in folder.glob("running/*/*.checkpoint")}
        cluster.remove_node(second, allow_graceful=False)
        assert len(running) == 2  # each node was in the middle of a trial
        out = driver.communicate(timeout=LIMIT)[0]
        assert driver.returncode == 0, out
    finally:
        cluster.shutdown()
    assert results(folder) == expected
