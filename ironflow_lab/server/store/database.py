"""Opening the database file: settings that decide what survives a power cut, and migrations."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from ironflow_lab.errors import ServerStartError
from ironflow_lab.server.store import queries

LOWEST = (3, 40, 0)
FILE = "ironflow.db"


def open_writer(folder: Path) -> sqlite3.Connection:
    """Return the only connection that writes, migrated to the newest schema.

    Raises `ServerStartError` for a too old SQLite, a file of a newer version, or one that is not a
    database.
    """
    if sqlite3.sqlite_version_info < LOWEST:
        wanted = ".".join(map(str, LOWEST))
        raise ServerStartError(
            f"this Python's SQLite is {sqlite3.sqlite_version}; the embedded server needs {wanted} or newer"
        )
    connection = None
    try:
        _keep_private(folder / FILE)
        connection = sqlite3.connect(
            folder / FILE, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        version = _recognise(connection)
        _settle(connection)
        _migrate(connection, version)
    except (OSError, sqlite3.Error, ServerStartError) as error:
        if connection is not None:
            connection.close()
        raise ServerStartError(
            f"{folder / FILE} cannot be used: {error}; move it away or choose another --data-dir"
        ) from None
    return connection


def open_memory() -> sqlite3.Connection:
    """Return a connection to an empty database of the newest schema that is gone when it is closed."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=512)
    # A copy of one that was made before costs a hundredth of the migrations.
    _blank().backup(connection)
    return connection


def open_reader(folder: Path) -> sqlite3.Connection:
    """Return a connection that can only read committed rows."""
    connection = sqlite3.connect(
        f"{(folder / FILE).resolve().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA query_only = 1")
    return connection


def _keep_private(path: Path) -> None:
    """Let only the owner read the file and what SQLite puts beside it, which takes the file's permissions."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    for place in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if place.exists() and place.stat().st_mode & 0o077:
            place.chmod(0o600)


def _recognise(connection: sqlite3.Connection) -> int:
    """Return the schema version, 0 for a new file; raises for a file that is not ours to change."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = queries.migrations()[-1][0]
    if version > newest:
        raise ServerStartError(
            f"a newer ironflow-lab has written it (schema {version}, this one knows {newest}), so upgrade this one"
        )
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables:
        raise ServerStartError("it is the database of another program")
    return version


def _settle(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise ServerStartError(f"this file system does not take a write-ahead log (SQLite stays in mode {mode!r})")
    # FULL: an answer means the change is on disk, not in a cache that a power cut empties.
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = 1")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA temp_store = MEMORY")
    # What is redacted or deleted is overwritten, not only forgotten.
    connection.execute("PRAGMA secure_delete = ON")


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for number, script in queries.migrations():
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")


@cache
def _blank() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _migrate(connection, 0)
    return connection
