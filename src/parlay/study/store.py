"""Where trials are kept: one SQLite file a study, one writer, one transaction a change.

The file is ``study.sqlite`` in the study's folder. Table ``trials`` has one row per trial from the moment it is
planned, table ``data`` where the data sets come from. Any number of processes may read (``Reader``) while one writes
(``Store``).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parlay.errors import StudyError
from parlay.study.plan import Kind, Planned
from parlay.study.row import COMPLETE, KEPT, NEEDED, PLANNED, RUNNING, Row, join_kinds, pack, split_kinds, unpack
from parlay.study.schema import FILE, columns, connect, connect_for_reading
from parlay.study.trial_network import ModelNetwork, changed_models, network_from
from parlay.study.trials_csv import TABLE

__all__ = ["Added", "DataSource", "Reader", "Store"]

FIELDS = (*NEEDED, *(item.name for item in KEPT))
COLUMNS = ", ".join(FIELDS)
LOCK = "study.lock"
LOCK_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where a data set of a study comes from.

    Attributes:
        name: how tables call it.
        spec: what ``parlay.data.load`` takes; None for data that only the calling program has.
        folder: where its downloads are kept.
    """

    name: str
    spec: str | None = None
    folder: str | None = None


@dataclass(frozen=True, kw_only=True)
class Added:
    """What planning changed.

    Attributes:
        new: trials that the study had not.
        known: trials of the plan that it had.
    """

    new: int
    known: int


class Reader:
    """A study open for reading, also while another process writes to it; use it as a context manager.

    Raises:
        StudyError: when there is no study, or the file is damaged or of another version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        return connect_for_reading(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def rows(self) -> list[Row]:
        """Every trial, in the order in which they were planned."""
        with self._reading():
            names = columns(self._connection)
            found = self._connection.execute(f"SELECT {', '.join(names)} FROM trials ORDER BY place")
            return [Row.read(dict(zip(names, values, strict=True))) for values in found]

    def curves(self) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Identity and loss of every step, in nats, of each complete trial; one at a time, since they may be long."""
        with self._reading():
            found = self._connection.execute("SELECT trial, losses FROM trials WHERE losses NOT NULL ORDER BY place")
            for identity, blob in found:
                yield identity, unpack(blob)

    def changed_models(self) -> tuple[str, ...]:
        """What should be known of the study's models: a sentence on each whose code is another than trials had."""
        return changed_models(row.trial.network for row in self.rows())

    def complete(self) -> set[str]:
        """Identities of the trials that need not be run again."""
        with self._reading():
            found = self._connection.execute("SELECT trial FROM trials WHERE status = ?", (COMPLETE,))
            return {identity for (identity,) in found}

    def sources(self) -> dict[str, DataSource]:
        """SHA-256 of a data set -> where it comes from."""
        with self._reading():
            found = self._connection.execute("SELECT sha256, name, spec, folder FROM data")
            return {sha: DataSource(name=name, spec=spec, folder=folder) for sha, name, spec, folder in found}

    def driver(self) -> int | None:
        """Process that is working on the study now; None when there is none."""
        try:
            handle = os.open(self.folder / LOCK, os.O_RDONLY)  # enough to ask, also where nothing can be written
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).strip()
            return int(holder) if holder.isdigit() else 0
        finally:
            os.close(handle)
        return None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """A file that was changed by hand, or by another program, is met with one line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "no such" not in str(error):
                raise StudyError(f"study {self.path} cannot be read: {error}") from None
            raise self._damaged(error) from None
        except (sqlite3.Error, zlib.error, ValueError, KeyError, TypeError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> StudyError:
        return StudyError(
            f"study {self.path} is damaged ({type(error).__name__}: {error}); restore it, or use another folder"
        )


class Store(Reader):
    """A study open for writing, by this process alone.

    Args:
        folder: the study's folder, made where it is not there yet.

    Raises:
        StudyError: when another process has it open, the file is not a study of parlay's or of another version, or the
            folder cannot be used.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.path = self.folder / FILE
        others = [name for name in (TABLE, "scatter.png") if (self.folder / name).exists()]
        if others and not self.path.exists():
            raise StudyError(
                f"study {self.folder}: there is a {others[0]} but no {FILE}, so it is not a study of"
                " parlay's and would lose that file; use another folder"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder / LOCK)
        except OSError as error:
            raise StudyError(f"study {self.folder}: the folder cannot be used: {error.strerror or error}") from None
        try:
            self._connection = self._connect()
        except BaseException:
            os.close(self._lock)
            raise

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path)

    def close(self) -> None:
        """Let go of the file and of the lock."""
        super().close()
        os.close(self._lock)

    def remember_source(self, fingerprint: str, source: DataSource) -> None:
        """Keep where a data set comes from; what is known already gives way."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO data VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name,"
                " spec = coalesce(excluded.spec, spec), folder = coalesce(excluded.folder, folder)",
                (fingerprint, source.name, source.spec, source.folder),
            )

    def add(self, plan: Sequence[Planned], *, data_name: str) -> Added:
        """Add the trials that are not there, as planned; those that are there get the plan's reasons besides, and the
        plan's place of a model's file.

        All of it or nothing.
        """
        with self._reading():
            found = list(self._connection.execute("SELECT trial, kinds, config FROM trials"))
            known = {identity: split_kinds(kinds) for identity, kinds, _ in found}
            networks = [planned.trial.network for planned in plan]
            folders = {json.dumps(one.config): one.folder for one in networks if isinstance(one, ModelNetwork)}
            moved = [
                (folders[key], identity)
                for identity, _, config in (found if folders else ())
                if (key := json.dumps(network_from(json.loads(config)["network"]).config)) in folders
            ]
        kinds: dict[str, frozenset[Kind]] = {}
        new: dict[str, Row] = {}
        for planned in plan:
            identity = planned.trial.identity
            kinds[identity] = planned.kinds | kinds.get(identity, known.get(identity, frozenset()))
            if identity not in known:
                new.setdefault(
                    identity,
                    Row(
                        trial=planned.trial,
                        kinds=planned.kinds,
                        data_name=data_name,
                        counted=planned.counted,
                        score=planned.score,
                    ),
                )
        with self._transaction():
            marks = ", ".join(f":{name}" for name in FIELDS)
            self._connection.executemany(
                f"INSERT INTO trials ({COLUMNS}) VALUES ({marks})", [row.values() for row in new.values()]
            )
            self._connection.executemany(
                "UPDATE trials SET kinds = ? WHERE trial = ?",
                [(join_kinds(union), identity) for identity, union in kinds.items() if known.get(identity) != union],
            )
            self._connection.executemany(
                "UPDATE trials SET score = coalesce(score, ?) WHERE trial = ?",
                [(one.score, one.trial.identity) for one in plan if one.score is not None],
            )
            self._connection.executemany("UPDATE trials SET model_folder = ? WHERE trial = ?", moved)
        return Added(new=len(new), known=len(kinds) - len(new))

    def recover(self) -> None:
        """What a driver that was killed left as running is planned again."""
        with self._transaction():
            self._connection.execute("UPDATE trials SET status = ? WHERE status = ?", (PLANNED, RUNNING))

    def mark(self, identities: Iterable[str], status: str, *, started: str | None = None) -> None:
        """Set the status of trials, and when they were begun."""
        with self._transaction():
            self._connection.executemany(
                "UPDATE trials SET status = ?, started = coalesce(?, started) WHERE trial = ?",
                [(status, started, identity) for identity in identities],
            )

    def write(self, row: Row, losses: Sequence[float] | None = None) -> None:
        """Keep a trial that ended, in one transaction; its place in the order and its reasons stay.

        Args:
            row: the trial.
            losses: of every step; its learning curve.
        """
        names = [name for name in FIELDS if name not in ("trial", "kinds")]
        assignments = ", ".join(f"{name} = excluded.{name}" for name in (*names, "losses"))
        marks = ", ".join(f":{name}" for name in (*FIELDS, "losses"))
        values: dict[str, Any] = {**row.values(), "losses": None if losses is None else pack(losses)}
        with self._transaction():
            self._connection.execute(
                f"INSERT INTO trials ({COLUMNS}, losses) VALUES ({marks}) ON CONFLICT (trial) DO UPDATE SET"
                f" {assignments}",
                values,
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.OperationalError as error:
            if "no such" in str(error):
                raise self._damaged(error) from None
            raise StudyError(f"study {self.path} cannot be written: {error}; what it holds is whole") from None
        except sqlite3.Error as error:
            raise StudyError(f"study {self.path} cannot be written: {error}; what it holds is whole") from None


def _lock(path: Path) -> int:
    """Take the study for this process; the system lets go of it however the process ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for attempt in range(LOCK_TRIES):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # for an instant it may be held by someone who looks whether it is held
                if attempt == LOCK_TRIES - 1:
                    raise
                time.sleep(0.02)
    except BlockingIOError:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StudyError(
            f"study {path.parent} is in use by process {holder}; wait for it, or stop it: what it finished is kept"
        ) from None
    except BaseException:
        os.close(handle)
        raise
    with contextlib.suppress(OSError):  # the lock counts; a full disk may leave no room for the number
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
    return handle
