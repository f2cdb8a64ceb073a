"""The file of a study: its tables, how it is opened, and what is told when it is not what it should be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from parlay.errors import StudyError
from parlay.study.row import KEPT, NEEDED

__all__ = ["FILE", "STUDY_VERSION", "columns", "connect", "connect_for_reading", "has_study"]

FILE = "study.sqlite"
STUDY_VERSION = 2
"""Version of the tables; 1 kept trials that had ended, of one family and one data set."""

APPLICATION_ID = 0x7061726C  # "parl"; SQLite's header field for telling whose file it is
PATIENCE = 30.0
"""Seconds to wait for another process that is reading or writing at the moment."""

SCHEMA = f"""
CREATE TABLE data (sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, spec TEXT, folder TEXT) STRICT;
CREATE TABLE trials (
    place INTEGER PRIMARY KEY,
    {", ".join(f"{name} TEXT NOT NULL{' UNIQUE' if name == 'trial' else ''}" for name in NEEDED)},
    {", ".join(item.sql for item in KEPT)}, losses BLOB
) STRICT;
"""


def has_study(folder: Path) -> bool:
    """Whether a folder holds a study, of whatever version."""
    return (folder / FILE).exists()


def connect(path: Path) -> sqlite3.Connection:
    """Open a study to write to; make the tables where there are none, and columns that came later.

    Raises:
        StudyError: when the file is not a study of parlay's, is damaged, or of another version.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)
    except sqlite3.Error as error:
        raise StudyError(f"study {path} cannot be opened: {error}") from None
    try:
        if _is_new(connection, path):
            connection.executescript(
                f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {STUDY_VERSION}; COMMIT;"
            )
        else:
            _widen(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        raise StudyError(f"study {path} cannot be used: {error}") from None
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _stranger(path, error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open a study that another process may be writing to; nothing can be written through it.

    Raises:
        StudyError: when there is none, or as ``connect``.
    """
    if not path.is_file():
        raise StudyError(f"there is no study in {path.parent}; 'parlay study new' makes one")
    # Not mode=ro: a journal that a killed driver left has to be rolled back first, which only SQLite itself may do.
    for mode in ("rw", "ro"):
        try:
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=PATIENCE
            )
        except sqlite3.Error as error:
            raise StudyError(f"study {path} cannot be opened: {error}") from None
        try:
            connection.execute("PRAGMA query_only = ON")
            if _is_new(connection, path):
                raise StudyError(f"study {path} is empty; 'parlay study new' fills it")
        except sqlite3.OperationalError as error:
            connection.close()
            if mode == "ro":
                raise StudyError(f"study {path} cannot be read: {error}") from None
            continue
        except sqlite3.DatabaseError as error:
            connection.close()
            raise _stranger(path, error) from None
        except BaseException:
            connection.close()
            raise
        return connection
    raise AssertionError


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has no tables yet; complains when it has tables of something else."""
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables and not application:
        return True
    if application != APPLICATION_ID:
        raise StudyError(f"{path} is an SQLite file but not a study of parlay's; use another folder")
    if version > STUDY_VERSION:
        raise StudyError(
            f"study {path} has schema version {version}, this parlay knows up to {STUDY_VERSION}; upgrade parlay"
        )
    if version < STUDY_VERSION:
        raise StudyError(
            f"study {path} has schema version {version}, whose trials were trained by other code; its trials.csv stays"
            " readable; use another folder for new trials"
        )
    return False


def columns(connection: sqlite3.Connection) -> list[str]:
    """Columns of the trials that a row is made of; what is optional is not there in a file of an earlier parlay."""
    there = _columns_there(connection)
    return [*NEEDED, *(item.name for item in KEPT if item.name in there or not item.is_optional)]


def _columns_there(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('trials')")}


def _widen(connection: sqlite3.Connection) -> None:
    """Add the columns that an earlier parlay did not know; a file without the table is told as damaged when read."""
    there = _columns_there(connection)
    for item in KEPT:
        if there and item.is_optional and item.name not in there:
            connection.execute(f"ALTER TABLE trials ADD COLUMN {item.sql}")


def _stranger(path: Path, error: sqlite3.Error) -> StudyError:
    return StudyError(f"{path} is not a study of parlay's, or is damaged ({error}); use another folder")
