"""Files of trials that are being run, by which driver and workers talk on whatever file system they share.

::

    running/
    ├── session           which driver is in charge, and whether it asked everybody to stop
    ├── data/             data sets that workers map
    └── 1a2b3c.../        one trial: its checkpoints, beat.json (how far it is) and result.json (how it ended)

A trial's folder goes when its row is written; the whole folder goes when a driver ends and nothing is half done.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parlay.documents import write_atomically
from parlay.errors import InputError

__all__ = ["Beat", "Workspace", "stop_asked"]

BEAT, RESULT = "beat.json", "result.json"
ASK_EVERY = 0.25
"""Seconds between looks at whether a trial should stop."""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """How far a running trial is.

    Attributes:
        step, steps: done, and in all.
        loss: of the last step, in nats.
        images_per_second: of training, since this process began it.
        time: when this was so, in seconds since 1970.
        host, pid: which process of which machine.
    """

    step: int
    steps: int
    loss: float
    images_per_second: float
    time: float
    host: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folder ``running`` of a study.

    Attributes:
        folder: the study's folder.
    """

    folder: Path

    @property
    def root(self) -> Path:
        """Where everything is."""
        return self.folder / "running"

    @property
    def data(self) -> Path:
        """Where data sets are that workers map."""
        return self.root / "data"

    @property
    def session(self) -> Path:
        """The file that says who is in charge."""
        return self.root / "session"

    def trial(self, identity: str) -> Path:
        """A trial's folder."""
        return self.root / identity[:24]

    def weights(self, identity: str) -> Path:
        """Where a trial's trained weights stay, also when the trial's own folder is gone."""
        return self.folder / "weights" / f"{identity[:24]}.safetensors"

    def start(self, sha256: str) -> Path:
        """Where weights lie that trainings begin with, or are distilled from."""
        return self.folder / "starts" / f"{sha256[:24]}.safetensors"

    def begin(self, token: str) -> None:
        """Put a driver in charge; trials that an earlier one left running stop.

        Raises:
            InputError: when the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                "running trials", given=str(self.root), allowed="a folder that can be made", remedy=str(error)
            ) from None
        write_atomically(self.session, f"{token} run")

    def ask_to_stop(self, token: str) -> None:
        """Ask every running trial to save a checkpoint and stop.

        Where even this cannot be written (a full disk), the file is removed, which says the same.
        """
        try:
            self.session.write_text(f"{token} stop")
        except OSError:
            with contextlib.suppress(OSError):
                self.session.unlink()

    def end(self) -> None:
        """Nobody is in charge; what is of no more use goes."""
        with contextlib.suppress(OSError):
            self.session.unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: a trial is half done
            self.root.rmdir()

    def beat(self, identity: str) -> Beat | None:
        """How far a trial is, if that is known."""
        try:
            return Beat(**json.loads((self.trial(identity) / BEAT).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write_beat(self, identity: str, beat: Beat) -> None:
        """Say how far a trial is; a disk without room is no reason to stop training."""
        folder = self.trial(identity)
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{BEAT}.{os.getpid()}"
            temporary.write_text(json.dumps(asdict(beat)))
            temporary.replace(folder / BEAT)

    def result(self, identity: str, *, patience: float = 0.0) -> dict[str, Any] | None:
        """How a trial ended, if its file is there and whole.

        Args:
            identity: the trial's.
            patience: seconds to wait for it: on a network's file system it may be seen late.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                found = json.loads((self.trial(identity) / RESULT).read_bytes())
                if isinstance(found, dict) and found.get("trial") == identity:
                    return found
            except (OSError, ValueError):
                pass
            if time.monotonic() >= deadline:
                return None
            time.sleep(0.1)

    def write_result(self, identity: str, result: dict[str, Any]) -> None:
        """Keep how a trial ended until the driver has written its row: a driver that is killed before loses nothing.

        Raises:
            InputError: when it cannot be written.
        """
        folder = self.trial(identity)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / RESULT, json.dumps({"trial": identity, **result}))

    def forget_result(self, identity: str) -> None:
        """Remove how a trial ended, but not its checkpoints."""
        with contextlib.suppress(OSError):
            (self.trial(identity) / RESULT).unlink(missing_ok=True)

    def clear(self, identity: str) -> None:
        """Remove a trial's folder."""
        shutil.rmtree(self.trial(identity), ignore_errors=True)


def stop_asked(session: Path, token: str) -> Callable[[], bool]:
    """A function that says whether a trial should stop: its driver asked, or another took over, or is gone.

    Asked often, it looks at the file four times a second.
    """
    last = 0.0
    stopping = False

    def should_stop() -> bool:
        nonlocal last, stopping
        now = time.monotonic()
        if not stopping and now - last >= ASK_EVERY:
            last = now
            try:
                stopping = session.read_text() != f"{token} run"
            except FileNotFoundError:
                stopping = True
            except OSError:  # a file system that is away for a moment is no order
                stopping = False
        return stopping

    return should_stop
