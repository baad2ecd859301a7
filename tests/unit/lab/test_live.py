"""The displays of an emission: what a watch in the background asks for, when it redraws, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.errors import ApiError, NotFoundError, UnavailableError
from ironflow_lab.kernel import display
from ironflow_lab.lab import live
from ironflow_lab.lab.live import Live
from ironflow_lab.lab.tally import Tally
from ironflow_lab.models.runs import Run, RunStatus

Work = Callable[[Any], Coroutine[Any, Any, None]]


class Server:
    """Runs that go through the statuses a test gives them, one further at each held wait."""

    def __init__(self, **runs: str) -> None:
        self.runs = SimpleNamespace(get=self.get, wait=self.wait)
        self.errors: list[ApiError] = []
        self.asked: list[str] = []
        self._statuses = {run_id: statuses.split() for run_id, statuses in runs.items()}

    async def get(self, run_id: str) -> Run:
        self.asked.append(run_id)
        if self.errors:
            raise self.errors.pop(0)
        return Run(id=run_id, function_id="pay", status=RunStatus(self._statuses[run_id][0]))

    async def wait(self, run_ids: Iterable[str], *, timeout: float) -> Any:
        for run_id in run_ids:
            if len(self._statuses[run_id]) > 1:
                self._statuses[run_id].pop(0)
        ended = [run_id for run_id in run_ids if self._statuses[run_id][0] in ("completed", "failed")]
        return SimpleNamespace(ended=tuple(ended), unknown=())


class Rig:
    """An emission's displays, and the work that was begun for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *run_ids: str, notebook: bool = True) -> None:
        self.begun: list[Work] = []
        self.shown: list[str] = []
        self.tally = Tally(run_ids)
        session: Any = SimpleNamespace(holds=True, begin=self.begun.append)
        self.live = Live(session, self.tally, lambda note: {"counts": self.tally.counts(), "note": note})
        handle = SimpleNamespace(update=self._note)

        def show(bundle: Mapping[str, Any]) -> Any:
            if notebook:
                self._note(bundle)
            return handle if notebook else None

        monkeypatch.setattr(display, "show", show)
        monkeypatch.setattr(live, "_AWAY", 0.0)
        monkeypatch.setattr(live, "SHORTEST", 1_000.0)

    def _note(self, bundle: Mapping[str, Any]) -> None:
        counted = " ".join(f"{number} {status}" for status, number in sorted(bundle["counts"].items()))
        self.shown.append(f"{counted} {bundle['note']}".strip())

    def run(self, server: Server) -> None:
        """Let what was begun run to its end."""
        asyncio.run(self.begun.pop()(server))


def test_outside_a_notebook_nothing_is_shown_and_nothing_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a", notebook=False)
    assert not rig.live.show()
    assert (rig.shown, rig.begun) == ([], [])


def test_runs_are_followed_to_their_ends_and_the_last_display_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a", "b")
    assert rig.live.show()
    rig.run(Server(a="running waiting completed", b="running running running failed"))
    # Drawn when it was shown, at the first look, and at the end: what came between came within the quarter second.
    assert rig.shown == ["", "2 running", "1 completed 1 failed"]
    assert rig.begun == []


def test_all_displays_of_one_emission_share_a_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    assert rig.live.show()
    assert rig.live.show()
    assert len(rig.begun) == 1
    rig.run(Server(a="completed"))
    assert rig.shown == ["", "", "1 completed", "1 completed"]
    assert rig.live.show()
    assert rig.begun == []


def test_who_waits_sees_how_it_ended_though_that_was_drawn_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    rig.live.show()
    rig.run(Server(a="completed"))
    rig.shown.clear()
    with rig.live.relieved():
        pass
    assert rig.shown == ["1 completed"]


def test_what_is_heard_while_it_is_being_displayed_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    heard, show = threading.Event(), display.show

    def hear() -> None:
        heard.set()
        rig.live.take(Run(id="a", status=RunStatus("completed")))

    other = threading.Thread(target=hear)

    def slowly(bundle: Mapping[str, Any]) -> Any:
        other.start()
        assert heard.wait(10)
        # Without a lock it would end here, having drawn nothing.
        other.join(0.05)
        return show(bundle)

    monkeypatch.setattr(display, "show", slowly)
    assert rig.live.show()
    other.join()
    assert rig.shown == ["", "1 completed"]


def test_a_paused_run_is_looked_at_again_when_it_is_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    rig.live.show()
    rig.run(Server(a="paused"))
    rig.live.show()
    rig.run(Server(a="completed"))
    assert rig.shown[-1] == "1 completed"


def test_a_server_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    rig.live.show()
    server = Server(a="running completed")
    server.errors = [UnavailableError("gone"), UnavailableError("gone")]
    rig.run(server)
    assert rig.shown == ["", "the server does not answer; this goes on when it does", "1 completed"]


def test_a_run_the_server_does_not_know_ends_the_watch_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    rig.live.show()
    server = Server(a="running")
    server.errors = [NotFoundError("no such run")]
    rig.run(server)
    assert rig.shown[-1] == "not followed any more: no such run"


def test_a_watch_ends_after_half_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    monkeypatch.setattr(live, "LONGEST", 0.0)
    rig.live.show()
    rig.run(Server(a="running"))
    assert "not followed any more after half an hour" in rig.shown[-1]
    rig.live.show()
    assert len(rig.begun) == 1


def test_while_a_wait_looks_at_the_runs_the_watch_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, "a")
    monkeypatch.setattr(live, "SHORTEST", 0.0)
    rig.live.show()
    server = Server(a="running completed")

    async def both() -> None:
        with rig.live.relieved():
            watching = asyncio.ensure_future(rig.begun.pop()(server))
            for _ in range(20):
                await asyncio.sleep(0)
            assert server.asked == []
            rig.live.take(Run(id="a", status=RunStatus("completed")))
        await watching

    asyncio.run(both())
    assert server.asked == []
    assert rig.shown[-1] == "1 completed"
