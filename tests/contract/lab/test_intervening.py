"""Acting on runs: pause, inject, patch, resume, retry, rerun; children; why; what the card then says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.client.payloads import json_value
from ironflow_lab.errors import (
    FailedPreconditionError,
    GuardError,
    InvalidArgumentError,
    NotFoundError,
)
from ironflow_lab.lab.run import Run
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire.message import Request
from tests.conformance.plain import Plain, until
from tests.contract.jobs import register, report
from tests.contract.lab.test_guard import harmless


class Gate:
    """Lets a step of the test wait inside its body."""

    def __init__(self) -> None:
        self.inside, self.open = threading.Event(), threading.Event()

    def enter(self, value: Any) -> Any:
        self.inside.set()
        assert self.open.wait(30)
        return value


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture(scope="module")
def bodies() -> dict[str, list[str]]:
    return {}


@pytest.fixture(scope="module")
def flow(lab: il.Lab, bodies: dict[str, list[str]]) -> il.Lab:
    """A function of three steps whose second fails as often as its event says."""

    def done(run_id: str, name: str, value: Any) -> Any:
        bodies.setdefault(run_id, []).append(name)
        return value

    def charge(run_id: str, amount: int, fails: int) -> int:
        bodies.setdefault(run_id, []).append("charge")
        if bodies[run_id].count("charge") <= fails:
            raise il.NonRetryableError("declined", code="DECLINED")
        return amount

    @lab.function("flow", on="flow.go", retry={"max_attempts": 1})
    async def flow(ctx: Any) -> Any:
        run_id, data = ctx.run.id, ctx.event.data
        amount = await ctx.step.run("price", done, run_id, "price", data["n"])
        charged = await ctx.step.run("charge", charge, run_id, amount, data.get("fails", 0))
        await ctx.step.sleep("rest", data.get("rest", "1ms"))
        return await ctx.step.run("ship", done, run_id, "ship", {"charged": charged})

    return lab


def asleep(lab: il.Lab, **data: Any) -> Run:
    """Return a run that sleeps between its second step and its third."""
    run = lab.emit("flow.go", {"n": 7, "rest": "1h", **data}).runs[0]
    until(lambda: run.status == "waiting", f"{run} did not fall asleep")
    return run


def failed(lab: il.Lab, **data: Any) -> Run:
    run = lab.emit("flow.go", {"n": 7, "fails": 1, **data}).runs[0]
    lab.wait(run)
    assert run.status == "failed"
    return run


def outputs(run: Run) -> dict[str, Any]:
    frame = run.steps
    return dict(zip(frame["name"], frame["output"], strict=True))


class TestPause:
    def test_a_sleeping_run_stands_at_once_and_wakes_when_resumed(self, flow: il.Lab) -> None:
        run = asleep(flow)
        assert run.pause() is run
        assert run.record.status == "paused"
        assert "by an operator" in str(run)
        assert "asleep in 'rest'" in str(run)
        state = flow.client.runs.paused_state(run.id)
        assert [(step.name, json_value(step.output)) for step in state.steps] == [("price", 7), ("charge", 7)]
        assert (state.next_step_hint, state.pause_reason) == ("rest", "injection")
        assert run.resume().status == "waiting"
        run.cancel()

    def test_pausing_twice_is_pausing_once(self, flow: il.Lab) -> None:
        run = asleep(flow).pause()
        assert run.pause().status == "paused"
        assert list(run.audit["event_type"]).count("run.paused") == 1
        run.cancel()

    def test_an_executing_run_stops_at_the_next_boundary(self, lab: il.Lab, gate: Gate) -> None:
        ran: list[str] = []

        def second(first: int) -> int:
            ran.append("second")
            return first + 1

        @lab.function("held", on="held.go")
        async def held(ctx: Any) -> Any:
            first = await ctx.step.run("first", gate.enter, 1)
            return await ctx.step.run("second", second, first)

        run = lab.emit("held.go", {}).runs[0]
        assert gate.inside.wait(30)
        run.pause()
        assert (run.record.status, run.record.pause_requested) == ("running", True)
        for shown in (repr(run), str(run), run._repr_html_()):
            assert "pausing" in shown
        assert "at the next step boundary" in str(run)
        gate.open.set()
        until(lambda: run.status == "paused", f"{run} did not stop")
        assert ran == []
        assert outputs(run) == {"first": 1}
        run.resume()
        lab.wait(run)
        assert (run.output, ran) == (2, ["second"])

    def test_an_ended_run_cannot_be_paused(self, flow: il.Lab) -> None:
        run = flow.emit("flow.go", {"n": 1}).wait().runs[0]
        with pytest.raises(FailedPreconditionError, match="completed"):
            run.pause()


class TestCorrect:
    def test_an_injected_output_is_what_later_steps_see(self, flow: il.Lab) -> None:
        run = asleep(flow).pause()
        run.inject("charge", 700, reason="refund agreed")
        state = flow.client.runs.paused_state(run.id)
        assert [(step.name, json_value(step.output), step.injected) for step in state.steps] == [
            ("price", 7, False),
            ("charge", 700, True),
        ]
        assert outputs(run)["charge"] == 700
        assert "[injected]" in str(run)
        assert "injected" in run._repr_html_()
        assert "refund agreed" in str(list(run.audit["payload"]))
        then = run.at(step="charge").step("charge")
        assert (then.output, then.original_output, then.injected) == (700, 7, True)

    def test_a_patched_step_of_a_failed_run_is_not_executed_again(
        self, flow: il.Lab, bodies: dict[str, list[str]]
    ) -> None:
        run = failed(flow)
        _ = run.at(-1)
        run.patch("charge", 70, reason="charged by hand").resume("charge")
        flow.wait(run)
        assert (run.status, run.output) == ("completed", {"charged": 70})
        assert bodies[run.id] == ["price", "charge", "ship"]
        assert run.at(-1).status == "completed", "a past that was read knows of the resume"
        assert "patched" in str(run)
        assert "patched" in run._repr_html_()

    @pytest.mark.parametrize("output", [None, False, 0, [], "text", {"deep": [{}]}, 2**53, "ü\u2028"])
    def test_every_json_value_can_be_injected_and_patched(self, flow: il.Lab, output: Any) -> None:
        run = asleep(flow).pause()
        run.inject("price", output)
        run.patch("charge", output)
        assert outputs(run) == {"price": output, "charge": output, "rest": outputs(run)["rest"]}
        run.cancel()

    def test_what_is_no_json_is_refused_before_it_is_sent(self, flow: il.Lab, traffic: list[Request]) -> None:
        run = asleep(flow).pause()
        traffic.clear()
        for wrong in (object(), float("nan"), {"a": float("inf")}, "\ud800"):
            for verb in (run.inject, run.patch):
                with pytest.raises(InvalidArgumentError, match="output"):
                    verb("charge", wrong)
        assert [one.path for one in traffic if not harmless(one)] == []
        run.cancel()

    def test_only_a_paused_run_takes_an_injection(self, flow: il.Lab) -> None:
        run = asleep(flow)
        with pytest.raises(FailedPreconditionError, match="pause it first"):
            run.inject("charge", 1)
        run.cancel()

    def test_only_a_finished_step_has_an_output_to_replace(self, flow: il.Lab) -> None:
        run = asleep(flow).pause()
        for verb in (run.inject, run.patch):
            with pytest.raises(FailedPreconditionError, match="sleeping"):
                verb("rest", 1)
        run.cancel()

    def test_unknown_steps_are_told_with_those_there_are(self, flow: il.Lab) -> None:
        run = asleep(flow).pause()
        for verb in (lambda step: run.inject(step, 1), lambda step: run.patch(step, 1), run.resume):
            with pytest.raises(NotFoundError, match="price:0, charge:0, rest:0"):
                verb("nowhere")
        run.cancel()

    def test_a_name_of_several_steps_is_refused_with_the_candidates(self, lab: il.Lab) -> None:
        @lab.function("loops", on="loops.go")
        async def loops(ctx: Any) -> Any:
            for number in range(3):
                await ctx.step.run("item", lambda number=number: number)
            await ctx.step.sleep("rest", "1h")

        run = lab.emit("loops.go", {}).runs[0]
        until(lambda: run.status == "waiting", "it did not fall asleep")
        run.pause()
        with pytest.raises(InvalidArgumentError, match="'item:0', 'item:1', 'item:2'"):
            run.inject("item", 9)
        run.inject("item:1", 9)
        assert list(run.steps["output"][:3]) == [0, 9, 2]
        run.cancel()


class TestResume:
    def test_a_failed_run_goes_on_where_it_failed(self, flow: il.Lab, bodies: dict[str, list[str]]) -> None:
        run = failed(flow).retry()
        flow.wait(run)
        assert (run.status, run.output) == ("completed", {"charged": 7})
        assert bodies[run.id] == ["price", "charge", "charge", "ship"]

    def test_from_the_beginning_every_step_runs_again(self, flow: il.Lab, bodies: dict[str, list[str]]) -> None:
        run = failed(flow).retry(from_beginning=True)
        flow.wait(run)
        assert (run.status, bodies[run.id]) == ("completed", ["price", "charge", "price", "charge", "ship"])

    def test_from_a_step_it_and_the_later_ones_run_again(self, flow: il.Lab, bodies: dict[str, list[str]]) -> None:
        run = asleep(flow).pause()
        run.inject("price", 8).resume("charge")
        until(lambda: run.status == "waiting", "it did not fall asleep again")
        assert bodies[run.id] == ["price", "charge", "charge"]
        assert outputs(run)["charge"] == 8
        run.cancel()

    def test_only_a_paused_or_a_failed_run_can_be_resumed(self, flow: il.Lab) -> None:
        done, cancelled, waits = (flow.emit("flow.go", {"n": 1}).wait().runs[0], asleep(flow).cancel(), asleep(flow))
        for run in (done, cancelled, waits):
            for verb in (run.resume, run.retry):
                with pytest.raises(FailedPreconditionError, match="only a paused or a failed run"):
                    verb()
        waits.cancel()

    def test_a_resume_by_another_is_noticed(self, flow: il.Lab) -> None:
        mine = failed(flow)
        assert mine.at(-1).status == "failed"
        flow.run(mine.id).retry()
        flow.wait(mine.id)
        assert (mine.status, mine.error) == ("completed", None)
        assert mine.at(-1).status == "completed"

    def test_of_two_who_resume_at_once_one_is_told(self, flow: il.Lab) -> None:
        run = asleep(flow).pause()
        results: list[Any] = []

        def resume() -> None:
            try:
                results.append(flow.run(run.id).resume().status)
            except FailedPreconditionError as error:
                results.append(error)

        threads = [threading.Thread(target=resume) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(isinstance(one, Exception) for one in results) == [False, True]
        assert list(run.audit["event_type"]).count("run.resumed") == 1
        run.cancel()


class TestRerun:
    def test_with_the_same_and_with_another_input(self, flow: il.Lab) -> None:
        run = flow.emit("flow.go", {"n": 3}).wait().runs[0]
        again, other = run.rerun(), run.rerun({"n": 4})
        flow.wait([again, other])
        assert len({run.id, again.id, other.id}) == 3
        assert (again.output, other.output) == ({"charged": 3}, {"charged": 4})
        assert run.function_id == again.function_id

    def test_the_new_run_names_the_one_it_repeats(self, flow: il.Lab) -> None:
        run = flow.emit("flow.go", {"n": 3}).wait().runs[0]
        again = run.rerun()
        twice = again.rerun({"n": 4})
        flow.wait([again, twice])
        for later, earlier in ((again, run), (twice, again)):
            found = flow.run(later.id)
            assert found.origin is not None
            assert found.origin.id == earlier.id
            for shown in (str(found), found._repr_html_()):
                assert f"rerun of {earlier.id}" in shown
        assert run.origin is None
        assert "rerun of" not in str(run)
        flow.client.runs.delete(run.id)
        with pytest.raises(NotFoundError, match=run.id):
            _ = again.origin

    def test_none_is_an_input_and_not_the_first_one_again(self, flow: il.Lab) -> None:
        @flow.function("echo", on="echo.go")
        async def echo(ctx: Any) -> Any:
            return {"got": ctx.event.data}

        run = flow.emit("echo.go", {"n": 1}).wait().runs[0]
        again, none = run.rerun(), run.rerun(None)
        flow.wait([again, none])
        assert (again.output, none.output) == ({"got": {"n": 1}}, {"got": None})
        # An invocation that is no rerun has no origin.
        assert flow.run(flow.client.functions.invoke("echo", {"n": 2}).run_id).origin is None

    def test_a_redacted_input_cannot_be_used_again(self, flow: il.Lab) -> None:
        run = flow.emit("flow.go", {"n": 3}).wait().runs[0]
        flow.client.runs.redact(run.id)
        with pytest.raises(FailedPreconditionError, match="redacted"):
            run.refresh().rerun()


class TestChildren:
    def test_the_runs_its_steps_started(self, lab: il.Lab) -> None:
        @lab.function("parent", on="parent.go")
        async def parent(ctx: Any) -> Any:
            return await ctx.step.invoke("child", {"n": 5})

        @lab.function("child")
        async def child(ctx: Any) -> Any:
            return {"charged": ctx.event.data["n"]}

        run = lab.emit("parent.go", {}).wait().runs[0]
        assert run.output == {"charged": 5}
        children = run.children
        assert list(children["status"]) == ["completed"]
        assert list(children["parent_run_id"]) == [run.id]
        assert list(children["input"]) == [{"n": 5}]
        started = lab.run(children["run_id"].iloc[0])
        for shown in (str(started), started._repr_html_()):
            assert f"child of {run.id}" in shown
        for shown in (str(run), run._repr_html_()):
            assert f"child {started.id}" in shown
        assert started.children.empty
        lab.client.runs.delete(started.id)
        assert run.children.empty
        assert "1 of 1" in run.children.attrs["truncated"]


class TestWhy:
    def test_a_sleeping_run(self, flow: il.Lab) -> None:
        run = asleep(flow)
        why = run.why()
        assert (why.source, why.reason, why.status) == ("server", "sleep", "waiting")
        assert why.step_id.endswith(":rest:0")
        assert why.due_at > run.record.updated_at
        for shown in (repr(why), str(why), why._repr_html_()):
            assert run.id in shown
        with pytest.raises(AttributeError, match="due_at"):
            _ = why.nothing
        run.cancel()
        assert run.why().reason == "ended"

    def test_a_server_that_does_not_say_leaves_it_to_the_rows(
        self, flow: il.Lab, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ironflow_lab.wire.rest.LAB_WHY", "/lab/v1/nowhere/{}/why")
        run = asleep(flow)
        why = run.why()
        assert (why.source, why.reason) == ("rows", "sleep")
        assert "this server does not say more" in str(why)
        run.pause()
        assert (run.why().reason, run.why().source) == ("paused", "rows")
        run.cancel()

    def test_an_unknown_run(self, lab: il.Lab) -> None:
        with pytest.raises(NotFoundError, match="run_gone"):
            lab.client.runs.why("run_gone")


VERBS: list[tuple[Callable[[Run], Any], str]] = [
    (lambda run: run.pause(), "pause run"),
    (lambda run: run.inject("charge", 1), "replace the output of step 'charge'"),
    (lambda run: run.patch("charge", 1), "correct the output of step 'charge'"),
    (lambda run: run.resume(), "its finished steps are kept"),
    (lambda run: run.resume("price"), "runs again, and so do the 2 after it"),
    (lambda run: run.retry(from_beginning=True), "with every step"),
    (lambda run: run.cancel(), "cancel run"),
    (lambda run: run.rerun(), "start a new run of 'flow'"),
]


@pytest.mark.parametrize(("verb", "said"), VERBS)
def test_a_guarded_lab_says_what_a_verb_would_do(
    verb: Callable[[Run], Any], said: str, flow: il.Lab, server: LocalServer, traffic: list[Request]
) -> None:
    run = asleep(flow)
    guarded = il.connect(server.url, guard=True)
    traffic.clear()
    with pytest.raises(GuardError, match=said):
        verb(guarded.run(run.id))
    assert [one.path for one in traffic if not harmless(one)] == []
    with guarded.allow():
        guarded.run(run.id).cancel()
    guarded.close()


def test_a_deleted_run_is_gone_for_who_holds_it(flow: il.Lab) -> None:
    run = failed(flow)
    _ = run.at(-1)
    flow.client.runs.delete(run.id)
    with pytest.raises(NotFoundError, match=run.id):
        run.at(-1)
    assert "not up to date" in run._repr_html_()


def test_a_worker_of_another_kind_is_stopped_at_its_checkpoint(lab: il.Lab, server: LocalServer) -> None:
    plain = Plain(server.url)
    plain.call("RegisterFunction", {"id": "foreign", "triggers": [{"event": "foreign.go"}]})
    register(plain, "foreigner", "foreign")
    run = lab.run(plain.start("foreign.go", {}))
    (job,) = plain.rest("GET", "/api/v1/workers/foreigner/jobs?available=1").json["jobs"]
    run.pause()
    first = {"id": f"{run.id}:a:0", "name": "a", "status": "completed", "output": 1}
    path = f"/api/v1/workers/foreigner/jobs/{job['job_id']}"
    answer = plain.rest("PUT", path, report(job, status="progress", steps=[first]))
    assert (answer.status, run.status) == (409, "paused")
    assert outputs(run) == {"a": 1}
    run.cancel()
