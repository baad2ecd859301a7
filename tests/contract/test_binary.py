"""Binary calls over HTTP: the same answers as in JSON, refusals in JSON, and the server goes on."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from ironflow_lab.server.protocol import pb
from ironflow_lab.testing import LocalServer
from tests.conformance.plain import RPC, Answer, Plain, payload
from tests.conformance.plain_worker import PlainWorker
from tests.contract.jobs import WORKERS, works

MEGABYTE = 1 << 20
METHODS = pb.methods()
BINARY = {"Content-Type": "application/proto"}
VALUES: list[Any] = [{}, {"a": {"b": [1, None]}}, [], "", "größe", 0, -7, 1.5, 2**53 + 1, 1e300, True, False, None]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def plain(server: LocalServer) -> Iterator[Plain]:
    """The server; afterwards it still does what it is for."""
    plain = Plain(server.url)
    yield plain
    works(plain)


def send(plain: Plain, procedure: str, body: bytes, **headers: str) -> Answer:
    """Send the bytes of a message and return the answer as it is."""
    return plain.send("POST", RPC + procedure, body, headers={**BINARY, **headers})


def call(plain: Plain, procedure: str, message: dict[str, Any]) -> Any:
    """Call a procedure that must succeed in binary and return its message.

    The request is put together by protobuf's own mapping, which knows nothing of ours.
    """
    request = json_format.ParseDict(message, METHODS[procedure].request())
    answer = send(plain, procedure, request.SerializeToString())
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/proto"
    return METHODS[procedure].response.FromString(answer.body)


def same(plain: Plain, procedure: str, message: dict[str, Any]) -> dict[str, Any]:
    """The answer, which both codecs must give; the JSON one is read by protobuf's own mapping, strictly."""
    answer: dict[str, Any] = plain.call(procedure, message)
    assert call(plain, procedure, message) == json_format.ParseDict(answer, METHODS[procedure].response())
    return answer


@pytest.fixture(scope="module")
def runs(server: LocalServer) -> list[str]:
    """Runs with every kind of payload and in every state."""
    plain = Plain(server.url)
    retry = {"maxAttempts": 2, "initialDelayMs": 3_600_000}
    fields = {"name": "Größe", "description": "d", "timeoutMs": 9, "retry": retry, "metadata": {"a": [1, {}]}}
    plain.call("RegisterFunction", {"id": "many", "triggers": [{"event": "many.go"}], "recording": True, **fields})
    worker = PlainWorker(plain, "many-w", ("many",)).register()
    found = []
    for value in VALUES:
        found.append(plain.start("many.go", value, metadata={"m": 1}))
        job = worker.take(found[-1])
        long = {**job.step("long", error={"message": "m", "details": {"a": 1}}), "duration_ms": 30 * 24 * 3_600_000}
        worker.done(job, "completed", job.step("a", value), long, output=value)
    failed, waiting, sleeping, cancelled = (plain.start("many.go", [n]) for n in range(4))
    worker.fail(worker.take(failed), retryable=False, retry_after_ms=2**40)
    worker.fail(worker.take(waiting))
    worker.sleep(worker.take(sleeping), "2101-01-01T00:00:00.123456789Z")
    plain.cancel(cancelled, "ordered twice")
    return [*found, failed, waiting, sleeping, cancelled, plain.start("many.go")]


def test_runs_and_steps_are_the_same(plain: Plain, runs: list[str]) -> None:
    for run_id in runs:
        assert same(plain, "IronflowService/GetRun", {"id": run_id})["id"] == run_id
        same(plain, "IronflowService/GetRunSteps", {"runId": run_id})
    states = {plain.run(run_id)["status"] for run_id in runs}
    assert len(states) >= 5, states


def test_lists_are_the_same_by_every_filter(plain: Plain, runs: list[str]) -> None:
    times = [plain.run(run_id)["createdAt"] for run_id in runs]
    for filters in (
        {},
        {"status": "RUN_STATUS_COMPLETED"},
        {"status": 5},
        {"statuses": ["RUN_STATUS_FAILED", "RUN_STATUS_WAITING"]},
        {"since": times[3], "until": times[9]},
        {"search": runs[2]},
        {"offset": 3, "limit": 4},
        {"functionId": "nobody"},
    ):
        same(plain, "IronflowService/ListRuns", {"functionId": "many", **filters})
    cursor, seen = "", []
    while True:
        page = same(plain, "IronflowService/ListRuns", {"functionId": "many", "limit": 4, "cursor": cursor})
        seen += [run["id"] for run in page["runs"]]
        cursor = page.get("nextCursor", "")
        if not cursor:
            break
    assert seen == runs[::-1]
    assert len(same(plain, "IronflowService/ListFunctions", {"mode": "pull"})["functions"]) > 0
    same(plain, "IronflowService/GetFunction", {"id": "many"})
    same(plain, "IronflowService/Health", {})


def test_trails_and_past_states_are_the_same(plain: Plain, runs: list[str]) -> None:
    for run_id in runs:
        trail = same(plain, "AuditService/GetAuditTrail", {"runId": run_id, "limit": 1000})["events"]
        same(plain, "AuditService/GetAuditTrail", {"runId": run_id, "eventType": "step.completed"})
        assert same(plain, "TimeTravelService/GetRunTimeline", {"runId": run_id})["events"]
        for event in trail:
            asked = {"runId": run_id, "timestamp": event["createdAt"]}
            assert same(plain, "TimeTravelService/GetRunStateAt", asked)["snapshot"]["runId"] == run_id
            if event.get("stepId"):
                same(plain, "TimeTravelService/GetStepOutputAt", {"stepId": event["stepId"], **asked})


NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
PAYLOADS = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(value=PAYLOADS)
def test_an_event_is_recorded_the_same(server: LocalServer, value: Any) -> None:
    plain = Plain(server.url)
    plain.call("RegisterFunction", {"id": "f", "triggers": [{"event": "f.go"}]})
    message = {"event": "f.go", "data" if isinstance(value, dict) else "dataValue": value, "metadata": {"v": value}}
    (run_id,) = call(plain, "IronflowService/Emit", message).run_ids
    assert payload(plain.run(run_id), "input") == value


def test_deep_answers_are_written_whole(plain: Plain) -> None:
    """What came as JSON may be deeper than binary requests can be."""
    value: Any = 1
    for _ in range(200):
        value = {"a": value}
    plain.call("RegisterFunction", {"id": "deep", "triggers": [{"event": "deep.go"}]})
    run_id = plain.start("deep.go", value)
    body = METHODS["IronflowService/GetRun"].request(id=run_id).SerializeToString()
    answer = send(plain, "IronflowService/GetRun", body)
    assert answer.status == 200
    assert answer.body.count(b"\x0a\x01a") == 200


def test_a_large_answer_does_not_hold_others_up(plain: Plain) -> None:
    """Both are answered while the other is under way, whole."""
    text = "x" * (4 * MEGABYTE)
    plain.call("RegisterFunction", {"id": "large", "triggers": [{"event": "large.go"}]})
    (run_id,) = call(plain, "IronflowService/Emit", {"event": "large.go", "data": {"text": text}}).run_ids
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: call(plain, "IronflowService/GetRun", {"id": run_id}), range(4)))
    assert {run.input.fields["text"].string_value for run in found} == {text}


class TestRefusals:
    def refused(self, answer: Answer, status: int, code: str, words: str) -> None:
        assert answer.fault == (status, code), answer
        assert words in answer.json["message"], answer

    @pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05go", b"\x0a\x02\xff\xfe", b'{"event":"go"}'])
    def test_malformed(self, plain: Plain, body: bytes) -> None:
        answer = send(plain, "IronflowService/Emit", body)
        self.refused(answer, 400, "invalid_argument", "not a TriggerRequest in binary protobuf")

    def test_json_that_says_it_is_binary_and_the_other_way_round(self, plain: Plain) -> None:
        body = METHODS["IronflowService/GetRun"].request(id="run_1").SerializeToString()
        answer = plain.send("POST", RPC + "IronflowService/GetRun", body, headers={"Content-Type": "application/json"})
        self.refused(answer, 400, "invalid_argument", "not JSON")

    def test_nested_too_deeply(self, plain: Plain) -> None:
        body = b""
        for _ in range(300):
            items = b"\x0a" + size(body) + body
            body = b"\x32" + size(items) + items
        answer = send(plain, "IronflowService/Emit", b"\x0a\x02go\x32" + size(body) + body)
        self.refused(answer, 400, "invalid_argument", "send what nests deeper as JSON")

    @pytest.mark.parametrize("number", ["inf", "-inf", "nan"])
    def test_numbers_json_has_not(self, plain: Plain, number: str) -> None:
        message = METHODS["IronflowService/Emit"].request(event="go")
        message.data.fields["n"].number_value = float(number)
        answer = send(plain, "IronflowService/Emit", message.SerializeToString())
        self.refused(answer, 400, "invalid_argument", "no number in JSON")

    def test_a_time_out_of_range(self, plain: Plain) -> None:
        for seconds, nanos in ((2**60, 0), (0, -1), (9_999_999_999, 0)):
            message = METHODS["IronflowService/ListRuns"].request()
            message.since.seconds, message.since.nanos = seconds, nanos
            answer = send(plain, "IronflowService/ListRuns", message.SerializeToString())
            self.refused(answer, 400, "invalid_argument", "ListRunsRequest")

    def test_what_the_engine_refuses(self, plain: Plain) -> None:
        for procedure, body, status, code in (
            ("IronflowService/GetRun", b"\x0a\x01x", 404, "not_found"),
            ("IronflowService/Emit", b"\x0a\x04a..b", 400, "invalid_argument"),
            ("IronflowService/ListRuns", b"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 400, "invalid_argument"),
            ("IronflowService/Info", b"", 501, "unimplemented"),
            ("KVService/Get", b"", 501, "unimplemented"),
        ):
            assert send(plain, procedure, body).fault == (status, code), procedure

    def test_too_large(self, plain: Plain) -> None:
        body = b"\x32" + size(bytes(9 * MEGABYTE)) + bytes(9 * MEGABYTE)
        self.refused(send(plain, "IronflowService/Emit", body), 413, "invalid_argument", "8 MiB")
        packed = gzip.compress(body)
        assert len(packed) < MEGABYTE
        answer = send(plain, "IronflowService/Emit", packed, **{"Content-Encoding": "gzip"})
        self.refused(answer, 413, "invalid_argument", "8 MiB")

    def test_packings(self, plain: Plain) -> None:
        body = METHODS["IronflowService/Emit"].request(event="nobody.listens").SerializeToString()
        for packing in ("gzip", "GZIP"):
            packed = gzip.compress(body)
            assert send(plain, "IronflowService/Emit", packed, **{"Content-Encoding": packing}).status == 200
        # That header is for streams; a unary call's body is packed as its Content-Encoding says.
        assert send(plain, "IronflowService/Emit", body, **{"Connect-Content-Encoding": "gzip"}).status == 200
        answer = send(plain, "IronflowService/Emit", body, **{"Content-Encoding": "gzip"})
        self.refused(answer, 400, "invalid_argument", "gzip")
        answer = send(plain, "IronflowService/Emit", body, **{"Content-Encoding": "br"})
        self.refused(answer, 415, "invalid_argument", "send gzip or none")

    @pytest.mark.parametrize("kind", ["application/connect+proto", "application/grpc", "application/protobuf", ""])
    def test_other_content_types(self, plain: Plain, kind: str) -> None:
        answer = plain.send("POST", RPC + "IronflowService/Health", b"", headers={"Content-Type": kind} if kind else {})
        self.refused(answer, 415, "invalid_argument", "application/json or application/proto")

    def test_rest_routes_read_json_only(self, plain: Plain) -> None:
        answer = plain.send("POST", WORKERS + "w/register", b"", headers=BINARY)
        self.refused(answer, 415, "invalid_argument", "send Content-Type: application/json;")

    def test_a_deadline(self, plain: Plain) -> None:
        plain.call("RegisterFunction", {"id": "slow", "triggers": [{"event": "slow.go"}]})
        body = METHODS["IronflowService/TriggerSync"].request(event="slow.go").SerializeToString()
        answer = send(plain, "IronflowService/TriggerSync", body, **{"Connect-Timeout-Ms": "30"})
        self.refused(answer, 504, "deadline_exceeded", "0.03 s")

    def test_get_is_refused(self, plain: Plain) -> None:
        answer = plain.send("GET", RPC + "IronflowService/Health?encoding=proto&message=&connect=v1")
        self.refused(answer, 400, "invalid_argument", "POST")


def size(body: bytes) -> bytes:
    """The length of a part as protobuf writes it."""
    rest, found = len(body), bytearray()
    while rest > 127:
        found.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*found, rest])


def test_the_helper_writes_what_protobuf_writes() -> None:
    for length in (0, 127, 128, 300, 70_000):
        message = METHODS["IronflowService/GetRun"].request(id="x" * length)
        written = message.SerializeToString()
        assert written == (b"\x0a" + size(b"x" * length) + b"x" * length if length else b"")
