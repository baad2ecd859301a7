"""Every step primitive with the official worker: bodies, rows, attempts and the audit trail."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

from tests.conformance.plain import Plain, instant, payload
from tests.conformance.script import WAITED, Script, done

MILLISECOND = 1_000_000


# ---- run, and the names of steps


def test_steps_in_a_loop_and_hostile_names(script: Script) -> None:
    names = ["b:c.d", "back\\slash", "größe 🦀", "compensate:x:y"]
    loop = [["run", "a", turn] for turn in range(3)]
    run_id = script.start(*loop, *[["run", name, name] for name in names], ["sleep", "z", 0.01], ["run", "a", "last"])
    run = script.ended(run_id)
    ids = ["a:0", "a:1", "a:2", r"b\:c.d:0", r"back\\slash:0", "größe 🦀:0", r"compensate:x\:y:0", "z:0", "a:3"]
    assert payload(run, "output") == [0, 1, 2, *names, None, "last"]
    assert script.ids(run_id) == ids
    assert [row.get("sequence", 0) for row in script.plain.steps(run_id)] == list(range(9))
    assert {row["attempt"] for row in script.plain.steps(run_id)} == {run["attempt"]} == {1}
    assert script.ledger.bodies(run_id) == Counter({"a": 4, **dict.fromkeys(names, 1)})
    assert script.story(run_id) == done(*ids)
    assert script.awake(run_id) == ["running", "waiting_for_capacity", "running", "completed"]
    started = [event["payload"] for event in script.trail(run_id, "step.started")]
    assert [one["stepName"] for one in started] == ["a", "a", "a", *names, "z", "a"]


def test_a_thousand_turns_of_a_loop_with_a_sleep_amid_them(script: Script) -> None:
    """More than a checkpoint holds, all of it memoised."""
    first, second = [["run", "s", n] for n in range(600)], [["run", "s", n] for n in range(600, 1000)]
    run_id = script.start(*first, ["sleep", "z", 0.01], *second)
    run = script.ended(run_id)
    assert payload(run, "output") == [*range(600), None, *range(600, 1000)]
    assert script.ids(run_id) == [*[f"s:{n}" for n in range(600)], "z:0", *[f"s:{n}" for n in range(600, 1000)]]
    assert script.ledger.bodies(run_id) == Counter(s=1000)


# ---- sleep


def test_sleep(script: Script) -> None:
    run_id = script.start(["run", "before", 1], ["sleep", "nap", 0.2], ["run", "after", 2], ["about"])
    run = script.ended(run_id)
    assert payload(run, "output") == [1, None, 2, [1, 2, "fail"]]
    assert script.kinds(run_id) == [("invoke", "completed"), ("sleep", "completed"), ("invoke", "completed")]
    assert script.ledger.bodies(run_id) == Counter(before=1, after=1)
    assert len(script.ledger.attempts(run_id, "@start")) == 2
    assert script.story(run_id) == done("before:0", "nap:0", "after:0")
    assert script.statuses(run_id) == [*WAITED, "completed"]
    row, (_, started, _) = script.row(run_id, "nap:0"), script.trail(run_id, "step.started")
    assert started["payload"]["stepType"] == "sleep"
    assert instant(started["payload"]["until"]) == instant(row["sleepUntil"]) <= instant(row["endedAt"])


def test_sleep_until(script: Script) -> None:
    """A time that is over is refused by the SDK, before the server hears of it."""
    late = [["sleep_until", "late", -5]]
    run_id = script.start(["attempt", late], ["sleep_until", "soon", 1.0], ["run", "after"])
    assert script.waits(run_id, "sleeping")["stepId"] == f"{run_id}:soon:0"
    run = script.ended(run_id)
    assert payload(run, "output")[0]["message"].endswith("Z"), "the time is named"
    assert script.ids(run_id) == ["soon:0", "after:0"]
    row, event = script.row(run_id, "soon:0"), instant(run["createdAt"])
    assert abs(instant(row["sleepUntil"]) - event - 1000 * MILLISECOND) < 2 * MILLISECOND
    assert instant(row["sleepUntil"]) <= instant(row["endedAt"])
    assert script.story(run_id) == done("soon:0", "after:0")


# ---- wait_for_event


def emit(script: Script, name: str, data: Any = None, **fields: Any) -> str:
    """Emit an event that starts nothing, and return its id."""
    found = script.plain.emit(f"{name}.ok", {} if data is None else data, **fields)
    assert found.keys() == {"eventId"}
    event_id: str = found["eventId"]
    return event_id


def test_wait_for_event(script: Script, name: str) -> None:
    waiting = ["wait", "appr", f" {name}.ok ", {"payload": {"ask": [1]}, "timeout": "2h"}]
    run_id = script.start(["run", "before"], waiting, ["run", "after", "$before"])
    row = script.waits(run_id)
    run = script.plain.run(run_id)
    assert run["pauseReason"] == "wait_event"
    assert "claimedBy" not in run
    assert script.kinds(run_id)[1] == ("wait_for_event", "waiting")
    assert (row["waitEventName"], payload(row, "input")) == (f"{name}.ok", {"ask": [1]})
    due = instant(row["waitTimeout"]) - instant(row["startedAt"])
    assert abs(due - 7200 * 1000 * MILLISECOND) <= MILLISECOND
    assert "output" not in row

    fields = {"metadata": {"who": "me"}, "version": 3, "idempotencyKey": f"{name}-key"}
    event_id = emit(script, name, {"größe": [1, None]}, **fields)
    run = script.ended(run_id)
    _, event, after = payload(run, "output")
    known = {"id": event_id, "name": f"{name}.ok", "data": {"größe": [1, None]}, "version": 3, "source": "api"}
    assert {**event, **known, "key": f"{name}-key", "metadata": {"who": "me"}} == event
    assert after == [None, event], "memoised: the same event again"
    output = payload(script.row(run_id, "appr:0"), "output")
    assert output.items() >= {"id": event_id, "name": f"{name}.ok", "data": {"größe": [1, None]}}.items()
    assert script.ledger.bodies(run_id) == Counter(before=1, after=1)
    assert script.story(run_id) == done("before:0", "appr:0", "after:0")
    assert script.statuses(run_id) == [*WAITED, "completed"]
    assert script.trail(run_id, "step.started")[1]["payload"]["event"] == f"{name}.ok"
    assert (run["attempt"], run.get("pauseReason", "")) == (1, "")


def test_the_value_of_the_triggering_event_is_awaited(script: Script, name: str) -> None:
    waiting = ["wait", "appr", f"{name}.ok", {"match": "data.order.id"}]
    runs = {value: script.start(waiting, order={"id": value}) for value in ("A-1", "B-2", 7, True)}
    for run_id in runs.values():
        script.waits(run_id)
    emit(script, name, {"order": {"id": "C-3"}})
    emit(script, name, {"order": "A-1"})
    emit(script, name)
    emit(script, name, ["A-1"])
    sent = {run_id: emit(script, name, {"order": {"id": value}}) for value, run_id in runs.items()}
    emit(script, name, {"order": {"id": "A-1"}})
    for run_id, event_id in sent.items():
        (event,) = payload(script.ended(run_id), "output")
        assert event["id"] == event_id, "the first one with the value, and no other"


def test_a_value_of_the_waits_own_is_awaited(script: Script, name: str) -> None:
    """It wins over that of the triggering event."""
    waiting = ["wait", "appr", f"{name}.ok", {"match": "data.id", "match_value": "mine"}]
    run_id = script.start(waiting, id="other")
    assert script.waits(run_id)["waitEventName"] == f"{name}.ok"
    emit(script, name, {"id": "other"})
    event_id = emit(script, name, {"id": "mine"})
    assert payload(script.ended(run_id), "output")[0]["id"] == event_id


def test_one_event_wakes_all_that_wait_and_starts_runs_as_well(script: Script) -> None:
    event = f"{script.prefix}.echo"
    runs = [script.start(["wait", "appr", event]) for _ in range(3)]
    for run_id in runs:
        script.waits(run_id)
    found = script.plain.emit(event, {"n": 1})
    assert len(found["runIds"]) == 1
    assert payload(script.ended(found["runIds"][0]), "output") == {"n": 1}
    for run_id in runs:
        assert payload(script.ended(run_id), "output")[0]["id"] == found["eventId"]


def test_an_event_before_the_wait_does_not_count_nor_one_twice(script: Script, name: str) -> None:
    early = emit(script, name)
    run_id = script.start(["wait", "appr", f"{name}.ok"], ["wait", "appr", f"{name}.ok"])
    script.waits(run_id)
    first = emit(script, name, idempotencyKey=name)
    row = script.plain.steps(run_id)[0]
    assert (row["status"], payload(row, "output")["id"]) == ("STEP_STATUS_COMPLETED", first)
    script.ledger.wait_for(run_id, "@start", times=2)
    assert script.waits(run_id)["stepId"] == f"{run_id}:appr:1"
    assert emit(script, name, idempotencyKey=name) == first, "the same key is the same event, which came before"
    second = emit(script, name)
    assert [one["id"] for one in payload(script.ended(run_id), "output")] == [first, second]
    assert early not in (first, second)


def test_a_wait_that_times_out_fails_the_run(script: Script, name: str) -> None:
    """No retry, no second execution, no compensation: no worker has the run."""
    undo = [["run", "before"], ["compensate", "before"]]
    run_id = script.start(*undo, ["wait", "never", f"{name}.never", {"timeout": "20ms"}])
    run = script.ended(run_id, "failed")
    assert run["attempt"] == 1
    assert f"{name}.never" in run["error"]["message"]
    assert "retryable" not in run["error"]
    assert script.kinds(run_id) == [("invoke", "completed"), ("wait_for_event", "timed_out")]
    assert "error" in script.row(run_id, "never:0")
    assert script.ledger.bodies(run_id) == Counter(before=1)
    assert script.ledger.attempts(run_id, "@start") == [1]
    assert script.story(run_id) == [*done("before:0"), "started never:0", "failed never:0"]
    assert script.statuses(run_id) == ["running", "waiting", "failed"]
    assert script.plain.emit(f"{name}.never", {}).keys() == {"eventId"}, "nobody waits any more"
    assert script.plain.run(run_id) == run


# ---- parallel and map


def test_sleeps_inside_of_branches(script: Script, name: str) -> None:
    """One yield comes back at a time; a finished step of any branch is not run again."""
    branch = [["run", "x", 1], ["sleep", "nap", 0.01], ["run", "y", 2]]
    invoking = [["invoke", "child", {"do": [["run", "inner", 3]]}], ["run", "y", 4]]
    run_id = script.start(["parallel", "all", [branch, branch, invoking]], ["run", "after", 5])
    run = script.ended(run_id)
    assert payload(run, "output") == [[[1, None, 2], [1, None, 2], [[3], 4]], 5]
    bodies = {f"all[{n}].{step}": 1 for n in (0, 1) for step in "xy"}
    assert script.ledger.bodies(run_id) == Counter({**bodies, "all[2].y": 1, "after": 1})
    expected = [f"all:{n}:{step}:0" for n in (0, 1) for step in ("x", "nap", "y")]
    child = f"all:2:{script.prefix}-child:0"
    assert sorted(script.ids(run_id)) == sorted([*expected, child, "all:2:y:0", "after:0"])
    assert set(script.kinds(run_id)) == {(kind, "completed") for kind in ("invoke", "sleep", "invoke_function")}
    assert len(script.children(run_id)) == 1
    assert sorted(script.story(run_id)) == sorted(done(*script.ids(run_id)))
    assert run["attempt"] == 1


def test_fail_fast_and_a_retry(script: Script) -> None:
    good, bad = [["run", "x", "$item"]], [["run", "bad", 1, {"fails": 1}]]
    run_id = script.start(["parallel", "all", [good, bad, good]], ["map", "each", [7, [], None], good])
    run = script.ended(run_id)
    assert payload(run, "output") == [[[None], [1], [None]], [[7], [[]], [None]]]
    assert run["attempt"] == 2
    bodies = {"all[0].x": 1, "all[1].bad": 2, "all[2].x": 1, **{f"each[{n}].x": 1 for n in range(3)}}
    assert script.ledger.bodies(run_id) == Counter(bodies)
    assert script.ledger.attempts(run_id, "all[1].bad") == [1, 2]
    assert script.row(run_id, "all:1:bad:0")["attempt"] == 2
    told = [line for line in script.story(run_id) if line.endswith("bad:0")]
    assert told == [f"{word} all:1:bad:0" for word in ("started", "failed", "started", "completed")]


def test_collect(script: Script) -> None:
    """Errors as values; the failed step is a row all the same."""
    bad = [["run", "bad", 1, {"fails": 9, "kind": "fatal"}]]
    options = {"on_error": "collect", "concurrency": 1}
    run_id = script.start(["parallel", "all", [[["run", "x", 1]], bad, [["run", "x", 2]]], options])
    run = script.ended(run_id)
    ((first, second, third),) = payload(run, "output")
    assert (first, third, second["code"]) == ([1], [2], "STEP_FAILED")
    assert run["attempt"] == 1
    assert script.ledger.bodies(run_id) == Counter({"all[0].x": 1, "all[1].bad": 1, "all[2].x": 1})
    assert script.row(run_id, "all:1:bad:0")["status"] == "STEP_STATUS_FAILED"
    assert script.story(run_id) == [*done("all:0:x:0"), "started all:1:bad:0", "failed all:1:bad:0", *done("all:2:x:0")]


# ---- publish


def test_publish_sends_once_whatever_is_repeated(script: Script, name: str) -> None:
    topic = f"{name}:eu"
    flaky = ["run", "flaky", 1, {"fails": 1}]
    sent = [["publish", topic, {"n": 1}], ["publish", topic, [2]], ["publish", topic, None, {"idempotency_key": name}]]
    run_id = script.start(*sent, ["sleep", "nap", 0.01], flaky)
    run = script.ended(run_id)
    first, second, third = payload(run, "output")[:3]
    assert len({first[0], second[0], third[0]}) == 3
    assert 0 < first[1] < second[1] < third[1], "sequences grow"
    escaped = topic.replace(":", r"\:")
    assert script.ids(run_id)[:2] == [rf"publish:{escaped}:0", rf"publish:{escaped}:1"]
    assert script.outputs(run_id)[:2] == [{"eventId": one[0], "sequence": one[1]} for one in (first, second)]
    assert script.kinds(run_id)[0] == ("invoke", "completed")
    assert run["attempt"] == 2
    for index, answer in enumerate((first, second)):
        key = hashlib.sha256(rf"{run_id}:publish:{escaped}:{index}".encode()).hexdigest()
        again = {"topic": topic, "data": {}, "idempotencyKey": f"step-{key}"}
        found = script.plain.call("PubSubService/Publish", again)
        assert found == {"eventId": answer[0], "sequence": str(answer[1]), "duplicate": True}
    found = script.plain.call("PubSubService/Publish", {"topic": topic, "data": {}, "idempotencyKey": name})
    assert (found["eventId"], found["duplicate"]) == (third[0], True)


def test_an_unrecorded_run_does_the_same_and_has_no_trail(script: Script, plain: Plain) -> None:
    program = [
        ["run", "a", 1],
        ["sleep", "nap", 0.01],
        ["run", "b", 1, {"fails": 1}],
        ["wait", "w", f"{script.prefix}.un"],
    ]
    run_id = script.start(*program, function="unrecorded")
    script.ledger.wait_for(run_id, "b", times=2)
    script.waits(run_id)
    plain.emit(f"{script.prefix}.un", {})
    run = script.ended(run_id)
    assert run["attempt"] == 2
    assert script.ledger.bodies(run_id) == Counter(a=1, b=2)
    assert script.trail(run_id) == []
