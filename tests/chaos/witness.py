"""The file no engine can see: what step bodies and the test itself append to it, in one order.

A body appends a line when it begins and one when it ends; the test appends when it is about to kill,
when what it killed is up again, when it is about to act on a run as an operator, and notes how long the
file was when it read a row. All appends are
single writes to a file opened for appending, so the order of the lines is the order of events.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Phase = Literal["begin", "end", "down", "up", "act"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line: `at` is its place in the file, in bytes.

    Of a body: the run, the step's id, the attempt, the process, and at its end whether it succeeded.
    Of the test: `down` and `up` with what was killed, `server`, `kernel` or `worker`, in `part`; `act` with
    what it is about to do to the run, or to one of its steps.
    """

    at: int
    phase: Phase
    run: str = ""
    step: str = ""
    attempt: int = 0
    process: int = 0
    good: bool = False
    part: str = ""


@dataclass(frozen=True)
class Witness:
    """The file."""

    path: Path

    def lines(self) -> list[Line]:
        """Return all whole lines."""
        found, at = [], 0
        for text in self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []:
            if text.endswith(b"\n"):
                found.append(Line(at=at, **json.loads(text)))
            at += len(text)
        return found

    def size(self) -> int:
        """Return how long the file is now: what is appended from here on stands at this place or later."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begun(self) -> int:
        """Return how many bodies have begun."""
        return self.path.read_bytes().count(b'"begin"') if self.path.exists() else 0

    def tells_of(self, step: str) -> bool:
        """Return whether a body of this step has begun."""
        return self.path.exists() and f'"step": "{step}"'.encode() in self.path.read_bytes()

    def mark(self, phase: Phase, part: str, run: str = "", step: str = "") -> None:
        """Append a line of the test."""
        self.append({"phase": phase, "part": part, "run": run, "step": step})

    def append(self, line: dict[str, Any]) -> None:
        """Append any line, in one write."""
        sink = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(sink, (json.dumps(line) + "\n").encode())
        finally:
            os.close(sink)
