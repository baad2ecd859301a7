"""`server.json`: what the running server of a data folder says of itself (private, mode 0600)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ironflow_lab.local import files, health

FILE = "server.json"
_LARGEST = 64 << 10


class ServerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A server's process, start token and address.

    `started_at` is in nanoseconds since 1970-01-01 UTC; `owner_pid` is the process it ends with (0:
    none); `notes` say what differs from the usual, such as another port.
    """

    pid: int
    token: str
    url: str
    port: int
    version: str
    started_at: int
    owner_pid: int = 0
    notes: tuple[str, ...] = ()


def read(folder: Path) -> ServerRecord | None:
    """Return the folder's record, or None when there is none that can be read."""
    raw = files.read_limited(folder / FILE, _LARGEST)
    if raw is None or len(raw) > _LARGEST:
        return None
    try:
        return msgspec.json.decode(raw, type=ServerRecord)
    except msgspec.DecodeError:
        return None


def write(folder: Path, record: ServerRecord) -> None:
    """Replace the folder's record; raises OSError."""
    files.write_private(folder / FILE, msgspec.json.encode(record))


def remove(folder: Path) -> None:
    """Remove the folder's record, if any; only the holder of the folder's lock may."""
    files.remove(folder / FILE)


def answering(folder: Path, *, timeout: float = health.TIMEOUT) -> ServerRecord | None:
    """Return the record of the folder's server if it answers with the record's token in time, else None."""
    found = read(folder)
    if found is None:
        return None
    answer = health.ask(found.url, timeout=timeout)
    return found if answer is not None and found.token and answer.instance == found.token else None
