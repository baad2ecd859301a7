"""What really ran: a file that step bodies append to and that no engine can see."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.plain import until


@dataclass(frozen=True)
class Entry:
    """One line: a step body, or the handler itself (`step` is then `@start`, `@cancelled`, ...)."""

    run: str
    step: str
    attempt: int
    worker: str
    pid: int
    note: Any = None


@dataclass(frozen=True)
class Ledger:
    """The file, read as a whole each time; a last line that is still being written is left out."""

    path: Path

    def entries(self, run: str | None = None) -> list[Entry]:
        """Return the lines, of one run or of all, in the order of writing."""
        text = self.path.read_text() if self.path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        found = [Entry(**json.loads(line)) for line in whole.splitlines()]
        return [entry for entry in found if run in (None, entry.run)]

    def bodies(self, run: str) -> Counter[str]:
        """Return how often each step body of the run ran."""
        return Counter(entry.step for entry in self.entries(run) if not entry.step.startswith("@"))

    def attempts(self, run: str, step: str) -> list[int]:
        """Return the attempt numbers that the step's body saw, in order."""
        return [entry.attempt for entry in self.entries(run) if entry.step == step]

    def wait_for(self, run: str, step: str, times: int = 1) -> list[Entry]:
        """Wait until the step's body has begun `times` times."""

        def probe() -> list[Entry] | None:
            found = [entry for entry in self.entries(run) if entry.step == step]
            return found if len(found) >= times else None

        return until(probe, f"body {step!r} of {run} to run {times} times")
