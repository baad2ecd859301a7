"""What failures share, shown: counts in both groups, how sure it is, redacted and escaped."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd
import pytest

from ironflow_lab.errors import DefinitionError
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab import sharing
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.sharing import MOST_RUNS, Shared
from ironflow_lab.models.runs import Error, Run, RunStatus
from ironflow_lab.testing import FakeClock
from tests.unit.history.recordings import recording, step

SCRIPT = "<script>alert('x')</script>"


class Joined:
    server_url = "http://server"


class Alone:
    """A session that nothing is read with."""

    joined, clock = Joined(), FakeClock()


SESSION = cast(Session, Alone())


def run(number: int, status: str, **given: Any) -> Recording:
    calls = [step("price", 5)] + ([step("charge", 1)] if status == "completed" else [])
    error = Error(message="no", code="NO") if status == "failed" else None
    run_id = f"run_{number:012}"
    return recording(calls, run_id=run_id, status=RunStatus(status), input=given, error=error)


def runs() -> list[Recording]:
    bad = [run(n, "failed", country=SCRIPT, token="hunter2") for n in range(8)]
    return bad + [run(20 + n, "completed", country="US", token="x") for n in range(12)]


def test_failures_against_successes() -> None:
    found = sharing.compare(SESSION, [*runs(), run(99, "running", country=SCRIPT)])
    assert (found.group, found.others, found.names) == (8, 12, ("failed runs", "completed runs"))
    assert "1 run neither failed nor completed, and left out" in found.notes
    assert len(found) == len(found.frame) == 2
    assert found.frame.attrs["server"] == "http://server"
    assert list(found.frame["sure"]) == [True, True]
    assert str(found).startswith("what 8 failed runs share that 12 completed runs lack\n")
    assert "8 of 8 | 0 of 12 |" in str(found)
    assert "only what comes with it" in str(found)


def test_runs_that_stand_because_their_attempts_are_used_up_count_as_failed() -> None:
    assert sharing.failed(Run(id="r", status=RunStatus("paused"), pause_reason="retries_exhausted"))
    assert not sharing.failed(Run(id="r", status=RunStatus("paused"), pause_reason="injection"))
    assert not sharing.failed(Run(id="r", status=RunStatus("cancelled")))


def test_any_other_way_to_part_them() -> None:
    found = sharing.compare(SESSION, runs(), by=lambda record: record.input["country"] == "US")
    assert (found.group, found.others, found.names) == (12, 8, ("chosen runs", "other runs"))
    assert 'input.country = "US"' in repr(found)
    for wrong in ("slow", 5):
        with pytest.raises(DefinitionError, match="by="):
            sharing.compare(SESSION, runs(), by=cast(Any, wrong))


def test_one_group_only_is_refused_with_what_to_do() -> None:
    with pytest.raises(DefinitionError, match=r"there are 8 failed runs and 0 completed runs.*lab\.runs"):
        sharing.compare(SESSION, runs()[:8])


def test_everything_shown_is_escaped_and_redacted() -> None:
    found = sharing.compare(SESSION, runs())
    html = found._repr_html_()
    assert "<script" not in html
    for text in (html, str(found), repr(found), found.frame.to_string()):
        assert "hunter2" not in text
    assert "\n" not in repr(found)


def test_flags_of_a_column_and_at_most_a_thousand_runs_of_both_kinds() -> None:
    frame = pd.DataFrame({"run_id": [f"run_{n}" for n in range(5_000)], "status": ["completed"] * 5_000})
    frame.loc[frame.index[::250], "status"] = "failed"
    frame["slow"] = frame.index < 3
    notes: list[str] = []
    kept = sharing._bounded(list(frame["run_id"]), frame, notes)
    assert len(kept) == MOST_RUNS
    assert set(frame["run_id"][::250]) <= set(kept)
    assert notes == ["of 5,000 runs, 1,000 were looked at"]
    assert sum(sharing._flags(frame, "slow").values()) == 3


def test_nothing_found_is_an_empty_frame_and_says_why() -> None:
    same = [run(n, "completed", n=1) for n in range(6)]
    found: Shared = sharing.compare(SESSION, same, by=lambda record: record.id < "run_000000000003")
    assert (len(found), len(found.frame)) == (0, 0)
    assert "tells the two groups apart" in str(found)
    assert "<table" not in found._repr_html_()
