"""Which folder holds the embedded server's data, and whether it can hold it."""

from __future__ import annotations

import os
from pathlib import Path

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import filesystem
from ironflow_lab.wire.discovery import FOLDER

ANOTHER = "name another folder: --data-dir DIR, or data_dir= in Python"
_ROOT_MARKS = ("pyproject.toml", ".git")


def working_directory() -> Path:
    """Return the working directory; raises ServerStartError when it has been deleted."""
    try:
        return Path.cwd()
    except OSError as problem:
        raise ServerStartError(
            "The working directory no longer exists: change to one that does, "
            "or name the data folder: --data-dir DIR, or data_dir= in Python."
        ) from problem


def project_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` with pyproject.toml or .git, else `start`."""
    for folder in (start, *start.parents):
        if any(os.path.lexists(folder / mark) for mark in _ROOT_MARKS):
            return folder
    return start


def nearest(start: Path) -> Path:
    """Return the nearest existing `.ironflow` at or above `start`, else the project root's."""
    for folder in (start, *start.parents):
        if is_folder(folder / FOLDER):
            return folder / FOLDER
    return project_root(start) / FOLDER


def locate(data_dir: str | os.PathLike[str] | None) -> Path:
    """Return the data folder's absolute path; nothing is created.

    Raises ServerStartError when it has to be looked for and the working directory is gone.
    """
    if data_dir is None:
        return nearest(working_directory()).resolve()
    named = Path(data_dir).expanduser()
    return (named if named.is_absolute() else working_directory() / named).resolve()


def prepare(folder: Path) -> None:
    """Make the folder if need be (mode 0700) and check that the server can live in it.

    Raises ServerStartError, naming the remedy, when it is a file, cannot be written, belongs to
    another user, or lies on a network file system.
    """
    kind = filesystem.network_kind(folder)
    if kind:
        raise ServerStartError(
            f"{folder} is on a network file system ({kind}), where SQLite's write-ahead log loses "
            f"data; {ANOTHER}, on a local disk."
        )
    try:
        _make(folder)
        foreign = os.geteuid() not in (0, folder.stat().st_uid)
    except (FileExistsError, NotADirectoryError) as problem:
        file = next(path for path in (folder, *folder.parents) if path.exists())
        raise ServerStartError(f"{file} is a file, not a folder: {ANOTHER}.") from problem
    except OSError as problem:
        raise unwritable(folder, problem) from problem
    if foreign:
        raise ServerStartError(f"{folder} belongs to another user: {ANOTHER}.")


def unwritable(folder: Path, problem: OSError) -> ServerStartError:
    """Return the error to raise when a file in the data folder cannot be written."""
    return ServerStartError(f"{folder} cannot be written ({problem.strerror}): {ANOTHER}.")


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder that may be looked at; never raises."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.name == FOLDER:
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
