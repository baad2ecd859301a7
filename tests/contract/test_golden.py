"""Golden bytes: what we write is exactly the files in `golden/`; what others write reads the same.

`golden/<name>.json` is exactly our bytes, `golden/received/<name>.json` the same record as another
implementation may spell it (other field order, numbers as text, explicit zeros, unknown fields).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ironflow_lab import errors
from ironflow_lab.models import audit, events, functions, pubsub, runs, secrets, server, timetravel, workers
from ironflow_lab.models.instant import parse_instant
from ironflow_lab.wire import codec, connect, discovery, payload, problem, rest
from ironflow_lab.wire.message import Request, Response
from tests.contract.golden.connect import CONNECT
from tests.contract.golden.events import EVENT_READS, EVENTS
from tests.contract.golden.history import HISTORY
from tests.contract.golden.intervention import INTERVENTION, OUTPUTS
from tests.contract.golden.rest import REST

GOLDEN = Path(__file__).with_name("golden")
RECORDS = {**CONNECT, **EVENTS, **EVENT_READS, **INTERVENTION, **OUTPUTS, **HISTORY, **REST}
RECEIVED = sorted(path.stem for path in (GOLDEN / "received").glob("*.json"))
ERRORS = sorted(path.stem for path in GOLDEN.glob("error_*.json"))

# Read-only views of a message that has golden bytes of its own.
VIEWS: dict[type[msgspec.Struct], str] = {
    runs.RunRowPage: "list_runs_response",
    runs.StepRowPage: "get_run_steps_response",
}
# Never on the wire as such: put together from an answer's headers and body.
COMPOSED = {workers.Poll, rest._RawBatch}
MODULES = (audit, events, functions, pubsub, runs, secrets, server, timetravel, workers, rest, discovery)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def structs() -> set[type[msgspec.Struct]]:
    """Every record type of the wire."""
    return {
        found
        for module in MODULES
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, msgspec.Struct) and found.__module__ == module.__name__ and found not in COMPOSED
    }


def parts(value: Any) -> Iterator[type[msgspec.Struct]]:
    """The record types inside a value, its own included."""
    if isinstance(value, msgspec.Struct):
        yield type(value)
        for name in value.__struct_fields__:
            yield from parts(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from parts(item)


def written(record: Any) -> bytes:
    return discovery.write(record) if isinstance(record, discovery.Discovery) else codec.encode(record)


@pytest.mark.parametrize("name", RECORDS)
def test_our_bytes(name: str) -> None:
    assert written(RECORDS[name]) == golden(name)


@pytest.mark.parametrize("name", RECORDS)
def test_bytes_read_back(name: str) -> None:
    record = RECORDS[name]
    assert codec.decode(golden(name), type(record)) == record


@pytest.mark.parametrize("name", RECEIVED)
def test_another_spelling_reads_the_same(name: str) -> None:
    record, spelling = RECORDS[name], (GOLDEN / "received" / f"{name}.json").read_bytes()
    read = codec.decode(spelling, type(record))
    assert read == record
    assert written(read) == golden(name)


def test_every_record_type_has_golden_bytes() -> None:
    shown = {part for record in RECORDS.values() for part in parts(record)}
    for view, name in VIEWS.items():
        shown.update(parts(codec.decode(golden(name), view)))
    assert {kind.__name__ for kind in structs() - shown} == set()


def test_every_field_is_set_in_some_golden() -> None:
    """A field that no golden shows could be misspelt unseen."""
    unseen = {(kind, name) for kind in structs() for name in kind.__struct_fields__}
    views = [codec.decode(golden(name), view) for view, name in VIEWS.items()]
    for record in [*RECORDS.values(), *views]:
        for part in walk(record):
            shown = {(type(part), name) for name in set_fields(part)}
            unseen -= shown
    assert sorted(f"{kind.__name__}.{name}" for kind, name in unseen) == []


def walk(value: Any) -> Iterator[msgspec.Struct]:
    """Every record inside a value, its own included."""
    if isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from walk(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from walk(item)


def set_fields(record: msgspec.Struct) -> Iterator[str]:
    """The names of the fields that hold something else than their default."""
    for field in msgspec.structs.fields(type(record)):
        if field.required or getattr(record, field.name) != default(field):
            yield field.name


def default(field: msgspec.structs.FieldInfo) -> Any:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def test_every_file_has_a_record() -> None:
    files = {path.stem for path in GOLDEN.glob("*.json")}
    assert files == set(RECORDS) | set(ERRORS)
    assert set(RECEIVED) <= set(RECORDS)


READ_ONLY = {runs.RunRow, runs.RunRowPage, runs.StepRow, runs.StepRowPage}
# REST records write their zeros, as rest.md shows them.
PLAIN_REST = {
    audit.RunAuditResponse,
    audit.AuditSettingsResponse,
    events.Event,
    events.EventName,
    events.EventNames,
    events.EventPage,
}
CONNECT_MODULES = {module.__name__ for module in (audit, events, functions, pubsub, runs, timetravel)}
MESSAGES = sorted(
    (kind for kind in structs() - READ_ONLY - PLAIN_REST if kind.__module__ in CONNECT_MODULES),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_zero_values_are_left_out(kind: type[msgspec.Struct]) -> None:
    """rpc.md section 2, rule 2: a Connect field that holds its zero value is not written."""
    fields = msgspec.structs.fields(kind)
    zeros = {field.name: zero(field) for field in fields if not field.required}
    needed = {field.name: kind_of(field) for field in fields if field.required}
    assert msgspec.json.decode(codec.encode(kind(**needed, **zeros))).keys() == needed.keys()


def zero(field: msgspec.structs.FieldInfo) -> Any:
    """A zero that is not the default object itself: a new empty word, instant or number."""
    value = default(field)
    return type(value)() if isinstance(value, int | str) else value


def kind_of(field: msgspec.structs.FieldInfo) -> Any:
    """A value for a required field: text, or the smallest function."""
    return functions.Function(id="f") if field.name == "function" else "x"


def test_pairs_settle_into_one_value() -> None:
    page = payload.settle(codec.decode(golden("list_runs_response"), runs.ListRunsResponse))
    assert [(run.input, run.output) for run in page.runs] == [
        ({"orderId": "A-2"}, [1, 2]),
        (7, {"ok": True}),
    ]
    run = payload.settle(codec.decode(golden("run_null_output"), runs.Run))
    assert (run.input, run.output) == (0, None)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, b'"data":{}'),
        ({"a": 1}, b'"data":{"a":1}'),
        ([], b'"dataValue":[]'),
        ("", b'"dataValue":""'),
        (0, b'"dataValue":0'),
        (1.5, b'"dataValue":1.5'),
        (True, b'"dataValue":true'),
        (None, b'"dataValue":null'),
    ],
)
def test_a_payload_is_split_by_its_kind(value: Any, field: bytes) -> None:
    request = events.TriggerRequest(event="e", **payload.split("data", value))
    assert codec.encode(request) == b'{"event":"e",' + field + b"}"


def test_rows_are_views_of_the_same_bytes() -> None:
    rows = codec.decode(golden("list_runs_response"), runs.RunRowPage)
    page = codec.decode(golden("list_runs_response"), runs.ListRunsResponse)
    for row, run in zip(rows.runs, page.runs, strict=True):
        assert row.id == run.id
        assert row.status == "RUN_STATUS_" + run.status.upper()
        assert row.created_at == (str(run.created_at) if run.created_at else "")
        assert payload.read_raw(row.output_value, row.output) is not None
    assert (rows.next_cursor, rows.total_count) == (page.next_cursor, page.total_count)
    steps = codec.decode(golden("get_run_steps_response"), runs.StepRowPage).steps
    assert [step.sequence for step in steps] == [0, 1, 2, 3]
    assert [bytes(step.output) for step in steps] == [b'{"ok":true}', b"", b"", b""]
    assert [bytes(step.output_value) for step in steps] == [b"", b"", b"", b"42"]


W = "/api/v1/workers/a%2Fb"
JSON = (("content-type", "application/json"),)
CONNECT_JSON = (*JSON, ("connect-protocol-version", "1"))
S = "IronflowService/"
SPAN = "&from=2026-01-02T03:04:05Z&to=2026-01-02T03:04:06.500Z"


def call(procedure: str, name: str) -> tuple[Request, str, str, str]:
    whole = procedure if "/" in procedure else S + procedure
    return connect.request(whole, RECORDS[name]), "POST", "/ironflow.v1." + whole, name


FENCE = RECORDS["job_ack"]
CALLS: list[tuple[Request, str, str, str | None]] = [
    call("RegisterFunction", "register_function_request"),
    call("GetFunction", "get_function_request"),
    call("ListFunctions", "list_functions_request"),
    call("Emit", "trigger_request"),
    call("Trigger", "trigger_request_list"),
    call("TriggerSync", "trigger_sync_request"),
    call("TriggerBatch", "trigger_batch_request"),
    call("InvokeFunction", "invoke_function_request"),
    call("InvokeFunctionSync", "invoke_function_sync_request"),
    call("RedactEvent", "redact_event_request"),
    call("PubSubService/Emit", "emit_request"),
    call("PubSubService/Publish", "publish_request"),
    call("GetRun", "get_run_request"),
    call("ListRuns", "list_runs_request"),
    call("GetRunSteps", "get_run_steps_request"),
    call("CancelRun", "cancel_run_request"),
    call("PauseRun", "pause_run_request"),
    call("GetPausedState", "get_paused_state_request"),
    call("InjectStepOutput", "inject_step_output_request"),
    call("PatchStep", "patch_step_request"),
    call("ResumeRun", "resume_run_request"),
    call("DeleteRun", "delete_run_request"),
    call("DeleteRuns", "delete_runs_request"),
    call("RedactStep", "redact_step_request"),
    call("RedactRun", "redact_run_request"),
    call("AuditService/GetAuditTrail", "get_audit_trail_request"),
    call("TimeTravelService/GetRunStateAt", "get_run_state_at_request"),
    call("TimeTravelService/GetRunTimeline", "get_run_timeline_request"),
    call("TimeTravelService/GetStepOutputAt", "get_step_output_at_request"),
    (rest.event("evt/01"), "GET", "/api/v1/events/evt%2F01", None),
    (rest.events_list(), "GET", "/api/v1/events", None),
    (
        rest.events_list(since=parse_instant("2026-01-02T03:04:05Z"), until=parse_instant("2026-01-02T03:04:06.5Z")),
        "GET",
        "/api/v1/events?since=2026-01-02T03:04:05Z&until=2026-01-02T03:04:06.500Z",
        None,
    ),
    (
        rest.events_list(
            names=("a.b", "c.d"),
            sources=("api", "webhook"),
            search="x y",
            limit=2,
            before="Mg==",
        ),
        "GET",
        "/api/v1/events?names=a.b,c.d&source=api,webhook&search=x y&limit=2&before=Mg==",
        None,
    ),
    (rest.events_list(name="a.b", cursor="Mg=="), "GET", "/api/v1/events?name=a.b&cursor=Mg==", None),
    (rest.event_names(sources=("api",)), "GET", "/api/v1/events/names?source=api", None),
    (rest.audit_search(), "GET", "/api/v1/audit", None),
    (
        rest.audit_search(
            run_id="run_01",
            function_id="f",
            event_type="run.created",
            since=parse_instant("2026-01-02T03:04:05Z"),
            until=parse_instant("2026-01-02T03:04:06.5Z"),
            limit=2,
            cursor="Mg==",
        ),
        "GET",
        "/api/v1/audit?run_id=run_01&function_id=f&event_type=run.created" + SPAN + "&limit=2&cursor=Mg==",
        None,
    ),
    (rest.audit_follow("run/01"), "GET", "/lab/v1/runs/run%2F01/audit", None),
    (
        rest.audit_follow("run_01", cursor="Mg==", limit=5, wait=90),
        "GET",
        "/lab/v1/runs/run_01/audit?cursor=Mg==&limit=5&wait=25",
        None,
    ),
    (
        rest.register("a/b", RECORDS["worker_register_request"]),
        "POST",
        W + "/register",
        "worker_register_request",
    ),
    (
        rest.heartbeat("a/b", RECORDS["worker_heartbeat_request"]),
        "POST",
        W + "/heartbeat",
        "worker_heartbeat_request",
    ),
    (rest.poll("a/b", available=3, wait=20), "GET", W + "/jobs?available=3&wait=20", None),
    (rest.poll("a/b", available=1, wait=0), "GET", W + "/jobs?available=1", None),
    (rest.poll("a/b", available=1, wait=90), "GET", W + "/jobs?available=1&wait=25", None),
    (rest.ack("a/b", "run_01.3", FENCE), "PUT", W + "/jobs/run_01.3/ack", "job_ack"),
    (
        rest.update("a/b", "run 01/3", RECORDS["job_progress"]),
        "PUT",
        W + "/jobs/run%2001%2F3",
        "job_progress",
    ),
    (rest.get("/health"), "GET", "/health", None),
    (
        rest.lease("a/b", "inst_01"),
        "GET",
        "/lab/v1/workers/a%2Fb/lease?instance=inst_01",
        None,
    ),
    (
        rest.wait_for_runs(RECORDS["runs_wait_request"]),
        "POST",
        "/lab/v1/runs/wait",
        "runs_wait_request",
    ),
]


@pytest.mark.parametrize(("request_", "method", "target", "body"), CALLS)
def test_a_call_on_the_wire(request_: Request, method: str, target: str, body: str | None) -> None:
    query = "&".join(f"{key}={value}" for key, value in request_.query)
    assert request_.method == method
    assert request_.path + (f"?{query}" if query else "") == target
    assert request_.body == (None if body is None else golden(body))
    wanted: tuple[tuple[str, str], ...] = () if body is None else JSON
    assert request_.headers == (CONNECT_JSON if "ironflow.v1" in target else wanted)


def test_a_call_made_in_a_run_says_so() -> None:
    request = connect.request("PubSubService/Publish", RECORDS["publish_request"], run_id="run_01")
    assert request.headers == (*CONNECT_JSON, ("x-ironflow-run-id", "run_01"))


def test_only_calls_without_side_effects_are_repeatable() -> None:
    repeatable = {request.path.rsplit("/", 1)[1] for request, *_ in CALLS if request.repeatable}
    reads = {"GetFunction", "ListFunctions", "GetRun", "ListRuns", "GetRunSteps", "GetPausedState", "health", "wait"}
    past = {"GetAuditTrail", "GetRunStateAt", "GetRunTimeline", "GetStepOutputAt", "audit"}
    assert repeatable == reads | past | {"events", "evt%2F01", "names"}


@pytest.mark.parametrize("name", ERRORS)
def test_our_error_bodies(name: str) -> None:
    bodies = {
        "error_not_found": problem.body("not_found", "no run run_01"),
        "error_retryable": problem.body("unavailable", "starting", retryable=True),
        "error_stale_execution": problem.body("STALE_EXECUTION", "another worker holds run_01 now"),
    }
    assert bodies[name] == golden(name)


Parsed = tuple[int, bytes, type[errors.ApiError], str, bool, str]

FOREIGN: list[Parsed] = [
    # The three shapes of rest.md section 2 and the failure of rpc.md section 3.
    (404, b'{"error":"no such run"}', errors.NotFoundError, "not_found", False, "no such run"),
    (
        404,
        b'{"code":"not_found","message":"gone","error":"text","retryable":true}',
        errors.NotFoundError,
        "not_found",
        True,
        "gone",
    ),
    (
        409,
        b'{"error":"STALE_EXECUTION","code":"already_exists"}',
        errors.StaleExecutionError,
        "STALE_EXECUTION",
        False,
        "STALE_EXECUTION",
    ),
    (
        409,
        b'{"error":"RUN_NOT_RUNNING"}',
        errors.ApiError,
        "RUN_NOT_RUNNING",
        False,
        "RUN_NOT_RUNNING",
    ),
    (409, b'{"code":"aborted","message":"m"}', errors.AbortedError, "aborted", False, "m"),
    (409, b"{}", errors.AlreadyExistsError, "already_exists", False, "HTTP 409"),
    (
        400,
        b'{"code":"failed_precondition"}',
        errors.FailedPreconditionError,
        "failed_precondition",
        False,
        "HTTP 400",
    ),
    (
        403,
        b'{"error":"FORBIDDEN"}',
        errors.PermissionDeniedError,
        "permission_denied",
        False,
        "FORBIDDEN",
    ),
    (503, b"<html>busy</html>", errors.UnavailableError, "unavailable", True, "HTTP 503"),
    (500, b"", errors.InternalError, "internal", True, "HTTP 500"),
]


@pytest.mark.parametrize(("status", "body", "kind", "code", "retryable", "message"), FOREIGN)
def test_errors_of_others(
    status: int,
    body: bytes,
    kind: type[errors.ApiError],
    code: str,
    retryable: bool,
    message: str,
) -> None:
    found = problem.from_response(Response(status=status, headers={}, body=body))
    assert (type(found), found.code, found.retryable, found.message, found.status) == (
        kind,
        code,
        retryable,
        message,
        status,
    )


def test_our_error_bodies_read_back() -> None:
    stale = Response(status=409, headers={}, body=golden("error_stale_execution"))
    assert isinstance(problem.from_response(stale), errors.StaleExecutionError)
    busy = Response(status=503, headers={"retry-after": "2"}, body=golden("error_retryable"))
    found = problem.from_response(busy)
    assert isinstance(found, errors.UnavailableError)
    assert (found.retryable, found.retry_after) == (True, 2.0)
