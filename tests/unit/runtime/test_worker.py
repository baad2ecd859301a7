"""The worker's loops against a server with faults, in fake time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ironflow_lab.errors import (
    ApiError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    StaleExecutionError,
    UnauthenticatedError,
)
from ironflow_lab.models.workers import Assignment, LeaseLine
from ironflow_lab.runtime.pace import LOCAL_RULES
from ironflow_lab.runtime.worker import ANOTHER_KEY
from tests.unit.runtime.fakes import Fault, broken, gone
from tests.unit.runtime.faketime import settle
from tests.unit.runtime.handlers import Gates, other, quick
from tests.unit.runtime.rig import Rig

MakeRig = Callable[..., Rig]


# ---- registering


async def test_the_functions_are_registered_before_the_worker(rig: Rig) -> None:
    await rig.add(quick)
    names = [name for name, _ in rig.server.calls]
    assert names[:2] == ["register_function", "register"]
    assert names.count("register_function") == 1
    request = rig.server.registered["w1"]
    assert request.function_ids == ("quick",)
    assert (request.max_concurrent_jobs, request.instance_id) == (10, "i1")
    assert request.hostname
    assert request.version.runtime.startswith("python-3.")
    assert rig.worker.snapshot().state == "running"


async def test_a_new_function_joins_under_the_same_instance(rig: Rig) -> None:
    await rig.add(quick)
    await rig.add(other())
    registrations = rig.server.sent("register")
    assert [one.function_ids for one in registrations] == [("quick",), ("quick", "other")]
    assert {one.instance_id for one in registrations} == {"i1"}
    assert (await rig.run("other")).output == "other"


async def test_defining_again_registers_only_the_function(rig: Rig) -> None:
    await rig.add(quick)
    await rig.add(quick)
    assert (rig.server.count("register_function"), rig.server.count("register")) == (2, 1)


async def test_a_refused_function_is_not_served(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("register_function", Fault(before=InvalidArgumentError("no such option", status=400)))
    with pytest.raises(InvalidArgumentError, match="no such option"):
        await rig.worker.add(other())
    assert "other" not in rig.registry
    assert rig.worker.snapshot().state == "running"


async def test_a_refused_worker_is_told_to_whoever_defines_a_function(rig: Rig) -> None:
    rig.server.fault("register", Fault(before=PermissionDeniedError("no workers:run", status=403)))
    with pytest.raises(PermissionDeniedError, match="workers:run"):
        await rig.worker.add(quick)
    assert rig.worker.snapshot().state == "failed"
    await rig.add(quick)
    assert rig.worker.snapshot().state == "running"


async def test_a_server_that_goes_away_meanwhile_is_waited_for(rig: Rig) -> None:
    rig.server.fault("register", Fault(before=gone()), Fault(before=broken()))
    adding = asyncio.ensure_future(rig.worker.add(quick))
    await settle()
    assert not adding.done()
    await rig.pace.advance(5)
    assert rig.server.count("register") == 2
    await rig.pace.advance(10)
    await adding
    assert rig.server.count("register_function") == 3, "all functions are sent at every registration"
    assert rig.worker.snapshot().state == "running"


async def test_whoever_defines_a_function_waits_ten_seconds_at_most(rig: Rig) -> None:
    rig.server.fault("register", *[Fault(before=gone())] * 50)
    adding = asyncio.ensure_future(rig.worker.add(quick))
    await rig.pace.advance(9.9)
    assert not adding.done()
    await rig.pace.advance(0.1)
    await adding
    assert "connection refused" in rig.worker.snapshot().last_error


async def test_start_without_functions_does_nothing(rig: Rig) -> None:
    await rig.worker.start()
    await settle()
    assert rig.server.calls == []
    assert rig.worker.snapshot().state == "stopped"


# ---- polling


async def test_no_more_jobs_than_slots_are_asked_for_or_run(make_rig: MakeRig) -> None:
    rig, steps = make_rig(concurrency=2), Gates(1)
    await rig.add(steps.function)
    for _ in range(5):
        rig.server.emit("f")
    await settle()
    assert len(steps.bodies) == 2
    assert rig.server.sent("poll") == [2]
    assert len(rig.worker.snapshot().jobs) == 2
    steps.open(0)
    await settle()
    assert [run.status for run in rig.server.all_runs.values()] == ["completed"] * 5
    assert set(rig.server.sent("poll")) <= {1, 2}


async def test_a_server_that_gives_too_many_jobs_keeps_the_rest(make_rig: MakeRig) -> None:
    rig, steps = make_rig(concurrency=1), Gates(1)
    claim = rig.server.claim

    async def generous(worker_id: str, available: int, wait: int) -> tuple[Assignment, ...]:
        return await claim(worker_id, 3, wait)

    rig.server.claim = generous  # type: ignore[method-assign]  # a server that cannot count
    await rig.add(steps.function)
    for _ in range(3):
        rig.server.emit("f")
    await settle()
    assert steps.bodies == [0]
    assert rig.server.count("ack") == 1


async def test_an_assignment_that_is_in_hand_is_ignored(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    given: list[Assignment] = []
    claim = rig.server.claim

    async def twice(worker_id: str, available: int, wait: int) -> tuple[Assignment, ...]:
        if given:
            return (given.pop(),)
        jobs = await claim(worker_id, available, wait)
        given.extend(jobs)
        return jobs

    rig.server.claim = twice  # type: ignore[method-assign]  # a server that repeats itself
    rig.server.forget_workers()
    rig.server.changed()
    await rig.pace.advance(30)
    await rig.run("f")
    assert steps.bodies == [0]
    assert rig.server.count("ack") == 1


async def test_a_server_that_does_not_hold_polls_is_asked_once_a_second(rig: Rig) -> None:
    rig.server.held = False
    await rig.add(quick)
    assert rig.server.count("poll") == 1
    await rig.pace.advance(0.9)
    assert rig.server.count("poll") == 1
    await rig.pace.advance(2.1)
    assert rig.server.count("poll") == 4


async def test_a_failing_poll_backs_off_up_to_a_minute_and_recovers(rig: Rig) -> None:
    rig.server.fault("poll", *[Fault(before=broken(500))] * 6)
    await rig.add(quick)
    assert rig.worker.snapshot().state == "reconnecting"
    assert rig.worker.snapshot().last_error == "HTTP 500"
    for pause, polls in ((5, 2), (10, 3), (20, 4), (40, 5), (60, 6)):
        await rig.pace.advance(pause - 0.1)
        assert rig.server.count("poll") == polls - 1
        await rig.pace.advance(0.1)
        assert rig.server.count("poll") == polls
    await rig.pace.advance(60)
    assert rig.server.waits == [20, 1, 1, 1, 1, 1, 1, 20], "short ones find out that it is back"
    assert rig.worker.snapshot().state == "running"
    rig.server.fault("poll", Fault(before=broken(500)))
    assert (await rig.run("quick")).status == "completed"
    await rig.pace.advance(5)
    assert rig.worker.snapshot().state == "running", "the pauses begin anew"


async def test_a_restarted_local_server_is_found_fast(make_rig: MakeRig) -> None:
    rig = make_rig(rules=LOCAL_RULES)
    rig.server.fault("poll", *[Fault(before=gone())] * 3)
    await rig.add(quick)
    await rig.pace.advance(0.2 + 0.26 + 0.338)
    assert rig.server.waits == [20, 1, 1, 1, 20]
    assert rig.worker.snapshot().last_error == "", "it was away and is back"
    assert rig.worker.snapshot().state == "running"


async def test_a_busy_server_is_given_the_time_it_asks_for(rig: Rig) -> None:
    rig.server.fault("poll", Fault(before=ResourceExhaustedError("busy", status=429, retry_after=90)))
    await rig.add(quick)
    await rig.pace.advance(89)
    assert rig.server.count("poll") == 1
    await rig.pace.advance(1)
    assert rig.server.count("poll") > 1


@pytest.mark.parametrize("call", ["poll", "heartbeat", "ack", "report", "lease"])
@pytest.mark.parametrize("error", [UnauthenticatedError("no key", status=401), PermissionDeniedError("no", status=403)])
async def test_a_refused_key_stops_the_worker(rig: Rig, call: str, error: ApiError) -> None:
    rig.server.fault(call, Fault(before=error))
    await rig.add(quick)
    rig.server.emit("quick")
    await rig.pace.advance(30)
    snapshot = rig.worker.snapshot()
    assert (snapshot.state, snapshot.jobs) == ("failed", ())
    assert snapshot.last_error == f"{error}; {ANOTHER_KEY}"
    assert rig.worker.failure == error
    calls = len(rig.server.calls)
    await rig.pace.advance(300)
    assert len(rig.server.calls) == calls, "nothing is sent any more"


# ---- forgotten by the server


@pytest.mark.parametrize("call", ["poll", "heartbeat"])
async def test_a_worker_the_server_forgot_gives_up_its_jobs_and_registers_again(rig: Rig, call: str) -> None:
    steps = Gates(1)
    await rig.add(steps.function, other())
    run = await rig.run("f")
    rig.server.fault(call, Fault(before=NotFoundError("unknown worker", status=404)))
    if call == "poll":
        await rig.run("other")
    else:
        await rig.pace.advance(30)
    assert steps.cancelled == [0]
    assert rig.server.count("register") == 3
    assert [one.id for one in rig.server.sent("register_function")] == ["f", "other", "f", "other"]
    assert all(report.run_id != run.id for report in rig.server.sent("ack")[1:]), "nothing is said of it"
    rig.server.lose_lease(run)
    steps.open(0)
    await settle()
    assert run.status == "completed"
    assert rig.worker.snapshot().state == "running"


async def test_a_server_that_keeps_forgetting_is_not_flooded(rig: Rig) -> None:
    rig.server.fault("poll", *[Fault(before=NotFoundError("unknown", status=404))] * 50)
    await rig.add(quick)
    assert rig.server.count("register") == 2
    await rig.pace.advance(5)
    assert rig.server.count("register") == 3
    await rig.pace.advance(10)
    assert rig.server.count("register") == 4


# ---- heartbeats


async def test_heartbeats_list_exactly_the_jobs_in_hand(make_rig: MakeRig) -> None:
    rig, steps = make_rig(lab=()), Gates(1)
    await rig.add(steps.function)
    await rig.pace.advance(29)
    assert rig.server.count("heartbeat") == 0
    await rig.run("f")
    await rig.pace.advance(1)
    [beat] = rig.server.sent("heartbeat")
    assert (beat.worker_id, beat.active_jobs) == ("w1", 1)
    assert [job.job_id for job in beat.jobs] == ["run_01.1"]
    assert beat.jobs[0].started_at.startswith("2026-01-02T03:04:05.")
    steps.open(0)
    await rig.pace.advance(30)
    assert rig.server.sent("heartbeat")[1].jobs == ()


async def test_a_lost_heartbeat_changes_nothing(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    run = await rig.run("f")
    rig.server.fault("heartbeat", Fault(before=gone()), Fault(before=broken(500)))
    await rig.pace.advance(60)
    assert rig.server.count("heartbeat") == 2
    steps.open(0)
    await settle()
    assert run.status == "completed"


# ---- the lease connection


async def test_leases_are_held_by_a_connection_where_the_server_offers_it(rig: Rig) -> None:
    await rig.add(quick)
    assert rig.server.sent("lease") == ["i1"]
    assert rig.worker.snapshot().lease == "connection"


@pytest.mark.parametrize(
    "error", [None, NotFoundError("no such route", status=404), InvalidArgumentError("?", status=400)]
)
async def test_elsewhere_heartbeats_have_to_do(make_rig: MakeRig, error: ApiError | None) -> None:
    rig = make_rig(lab=())
    if error is not None:
        rig.server.lab = ("workers/lease",)
        rig.server.fault("capabilities", Fault(before=error))
    await rig.add(quick)
    assert rig.server.count("lease") == 0
    assert rig.worker.snapshot().lease == "heartbeats"
    assert (await rig.run("quick")).status == "completed"


async def test_a_server_too_busy_to_say_what_it_offers_is_asked_again(rig: Rig) -> None:
    rig.server.fault("capabilities", Fault(before=broken()), Fault(before=gone()))
    await rig.add(quick)
    assert rig.worker.snapshot().lease == "heartbeats"
    await rig.pace.advance(15)
    assert rig.worker.snapshot().lease == "connection"


async def test_a_cancel_line_cancels_the_handler_at_once(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    await rig.run("f")
    await rig.run("f")
    rig.server.say(LeaseLine(type="cancel", run_id="run_01", job_id="run_01.1"))
    rig.server.say(LeaseLine(type="cancel", run_id="run_02"))
    rig.server.say(LeaseLine(type="cancel", run_id="run_77", job_id="run_77.1"))
    rig.server.say(LeaseLine(type="news from the future"))
    await settle()
    assert len(steps.cancelled) == 2
    assert rig.worker.snapshot().jobs == ()
    assert rig.server.count("report") == 0
    assert rig.worker.snapshot().state == "running"


async def test_a_lost_lease_connection_is_opened_again(make_rig: MakeRig) -> None:
    rig = make_rig(rules=LOCAL_RULES)
    await rig.add(quick)
    rig.server.fault("lease", Fault(before=gone()))
    rig.server.say(None)
    await settle()
    assert rig.worker.snapshot().lease == "heartbeats"
    await rig.pace.advance(0.2)
    assert rig.server.count("lease") == 2
    assert rig.server.count("heartbeat") == 0
    await rig.pace.advance(0.26)
    assert rig.server.count("lease") == 3
    assert rig.worker.snapshot().lease == "connection"


async def test_a_server_that_was_away_is_told_at_once_what_is_in_hand(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    await rig.run("f")
    assert rig.server.count("heartbeat") == 0
    rig.server.say(None)
    await rig.pace.advance(5)
    [beat] = rig.server.sent("heartbeat")
    assert [job.job_id for job in beat.jobs] == ["run_01.1"]


async def test_a_server_that_came_back_without_memory_is_registered_with(rig: Rig) -> None:
    await rig.add(quick)
    rig.server.fault("heartbeat", Fault(before=NotFoundError("unknown", status=404)))
    rig.server.say(None)
    await rig.pace.advance(5)
    assert rig.server.count("register") == 2
    assert rig.worker.snapshot().state == "running"


async def test_a_worker_that_was_replaced_stops(rig: Rig) -> None:
    steps = Gates(1)
    await rig.add(steps.function)
    await rig.run("f")
    rig.server.fault("lease", Fault(before=StaleExecutionError("another instance has registered", status=409)))
    rig.server.say(None)
    await rig.pace.advance(5)
    assert rig.worker.snapshot().state == "failed"
    assert "another instance" in rig.worker.snapshot().last_error
    assert steps.cancelled == [0]


# ---- messages of steps


async def test_a_message_is_sent_until_a_server_answers(rig: Rig) -> None:
    sent: list[str] = []

    async def send() -> str:
        sent.append("message")
        if len(sent) <= 20:
            raise gone()
        return "taken"

    sending = asyncio.ensure_future(rig.worker.until_taken(send))
    await rig.pace.advance(300)
    assert await sending == "taken"
    assert len(sent) == 21


async def test_a_message_that_a_server_refuses_is_not_sent_again(rig: Rig) -> None:
    sent: list[str] = []

    async def send() -> str:
        sent.append("message")
        raise InvalidArgumentError("no such topic", status=400)

    with pytest.raises(InvalidArgumentError):
        await rig.worker.until_taken(send)
    assert len(sent) == 1
