"""Checkpoints of a training: two generations on disk, each whole or not there, each with its checksum.

A file is one line that says what it is and the SHA-256 of the rest, then safetensors: numbers and text, nothing that
could run when it is read. The newest file that is intact counts; a damaged one is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parlay.documents import write_atomically
from parlay.errors import InputError
from parlay.extras import Needs

with Needs("checkpoints", extra="train"):
    from safetensors import SafetensorError
    from safetensors.torch import load, save
    from torch import Tensor

__all__ = ["Checkpoints", "Snapshot"]

KEPT = 2
HEADER = re.compile(rb"parlay checkpoint 1 sha256 ([0-9a-f]{64})\n")
LENGTH = len("parlay checkpoint 1 sha256 \n") + 64


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A training between two steps.

    Attributes:
        step: steps done.
        tensors: everything that the steps to come depend on, and what the steps done have left.
        run: what is trained and how, as one line; a run never resumes from a snapshot of another.
    """

    step: int
    tensors: Mapping[str, Tensor]
    run: str


@dataclass(kw_only=True)
class Checkpoints:
    """Where one training keeps its snapshots, and how often.

    Attributes:
        folder: a folder of this training's own, made when the first snapshot is written.
        every_seconds: seconds between snapshots.
        every_steps: steps between snapshots, instead of seconds.
    """

    folder: Path
    every_seconds: float = 60.0
    every_steps: int | None = None
    _last: float = field(default_factory=time.monotonic, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.every_seconds > 0:
            raise InputError("checkpoint seconds", given=self.every_seconds, allowed="a number above 0")
        if self.every_steps is not None and (type(self.every_steps) is not int or self.every_steps < 1):
            raise InputError("checkpoint steps", given=self.every_steps, allowed="an integer of at least 1")

    def is_due(self, step: int) -> bool:
        """Whether a snapshot should be written after ``step`` steps."""
        if self.every_steps is not None:
            return step % self.every_steps == 0
        return time.monotonic() - self._last >= self.every_seconds

    def write(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; the one before stays, older ones go.

        Files of later steps go as well: had they been whole and of this run, it would have gone on from them.

        Raises:
            InputError: when it cannot be written (folder, rights, a full disk).
        """
        content = save(dict(snapshot.tensors), metadata={"step": str(snapshot.step), "run": snapshot.run})
        head = b"parlay checkpoint 1 sha256 %s\n" % hashlib.sha256(content).hexdigest().encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                "checkpoint folder", given=str(self.folder), allowed="a folder that can be made", remedy=str(error)
            ) from None
        written = self.folder / f"step-{snapshot.step:010d}.checkpoint"
        write_atomically(written, head + content)
        files = self._files()
        later = [path for path in files if path.name > written.name]
        for old in (*later, *files[len(later) + KEPT :]):
            old.unlink(missing_ok=True)
        self._last = time.monotonic()

    def read(self, run: str) -> Snapshot | None:
        """The newest intact snapshot of this run, or None; damaged files and those of other runs are passed over."""
        for path in self._files():
            snapshot = _read(path)
            if snapshot is not None and snapshot.run == run:
                return snapshot
        return None

    def clear(self) -> None:
        """Remove the snapshots, and the folder when nothing else is in it."""
        for path in self._files():
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        """Snapshots, newest first."""
        return sorted(self.folder.glob("step-*.checkpoint"), reverse=True)


def _read(path: Path) -> Snapshot | None:
    """A snapshot, or None where the file is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    head = HEADER.fullmatch(content[:LENGTH])
    body = content[LENGTH:]
    if head is None or hashlib.sha256(body).hexdigest().encode() != head[1]:
        return None
    try:
        tensors = load(body)
        facts = _metadata(body)
        return Snapshot(step=int(facts["step"]), tensors=tensors, run=facts["run"])
    except (SafetensorError, KeyError, ValueError):
        return None


def _metadata(body: bytes) -> dict[str, str]:
    """The text that safetensors keeps beside the tensors; its reader of bytes does not return it."""
    import json

    size = int.from_bytes(body[:8], "little")
    return json.loads(body[8 : 8 + size])["__metadata__"]
