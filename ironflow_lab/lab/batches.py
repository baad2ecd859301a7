"""Batches that were not sent to the end: remembered on disk, so that a new kernel continues them."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import msgspec

FOLDER = "batches"

_here: dict[Path, Unfinished] = {}


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that was begun: its name, which is part of its idempotency keys, and since when."""

    name: str
    begun_at: int


class Batches:
    """The begun batches of one server, in `folder`; in this process where that cannot be written."""

    def __init__(self, folder: Path, scope: str) -> None:
        self._folder = folder / FOLDER
        self._scope = scope

    def find(self, content: str) -> Unfinished | None:
        """Return the batch with this content that was begun and not sent to the end."""
        try:
            return msgspec.json.decode(self._path(content).read_bytes(), type=Unfinished)
        except (OSError, msgspec.DecodeError):
            return _here.get(self._path(content))

    def begin(self, content: str, batch: Unfinished) -> None:
        """Remember a batch before its first row is sent."""
        path = self._path(content)
        _here[path] = batch
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Whole or not at all: a kernel may die at any moment.
            half = path.with_suffix(".half")
            half.write_bytes(msgspec.json.encode(batch))
            half.replace(path)

    def end(self, content: str) -> None:
        """Forget a batch: every row has been accepted."""
        path = self._path(content)
        _here.pop(path, None)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def _path(self, content: str) -> Path:
        named = hashlib.sha256(f"{self._scope}\0{content}".encode()).hexdigest()[:32]
        return self._folder / f"{named}.json"
