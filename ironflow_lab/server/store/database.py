"""Opening the database file: settings that decide what survives a power cut, and migrations."""

from __future__ import annotations

import sqlite3
import sys
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
    connection = sqlite3.connect(folder / FILE, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        _settle(connection)
        _migrate(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ServerStartError(f"{folder / FILE} cannot be used ({error}); move it away or choose --data-dir") from None
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


def _settle(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: an answer means the change is on disk, not in a cache that a power cut empties.
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = 1")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA temp_store = MEMORY")


def _migrate(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    known = queries.migrations()
    if version > known[-1][0]:
        raise ServerStartError(
            f"the database was written by a newer ironflow-lab (schema {version}, this one knows {known[-1][0]});"
            " upgrade ironflow-lab, or choose another --data-dir"
        )
    for number, script in known:
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
