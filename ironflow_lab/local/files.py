"""Private files (mode 0600) that others see whole or not at all, and the log of the server."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LOG_LIMIT = 1 << 20
_LOG_KEPT = 256 << 10


def write_private(path: Path, content: bytes) -> None:
    """Replace the file by `content` in one step that survives power loss; raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def read_limited(path: Path, limit: int) -> bytes | None:
    """Return at most `limit` + 1 bytes of the file, or None when it cannot be read."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(limit + 1)
    return None


def remove(path: Path) -> None:
    """Remove the file; one that is gone, or in a folder that is gone, is no error."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def open_log(path: Path) -> tuple[int, int]:
    """Return a descriptor that appends to the log (mode 0600) and the size it begins at.

    A log of more than `LOG_LIMIT` bytes is emptied first, its end kept beside it as `NAME.1`.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    size = os.fstat(descriptor).st_size
    if size <= LOG_LIMIT:
        return descriptor, size
    # Emptied in place, not renamed: a server that still writes here goes on at the new end.
    end = os.pread(descriptor, _LOG_KEPT, size - _LOG_KEPT)
    write_private(path.with_name(path.name + ".1"), end)
    os.ftruncate(descriptor, 0)
    return descriptor, 0


def tail(path: Path, begin: int, *, lines: int = 15) -> list[str]:
    """Return the last lines written to the log after byte `begin`."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(min(begin, end), end - _LOG_KEPT))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]


def tell_end(path: Path, lines: list[str]) -> str:
    """Return the text that shows someone the end of a log, indented under its path."""
    return "\n  ".join([f"The end of {path}:", *lines]) if lines else f"{path} is empty."


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
