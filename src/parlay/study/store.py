"""Where finished trials are kept: one SQLite file a study, one writer, one transaction a trial.

The file is ``study.sqlite`` in the study's folder. Table ``trials`` has one row per trial that ended, table ``meta``
the family and the data the study is about. A process that is killed loses the trial it was training and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parlay.documents import SCHEMA_VERSION
from parlay.errors import StudyError
from parlay.families import Family, get_family
from parlay.study.plan import Kind, Planned, Trial, family_config
from parlay.train.recipe import Recipe

__all__ = ["COMPLETE", "FAILED", "Row", "Store"]

COMPLETE, FAILED = "complete", "failed"

APPLICATION_ID = 0x7061726C  # "parl"; SQLite's header field for telling whose file it is

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE trials (
    trial TEXT PRIMARY KEY, config TEXT NOT NULL, kinds TEXT NOT NULL, data TEXT NOT NULL, recipe TEXT NOT NULL,
    status TEXT NOT NULL, accuracy REAL, loss REAL, train_loss REAL, seconds REAL NOT NULL, threads INTEGER,
    finished TEXT NOT NULL, error TEXT
) STRICT;
"""

COLUMNS = "trial, config, kinds, data, recipe, status, accuracy, loss, train_loss, seconds, threads, finished, error"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A trial that ended.

    Attributes:
        trial: what was run.
        kinds: why it was chosen, over all calls.
        data_name: how the data is called (its content is part of the trial).
        status: ``complete`` or ``failed``.
        accuracy: share of the test images that the last step's network gets right, 0 to 1; None when it failed.
        loss: mean cross-entropy on the test images, in nats.
        train_loss: mean loss of the last tenth of the steps, in nats.
        seconds: wall-clock time.
        threads: CPU threads.
        finished: when, UTC, ISO 8601.
        error: what went wrong, in one line; None when nothing did.
    """

    trial: Trial
    kinds: frozenset[Kind]
    data_name: str
    status: str
    seconds: float
    finished: str
    accuracy: float | None = None
    loss: float | None = None
    train_loss: float | None = None
    threads: int | None = None
    error: str | None = None


class Store:
    """An open study; use it as a context manager.

    Args:
        folder: the study's folder, made where it is not there yet.
        family: the networks it is about.
        data: SHA-256 of the data it is about.
        data_name: how that data is called in messages.

    Raises:
        StudyError: when another process has it open, the file is not a study of parlay's or of a newer version, the
            study is about other networks or other data, or the folder cannot be used.
    """

    def __init__(self, folder: Path | str, *, family: Family, data: str, data_name: str) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "study.sqlite"
        others = [name for name in ("trials.csv", "scatter.png") if (self.folder / name).exists()]
        if others and not self.path.exists():
            raise StudyError(
                f"study {self.folder}: there is a {others[0]} but no study.sqlite, so it is not a study of"
                " parlay's and would lose that file; use another --study folder"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder / "study.lock")
        except OSError as error:
            raise StudyError(f"study {self.folder}: the folder cannot be used: {error.strerror or error}") from None
        try:
            self._connection = _connect(self.path)
            self._settle({"family": family_config(family), "data": data, "data_name": data_name})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file and of the lock."""
        if hasattr(self, "_connection"):
            self._connection.close()
        os.close(self._lock)

    def rows(self) -> list[Row]:
        """Every trial that ended, in the order in which the trials were first written."""
        with self._reading():
            found = self._connection.execute(f"SELECT {COLUMNS} FROM trials ORDER BY rowid")
            return [_row(values) for values in found]

    def complete(self) -> set[str]:
        """Identities of the trials that need not be run again."""
        with self._reading():
            found = self._connection.execute("SELECT trial FROM trials WHERE status = ?", (COMPLETE,))
            return {identity for (identity,) in found}

    def write(self, row: Row) -> None:
        """Keep a trial that ended, in one transaction; an earlier row of the same trial (a failed one) is replaced."""
        values = (
            row.trial.identity,
            json.dumps({**row.trial.config, "recipe_name": row.trial.recipe.name}, sort_keys=True),
            _join(row.kinds),
            row.data_name,
            row.trial.recipe.name,
            row.status,
            row.accuracy,
            row.loss,
            row.train_loss,
            row.seconds,
            row.threads,
            row.finished,
            row.error,
        )
        marks = ", ".join("?" for _ in values)
        with self._transaction():
            self._connection.execute(f"INSERT OR REPLACE INTO trials ({COLUMNS}) VALUES ({marks})", values)

    def remember_kinds(self, plan: Iterable[Planned]) -> dict[str, frozenset[Kind]]:
        """Add the plan's reasons to those of trials that ended earlier; returns all reasons of the plan's trials."""
        with self._reading():
            found = self._connection.execute("SELECT trial, kinds FROM trials")
            known = {identity: _split(kinds) for identity, kinds in found}
        union = {p.trial.identity: p.kinds | known.get(p.trial.identity, frozenset()) for p in plan}
        with self._transaction():
            self._connection.executemany(
                "UPDATE trials SET kinds = ? WHERE trial = ?",
                [(_join(kinds), identity) for identity, kinds in union.items() if known.get(identity, kinds) != kinds],
            )
        return union

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """A file that was changed by hand, or by another program, is met with one line."""
        try:
            yield
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"study {self.path} is damaged ({type(error).__name__}: {error}); restore it, or use another --study"
                " folder"
            ) from None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise StudyError(f"study {self.path} cannot be written: {error}") from None

    def _settle(self, question: dict[str, Any]) -> None:
        """Write down what the study is about, or make sure that it still is."""
        with self._reading():
            stored = {key: json.loads(value) for key, value in self._connection.execute("SELECT key, value FROM meta")}
            if stored:
                _ = [stored[key] for key in question]  # a study that lost one of them is damaged
        if not stored:
            with self._transaction():
                self._connection.executemany(
                    "INSERT INTO meta VALUES (?, ?)", [(key, json.dumps(value)) for key, value in question.items()]
                )
            return
        if stored["family"] != question["family"]:
            ours, theirs = _words(stored["family"]), _words(question["family"])
            raise StudyError(
                f"study {self.folder} is about {ours}; asked for: {theirs}; one study keeps to one family: use another"
                " --study folder"
            )
        if stored["data"] != question["data"]:
            raise StudyError(
                f"study {self.folder} is about the data {stored['data_name']} (sha256 {stored['data'][:12]}); asked"
                f" for: {question['data_name']} (sha256 {question['data'][:12]}); use another --study folder"
            )


def _lock(path: Path) -> int:
    """Take the study for this process; the system lets go of it however the process ends."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StudyError(
            f"study {path.parent} is in use by process {holder}; wait for it, or stop it: what it finished is kept"
        ) from None
    except BaseException:
        os.close(handle)
        raise
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file and see that it is a study of a version we know; make the tables where there are none."""
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.Error as error:
        raise StudyError(f"study {path} cannot be opened: {error}") from None
    try:
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not application:
            connection.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        elif application != APPLICATION_ID:
            raise StudyError(f"{path} is an SQLite file but not a study of parlay's; use another --study folder")
        elif version > SCHEMA_VERSION:
            raise StudyError(
                f"study {path} has schema version {version}, this parlay knows up to {SCHEMA_VERSION}; upgrade parlay"
            )
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StudyError(
            f"{path} is not a study of parlay's, or is damaged ({error}); use another --study folder"
        ) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _row(values: tuple[Any, ...]) -> Row:
    (_, text, kinds, data, recipe, status, accuracy, loss, train_loss, seconds, threads, finished, error) = values
    config = json.loads(text)
    family = dict(config["family"])
    factory = get_family(family.pop("name"))
    depth, sizes = family.pop("depth"), family.pop("kernel_sizes")
    trial = Trial(
        family=factory(depth, kernel_size=sizes, **family),
        layout=tuple(config["layout"]),
        data=config["data"],
        recipe=Recipe.from_numbers(recipe, config["steps"], config["recipe"]),
        steps=config["steps"],
        seed=config["seed"],
        validation=config["validation"],
        precision=config["precision"],
    )
    return Row(
        trial=trial,
        kinds=_split(kinds),
        data_name=data,
        status=status,
        accuracy=accuracy,
        loss=loss,
        train_loss=train_loss,
        seconds=seconds,
        threads=threads,
        finished=finished,
        error=error,
    )


def _join(kinds: Iterable[Kind]) -> str:
    return "+".join(kind for kind in Kind if kind in set(kinds))


def _split(text: str) -> frozenset[Kind]:
    return frozenset(Kind(part) for part in text.split("+") if part)


def _words(family: dict[str, Any]) -> str:
    kernels = "x".join(map(str, dict.fromkeys(family["kernel_sizes"])))
    return (
        f"{family['name']} networks of depth {family['depth']}, kernel size {kernels}, {family['in_channels']} input"
        f" channels, images of {family['image']} pixels, {family['classes']} classes"
    )
