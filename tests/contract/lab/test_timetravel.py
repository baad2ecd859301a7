"""A run at any moment and between two, recorded by a real server and seen through a lab."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    DefinitionError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from ironflow_lab.frames import schema
from ironflow_lab.lab.run import Run
from ironflow_lab.models.instant import Instant
from ironflow_lab.wire.message import Request
from tests.conformance.conftest import register
from tests.conformance.plain import Plain

SECRET = "hunter2-s3cret"
SCRIPT = "<script>alert(1)</script>"
ODD = ("__proto__", "a:b.c", "constructor", 'quo"te <b>', "ünï")
# What a run whose only step fails once and then sleeps goes through.
MOMENTS = [
    "Run created",
    "Run running",
    "Step charge started",
    "Step charge failed",
    "Run waiting for a retry",
    "Run waiting for capacity",
    "Run running",
    "Step charge started",
    "Step charge completed",
    "Step rest started",
    "Run waiting",
    "Step rest completed",
    "Run waiting for capacity",
    "Run running",
    "Run completed",
]


@pytest.fixture(scope="module")
def retried(orders: il.Lab) -> Run:
    return orders.emit("order.placed", {"n": 3, "password": SECRET}).wait(timeout="30s").runs[0]


@pytest.fixture(scope="module")
def unrecorded(lab: il.Lab) -> Run:
    @lab.function("forgotten", on="forget.asked", recording=False)
    async def forgotten(ctx: Any) -> Any:
        return await ctx.step.run("only", lambda: {"n": 1})

    return lab.emit("forget.asked", {"n": 1}).wait(timeout="30s").runs[0]


def test_the_timeline_of_a_run_that_failed_once(orders: il.Lab, retried: Run) -> None:
    frame = orders.timeline(retried.id)
    assert frame["summary"].tolist() == MOMENTS
    assert [column.name for column in schema.TIMELINE] == list(frame.columns)
    assert frame["at"].is_monotonic_increasing
    assert (frame.attrs["source"], frame.attrs["complete"], frame.attrs["truncated"]) == ("fold", True, None)
    told = orders.client.runs.timeline(retried.id)
    assert frame["event_id"].tolist() == [one.id for one in told]
    assert frame["significant"].tolist() == [one.significant for one in told]


def test_the_audit_events_are_those_of_the_server(orders: il.Lab, retried: Run) -> None:
    frame = retried.audit
    assert frame["event_type"].tolist() == [one.event_type for one in orders.client.audit.iterate(retried.id)]
    assert frame["position"].tolist() == list(range(1, len(frame) + 1))
    assert frame["payload"].iloc[0]["input"]["password"] == SECRET
    assert SECRET not in frame.to_string()
    assert (frame.attrs["source"], frame.attrs["query"]) == ("audit", {"run_id": retried.id})
    same = orders.audit(retried)
    assert same["event_id"].tolist() == frame["event_id"].tolist()


def test_audit_events_are_searched_across_runs(orders: il.Lab, retried: Run) -> None:
    orders.emit("order.placed", {"n": 4}).wait(timeout="30s")
    failures = orders.audit(function="settle", event_type="step.failed", since="1h")
    assert set(failures["event_type"]) == {"step.failed"}
    assert failures["run_id"].nunique() >= 2
    assert failures["created_at"].is_monotonic_decreasing
    assert failures["position"].isna().all()
    assert retried.id in failures["run_id"].tolist()
    one = orders.audit(limit=1)
    assert (len(one), one.attrs["complete"]) == (1, False)
    assert orders.audit(retried, until=retried.at(3).at)["position"].tolist() == [1, 2, 3]
    assert orders.audit(retried, since=retried.at(3).at)["position"].isna().all()
    with pytest.raises(DefinitionError, match="not both"):
        orders.audit(retried, function="settle")
    with pytest.raises(DefinitionError, match="limit"):
        orders.audit(limit=0)


def test_every_position_is_what_the_server_says_of_that_instant(orders: il.Lab, retried: Run) -> None:
    for position in range(1, len(MOMENTS) + 1):
        ours = retried.at(position)
        theirs = orders.client.runs.state_at(retried.id, ours.at)
        assert (ours.status, ours.position) == (theirs.status, position)
        assert ours.steps["step_id"].tolist() == [step.step_id for step in theirs.steps]
        assert ours.steps["status"].astype(str).tolist() == [step.status for step in theirs.steps]


def test_the_ways_to_say_which_moment(retried: Run) -> None:
    charged = retried.at(9)
    for same in (
        retried.at(event=9),
        retried.at(step="charge"),
        retried.at("charge"),
        retried.at(charged.at),
        retried.at(str(charged.at)),
        retried.at(charged),
        retried.at(-7),
        retried.at(event=-7),
        retried.at(event=retried.audit["event_id"].iloc[8]),
        retried.at(retried.timeline["at"].iloc[8]),
    ):
        assert same.position == 9
        assert same.document() == charged.document()
    assert charged.step("charge").output == 300
    assert charged.event is not None
    assert charged.event.event_type == "step.completed"
    assert (charged.status, charged.attempts, charged.output, charged.error is None) == ("running", 2, None, False)
    assert retried.at(datetime.now(UTC)).status == "completed"
    assert retried.at("0s").position == retried.at(timedelta(0)).position == len(MOMENTS)


def test_what_a_snapshot_holds(retried: Run) -> None:
    failed = retried.at(4)
    assert (failed.source, failed.run_id, failed.function_id) == ("fold", retried.id, "settle")
    assert failed.input["n"] == 3
    assert (failed.status, failed.attempts, failed.output, failed.error) == ("running", 1, None, None)
    row = failed.steps.iloc[0]
    assert (row["name"], row["status"], row["attempt"]) == ("charge", "failed", 1)
    assert "no answer" in row["error"]
    waiting = retried.at(5)
    assert (waiting.status, waiting.error["code"]) == ("waiting", "STEP_FAILED")
    assert retried.at(-1).output == {"n": 3, "charged": 300}
    nothing = retried.at(0)
    assert (nothing.status, nothing.event, nothing.input, len(nothing.steps)) == ("", None, None, 0)
    assert (nothing.steps.dtypes == failed.steps.dtypes).all()
    for shown in (repr(failed), str(failed), failed._repr_html_()):
        assert "position 4 of 15" in shown
        assert SECRET not in shown
    assert "not started yet: rest" in failed._repr_html_()


def test_what_changed_between_two_moments_and_why(orders: il.Lab, retried: Run) -> None:
    frame = retried.diff(4, 9).set_index("path")
    charged = frame.loc["steps.charge.output"]
    assert (charged["after"], charged["cause"], charged["position"]) == (300, "step.completed at 9", 9)
    assert charged["actor"] == orders.worker.status().worker_id
    assert list(frame.loc["steps.charge.status", ["before", "after"]]) == ["failed", "completed"]
    assert list(frame.loc["run.attempt", ["before", "after"]]) == [1, 2]
    assert retried.diff(0, -1)["position"].between(1, 15).all()
    assert len(retried.diff(9, 9)) == 0
    back = retried.diff(9, 4).set_index("path")
    assert list(back.loc["steps.charge.status", ["before", "after"]]) == ["completed", "failed"]


def test_moments_of_a_difference_may_be_said_in_every_way(retried: Run) -> None:
    first, last = retried.at(9), retried.at(12)
    expected = retried.diff(9, 12)
    for pair in (("charge", "rest"), (first, last), (first.at, last.at), (str(first.at), 12), (-7, -4)):
        assert retried.diff(*pair).equals(expected)
    assert expected.attrs["query"]["between"] == ["9", "12"]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({}, DefinitionError, r"was given nothing; give a position \(run\.at\(3\)"),
        ({"moment": 3, "event": 3}, DefinitionError, "a moment and event at once"),
        ({"step": "charge", "event": 3}, DefinitionError, "step and event at once"),
        ({"moment": 16}, InvalidArgumentError, "positions 0 .* to 15"),
        ({"moment": -17}, InvalidArgumentError, "positions 0 .* to 15"),
        ({"event": 0}, InvalidArgumentError, "events 1 to 15"),
        ({"event": "aud_none"}, NotFoundError, "no event 'aud_none'"),
        ({"moment": 3.0}, DefinitionError, "no moment"),
        ({"moment": True}, DefinitionError, "no moment"),
        ({"moment": "2h"}, NotFoundError, "did not exist at .* created at 20"),
        ({"moment": Instant(5)}, NotFoundError, "did not exist at 1970"),
        ({"moment": "chrage"}, DefinitionError, "steps charge, rest"),
        ({"moment": datetime.fromisoformat("2026-01-02")}, DefinitionError, "time zone"),
        ({"step": "chrage"}, NotFoundError, "charge, rest"),
        ({"step": 3}, DefinitionError, "name of a step"),
    ],
)
def test_what_is_no_moment_is_a_clear_error(
    retried: Run, given: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        retried.at(given.pop("moment", None), **given)


def test_moments_of_another_run_are_refused(orders: il.Lab, retried: Run) -> None:
    other = orders.emit("order.placed", {"n": 1}).wait(timeout="30s").runs[0]
    for verb in (retried.at, lambda one: retried.diff(1, one)):
        with pytest.raises(DefinitionError, match=f"snapshot of run {other.id}, not of {retried.id}"):
            verb(other.at(1))


def test_a_step_that_had_not_started_is_not_in_a_snapshot(retried: Run) -> None:
    with pytest.raises(NotFoundError, match=r"rest.*charge"):
        retried.at(4).step("rest")


def test_a_run_with_one_event(lab: il.Lab) -> None:
    lab.client.functions.register(_idle("idle", "idle.asked"))
    run = lab.emit("idle.asked", {"n": 1}).runs[0]
    assert run.timeline["summary"].tolist() == ["Run created"]
    assert run.at(1).status == run.at(-1).status == "waiting_for_capacity"
    assert run.at(0).status == ""
    assert len(run.diff(0, 1)) == 3
    with pytest.raises(InvalidArgumentError, match=r"positions 0 .* to 1"):
        run.at(2)
    with pytest.raises(NotFoundError, match="the steps are: none"):
        run.at(step="charge")
    run.cancel()
    assert run.at(-1).status == "cancelled"


def test_an_unrecorded_run_says_how_to_turn_recording_on(unrecorded: Run, lab: il.Lab) -> None:
    for verb in (lambda: unrecorded.at(1), lambda: unrecorded.diff(0, 1), lambda: unrecorded.at(step="only")):
        with pytest.raises(FailedPreconditionError, match=r"was not recorded.*recording=True"):
            verb()
    with pytest.raises(FailedPreconditionError, match="record"):
        lab.client.runs.state_at(unrecorded.id, "0.1s")


def test_an_unrecorded_run_has_no_audit_and_a_coarser_timeline(unrecorded: Run, lab: il.Lab) -> None:
    for frame in (unrecorded.audit, lab.audit(unrecorded.id)):
        assert len(frame) == 0
        assert (frame.attrs["source"], frame.attrs["complete"]) == ("audit", False)
        assert "recording=True" in frame.attrs["truncated"]
    coarse = unrecorded.timeline
    assert (coarse.attrs["source"], coarse.attrs["complete"]) == ("rows", False)
    assert coarse["summary"].tolist()[0] == "Run created"
    assert coarse["summary"].tolist()[-1] == "Run completed"
    assert "Step only completed" in coarse["summary"].tolist()


def test_functions_of_a_lab_are_recorded_unless_they_say_otherwise(lab: il.Lab, unrecorded: Run) -> None:
    @il.function("apart-recorded", on="apart.recorded")
    async def apart(ctx: Any) -> None: ...

    @il.function("apart-not", on="apart.not", recording=False)
    async def apart_not(ctx: Any) -> None: ...

    lab.serve(apart, apart_not)
    recording = lab.functions().set_index("function_id")["recording"]
    assert recording[["apart-recorded", "apart-not", "forgotten"]].tolist() == [True, False, False]


def test_of_a_run_recorded_without_its_steps_it_is_said_that_they_are_missing(lab: il.Lab) -> None:
    @lab.function("coarse", on="coarse.asked", recording="run_lifecycle")
    async def coarse(ctx: Any) -> Any:
        return await ctx.step.run("hidden", lambda: 1)

    run = lab.emit("coarse.asked").wait(timeout="30s").runs[0]
    past = run.at(-1)
    assert (past.status, past.source, len(past.steps)) == ("completed", "incomplete", 0)
    assert "none of its steps (1)" in past.note
    assert "incomplete" in past._repr_html_()
    assert run.timeline.attrs["source"] == "incomplete"
    assert "none of its steps (1)" in run.timeline.attrs["truncated"]
    view = run.scrub()
    assert (view.meta["source"], view.meta["recording"]) == ("incomplete", "run_lifecycle")
    view.close()


def test_hostile_names_and_payloads_stay_what_they_are(lab: il.Lab) -> None:
    @lab.function("odd", on="odd.asked", retry={"max_attempts": 1, "on_exhausted": "fail"})
    async def odd(ctx: Any) -> Any:
        for name in ODD:
            await ctx.step.run(name, lambda name=name: {"__proto__": name, "html": SCRIPT, "token": SECRET})
        raise ValueError(SCRIPT)

    run = lab.emit("odd.asked", {"html": SCRIPT, "__proto__": {"x": 1}}).wait(timeout="30s").runs[0]
    past = run.at(-1)
    assert past.steps["name"].tolist() == list(ODD)
    assert [past.step(name).output["__proto__"] for name in ODD] == list(ODD)
    assert run.at(step="a:b.c").step("a:b.c").status == "completed"
    paths = run.diff(0, -1)["path"].tolist()
    assert len(set(paths)) == len(paths)
    assert "steps.__proto__.output" in paths
    for shown in (past._repr_html_(), str(past), repr(past)):
        assert SECRET not in shown
    assert "<script>" not in past._repr_html_()
    assert SECRET not in run.timeline.to_string() + run.audit.to_string() + run.diff(0, -1).to_string()


def test_outputs_of_5_mb_are_exact_though_no_page_holds_them_and_cards_stay_small(lab: il.Lab) -> None:
    plain = Plain(lab.client.server_url)
    worker = register(plain, "large", recording=True)
    job = worker.take(plain.start("large.go", {}))
    for number in range(7):
        worker.done(job, "progress", job.step(f"load-{number}", f"{number}" * 5_000_000), step_offset=number)
    worker.done(job, "completed", output=1, step_offset=7)
    run = lab.run(job.run_id)
    past = run.at(step="load-3")
    assert [past.step(f"load-{number}").output for number in range(4)] == [f"{n}" * 5_000_000 for n in range(4)]
    assert past.steps["output"].iloc[3] == "3" * 5_000_000
    assert len(run.audit) == len(run.timeline) == run.at(-1).position == 17
    assert len(past._repr_html_()) < 20_000
    assert len(repr(past.step("load-3"))) < 500
    assert len(run.diff(0, -1).to_string()) < 50_000


def test_a_worker_whose_clock_is_wrong_changes_no_order(lab: il.Lab) -> None:
    plain = Plain(lab.client.server_url)
    worker = register(plain, "askew", recording=True)
    job = worker.take(plain.start("askew.go", {}))
    worker.done(job, "completed", job.step("early", 1), output=1)
    run = lab.run(job.run_id)
    assert run.timeline["at"].is_monotonic_increasing
    step = run.at(step="early").steps.iloc[0]
    assert step["ended_at"] < run.timeline["at"].iloc[0], "as the worker told it"
    assert step["duration"].total_seconds() == 0.1
    assert run.at(-1).document()["steps"][0]["started_ms"] < 0


def test_of_a_run_that_has_ended_only_what_is_new_is_asked_for(
    orders: il.Lab, retried: Run, traffic: list[Request]
) -> None:
    run = orders.run(retried.id)
    assert run.at(3).position == 3
    traffic.clear()
    _ = (run.at(-1).steps, run.timeline, run.audit, run.diff(1, 5), run.at(step="charge"))
    # An ended run may be corrected, resumed and redacted: each look asks, for one empty page.
    assert len(traffic) == 5
    assert all(dict(request.query)["cursor"] for request in traffic)


def test_what_is_done_to_an_ended_run_is_seen_by_whoever_looked_before(orders: il.Lab) -> None:
    run = orders.emit("order.placed", {"n": 4, "password": SECRET}).wait(timeout="30s").runs[0]
    before = run.at(-1)
    assert (before.status, before.step("charge").status) == ("failed", "failed")
    orders.client.runs.patch(before.step("charge").step_id, 444, reason="paid by hand")
    charged = run.at(step="charge").step("charge")
    assert (charged.status, charged.output, charged.patched) == ("completed", 444, True)
    orders.client.runs.resume(run.id)
    orders.client.runs.wait([run.id], timeout="30s")
    done = run.at(-1)
    assert (done.status, done.output["charged"], done.attempts) == ("completed", 444, 1)
    told = run.timeline["summary"].tolist()
    assert [one for one in ("Step charge patched", "Run resumed", "Run completed") if one not in told] == []
    changed = run.diff(before, done).set_index("path")
    assert str(changed.loc["steps.charge.output", "cause"]).startswith("step.patched at ")
    orders.client.runs.redact(run.id)
    assert "$redacted" in run.at(1).input
    assert all("password" not in str(payload) for payload in run.audit["payload"])


def test_a_run_that_goes_on_is_read_on_from_where_the_reading_stopped(lab: il.Lab, traffic: list[Request]) -> None:
    lab.client.functions.register(_idle("pending", "pending.asked"))
    run = lab.emit("pending.asked").runs[0]
    assert run.at(-1).position == 1
    run.cancel()
    traffic.clear()
    assert run.at(-1).status == "cancelled"
    assert dict(traffic[0].query)["cursor"], "only what is new is asked for"
    assert len(run.audit) == run.at(-1).position


def test_a_server_without_the_follow_route_tells_the_same(orders: il.Lab, retried: Run) -> None:
    orders._session.follows = False
    try:
        run = orders.run(retried.id)
        assert run.timeline["summary"].tolist() == MOMENTS
        assert run.at(9).document() == retried.at(9).document()
        assert run.at(9).source == "fold", "the fold agrees with the run's steps"
    finally:
        orders._session.follows = True


def test_where_the_trail_is_incomplete_the_server_itself_is_asked(
    orders: il.Lab, retried: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = orders.run(retried.id)
    _without_steps(monkeypatch)
    monkeypatch.setattr(orders._session, "follows", False)
    past = run.at(-1)
    assert past.source == "server"
    assert "none of its steps (2)" in past.note
    assert past.steps["name"].tolist() == ["charge", "rest"]
    assert past.steps["status"].astype(str).tolist() == ["completed", "completed"]
    assert past.step("charge").output == 300
    assert past.input["n"] == 3
    assert run.diff(0, -1).attrs["source"] == "incomplete"


def _without_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trails arrive without the events of steps, as from a server that records less."""
    from ironflow_lab.client._async.audit import AsyncAudit

    whole = AsyncAudit.list

    async def part(self: AsyncAudit, *given: Any, **options: Any) -> Any:
        page = await whole(self, *given, **options)
        kept = tuple(event for event in page.events if not event.step_id)
        return type(page)(events=kept, total_count=len(kept), next_cursor=page.next_cursor)

    monkeypatch.setattr(AsyncAudit, "list", part)


def _idle(id: str, event: str) -> Any:
    """A recorded function that nobody serves."""
    from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger

    return RegisterFunctionRequest(id=id, name=id, triggers=(Trigger(event=event),), recording=True)
