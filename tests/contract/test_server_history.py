"""Audit trail and time travel over HTTP: what is told, page by page and instant by instant, and what is refused."""

from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from ironflow_lab.models.instant import format_instant, parse_instant
from ironflow_lab.models.timetravel import GetRunStateAtResponse
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire import codec
from tests.conformance.plain import Answer, Plain
from tests.contract.jobs import WORKERS, job_path, register, report, works

TRAIL, STATE = "AuditService/GetAuditTrail", "TimeTravelService/GetRunStateAt"
TIMELINE, OUTPUT = "TimeTravelService/GetRunTimeline", "TimeTravelService/GetStepOutputAt"
FUNCTIONS: dict[str, dict[str, Any]] = {
    "seen": {"recording": True},
    "brief": {"recording": True, "recordingProfile": "run_lifecycle"},
    "silent": {},
}
FUTURE, PAST = "2200-01-01T00:00:00Z", "1999-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        plain = Plain(server.url)
        for name, fields in FUNCTIONS.items():
            plain.call("RegisterFunction", {"id": name, "triggers": [{"event": name}], **fields})
        register(plain, "w", "seen", "brief", "silent")
        yield server


@pytest.fixture
def plain(server: LocalServer) -> Iterator[Plain]:
    """The server; afterwards it still does what it is for."""
    plain = Plain(server.url)
    yield plain
    works(plain)


def take(plain: Plain, run_id: str) -> dict[str, Any]:
    (job,) = plain.rest("GET", f"{WORKERS}w/jobs?available=1").json["jobs"]
    assert job["run_id"] == run_id
    found: dict[str, Any] = job
    return found


def step(job: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"{job['run_id']}:{name}:0", "name": name, "status": "completed", **fields}


def send(plain: Plain, job: dict[str, Any], **fields: Any) -> None:
    assert plain.rest("PUT", job_path("w", job), report(job, **fields)).status == 200


@pytest.fixture
def run_id(plain: Plain) -> str:
    """A recorded run of two steps, ended."""
    return lived(plain, "seen")


def lived(plain: Plain, function: str) -> str:
    run_id = plain.start(function, {"total": 7})
    job = take(plain, run_id)
    send(plain, job, status="progress", steps=[step(job, "validate", output={"ok": True})])
    send(plain, job, steps=[step(job, "charge", output=None)], step_offset=1, output="done")
    return run_id


def events(plain: Plain, run_id: str, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = plain.call(TRAIL, {"runId": run_id, **fields}).get("events", [])
    return found


def follow(plain: Plain, run_id: str, query: str = "") -> Answer:
    return plain.rest("GET", f"/lab/v1/runs/{quote(run_id, safe='')}/audit{query}")


class TestTrail:
    def test_oldest_first_with_payloads_as_objects(self, plain: Plain, run_id: str) -> None:
        page = plain.call(TRAIL, {"runId": run_id})
        found = page["events"]
        assert [event["eventType"] for event in found] == [
            "run.created",
            "run.status_changed",
            "step.started",
            "step.completed",
            "step.started",
            "step.completed",
            "run.status_changed",
        ]
        assert (page["totalCount"], "nextCursor" in page) == (7, False)
        assert found[0]["payload"]["input"] == {"total": 7}
        assert found[3]["payload"]["output"] == {"ok": True}
        assert found[3]["stepId"] == f"{run_id}:validate:0"
        for event in found:
            assert (event["runId"], event["functionId"], event["environmentId"]) == (run_id, "seen", "env_default")
        assert len({event["id"] for event in found}) == 7

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000, 5000])
    def test_pages_join_into_the_whole(self, plain: Plain, run_id: str, limit: int) -> None:
        whole, joined, cursor = events(plain, run_id), [], ""
        while True:
            page = plain.call(TRAIL, {"runId": run_id, "limit": limit, "cursor": cursor})
            assert 0 < len(page["events"]) <= limit
            assert page["totalCount"] == 7
            joined += page["events"]
            cursor = page.get("nextCursor", "")
            if not cursor:
                break
        assert joined == whole

    def test_filters(self, plain: Plain, run_id: str) -> None:
        whole = events(plain, run_id)
        assert events(plain, run_id, eventType="step.completed") == [whole[3], whole[5]]
        assert events(plain, run_id, eventType="no.such") == []
        third = whole[2]["createdAt"]
        assert events(plain, run_id, fromTimestamp=third) == whole[2:]
        assert events(plain, run_id, toTimestamp=third) == whole[:3]
        assert events(plain, run_id, fromTimestamp=third, toTimestamp=third) == [whole[2]]
        assert events(plain, run_id, from_timestamp=FUTURE) == []

    def test_a_run_that_is_not_recorded_has_none(self, plain: Plain) -> None:
        assert plain.call(TRAIL, {"runId": lived(plain, "silent")}) == {}

    @pytest.mark.parametrize("given", [{}, {"runId": "run_unknown"}, {"runId": ""}])
    def test_an_unknown_run(self, plain: Plain, given: dict[str, Any]) -> None:
        assert plain.post(TRAIL, given).fault == (404, "not_found")

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"limit": -1}, "limit must not be negative"),
            ({"limit": 2**31}, "2147483647"),
            ({"cursor": "?"}, "cursor"),
            ({"cursor": "bm90IGEgbnVtYmVy"}, "cursor"),
            ({"cursor": "OTk5OTk5OTk5OTk5OTk5OTk5OQ=="}, "cursor"),
            ({"fromTimestamp": "yesterday"}, "fromTimestamp cannot be read"),
            ({"toTimestamp": "2026-01-01T00:00:00"}, "with an offset"),
            ({"fromTimestamp": 5}, "$.fromTimestamp"),
        ],
    )
    def test_bad_input(self, plain: Plain, run_id: str, fields: dict[str, Any], words: str) -> None:
        answer = plain.post(TRAIL, {"runId": run_id, **fields})
        assert answer.fault == (400, "invalid_argument")
        assert words in answer.json["message"]


class TestSearch:
    def search(self, plain: Plain, **query: Any) -> dict[str, Any]:
        text = "&".join(f"{name.rstrip('_')}={quote(str(value))}" for name, value in query.items())
        answer = plain.rest("GET", f"/api/v1/audit?{text}")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    def test_newest_first_in_the_rest_dialect(self, plain: Plain, run_id: str) -> None:
        page = self.search(plain, run_id=run_id)
        assert [event["id"] for event in page["events"]] == [event["id"] for event in events(plain, run_id)][::-1]
        assert (page["next_cursor"], page["total_count"], page["retention_days"]) == ("", 7, 0)
        assert page["events"][0]["payload"]["output"] == "done"
        assert page["events"][-1]["event_type"] == "run.created"
        assert page["events"][0]["environment_id"] == "env_default"

    def test_across_runs_in_pages(self, plain: Plain) -> None:
        runs = {lived(plain, "seen"), lived(plain, "brief")}
        first = self.search(plain, limit=4)
        second = self.search(plain, limit=6, cursor=first["next_cursor"])
        both = first["events"] + second["events"]
        assert {event["run_id"] for event in both} == runs
        assert len({event["id"] for event in both}) == 10
        times = [parse_instant(event["created_at"]) for event in both]
        assert times == sorted(times, reverse=True)

    def test_filters(self, plain: Plain, run_id: str) -> None:
        whole = self.search(plain, run_id=run_id)["events"]
        assert self.search(plain, run_id=run_id, event_type="step.started")["events"] == [whole[2], whole[4]]
        third = whole[2]["created_at"]
        assert self.search(plain, run_id=run_id, from_=third)["events"] == whole[:3]
        assert self.search(plain, run_id=run_id, to=third)["events"] == whole[2:]
        assert {event["function_id"] for event in self.search(plain, function_id="seen")["events"]} == {"seen"}
        assert self.search(plain, function_id="silent") == {
            "events": [],
            "next_cursor": "",
            "retention_days": 0,
            "total_count": 0,
        }
        assert self.search(plain, run_id="run_unknown", api_key_id="", action="")["events"] == []

    @pytest.mark.parametrize(
        ("query", "words"),
        [
            ("limit=-1", "whole number"),
            ("limit=many", "whole number"),
            ("cursor=%3F", "cursor"),
            ("cursor=bm90", "cursor"),
            ("from=yesterday", "from cannot be read"),
            ("to=2026-01-01T00:00:00+02:00", "to cannot be read"),
            ("api_key_id=key_1", "no API keys"),
            ("action=runs:read", "no authorization decisions"),
        ],
    )
    def test_bad_input(self, plain: Plain, query: str, words: str) -> None:
        answer = plain.rest("GET", f"/api/v1/audit?{query}")
        assert answer.fault == (400, "invalid_argument")
        assert words in answer.json["message"]

    @pytest.mark.parametrize("route", ["POST /api/v1/audit", "GET /api/v1/audit/", "GET /api/v1/auditing"])
    def test_other_routes(self, plain: Plain, route: str) -> None:
        method, _, path = route.partition(" ")
        assert plain.rest(method, path).fault == (404, "not_found")

    def test_what_is_captured(self, plain: Plain) -> None:
        said = plain.rest("GET", "/api/v1/audit/settings").json
        assert (said["function_recording"], said["delivery_guarantee"]) == ("opt_in", "transactional")
        assert (said["kv_capture"], said["payload_redaction_enabled"], said["retention_days"]) == (False, False, 0)


class TestStates:
    def test_every_instant(self, plain: Plain, run_id: str) -> None:
        """The state at each event's instant, and a nanosecond before the next."""
        told = events(plain, run_id)
        for index, event in enumerate(told):
            at = parse_instant(event["createdAt"])
            following = parse_instant(told[index + 1]["createdAt"]) if index + 1 < len(told) else at + 10**9
            for instant in {at, following - 1}:
                state = plain.call(STATE, {"runId": run_id, "timestamp": format_instant(instant)})["snapshot"]
                assert parse_instant(state["timestamp"]) == instant
                assert (state["runId"], state["functionId"]) == (run_id, "seen")
                assert b64decode(state["input"]) == b'{"total":7}'
                shown = [(one["name"], one["status"]) for one in state.get("steps", [])]
                assert shown == EXPECTED[index]
                assert state["status"] == ("waiting_for_capacity", *["running"] * 5, "completed")[index]

    def test_at_the_end_it_is_what_the_rows_say(self, plain: Plain, run_id: str) -> None:
        answer = plain.post(STATE, {"runId": run_id, "timestamp": FUTURE})
        state = codec.decode(answer.body, GetRunStateAtResponse).snapshot
        rows = plain.steps(run_id)
        assert [one.step_id for one in state.steps] == [row["stepId"] for row in rows]
        assert [(one.sequence, one.type, one.status) for one in state.steps] == [
            (0, "invoke", "completed"),
            (1, "invoke", "completed"),
        ]
        assert [one.output for one in state.steps] == [b'{"ok":true}', b"null"]
        assert [str(one.started_at) for one in state.steps] == [row["startedAt"] for row in rows]
        assert [str(one.completed_at) for one in state.steps] == [row["endedAt"] for row in rows]
        assert str(state.created_at) == plain.run(run_id)["createdAt"]

    def test_it_follows_a_run_that_goes_on(self, plain: Plain) -> None:
        """Asked again, it tells of what has come since, though it remembers what it has read."""
        run_id = plain.start("seen", {})
        job = take(plain, run_id)
        for number in range(3):
            send(plain, job, status="progress", steps=[step(job, f"s{number}")], step_offset=number)
            state = plain.call(STATE, {"runId": run_id, "timestamp": FUTURE})["snapshot"]
            assert [one["name"] for one in state["steps"]] == [f"s{n}" for n in range(number + 1)]
        send(plain, job)
        assert plain.call(STATE, {"runId": run_id, "timestamp": FUTURE})["snapshot"]["status"] == "completed"

    def test_the_timeline(self, plain: Plain, run_id: str) -> None:
        told = plain.call(TIMELINE, {"runId": run_id})["events"]
        assert [(one["summary"], one.get("significant", False)) for one in told] == [
            ("Run created", True),
            ("Run running", False),
            ("Step validate started", False),
            ("Step validate completed", True),
            ("Step charge started", False),
            ("Step charge completed", True),
            ("Run completed", True),
        ]
        whole = events(plain, run_id)
        assert [(one["id"], one["timestamp"], one.get("stepId", "")) for one in told] == [
            (event["id"], event["createdAt"], event.get("stepId", "")) for event in whole
        ]

    def test_a_steps_output(self, plain: Plain, run_id: str) -> None:
        told, (row, _) = events(plain, run_id), plain.steps(run_id)
        began, ended = told[2]["createdAt"], told[3]["createdAt"]
        for name in (row["stepId"], row["id"]):
            early = plain.call(OUTPUT, {"runId": run_id, "stepId": name, "timestamp": began})
            assert early == {"stepId": row["stepId"], "status": "running"}
            late = plain.call(OUTPUT, {"runId": run_id, "stepId": name, "timestamp": ended})
            assert (late["status"], b64decode(late["output"])) == ("completed", b'{"ok":true}')
            before = {"runId": run_id, "stepId": name, "timestamp": told[1]["createdAt"]}
            assert plain.post(OUTPUT, before).fault == (404, "not_found")

    @pytest.mark.parametrize("step_id", ["", "nothing", "'; DROP TABLE audit"])
    def test_an_unknown_step(self, plain: Plain, run_id: str, step_id: str) -> None:
        answer = plain.post(OUTPUT, {"runId": run_id, "stepId": step_id, "timestamp": FUTURE})
        assert answer.fault == (404, "not_found")

    @pytest.mark.parametrize("procedure", [STATE, OUTPUT, TIMELINE])
    def test_a_run_that_is_not_recorded(self, plain: Plain, procedure: str) -> None:
        run_id = lived(plain, "silent")
        answer = plain.post(procedure, {"runId": run_id, "stepId": f"{run_id}:validate:0", "timestamp": FUTURE})
        assert answer.fault[1] == "failed_precondition"
        assert "recording=True" in answer.json["message"]
        assert "'silent'" in answer.json["message"]

    def test_a_profile_without_steps(self, plain: Plain) -> None:
        run_id = lived(plain, "brief")
        state = plain.call(STATE, {"runId": run_id, "timestamp": FUTURE})["snapshot"]
        assert (state["status"], state.get("steps")) == ("completed", None)
        answer = plain.post(OUTPUT, {"runId": run_id, "stepId": f"{run_id}:validate:0", "timestamp": FUTURE})
        assert answer.fault[1] == "failed_precondition"
        assert "profile 'all'" in answer.json["message"]

    @pytest.mark.parametrize("procedure", [STATE, OUTPUT, TIMELINE])
    def test_an_unknown_run(self, plain: Plain, procedure: str) -> None:
        assert plain.post(procedure, {"runId": "run_unknown", "timestamp": FUTURE}).fault == (404, "not_found")

    def test_before_its_creation(self, plain: Plain, run_id: str) -> None:
        answer = plain.post(STATE, {"runId": run_id, "timestamp": PAST})
        assert answer.fault == (404, "not_found")
        assert "did not exist" in answer.json["message"]

    @pytest.mark.parametrize("procedure", [STATE, OUTPUT])
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({}, "timestamp is missing"),
            ({"timestamp": None}, "timestamp is missing"),
            ({"timestamp": "yesterday"}, "$.timestamp"),
            ({"timestamp": 5}, "$.timestamp"),
            ({"timestamp": "2026-01-01T00:00:00"}, "with an offset"),
        ],
    )
    def test_bad_times(self, plain: Plain, run_id: str, procedure: str, fields: dict[str, Any], words: str) -> None:
        answer = plain.post(procedure, {"runId": run_id, **fields})
        assert answer.fault == (400, "invalid_argument")
        assert words in answer.json["message"]

    def test_hostile_names_and_payloads_come_back_as_they_are(self, plain: Plain) -> None:
        run_id = plain.start("seen", {"__proto__": "<script>"})
        job = take(plain, run_id)
        names = ["__proto__", "a:b.c", "<script>alert(1)</script>", "\u2028\u0000"]
        steps = [{**step(job, name, output=name), "id": f"{run_id}:{number}:0"} for number, name in enumerate(names)]
        send(plain, job, steps=steps)
        state = plain.call(STATE, {"runId": run_id, "timestamp": FUTURE})["snapshot"]
        assert [one["name"] for one in state["steps"]] == names
        assert [codec.decode(b64decode(one["output"]), str) for one in state["steps"]] == names
        told = plain.call(TIMELINE, {"runId": run_id})["events"]
        assert [one["stepName"] for one in told if one.get("stepName")][::2] == names


EXPECTED: list[list[tuple[str, str]]] = [
    [],
    [],
    [("validate", "running")],
    [("validate", "completed")],
    [("validate", "completed"), ("charge", "running")],
    [("validate", "completed"), ("charge", "completed")],
    [("validate", "completed"), ("charge", "completed")],
]


class TestFollow:
    def test_it_is_advertised(self, plain: Plain) -> None:
        said = plain.rest("GET", "/api/v1/capabilities").json
        assert "runs/audit" in said["lab"]
        assert {"recording", "audit", "time-travel"} <= set(said["features"])

    def test_page_by_page_to_the_end_and_never_past_it(self, plain: Plain, run_id: str) -> None:
        whole, pages, cursor = events(plain, run_id), [], ""
        for _ in range(4):
            pages.append(follow(plain, run_id, f"?limit=2&cursor={cursor}").json)
            cursor = pages[-1]["nextCursor"]
        assert [event for page in pages for event in page["events"]] == whole
        assert [page.get("ended", False) for page in pages] == [False, False, False, True]
        assert {page["totalCount"] for page in pages} == {7}
        again = follow(plain, run_id, f"?wait=20&cursor={cursor}").json
        assert again == {"totalCount": 7, "nextCursor": cursor, "ended": True}

    def test_a_follower_hears_every_event_once(self, plain: Plain) -> None:
        """Held while there is nothing new; what happens meanwhile is heard, whenever it happens."""
        run_id = plain.start("seen", {})
        heard: list[dict[str, Any]] = []
        faults: list[BaseException] = []

        def follows() -> None:
            cursor, ended = "", False
            try:
                while not ended:
                    page = follow(plain, run_id, f"?wait=20&cursor={cursor}").json
                    heard.extend(page.get("events", []))
                    cursor, ended = page["nextCursor"], page.get("ended", False)
            except BaseException as fault:  # noqa: BLE001 - kept for the test's own thread
                faults.append(fault)

        followers = [threading.Thread(target=follows) for _ in range(2)]
        for thread in followers:
            thread.start()
        job = take(plain, run_id)
        for number in range(20):
            send(plain, job, status="progress", steps=[step(job, f"s{number}")], step_offset=number)
        send(plain, job)
        for thread in followers:
            thread.join(30)
            assert not thread.is_alive(), "a follower still waits for a run that has ended"
        assert not faults
        whole = events(plain, run_id)
        assert sorted(heard, key=lambda event: str(event["id"])) == sorted(
            whole + whole, key=lambda event: str(event["id"])
        )

    def test_a_wait_that_brings_nothing(self, plain: Plain) -> None:
        run_id = plain.start("seen", {})
        first = follow(plain, run_id).json
        assert [event["eventType"] for event in first["events"]] == ["run.created"]
        second = follow(plain, run_id, f"?cursor={first['nextCursor']}&wait=1").json
        assert second == {"totalCount": 1, "nextCursor": first["nextCursor"]}
        send(plain, take(plain, run_id))

    def test_a_run_that_is_not_recorded_is_followed_to_its_end(self, plain: Plain) -> None:
        run_id = plain.start("silent", {})
        going = follow(plain, run_id).json
        assert "ended" not in going
        held: list[Answer] = []
        thread = threading.Thread(
            target=lambda: held.append(follow(plain, run_id, f"?wait=20&cursor={going['nextCursor']}"))
        )
        thread.start()
        send(plain, take(plain, run_id))
        thread.join(30)
        assert held[0].json == {"nextCursor": going["nextCursor"], "ended": True}

    def test_an_unknown_run(self, plain: Plain) -> None:
        for query in ("", "?wait=20"):
            assert follow(plain, "run/../unknown", query).fault == (404, "not_found")

    @pytest.mark.parametrize("query", ["wait=soon", "wait=-1", "limit=x", "limit=1e3", "cursor=%3F", "wait=1.5"])
    def test_bad_input(self, plain: Plain, run_id: str, query: str) -> None:
        assert follow(plain, run_id, f"?{query}").fault == (400, "invalid_argument")
