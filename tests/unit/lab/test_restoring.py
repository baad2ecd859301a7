"""What a lab says after a restart of runs whose functions have not been defined again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.errors import (
    FailedPreconditionError,
    GuardError,
    NotFoundError,
    ServerStartError,
    UnavailableError,
    UnimplementedError,
)
from ironflow_lab.lab import moving, restoring, serving, sources
from ironflow_lab.lab.guard import Guard
from ironflow_lab.lab.naming import Naming
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import ListRunsResponse, Run, RunStatus
from ironflow_lab.runtime.begun import NEWEST, Begun
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.sources import Source

SCRIPT = "<script>alert('x')</script>"


def version(code_hash: str = "0f3a9c1d22e4b871", **fields: Any) -> Source:
    given = {
        "text": f"def order(ctx):  # {SCRIPT}\n    return 1\n",
        "cell": "# the cell\n",
        "cell_number": 4,
        "line": 3,
    }
    return Source(code_hash=code_hash, notebook="/home/me/orders.ipynb", **{**given, **fields})


class Runs:
    """The runs of a server, and what it says of each that is queued."""

    def __init__(self, *runs: Run, reason: str | Exception = "no_worker") -> None:
        self.runs, self.reason, self.asked = runs, reason, 0

    async def list(self, **filters: Any) -> ListRunsResponse:
        self.asked += 1
        assert set(filters["statuses"]) == {"waiting_for_capacity", "running", "waiting"}
        return ListRunsResponse(runs=self.runs)

    async def why(self, run_id: str) -> BlockingReason:
        if isinstance(self.reason, Exception):
            raise self.reason
        return BlockingReason(run_id=run_id, reason=self.reason)


class Session(SimpleNamespace):
    """As much of a session as this needs."""

    capsule = None

    def call(self, work: Callable[[Any], Any], **_: Any) -> Any:
        return asyncio.run(work(SimpleNamespace(runs=self.runs)))


def run(status: str = "waiting_for_capacity", function_id: str = "order", run_id: str = "run_1") -> Run:
    return Run(id=run_id, function_id=function_id, status=RunStatus(status))


@pytest.fixture
def session(tmp_path: Path) -> Any:
    found: Any = Session(data_dir=tmp_path, naming=Naming(""), guard=Guard("http://127.0.0.1:1"), runs=Runs())
    sources.store(found).keep("order", version())
    return found


def define(monkeypatch: pytest.MonkeyPatch, session: Any, *functions: DurableFunction) -> None:
    """Let this process have defined these functions."""
    here = serving.Serving(session.data_dir, "")
    here._functions = {one.id: one for one in functions}
    monkeypatch.setattr(serving, "_known", {(os.getpid(), session.data_dir, ""): here})


@function("order")
def order(ctx: Any) -> int:
    return 2


LINE = "'order' is not defined in this process; it was last defined in orders.ipynb, cell [4], line 3 (version 0f3a9c1d"


# ---- one run


def test_a_run_that_no_cell_serves_says_where_its_function_was_defined(session: Any) -> None:
    (line,) = restoring.lines(session, run())
    assert line.startswith(LINE)
    assert line.endswith("Run that cell again, or put it into a new one: lab.restore('order')")
    html = restoring.below(session, run())
    assert "orders.ipynb, cell [4], line 3" in html
    assert "<details>" in html
    assert "&lt;script&gt;" in html
    assert "<script" not in html


@pytest.mark.parametrize("given", [run("completed"), run("paused"), run("waiting"), run(function_id="other")])
def test_other_runs_say_nothing(session: Any, given: Run) -> None:
    assert restoring.lines(session, given) == []
    assert restoring.below(session, given) == ""


def test_once_the_function_is_defined_nothing_is_missing(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, session, order)
    assert restoring.missing(session, "order") is None
    assert restoring.lines(session, run()) == []


def test_the_source_shown_is_bounded(session: Any) -> None:
    sources.store(session).keep("order", version("b" * 16, text="x" * 50_000))
    assert len(restoring.below(session, run())) < 4_000


def test_a_card_is_drawn_without_a_data_folder(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Any) -> Any:
        raise ServerStartError("The working directory no longer exists")

    monkeypatch.setattr(serving, "place", gone)
    assert restoring.lines(session, run()) == []
    assert restoring.waiting(session) == ()


# ---- the lab


def test_the_lab_says_for_which_functions_runs_wait(session: Any) -> None:
    session.runs = Runs(run(), run("waiting", run_id="run_2"), run(function_id="unknown"))
    (found,) = restoring.waiting(session)
    assert (found.function_id, found.runs) == ("order", 2)
    assert found.waiting().startswith(f"2 runs wait for 'order': {LINE}")
    session.runs = Runs(run())
    assert restoring.waiting(session)[0].waiting().startswith("1 run waits for 'order': ")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (Runs(), 0),
        (Runs(run("running")), 0),
        (Runs(run(), reason="workers_busy"), 0),
        (Runs(run(), reason=UnimplementedError("not here", status=501)), 1),
        (Runs(run(), reason=UnavailableError("gone")), 0),
    ],
)
def test_it_says_nothing_of_runs_that_somebody_executes(session: Any, runs: Runs, expected: int) -> None:
    session.runs = runs
    assert len(restoring.waiting(session)) == expected


def test_it_asks_nobody_when_nothing_can_be_missing(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, session, order)
    assert restoring.waiting(session) == ()
    assert session.runs.asked == 0


def test_it_names_at_most_five(session: Any) -> None:
    for number in range(8):
        sources.store(session).keep(f"f{number}", version())
    session.runs = Runs(*(run(function_id=f"f{number}", run_id=f"run_{number}") for number in range(8)))
    assert len(restoring.waiting(session)) == 5


# ---- into a new cell


def test_the_cell_is_put_into_a_new_one_and_returned(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[str] = []
    monkeypatch.setattr(restoring, "next_cell", put.append)
    assert restoring.restore(session, "order") == "# the cell\n"
    assert put == ["# the cell\n"]
    sources.store(session).keep("order", version("b" * 16, cell="", text="def order(ctx): ..."))
    assert restoring.restore(session, "order") == "def order(ctx): ..."


def test_what_cannot_be_restored_says_why(session: Any) -> None:
    with pytest.raises(NotFoundError, match="there is 'order'"):
        restoring.restore(session, "ordr")
    sources.store(session).keep("order", version("b" * 16, cell="", text=""))
    with pytest.raises(FailedPreconditionError, match="could not be found when it was defined"):
        restoring.restore(session, "order")


# ---- moving


def test_a_run_on_older_code_says_so_until_it_is_moved(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    define(monkeypatch, session, order)
    kept = Begun(sources.store(session).folder)
    kept.note("run_1", "0f3a9c1d22e4b871")
    (line,) = restoring.lines(session, run("paused"))
    assert line.startswith("it began with version 0f3a9c1d of its function and finishes on that; the newest is")
    assert order.code_hash[:8] in line
    assert "run.move()" in restoring.below(session, run("running"))
    moving.move(session, run("paused"), run("failed", run_id="run_2"))
    assert (kept.of("run_1"), kept.of("run_2")) == (NEWEST, NEWEST)
    assert restoring.lines(session, run("paused")) == []
    kept.note("run_1", order.code_hash)
    assert restoring.lines(session, run("running")) == []


def test_of_runs_one_of_which_has_ended_none_is_moved(session: Any) -> None:
    with pytest.raises(FailedPreconditionError, match="run run_2 is completed"):
        moving.move(session, run(), run("completed", run_id="run_2"))
    assert Begun(sources.store(session).folder).of("run_1") == ""


def test_on_a_guarded_server_moving_asks_first(session: Any) -> None:
    session.guard = Guard("https://flow.example.com")
    with pytest.raises(GuardError, match="let run run_1 of 'order' go on with the newest code"):
        moving.move(session, run())
    assert Begun(sources.store(session).folder).of("run_1") == ""


def test_a_move_that_cannot_be_kept_is_said(session: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    session.data_dir = tmp_path / "file"
    session.data_dir.write_text("in the way")
    moving.move(session, run())
    assert "holds until this process ends" in caplog.text
