"""One trial, run wherever an executor puts it; how it ended goes into a file, so that no driver's end loses it."""

from __future__ import annotations

import os
import platform
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parlay.documents import without_folders
from parlay.errors import InputError, StoppedError
from parlay.study.handles import opened
from parlay.study.plan import Trial
from parlay.study.row import COMPLETE, FAILED, MEASURED
from parlay.study.workspace import Beat, Workspace, stop_asked

if TYPE_CHECKING:
    from torch import nn

    from parlay.data import Dataset
    from parlay.train.checkpoint import Checkpoints
    from parlay.train.loop import History

__all__ = ["STOPPED", "Task", "now", "perform"]

STOPPED = "stopped"
BEAT_EVERY = 1.0
"""Seconds between two beats of a trial."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker is told.

    Attributes:
        trial: what to run.
        folder: the study's folder, on a path that driver and worker share.
        token: the driver's.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; found out where the trial runs.
        threads: CPU threads.
        checkpoint_seconds: seconds between checkpoints.
        keep_weights: whether the trained weights stay in the study's folder (``Workspace.weights``).
    """

    trial: Trial
    folder: Path
    token: str
    device: str = "auto"
    threads: int = 1
    checkpoint_seconds: float = 60.0
    keep_weights: bool = False


def perform(task: Task, handle: Any, step: Callable[[int, float], None] | None = None) -> str:
    """Run a trial and write how it ended into its folder.

    Args:
        task: which, and how.
        handle: stands for the data set (``Executor.share``), validation images set aside.
        step: told every step, where the driver is this process.

    Returns:
        ``complete``, ``failed`` or ``stopped``. It is this short because a process that is killed while it sends a long
        answer could leave half of it; everything else is in the file.

    Raises:
        InputError: when the result cannot be written.
    """
    trial, identity = task.trial, task.trial.identity
    workspace = Workspace(folder=task.folder)
    started, began = now(), time.perf_counter()
    try:
        data = opened(handle)
        report = _reporter(workspace, trial, step, batch=min(trial.recipe.batch, len(data.train_labels)))
        history = train_trial(task, data, report, stop_asked(workspace.session, task.token))
    except StoppedError:
        return STOPPED
    except Exception as error:  # one bad trial must not end a study of hundreds
        workspace.write_result(
            identity,
            {
                "status": FAILED,
                "error": described(error),
                "traceback": traceback.format_exc()[-20_000:],
                "keeps_checkpoints": _is_circumstance(error),
                "seconds": time.perf_counter() - began,
                "started": started,
                "finished": now(),
                **_here(),
            },
        )
        return FAILED
    workspace.write_result(
        identity,
        {
            "status": COMPLETE,
            **{name: getattr(history, name) for name in MEASURED},
            "losses": list(history.losses),
            "started": started,
            "finished": now(),
            **_here(),
        },
    )
    return COMPLETE


def train_trial(
    task: Task, data: Dataset, progress: Callable[[int, float], None], should_stop: Callable[[], bool]
) -> History:
    """Build a trial's network and train it, from its last checkpoint where there is one.

    Raises:
        InputError: when the network's input or classes are not those of the data, or memory does not suffice.
        StoppedError: when ``should_stop`` said so.
    """
    from parlay.train.checkpoint import Checkpoints
    from parlay.train.device import resolve_device, set_threads
    from parlay.train.loop import train

    trial, device = task.trial, resolve_device(task.device)
    check_fits(trial, data, device=device)
    workspace = Workspace(folder=task.folder)
    checkpoints: Checkpoints = Checkpoints(
        folder=workspace.trial(trial.identity), every_seconds=task.checkpoint_seconds
    )
    before = set_threads(task.threads)
    try:
        module = begun(trial, workspace)
        history = train(
            module,
            data,
            trial.recipe,
            seed=trial.seed,
            steps=trial.steps,
            precision=trial.precision,
            device=device,
            teacher=teacher_of(trial, workspace),
            checkpoints=checkpoints,
            run=trial.identity,
            progress=progress,
            should_stop=should_stop,
        )
    finally:
        set_threads(before)
    if task.keep_weights:  # before the result: a trial that counts as complete has its weights
        from parlay.train.weights import save_weights

        save_weights(workspace.weights(trial.identity), module, run=trial.identity)
    return history


def begun(trial: Trial, workspace: Workspace) -> nn.Module:
    """A trial's network before its first step: from its seed, or with the weights that it begins with.

    Raises:
        InputError: where these are missing or damaged.
    """
    module = trial.network.build(trial.layout, seed=trial.seed)
    return _started(module, trial.start, workspace).train() if trial.start else module


def teacher_of(trial: Trial, workspace: Workspace) -> nn.Module | None:
    """What a trial is distilled from; None without.

    Raises:
        InputError: as ``begun``, and for a network that has no widths of today.
    """
    if not trial.teacher:
        return None
    today = getattr(trial.network, "today", None)
    if today is None:
        raise InputError("teacher", given=trial.network.title, allowed="a model, which has widths of its own")
    return _started(trial.network.build(today, seed=0), trial.teacher, workspace)


def _started(module: nn.Module, sha256: str, workspace: Workspace) -> nn.Module:
    from parlay.train.weights import STARTS, load_weights, read_weights

    found = read_weights(workspace.start(sha256), run=STARTS)
    if found is None or found[1] != sha256:
        raise InputError(
            "weights to begin with",
            given=f"{workspace.start(sha256).name}, missing or damaged",
            allowed="the file that the study was planned with",
            remedy="restore it, or plan the study anew",
        )
    return load_weights(module, found[0])


def check_fits(trial: Trial, data: Dataset, *, device: str) -> int:
    """Refuse a network whose input or classes are not those of the data, or whose training the device cannot hold.

    Returns:
        The least number of bytes that the training takes.

    Raises:
        InputError: naming what differs, or what it takes.
    """
    from parlay.train.footprint import check_memory

    network = trial.network
    for what, ours, theirs in (
        ("in-channels", network.in_channels, data.in_channels),
        ("image side", network.image, data.image),
        ("classes", network.classes, data.classes),
    ):
        if ours != theirs:
            raise InputError(f"{what} of the network", given=ours, allowed=f"{theirs}, that of {data.name}")
    return check_memory(
        network,
        trial.layout,
        batch=min(trial.recipe.batch, len(data.train_labels)),
        recipe=trial.recipe,
        precision=trial.precision,
        device=device,
    )


def described(error: BaseException) -> str:
    """An error in one line, without the folders of this machine: the line stands in trials.csv and on pages.

    >>> described(OSError("no room in /mnt/me/runs/x.bin: 3/4 used"))
    'OSError: no room in x.bin: 3/4 used'
    """
    return f"{type(error).__name__}: {without_folders(' '.join(str(error).split()))}"[:500]


def _is_circumstance(error: Exception) -> bool:
    """Whether an error came from outside the training, so that its checkpoints are good to go on from."""
    return isinstance(error, OSError | MemoryError | InputError) or "out of memory" in str(error)


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _reporter(
    workspace: Workspace, trial: Trial, step: Callable[[int, float], None] | None, *, batch: int
) -> Callable[[int, float], None]:
    """What is called after every step: writes a beat now and then."""
    first: tuple[int, float] | None = None
    last = 0.0
    host, pid = socket.gethostname(), os.getpid()

    def report(done: int, loss: float) -> None:
        nonlocal first, last
        instant = time.monotonic()
        if step is not None:
            step(done, loss)
        if first is None:
            first = (done, instant)  # the first step warms up, and is not counted
        elif instant - last >= BEAT_EVERY:
            last = instant
            speed = (done - first[0]) * batch / max(instant - first[1], 1e-9)
            beat = Beat(
                step=done,
                steps=trial.steps,
                loss=loss,
                images_per_second=speed,
                time=time.time(),
                host=host,
                pid=pid,
            )
            workspace.write_beat(trial.identity, beat)

    return report


def _here() -> dict[str, Any]:
    """Which process of which machine this is, and what it runs."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "versions": _versions()}


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "cpu": _cpu(), "system": platform.platform()}
    for package in ("parlay", "torch"):
        try:
            found[package] = version(package)
        except ModuleNotFoundError:
            found[package] = "unknown"
    return found


def _cpu() -> str:
    """The CPU's model, which decides the bits of a result as much as torch's version does."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
