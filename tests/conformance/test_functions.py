"""Functions over the wire: expressions, statuses, history, rollback, deletion and lanes (engine.md 2 and 3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant
from tests.conformance.plain_worker import PlainWorker
from tests.conformance.rpc import OfficialRpc


def started(plain: Plain, event: str, data: Any = None, **fields: Any) -> int:
    """Return how many runs an event starts."""
    return len(plain.emit(event, {} if data is None else data, **fields).get("runIds", []))


def changes(plain: Plain, name: str, **asked: Any) -> list[tuple[int, str]]:
    """Return a page of a function's history as version and kind of change."""
    entries = plain.call("ListFunctionHistory", {"functionId": name, **asked}).get("entries", [])
    return [(int(entry["entityVersion"]), entry["changeType"]) for entry in entries]


def only_when(plain: Plain, name: str, *triggers: dict[str, str]) -> None:
    plain.call("RegisterFunction", {"id": name, "triggers": list(triggers)})


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        (
            "data.total > 100",
            [{"total": 150}, {"total": 150.5}, {"total": 101}],
            [{"total": 100}, {"total": "150"}, {}],
        ),
        ("data.n == 1", [{"n": 1}, {"n": 1.0}], [{"n": 1.5}, {"n": "1"}, {"n": True}, {"n": None}]),
        ("data.sku.contains('A') && data.sku.matches('^[A-Z]+$')", [{"sku": "BAR"}], [{"sku": "Bar"}, {"sku": 5}]),
        ("data.kind in ['card', 'cash'] || data.vip", [{"kind": "cash"}, {"kind": "x", "vip": True}], [{"kind": "x"}]),
        ("data.items.exists(i, i.price >= 10)", [{"items": [{"price": 1}, {"price": 10}]}], [{"items": []}, {}]),
        ("data.flag", [{"flag": True}], [{"flag": 1}, {"flag": "true"}, {"flag": False}]),
    ],
)
def test_an_expression_decides(plain: Plain, name: str, expression: str, yes: list[Any], no: list[Any]) -> None:
    only_when(plain, name, {"event": f"{name}.go", "expression": expression})
    for data in yes:
        assert started(plain, f"{name}.go", data) == 1, data
    for data in no:
        assert started(plain, f"{name}.go", data) == 0, data
    for data in ([1], "text", None, 7):
        assert "runIds" not in plain.emit(f"{name}.go", [data]), "data that are no object are no error"


def test_an_expression_sees_the_whole_event(plain: Plain, name: str) -> None:
    expression = "event.name == name && metadata.team == 'ops' && event.version == 2 && timestamp.getFullYear() > 2000"
    only_when(plain, name, {"event": f"{name}.>", "expression": expression})
    assert started(plain, f"{name}.a.b", metadata={"team": "ops"}, version=2) == 1
    assert started(plain, f"{name}.a.b", metadata={"team": "dev"}, version=2) == 0
    assert started(plain, f"{name}.a.b", version=2) == 0


def test_several_triggers_start_a_function_once(plain: Plain, name: str) -> None:
    go = f"{name}.go"
    only_when(plain, name, {"event": go, "expression": "data.a"}, {"event": f"{name}.*"}, {"event": f"{name}.*"})
    assert started(plain, go, {"a": True}) == 1
    assert started(plain, go, {"a": False}) == 1, "the pattern without an expression"
    assert started(plain, f"{name}.go.on") == 0
    assert started(plain, name) == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"triggers": [{"event": "a", "expression": "data.x >"}]}, "line 1, column 9"),
        ({"triggers": [{"event": "a", "expression": "data.x"}, {"event": "a", "expression": "1"}]}, "true or false"),
        ({"triggers": [{"event": "a", "expression": "x" * 100_000}]}, "at most 1,000 characters"),
        ({"triggers": [{"event": "", "expression": "true"}]}, "exactly one of event and cron"),
        ({"id": "a.*"}, "'a.*' is not usable"),
        ({"metadata": [1]}, "metadata"),
        ({"concurrency": {"limit": 0}}, "at least 1"),
        ({"concurrency": {"limit": 1, "key": "a..b"}}, "empty part"),
        ({"pauseBehavior": "keep"}, "'hold' or 'release'"),
    ],
)
def test_a_wrong_registration_is_refused_and_leaves_nothing(
    plain: Plain, name: str, fields: dict[str, Any], words: str
) -> None:
    answer = plain.post("RegisterFunction", {"id": name, **fields})
    assert answer.fault == (400, "invalid_argument")
    assert words in answer.json["message"]
    assert plain.post("GetFunction", {"id": name}).fault == (404, "not_found")
    assert plain.post("ListFunctionHistory", {"functionId": name}).fault == (404, "not_found")


def test_a_paused_function_queues_and_an_archived_one_does_not_match(
    plain: Plain, worker: PlainWorker, name: str
) -> None:
    paused = plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_PAUSED"})
    assert (paused["status"], paused["version"]) == ("FUNCTION_STATUS_PAUSED", 1)
    run_id = plain.start(f"{name}.go", {})
    assert worker.jobs() == []
    assert plain.run(run_id)["status"] == "RUN_STATUS_WAITING_FOR_CAPACITY"
    plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_ACTIVE"})
    assert worker.take(run_id).run_id == run_id
    plain.call("UpdateFunctionStatus", {"id": name, "status": 3})
    assert started(plain, f"{name}.go") == 0
    assert changes(plain, name) == [(4, "status_change"), (3, "status_change"), (2, "status_change"), (1, "create")]


def test_a_waiting_poll_hears_that_a_function_goes_on(plain: Plain, worker: PlainWorker, name: str) -> None:
    plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_PAUSED"})
    run_id = plain.start(f"{name}.go", {})
    plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_ACTIVE"})
    (job,) = worker.jobs(wait=20)
    assert job.run_id == run_id


def test_history_tells_every_change_and_nothing_else(plain: Plain, name: str) -> None:
    for reason, text in (("first", "one"), ("again", "one"), ("second", "two")):
        plain.call("RegisterFunction", {"id": name, "description": text, "changeReason": reason})
    for _ in range(2):
        plain.call("UpdateFunctionStatus", {"id": name, "status": "FUNCTION_STATUS_PAUSED"})
    entries = plain.call("ListFunctionHistory", {"functionId": name})["entries"]
    assert [
        (entry["entityVersion"], entry["changeType"], entry.get("changeReason"), entry["functionId"])
        for entry in entries
    ] == [("3", "status_change", None, name), ("2", "update", "second", name), ("1", "create", "first", name)]
    assert len({entry["eventId"] for entry in entries}) == 3
    snapshots = [entry["functionSnapshot"] for entry in entries]
    assert [(one["description"], one["version"], one["status"]) for one in snapshots] == [
        ("two", 2, "FUNCTION_STATUS_PAUSED"),
        ("two", 2, "FUNCTION_STATUS_ACTIVE"),
        ("one", 1, "FUNCTION_STATUS_ACTIVE"),
    ]
    assert snapshots[0] == plain.call("GetFunction", {"id": name}), "the snapshot is the function after the change"
    times = [instant(entry["recordedAt"]) for entry in entries]
    assert times == sorted(times, reverse=True)
    for entry in entries:
        asked = {"functionId": name, "version": entry["entityVersion"]}
        assert plain.call("GetFunctionAtVersion", asked) == {"entry": entry}


def test_history_is_read_page_by_page(plain: Plain, name: str) -> None:
    for number in range(55):
        plain.call("RegisterFunction", {"id": name, "description": str(number)})
    first = plain.call("ListFunctionHistory", {"functionId": name})
    assert (len(first["entries"]), first["hasMore"]) == (50, True)
    last = first["entries"][-1]["entityVersion"]
    rest = plain.call("ListFunctionHistory", {"functionId": name, "fromVersion": last})
    assert [entry["entityVersion"] for entry in rest["entries"]] == ["5", "4", "3", "2", "1"]
    assert "hasMore" not in rest
    assert changes(plain, name, limit=1, fromVersion=3) == [(2, "update")]
    assert plain.call("ListFunctionHistory", {"functionId": name, "fromVersion": 1}) == {}
    assert len(changes(plain, name, limit=10_000)) == 55


def test_a_rollback_is_a_change_like_any_other(plain: Plain, name: str) -> None:
    go = {"event": f"{name}.go"}
    plain.call("RegisterFunction", {"id": name, "triggers": [go]})
    plain.call("RegisterFunction", {"id": name, "triggers": []})
    assert started(plain, f"{name}.go") == 0
    asked = {"functionId": name, "version": 1, "changeReason": "it was better"}
    function = plain.call("RollbackFunction", asked)["function"]
    assert (function["version"], function["triggers"]) == (3, [go])
    assert started(plain, f"{name}.go") == 1
    assert plain.call("RollbackFunction", asked) == {"function": function}, "what is current already"
    newest = plain.call("ListFunctionHistory", {"functionId": name, "limit": 1})["entries"][0]
    assert (newest["entityVersion"], newest["changeType"]) == ("3", "rollback")
    assert (newest["changeReason"], newest["functionSnapshot"]) == ("it was better", function)


def test_a_deleted_function_leaves_its_history_and_its_runs(plain: Plain, worker: PlainWorker, name: str) -> None:
    done, queued = plain.start(f"{name}.go", {}), plain.start(f"{name}.go", {})
    worker.done(worker.take(done), "completed", output=1)
    assert plain.call("DeleteFunction", {"id": name}) == {}
    for procedure in ("GetFunction", "DeleteFunction"):
        assert plain.post(procedure, {"id": name}).fault == (404, "not_found")
    assert name not in [one["id"] for page in plain.pages("ListFunctions", "functions", name=name) for one in page]
    assert started(plain, f"{name}.go") == 0
    assert changes(plain, name) == [(2, "delete"), (1, "create")]
    assert plain.run(done)["status"] == "RUN_STATUS_COMPLETED"
    assert worker.jobs() == [], "what is queued stays there"
    assert plain.run(queued)["status"] == "RUN_STATUS_WAITING_FOR_CAPACITY"
    assert plain.post("RollbackFunction", {"functionId": name, "version": 1}).fault == (404, "not_found")

    again = plain.call("RegisterFunction", {"id": name, "triggers": [{"event": f"{name}.go"}]})
    assert (again["created"], again["function"]["version"]) == (True, 1)
    assert changes(plain, name) == [(3, "create"), (2, "delete"), (1, "create")]
    refused = plain.post("RollbackFunction", {"functionId": name, "version": 2})
    assert refused.fault == (400, "failed_precondition")
    assert "deletion" in refused.json["message"]
    assert worker.take(queued).run_id == queued


@pytest.mark.parametrize(
    ("procedure", "message", "fault"),
    [
        ("GetFunctionAtVersion", {"version": 0}, (400, "invalid_argument")),
        ("GetFunctionAtVersion", {"version": -1}, (400, "invalid_argument")),
        ("GetFunctionAtVersion", {"version": 2**63}, (400, "invalid_argument")),
        ("GetFunctionAtVersion", {"version": 9}, (404, "not_found")),
        ("ListFunctionHistory", {"limit": -1}, (400, "invalid_argument")),
        ("ListFunctionHistory", {"fromVersion": -1}, (400, "invalid_argument")),
        ("ListFunctionHistory", {"fromVersion": "9223372036854775808"}, (400, "invalid_argument")),
        ("RollbackFunction", {}, (400, "invalid_argument")),
        ("RollbackFunction", {"version": str(2**64)}, (400, "invalid_argument")),
        ("RollbackFunction", {"version": 9}, (404, "not_found")),
        ("RollbackFunction", {"version": 1, "changeReason": "x" * 2_001}, (400, "invalid_argument")),
        ("UpdateFunctionStatus", {}, (400, "invalid_argument")),
        ("UpdateFunctionStatus", {"status": "FUNCTION_STATUS_ASLEEP"}, (400, "invalid_argument")),
        ("UpdateFunctionStatus", {"status": 9}, (400, "invalid_argument")),
    ],
)
def test_what_is_wrong_is_refused(
    plain: Plain, worker: PlainWorker, name: str, procedure: str, message: dict[str, Any], fault: tuple[int, str]
) -> None:
    named = {"id": name} if procedure == "UpdateFunctionStatus" else {"functionId": name}
    assert plain.post(procedure, {**named, **message}).fault == fault
    assert changes(plain, name) == [(1, "create")]


def test_runs_of_one_lane_follow_each_other(plain: Plain, name: str) -> None:
    worker = register(plain, name, concurrency={"limit": 1, "key": "event.data.customer"})
    first, second = (plain.start(f"{name}.go", {"customer": 1, "n": n}) for n in range(2))
    other = plain.start(f"{name}.go", {"customer": "2"})
    taken = {job.run_id: job for job in worker.jobs(available=10)}
    assert taken.keys() == {first, other}
    worker.done(taken[first], "completed", output=1)
    assert [job.run_id for job in worker.jobs(available=10)] == [second]


def test_a_pause_behavior_is_read_from_the_field_or_the_metadata(plain: Plain, name: str) -> None:
    mirrored = {"metadata": {"__ironflow_pause_behavior": "release"}}
    shown = plain.call("RegisterFunction", {"id": name, "concurrency": {"limit": 1}, **mirrored})["function"]
    assert (shown["pauseBehavior"], shown["concurrency"]) == ("release", {"limit": 1})
    both = plain.call(
        "RegisterFunction", {"id": name, "concurrency": {"limit": 1}, "pauseBehavior": "release", **mirrored}
    )
    assert "created" not in both
    assert both["function"] == shown, "said twice is said once"


def test_the_official_client_reads_past_what_its_messages_lack(rpc: OfficialRpc, plain: Plain, name: str) -> None:
    plain.call("RegisterFunction", {"id": name, "concurrency": {"limit": 2}, "pauseBehavior": "release"})
    assert rpc("functions.get", "GetFunctionRequest", {"id": name})["concurrency"] == {"limit": 2}
