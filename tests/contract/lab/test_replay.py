"""`run.replay`: real runs of the real server executed again in this process."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError, InvokeError, NotFoundError
from ironflow_lab.frames.replays import CALLS
from ironflow_lab.lab.emission import Emission
from ironflow_lab.lab.recordings import read
from ironflow_lab.lab.replaying import resolve
from ironflow_lab.lab.run import Run
from ironflow_lab.models.runs import TERMINAL

executed: list[str] = []


def work(name: str, value: Any = None) -> Any:
    executed.append(name)
    return value


@pytest.fixture(scope="module")
def tour(lab: il.Lab) -> il.Lab:
    """The lab with a function that has every kind of step."""

    @lab.function("child")
    async def child(ctx: Any) -> Any:
        return {"double": ctx.event.data["n"] * 2}

    @lab.function("broken")
    async def broken(ctx: Any) -> Any:
        raise il.NonRetryableError("no such thing")

    @lab.function("tour", on="tour.begin", retry={"max_attempts": 2, "initial_delay": "20ms"})
    async def tour(ctx: Any) -> Any:
        step, n = ctx.step, ctx.event.data["n"]
        first = await step.run("load", work, "load", {"n": n, "items": [1, 2]})
        first["items"].append(3)
        await step.sleep("rest", "200ms")
        parts = await step.map("pack", first["items"], lambda item, branch: branch.run("wrap", work, "wrap", item * 10))
        told = await step.publish("tours", {"n": n})
        double = await step.invoke("child", {"n": n})
        lost = ""
        try:
            await step.invoke("broken", {})
        except InvokeError as error:
            lost = f"{type(error).__name__}: {error.child_run_id[:4]}"
        begun = await step.invoke_async("child", {"n": 1})
        if n == 7:
            await step.run("retried", flaky, ctx.run.attempt)
        return {"parts": parts, "double": double, "sent": bool(told.event_id), "lost": lost, "begun": begun.run_id[:4]}

    def flaky(attempt: int) -> int:
        if attempt == 1:
            raise TimeoutError("later")
        return attempt

    return lab


def test_a_run_with_every_kind_of_step_ends_as_it_did_and_executes_none(tour: il.Lab) -> None:
    run = _ended(tour.emit("tour.begin", {"n": 7}))
    before = list(executed)
    replay = run.replay()
    assert executed == before
    assert (replay.status, replay.same, replay.divergence, replay.reason) == ("completed", True, None, "")
    assert replay.output == run.output
    labels = [one.call.label for one in replay.asked]
    assert labels == [
        *("load", "rest", "pack:0:wrap", "pack:1:wrap", "pack:2:wrap"),
        *("publish:tours", "child", "broken", "child:1", "retried"),
    ]
    assert {one.source for one in replay.asked} == {"recorded"}
    assert run.status in TERMINAL
    assert run.output["parts"] == [10, 20, 30]


def test_the_calls_are_a_frame_with_a_published_schema(tour: il.Lab) -> None:
    run = _ended(tour.emit("tour.begin", {"n": 2}))
    calls = run.replay().calls
    assert list(calls.columns) == [column.name for column in CALLS]
    assert calls.attrs["complete"] is True
    assert calls.attrs["query"]["run_id"] == run.id
    assert list(calls["order"]) == list(range(1, len(calls) + 1))
    stopped = run.replay(lambda ctx: None).calls
    assert stopped.dtypes.equals(calls.dtypes)
    assert isinstance(stopped, pd.DataFrame)
    assert len(stopped) == 0


def test_until_stops_at_the_next_call_and_breaks_nothing(tour: il.Lab) -> None:
    run = _ended(tour.emit("tour.begin", {"n": 2}))
    replay = run.replay(until="pack:1:wrap")
    assert (replay.status, replay.same) == ("stopped", None)
    assert [one.call.label for one in replay.asked][-1] == "pack:1:wrap"
    assert "as asked" in replay.reason
    absent = run.replay(until="never")
    assert absent.status == "completed"
    assert any("never asked for step 'never'" in note for note in absent.notes)
    with pytest.raises(DefinitionError, match="until"):
        run.replay(until="")


def test_a_failed_run_fails_again_with_the_error_that_is_recorded(lab: il.Lab, orders: il.Lab) -> None:
    run = _ended(lab.emit("order.placed", {"n": 4}))
    replay = run.replay()
    assert (run.status, replay.status, replay.same) == ("failed", "failed", True)
    assert replay.error is not None
    assert "card 4 declined" in replay.error.message
    assert "await ctx.step.run" in replay.error.stack
    assert "ironflow_lab/debug" not in replay.error.stack


def test_other_code_diverges_where_it_does_what_was_not_recorded(lab: il.Lab, orders: il.Lab) -> None:
    run = _ended(lab.emit("order.placed", {"n": 1}))

    async def settle(ctx: Any) -> Any:
        return {"charged": await ctx.step.run("bill", work, "bill")}

    replay = run.replay(settle)
    assert (replay.status, replay.same) == ("diverged", False)
    assert replay.divergence is not None
    assert (replay.divergence.label, replay.divergence.expected) == ("bill", "charge")
    assert replay.reason == (
        "the code asks for step 'bill' (run), which was not recorded; the recording has 'charge' next"
    )
    assert "bill" not in executed


def test_the_version_the_run_began_with_is_executed_though_the_newest_is_another(lab: il.Lab) -> None:
    @lab.function("priced", on="price.asked")
    async def priced(ctx: Any) -> Any:
        return {"old": await ctx.step.run("price", int, "5")}

    run = _ended(lab.emit("price.asked"))
    old = priced.code_hash

    @lab.function("priced", on="price.asked")
    async def dearer(ctx: Any) -> Any:
        return {"new": await ctx.step.run("price", int, "5")}

    replay = run.replay()
    assert (replay.same, replay.code_hash) == (True, old)
    assert any("which the run began with; the newest is" in note for note in replay.notes)
    newer = run.replay(dearer)
    assert (newer.status, newer.same, newer.output) == ("completed", False, {"new": 5})
    assert run.replay(old[:6]).same is True
    with pytest.raises(NotFoundError, match="no version 'zzz'"):
        run.replay("zzz")


def test_code_that_is_gone_is_an_error_with_the_remedy(lab: il.Lab, orders: il.Lab) -> None:
    run = _ended(lab.emit("order.placed", {"n": 2}))
    recording = read(lab._session, run._history())
    lost = recording.__class__(**{**_fields(recording), "run": _renamed(recording.run, "never-defined")})
    with pytest.raises(NotFoundError, match=r"'never-defined' is not defined in this process.*fn="):
        resolve(lab._session, lost)
    with pytest.raises(DefinitionError, match="fn=int is no code"):
        run.replay(5)  # type: ignore[arg-type]


def test_a_run_under_way_is_replayed_to_where_it_stands(lab: il.Lab) -> None:
    @lab.function("patient", on="patient.begin")
    async def patient(ctx: Any) -> Any:
        await ctx.step.run("one", int, "1")
        await ctx.step.wait_for_event("approval", "patient.approved", timeout="1h")

    run = lab.emit("patient.begin").runs[0]
    _until_waiting(run)
    replay = run.replay()
    assert (replay.status, replay.same) == ("waiting", None)
    assert "approval" in replay.reason
    assert any("recorded so far" in note for note in replay.notes)
    run.cancel()


def test_an_unrecorded_run_is_replayed_from_its_rows_and_says_so(lab: il.Lab) -> None:
    @lab.function("plain", on="plain.begin", recording=False)
    def plain(ctx: Any) -> Any:
        return ctx.step.run("one", lambda: 1) + random.randint(1, 1)

    run = _ended(lab.emit("plain.begin"))
    replay = run.replay()
    assert (replay.status, replay.same) == ("completed", True)
    assert any(note.startswith("the run was not recorded") for note in replay.notes)
    assert any("random.randint() was not recorded" in note for note in replay.notes)


def test_the_card_shows_no_secret_and_escapes(lab: il.Lab) -> None:
    @lab.function("leaky", on="leaky.begin")
    async def leaky(ctx: Any) -> Any:
        await asyncio.sleep(3600)
        return await ctx.step.run("<b>", lambda: {"password": "hunter2", "note": "<script>"})

    run = lab.emit("leaky.begin", {"n": 1}).runs[0]
    run.cancel()
    quick = run.replay()
    # Never executed: the recording ends before its first step.
    assert (quick.status, quick.asked[-1].call.label) == ("stopped", "<b>")
    for shown in (quick._repr_html_(), str(quick), repr(quick)):
        assert "hunter2" not in shown
        assert "<script>" not in quick._repr_html_()
    assert "\n" not in repr(quick)


def _ended(emitted: Emission) -> Run:
    emitted.wait()
    return emitted.runs[0]


def _until_waiting(run: Run) -> None:
    while run.refresh().status != "waiting":
        pass


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def _renamed(run: Any, function_id: str) -> Any:
    return type(run)(**{**_fields(run), "function_id": function_id})


def test_a_capsule_is_replayed_unless_it_hides_what_the_code_needs(tour: il.Lab, tmp_path: Path) -> None:
    run = _ended(tour.emit("tour.begin", {"n": 2}))
    opened = il.open(run.save(tmp_path / "tour"))
    replay = opened.replay()
    assert (replay.status, replay.same) == ("completed", True)
    hiding = _ended(tour.emit("tour.begin", {"n": 2, "password": "hunter2"}))
    closed = il.open(hiding.save(tmp_path / "hiding")).replay()
    assert (closed.status, closed.asked) == ("stopped", ())
    assert "the input of the run is redacted at $.password" in closed.reason
