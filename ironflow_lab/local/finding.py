"""Finds the running server of a data folder; changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ironflow_lab._version import __version__
from ironflow_lab.local import folders, record


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """A running embedded server.

    `reused` says that it ran before; `note` what is unusual about it, such as another port.
    """

    url: str
    pid: int
    data_dir: Path
    reused: bool
    note: str = ""


def find(data_dir: str | os.PathLike[str] | None = None) -> Local | None:
    """Return the data folder's server if one answers, else None."""
    folder = folders.locate(data_dir)
    found = record.answering(folder)
    return None if found is None else describe(folder, found, reused=True)


def describe(folder: Path, found: record.ServerRecord, *, reused: bool, notes: tuple[str, ...] = ()) -> Local:
    """Return the server of a record, with what is to be noted about it."""
    told = list(dict.fromkeys([*found.notes, *notes]))
    if found.version != __version__:
        told.append(f"it runs version {found.version}, this is {__version__}: stop and start it")
    if reused and found.owner_pid not in (0, os.getpid()):
        told.append(f"it ends with process {found.owner_pid}, which started it")
    return Local(url=found.url, pid=found.pid, data_dir=folder, reused=reused, note="; ".join(told))
