"""What a client reads of a run's past, field by field, over one real server and worker."""

from __future__ import annotations

import json

import pytest

import ironflow_lab as il
from ironflow_lab.errors import FailedPreconditionError, NotFoundError
from ironflow_lab.lab.run import Run
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger


@pytest.fixture(scope="module")
def retried(orders: il.Lab) -> Run:
    """A run whose charge failed at first and took 300 then."""
    return orders.emit("order.placed", {"n": 3}).wait(timeout="30s").runs[0]


def test_the_audit_trail_is_read_page_by_page(orders: il.Lab, retried: Run) -> None:
    audit = orders.client.audit
    whole = audit.list(retried.id)
    assert (len(whole.events), whole.total_count, whole.next_cursor) == (15, 15, "")
    first = audit.list(retried.id, limit=10)
    rest = audit.list(retried.id, limit=10, cursor=first.next_cursor)
    assert (len(first.events), len(rest.events), rest.next_cursor) == (10, 5, "")
    assert first.events + rest.events == whole.events == tuple(audit.iterate(retried.id, page_size=4))
    times = [event.created_at for event in whole.events]
    assert times == sorted(set(times)), "strictly increasing"


def test_the_audit_trail_is_filtered_by_type_and_time(orders: il.Lab, retried: Run) -> None:
    audit = orders.client.audit
    whole = audit.list(retried.id).events
    found = audit.list(retried.id, event_type="step.failed")
    assert (len(found.events), found.total_count) == (1, 1)
    (failure,) = found.events
    assert (failure.event_type, failure.run_id, failure.function_id) == ("step.failed", retried.id, "settle")
    assert failure.step_id == f"{retried.id}:charge:0"
    assert "no answer" in failure.payload["error"]["message"]
    late = audit.list(retried.id, since=failure.created_at).events
    early = audit.list(retried.id, until=failure.created_at).events
    assert (late[0].id, early[-1].id) == (failure.id, failure.id)
    assert (*early, *late[1:]) == whole


def test_audit_events_of_all_runs_are_searched(orders: il.Lab, retried: Run) -> None:
    audit = orders.client.audit
    page = audit.search(run_id=retried.id, function_id="settle", event_type="run.created")
    (created,) = page.events
    assert (created.run_id, created.payload["input"], page.next_cursor) == (retried.id, {"n": 3}, "")
    newest = [row.id for row in audit.search_iterate(run_id=retried.id, page_size=4)]
    assert newest == [event.id for event in reversed(audit.list(retried.id).events)]


def test_a_run_is_followed_to_its_end(orders: il.Lab, retried: Run) -> None:
    audit = orders.client.audit
    first = audit.follow(retried.id, limit=10, wait=0)
    rest = audit.follow(retried.id, cursor=first.next_cursor, limit=10, wait=0)
    assert (len(first.events), first.ended, len(rest.events), rest.ended) == (10, False, 5, True)
    nothing = audit.follow(retried.id, cursor=rest.next_cursor, wait="20s")
    assert (nothing.events, nothing.ended, nothing.next_cursor) == ((), True, rest.next_cursor)


def test_the_state_of_a_run_at_an_instant(orders: il.Lab, retried: Run) -> None:
    runs, events = orders.client.runs, orders.client.audit.list(retried.id).events
    failed = next(event for event in events if event.event_type == "step.failed")
    then = runs.state_at(retried.id, failed.created_at)
    assert (then.run_id, then.function_id, then.status) == (retried.id, "settle", "running")
    assert json.loads(then.input) == {"n": 3}
    (charge,) = then.steps
    assert (charge.name, charge.status, charge.patched, charge.injected) == ("charge", "failed", False, False)
    assert "no answer" in json.loads(charge.error)["message"]
    now = runs.state_at(retried.id, "0s")
    assert (now.status, [(step.name, step.status) for step in now.steps]) == (
        "completed",
        [("charge", "completed"), ("rest", "completed")],
    )
    assert json.loads(now.steps[0].output) == 300
    with pytest.raises(NotFoundError):
        runs.state_at(retried.id, "2h")


def test_the_timeline_of_a_run(orders: il.Lab, retried: Run) -> None:
    moments = orders.client.runs.timeline(retried.id)
    events = orders.client.audit.list(retried.id).events
    assert [one.event_type for one in moments] == [event.event_type for event in events]
    assert [one.timestamp for one in moments] == [event.created_at for event in events]
    failed = next(one for one in moments if one.event_type == "step.failed")
    assert (failed.summary, failed.significant, failed.step_name) == ("Step charge failed", True, "charge")
    started = next(one for one in moments if one.event_type == "step.started")
    assert (started.summary, started.significant) == ("Step charge started", False)


def test_the_output_of_a_step_at_an_instant(orders: il.Lab, retried: Run) -> None:
    runs, events = orders.client.runs, orders.client.audit.list(retried.id).events
    step_id = f"{retried.id}:charge:0"
    now = runs.step_output_at(retried.id, step_id, "0s")
    assert (json.loads(now.output), now.status, now.patched, now.injected) == (300, "completed", False, False)
    failed = next(event for event in events if event.event_type == "step.failed")
    then = runs.step_output_at(retried.id, step_id, failed.created_at)
    assert (then.output, then.status) == (b"", "failed")


def test_a_run_that_was_not_recorded_or_never_was(orders: il.Lab) -> None:
    client = orders.client
    client.functions.register(RegisterFunctionRequest(id="silent", triggers=(Trigger(event="silent.asked"),)))
    (run_id,) = client.events.emit("silent.asked").run_ids
    assert client.audit.list(run_id).events == ()
    for call in (
        lambda run: client.runs.state_at(run, "0s"),
        client.runs.timeline,
        lambda run: client.runs.step_output_at(run, "x", "0s"),
    ):
        with pytest.raises(FailedPreconditionError, match="recording"):
            call(run_id)
        with pytest.raises(NotFoundError, match="never-was"):
            call("never-was")


async def test_the_awaited_client_reads_the_same(orders: il.Lab, retried: Run) -> None:
    async with il.AsyncClient(orders.client.server_url) as client:
        events = [event async for event in client.audit.iterate(retried.id, page_size=7)]
        assert events == list(orders.client.audit.iterate(retried.id))
        assert await client.runs.state_at(retried.id, events[4].created_at) == orders.client.runs.state_at(
            retried.id, events[4].created_at
        )
        assert await client.runs.timeline(retried.id) == orders.client.runs.timeline(retried.id)
        assert (await client.audit.follow(retried.id, wait=0)).ended
        rows = [row.id async for row in client.audit.search_iterate(run_id=retried.id)]
        assert rows == [event.id for event in reversed(events)]
