"""Reading runs and functions: filters, order, pages and totals (rpc.md section 6, engine.md section 4.4)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.conftest import register
from tests.conformance.plain import Plain, instant
from tests.conformance.plain_worker import PlainWorker


@pytest.fixture
def four(plain: Plain, worker: PlainWorker, name: str) -> dict[str, str]:
    """Four runs by how they stand."""
    runs = {word: plain.start(f"{name}.go", {"n": word}) for word in ("completed", "failed")}
    worker.done(worker.take(runs["completed"]), "completed", output=1)
    worker.fail(worker.take(runs["failed"]), retryable=False)
    runs["cancelled"] = plain.start(f"{name}.go", {})
    plain.cancel(runs["cancelled"])
    runs["waiting_for_capacity"] = plain.start(f"{name}.go", {})
    return runs


def listed(plain: Plain, **filters: Any) -> list[str]:
    page = plain.call("ListRuns", filters)
    found = [run["id"] for run in page.get("runs", [])]
    assert page.get("totalCount", 0) == len(found), page
    return found


def status(word: str) -> str:
    return f"RUN_STATUS_{word.upper()}"


def test_newest_first(plain: Plain, four: dict[str, str], name: str) -> None:
    assert listed(plain, functionId=name) == list(four.values())[::-1]
    rows = plain.call("ListRuns", {"functionId": name})["runs"]
    assert rows == [plain.run(row["id"]) for row in rows], "a listed run is the whole run"
    times = [instant(row["createdAt"]) for row in rows]
    assert times == sorted(times, reverse=True)


def test_by_status(plain: Plain, four: dict[str, str], name: str) -> None:
    for word, run_id in four.items():
        assert listed(plain, functionId=name, status=status(word)) == [run_id]
    assert listed(plain, functionId=name, status=status("running")) == []
    both = [status("completed"), status("cancelled")]
    expected = [four["cancelled"], four["completed"]]
    assert listed(plain, functionId=name, statuses=both) == expected
    assert listed(plain, functionId=name, statuses=[]) == list(four.values())[::-1]


def test_by_event_and_function(plain: Plain, four: dict[str, str], name: str) -> None:
    run = plain.run(four["failed"])
    assert listed(plain, eventId=run["eventId"]) == [four["failed"]]
    assert listed(plain, eventId="evt_none") == []
    assert listed(plain, functionId=f"{name}-none") == []
    assert listed(plain, functionId=name[:-1]) == [], "an id is not a prefix"


def test_by_time(plain: Plain, four: dict[str, str], name: str) -> None:
    second = plain.run(four["failed"])["createdAt"]
    newer = [four["waiting_for_capacity"], four["cancelled"]]
    assert listed(plain, functionId=name, since=second)[:2] == newer
    assert four["completed"] not in listed(plain, functionId=name, since=second)
    assert four["completed"] in listed(plain, functionId=name, until=second)
    assert not set(newer) & set(listed(plain, functionId=name, until=second))
    assert listed(plain, functionId=name, since="2101-01-01T00:00:00Z") == []


def test_by_search(plain: Plain, four: dict[str, str], name: str) -> None:
    assert listed(plain, functionId=name, search=four["failed"]) == [four["failed"]]
    assert listed(plain, functionId=name, search=f"{name}.go") == list(four.values())[::-1]
    assert listed(plain, functionId=name, search="no such text") == []
    assert listed(plain, functionId=name, search="%") == [], "the text is no pattern"


def test_pages(plain: Plain, name: str) -> None:
    register(plain, name)
    made = [plain.start(f"{name}.go", {"n": n}) for n in range(53)][::-1]
    first = plain.call("ListRuns", {"functionId": name})
    assert [run["id"] for run in first["runs"]] == made[:50], "the default limit"
    assert first["totalCount"] == 53

    pages = list(plain.pages("ListRuns", "runs", functionId=name, limit=20))
    assert [len(page) for page in pages] == [20, 20, 13]
    assert [run["id"] for page in pages for run in page] == made

    pages = list(plain.pages("ListRuns", "runs", functionId=name, limit=53))
    assert [len(page) for page in pages] == [53], "no empty page follows a full one"

    offset = plain.call("ListRuns", {"functionId": name, "limit": 5, "offset": 50})
    assert [run["id"] for run in offset["runs"]] == made[50:]
    assert offset["totalCount"] == 53
    assert plain.call("ListRuns", {"functionId": name, "offset": 60}) == {"totalCount": 53}

    cursor = plain.call("ListRuns", {"functionId": name, "limit": 10})["nextCursor"]
    both = plain.call("ListRuns", {"functionId": name, "limit": 3, "cursor": cursor, "offset": 40})
    assert [run["id"] for run in both["runs"]] == made[10:13], "the cursor wins over the offset"
    assert both["totalCount"] == 53


def test_a_cursor_stays_in_place_while_runs_arrive(plain: Plain, name: str) -> None:
    register(plain, name)
    made = [plain.start(f"{name}.go", {}) for _ in range(4)][::-1]
    page = plain.call("ListRuns", {"functionId": name, "limit": 2})
    plain.start(f"{name}.go", {})
    rest = plain.call("ListRuns", {"functionId": name, "cursor": page["nextCursor"]})
    assert [run["id"] for run in page["runs"] + rest["runs"]] == made


def test_steps_are_in_their_order(plain: Plain, worker: PlainWorker, name: str) -> None:
    run_id = plain.start(f"{name}.go", {})
    job = worker.take(run_id)
    for n in (2, 0, 1):
        worker.done(job, "progress", job.step(f"s{n}", n), step_offset=n)
    rows = plain.steps(run_id)
    assert [row["stepId"] for row in rows] == [f"{run_id}:s{n}:0" for n in range(3)]
    assert {row["runId"] for row in rows} == {run_id}
    assert len({row["id"] for row in rows}) == 3
    assert not {row["id"] for row in rows} & {row["stepId"] for row in rows}


def test_functions_in_pages(plain: Plain, name: str) -> None:
    made = sorted(f"{name}-{n}" for n in range(7))
    for id_ in made:
        plain.call("RegisterFunction", {"id": id_, "name": f"Name of {id_}"})
    pages = list(plain.pages("ListFunctions", "functions", name=name, limit=3))
    assert [function["id"] for page in pages for function in page] == made
    assert [len(page) for page in pages] == [3, 3, 1]
    found = plain.call("ListFunctions", {"name": name, "offset": 5})
    assert [function["id"] for function in found["functions"]] == made[5:]
    assert found["totalCount"] == 7


def test_functions_by_filter(plain: Plain, name: str) -> None:
    plain.call("RegisterFunction", {"id": name, "name": f"Findable {name}"})

    def ids(**filters: Any) -> list[str]:
        found = plain.call("ListFunctions", {"name": name, **filters}).get("functions", [])
        return [function["id"] for function in found]

    assert ids() == ids(name=f"Findable {name}") == [name]
    assert ids(name=f"lost {name}") == []
    assert ids(status="FUNCTION_STATUS_ACTIVE") == [name]
    assert ids(status="FUNCTION_STATUS_ARCHIVED") == []
    assert ids(mode="pull") == [name]
    assert ids(mode="push") == []


def test_a_run_grows_older_in_order(plain: Plain, worker: PlainWorker, name: str) -> None:
    """Times never go back, whatever happens to a run."""
    run_id = plain.start(f"{name}.go", {})
    rows = [plain.run(run_id)]
    job = worker.take(run_id)
    rows.append(plain.run(run_id))
    worker.fail(job, job.step("a", error="no"), retry_after_ms=0)
    rows.append(plain.run(run_id))
    worker.done(worker.take(run_id), "completed", output=1)
    rows.append(plain.run(run_id))
    updated = [instant(row["updatedAt"]) for row in rows]
    assert all(before < after for before, after in pairwise(updated))
    assert {row["createdAt"] for row in rows} == {rows[0]["createdAt"]}
    assert "startedAt" not in rows[0]
    assert len({row["startedAt"] for row in rows[1:]}) == 1
    assert [row["status"] for row in rows[::3]] == [status("waiting_for_capacity"), status("completed")]
    assert rows[1]["claimedBy"] == worker.id
    assert instant(rows[0]["createdAt"]) < instant(rows[1]["startedAt"]) < instant(rows[3]["endedAt"])


def test_health_and_capabilities(plain: Plain) -> None:
    health = plain.rest("GET", "/health").json
    assert health["status"]
    assert instant(health["timestamp"])
    assert health["version"]
    assert plain.rest("GET", "/ready").json["status"] == "ready"
    assert plain.call("Health", {})["status"] == "healthy"
    found = plain.rest("GET", "/api/v1/capabilities").json
    assert isinstance(found["transports"], list)
    assert isinstance(found["features"], list)
    assert found["version"] == health["version"]
    assert not found.get("auth_required")
