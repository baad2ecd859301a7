"""A view that follows a run: what comes is packed once and in order, whatever happens to server and run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.history.pack import Chunk, Packer
from ironflow_lab.lab.following import AWAY, BACK, CLOSED, DELETED, Follower
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.run import Run
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger
from ironflow_lab.testing import LocalServer

PATIENCE = 30.0


class View:
    """Keeps what a view is told, and waits for it."""

    def __init__(self, lab: il.Lab, run: Run) -> None:
        self.past = Past(lab._session, run.id).read()
        self.packer = Packer(run.id, events=self.past.history.events)
        self.follower = Follower(self.past, self.packer)
        self.first = self.packer.history.length
        self.chunks: list[Chunk] = []
        self.notes: list[tuple[str, str]] = []
        self.came = threading.Condition()
        self.thread: threading.Thread | None = None

    def begin(self) -> Callable[[], None]:
        return self.follower.begin(self.on_chunk, self.on_note)

    def on_chunk(self, chunk: Chunk) -> None:
        with self.came:
            self.thread = threading.current_thread()
            self.chunks.append(chunk)
            self.came.notify_all()

    def on_note(self, text: str, level: str) -> None:
        with self.came:
            self.notes.append((text, level))
            self.came.notify_all()

    def wait(self, happened: Callable[[], bool]) -> None:
        with self.came:
            assert self.came.wait_for(happened, PATIENCE), (self.chunks, self.notes)

    @property
    def ended(self) -> bool:
        return bool(self.chunks) and bool(self.chunks[-1].meta["ended"])


def idle(lab: il.Lab, id: str) -> Run:
    """A recorded run that nobody serves, so that it moves only when told to."""
    trigger = Trigger(event=f"{id}.asked")
    lab.client.functions.register(RegisterFunctionRequest(id=id, triggers=(trigger,), recording=True))
    return lab.emit(trigger.event, {"n": 1}).runs[0]


@pytest.fixture(params=[True, False], ids=["held", "polled"])
def joined(lab: il.Lab, request: pytest.FixtureRequest) -> Iterator[il.Lab]:
    """The lab, on a server that can be followed and on one that has to be asked again and again."""
    lab._session.follows = request.param
    yield lab
    lab._session.follows = True


def test_news_come_in_order_until_the_run_has_ended(joined: il.Lab) -> None:
    gate = threading.Event()

    @joined.function("gated", on="gate.asked")
    def gated(ctx: Any) -> Any:
        ctx.step.run("wait", lambda: gate.wait(PATIENCE))
        return ctx.step.run("after", lambda: 2)

    run = joined.emit("gate.asked").runs[0]
    view = View(joined, run)
    view.begin()
    gate.set()
    view.wait(lambda: view.ended)
    whole = Packer(run.id, events=run._history().read().history.events)
    assert view.chunks[0].first == view.first
    assert view.packer.chunk().events == whole.chunk().events
    assert view.packer.history.length == len(run.audit)
    assert view.notes == []
    assert view.thread is not threading.main_thread()


def test_what_was_stopped_goes_on_where_it_was(joined: il.Lab) -> None:
    run = idle(joined, f"stopped-{joined._session.follows}")
    view = View(joined, run)
    stop = view.begin()
    stop()
    stop()
    run.cancel()
    assert view.chunks == []
    view.begin()
    view.wait(lambda: view.ended)
    assert view.packer.history.length == len(run.audit)


def test_following_may_be_ended_from_within(joined: il.Lab) -> None:
    run = idle(joined, f"within-{joined._session.follows}")
    view = View(joined, run)
    stops: list[Callable[[], None]] = []

    def once(chunk: Chunk) -> None:
        stops[0]()
        view.on_chunk(chunk)

    stops.append(view.follower.begin(once, view.on_note))
    run.cancel()
    view.wait(lambda: view.ended)


def test_a_server_that_goes_away_and_returns_is_ridden_out(folder: Path, tmp_path: Path) -> None:
    with LocalServer(tmp_path) as server:
        port = int(server.url.rpartition(":")[2])
        lab = il.connect(server.url)
        run = idle(lab, "away")
        view = View(lab, run)
        view.begin()
    view.wait(lambda: (AWAY, "warning") in view.notes)
    with LocalServer(tmp_path, port=port):
        view.wait(lambda: (BACK, "info") in view.notes)
        run.cancel()
        view.wait(lambda: view.ended)
    assert view.notes == [(AWAY, "warning"), (BACK, "info")], "each is said once"
    lab.close()


def test_a_run_that_was_deleted_ends_it_with_a_note(folder: Path, tmp_path: Path) -> None:
    with LocalServer(tmp_path / "one") as server:
        port = int(server.url.rpartition(":")[2])
        lab = il.connect(server.url)
        view = View(lab, idle(lab, "deleted"))
        view.begin()
    with LocalServer(tmp_path / "two", port=port):
        view.wait(lambda: (DELETED, "warning") in view.notes)
    assert view.chunks == []
    lab.close()


def test_a_lab_that_was_closed_ends_it_with_a_note(server: LocalServer) -> None:
    lab = il.connect(server.url)
    view = View(lab, idle(lab, "closed"))
    view.begin()
    lab.close()
    view.wait(lambda: (CLOSED, "info") in view.notes)


def test_the_view_follows_a_run_that_goes_on_and_knows_its_end(lab: il.Lab) -> None:
    run = idle(lab, "seen")
    view = run.scrub()
    try:
        assert (view.live, view.t, view.meta["ended"]) == (True, 1, False)
        ended = threading.Event()
        view.observe(lambda change: ended.set(), "live")
        run.cancel()
        assert ended.wait(PATIENCE)
        assert (view.meta["ended"], view.meta["source"], view.meta["recording"]) == (True, "fold", "all")
        assert len(view.events) == 16 * len(run.audit)
    finally:
        view.close()


def test_a_run_that_has_ended_is_shown_whole(orders: il.Lab) -> None:
    run = orders.emit("order.placed", {"n": 3}).wait(timeout="30s").runs[0]
    view = run.scrub()
    assert (view.live, view.t, view.meta["ended"], view.meta["run_id"]) == (False, len(run.audit), True, run.id)
    assert [lane["name"] for lane in view.lanes] == ["run", "charge", "rest"]
    view.close()


def test_a_run_that_was_not_recorded_is_shown_as_its_rows_tell_it(lab: il.Lab) -> None:
    @lab.function("rows-only", on="rows.asked", recording=False)
    async def rows_only(ctx: Any) -> Any:
        return await ctx.step.run("only", lambda: 1)

    run = lab.emit("rows.asked").wait(timeout="30s").runs[0]
    view = run.scrub()
    assert (view.live, view.meta["source"], view.meta["recording"]) == (False, "rows", "")
    assert "recording=True" in view.meta["note"]
    assert [lane["name"] for lane in view.lanes] == ["run", "only"]
    view.close()
