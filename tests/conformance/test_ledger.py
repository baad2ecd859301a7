"""The count of executions itself: a planted double is seen, a torn line is not counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.conformance.ledger import Entry, Ledger


def line(step: str, attempt: int = 1, run: str = "run_1") -> str:
    entry = {"run": run, "step": step, "attempt": attempt, "worker": "w", "pid": 1, "note": None}
    return json.dumps(entry) + "\n"


def test_a_planted_double_is_seen(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.bodies("run_1") == Counter()
    honest = line("@start") + line("a") + line("b") + line("a", run="run_2")
    ledger.path.write_text(honest)
    assert ledger.bodies("run_1") == Counter(a=1, b=1)
    ledger.path.write_text(honest + line("a"))
    assert ledger.bodies("run_1") == Counter(a=2, b=1)
    assert ledger.attempts("run_1", "a") == [1, 1]
    assert len(ledger.wait_for("run_1", "a", times=2)) == 2


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.path.write_text(line("a") + line("b", attempt=2)[:-9])
    assert ledger.entries() == [Entry("run_1", "a", 1, "w", 1)]
