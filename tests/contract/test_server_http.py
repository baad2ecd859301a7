"""Bad input over HTTP: a documented status and code, words that help, and everything else goes on."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironflow_lab.testing import LocalServer
from tests.conformance.plain import JSON, RPC, Answer, Plain, payload
from tests.contract.jobs import WORKERS, job_path, register, report, works

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        plain = Plain(server.url)
        plain.call("RegisterFunction", {"id": "f", "triggers": [{"event": "go"}]})
        register(plain, "w", "f")
        yield server


class Line:
    """One connection for many calls."""

    def __init__(self, server: LocalServer) -> None:
        self._http = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)

    def __call__(self, method: str, path: str, body: Any) -> Answer:
        self._http.request(method, path, json.dumps(body), JSON)
        found = self._http.getresponse()
        headers = {name.lower(): value for name, value in found.getheaders()}
        return Answer(found.status, headers, found.read())

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def line(server: LocalServer) -> Iterator[Line]:
    line = Line(server)
    yield line
    line.close()


@pytest.fixture
def plain(server: LocalServer) -> Iterator[Plain]:
    """The server; afterwards it still does what it is for."""
    plain = Plain(server.url)
    yield plain
    works(plain)


def refused(plain: Plain, procedure: str, body: Any, status: int, code: str, words: str) -> None:
    answer = plain.post(procedure, body)
    assert answer.fault == (status, code), answer
    assert words in answer.json["message"], answer


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"{", "not JSON"),
            (b"[1]", "not a TriggerRequest"),
            (b'"text"', "not a TriggerRequest"),
            (b'{"event":"go"}{}', "not JSON"),
            (b'{"event":7}', "$.event"),
            (b'{"event":["go"]}', "$.event"),
            (b'{"event":"go","data":[1]}', "dataValue"),
            (b'{"event":"go","data":"text"}', "dataValue"),
            (b'{"event":"go","metadata":"text"}', "$.metadata"),
            (b'{"event":"go","version":"many"}', "$.version"),
            (b'{"event":"go","version":4294967296}', "2147483647"),
            (b'{"event":"go","version":-1}', "not 1 or more"),
            (b'{"event":"go","idempotencyKey":"' + b"k" * 256 + b'"}', "255"),
            (b'{"event":"\xff\xfe"}', "UTF-8"),
            (b'{"event":"\\udc00"}', "not JSON"),
            (b'{"event":"go","dataValue":' + b"[" * 300 + b"]" * 300 + b"}", "flatten"),
            (b'{"event":"go","dataValue":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "flatten"),
            (b'{"event":"go","dataValue":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}", "flatten"),
            (b'{"event":"go","dataValue":' + b"[" * 200_000 + b"}", "flatten"),
            (b'{"event":"go","dataValue":' + b"9" * 5_000 + b"}", "out of range"),
            (b'{"event":"go","dataValue":1e400}', "out of range"),
        ],
    )
    def test_malformed(self, plain: Plain, body: bytes, words: str) -> None:
        refused(plain, "Emit", body, 400, "invalid_argument", words)

    @pytest.mark.parametrize(
        "name",
        ["", " ", "a b", "go ", "a..b", ".a", "a.", "go.*", ">", "a>", "a\u0000b", "a\nb", "a\u200b b", "x" * 256],
    )
    def test_event_names(self, plain: Plain, name: str) -> None:
        refused(plain, "Emit", {"event": name}, 400, "invalid_argument", "the event cannot be recorded")

    @pytest.mark.parametrize("size", [8 * MEGABYTE, 30 * MEGABYTE])
    def test_too_large(self, plain: Plain, size: int) -> None:
        """Also a client that reads nothing before it has sent everything gets the answer, not a broken pipe."""
        answer = plain.post("Emit", b'{"event":"go","dataValue":"' + b"x" * size + b'"}')
        assert answer.fault == (413, "invalid_argument")
        assert "8 MiB" in answer.json["message"]

    def test_too_large_in_chunks(self, plain: Plain) -> None:
        connection = http.client.HTTPConnection(plain.url.removeprefix("http://"), timeout=20)
        chunks = (b" " * MEGABYTE for _ in range(20))
        connection.request("POST", f"{RPC}IronflowService/Emit", chunks, JSON, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()

    @pytest.mark.parametrize("megabytes", [9, 200])
    def test_too_large_once_unpacked(self, plain: Plain, megabytes: int) -> None:
        packed = gzip.compress(b'{"event":"' + bytes(megabytes * MEGABYTE) + b'"}', 1)
        assert len(packed) < 2 * MEGABYTE
        answer = plain.post("Emit", packed, headers={"content-encoding": "gzip"})
        assert answer.fault == (413, "invalid_argument")

    def test_the_largest_that_fits(self, plain: Plain) -> None:
        text = "x" * (8 * MEGABYTE - 100)
        run_id = plain.start("go", {"text": text})
        assert len(payload(plain.run(run_id), "input")["text"]) == len(text)
        plain.cancel(run_id)

    def test_gzip(self, plain: Plain) -> None:
        packed = gzip.compress(b'{"event":"nobody.listens"}')
        assert plain.post("Emit", packed, headers={"content-encoding": "gzip"}).status == 200
        answer = plain.post("Emit", packed[:-3], headers={"content-encoding": "gzip"})
        assert answer.fault == (400, "invalid_argument")
        assert plain.post("Emit", packed, headers={"content-encoding": "br"}).fault == (415, "invalid_argument")

    @pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
    def test_content_type(self, plain: Plain, kind: str) -> None:
        """A form on another site can send these without asking; it must not be able to emit."""
        headers = {"content-type": kind} if kind else {}
        for method, path in [
            ("POST", f"{RPC}IronflowService/Emit"),
            ("POST", WORKERS + "w/register"),
            ("POST", WORKERS + "w/heartbeat"),
            ("PUT", WORKERS + "w/jobs/run_1.1"),
            ("PUT", WORKERS + "w/jobs/run_1.1/ack"),
            ("POST", "/lab/v1/runs/wait"),
        ]:
            answer = plain.send(method, path, b'{"event":"go"}', headers=headers)
            assert answer.fault == (415, "invalid_argument"), path
            assert "application/json" in answer.json["message"]


class TestUnknown:
    @pytest.mark.parametrize(
        ("procedure", "body", "status", "code", "words"),
        [
            ("GetRun", {"id": "run_nowhere"}, 404, "not_found", "'run_nowhere'"),
            ("GetRun", {}, 404, "not_found", "no run ''"),
            ("GetRunSteps", {"runId": "run_nowhere"}, 404, "not_found", "'run_nowhere'"),
            ("CancelRun", {"id": "run_nowhere"}, 404, "not_found", "'run_nowhere'"),
            ("GetFunction", {"id": "nothing"}, 404, "not_found", "'nothing'"),
            ("GetFunction", {"id": "f\u0000"}, 404, "not_found", "is registered"),
            ("ResumeRun", {"runId": "run_1"}, 404, "not_found", "'run_1'"),
            ("PauseRun", {"runId": "run_1"}, 404, "not_found", "'run_1'"),
            ("PatchStep", {"stepId": "step_1", "output": {}}, 404, "not_found", "'step_1'"),
            ("KVService/Get", {}, 501, "unimplemented", "KVService/Get"),
        ],
    )
    def test_procedures(
        self, plain: Plain, procedure: str, body: dict[str, Any], status: int, code: str, words: str
    ) -> None:
        refused(plain, procedure, body, status, code, words)

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "stranger/jobs?available=1", None),
            ("GET", "stranger/jobs?available=1&wait=20", None),
            ("POST", "stranger/heartbeat", {"jobs": []}),
            ("POST", "w%00/heartbeat", {"jobs": []}),
        ],
    )
    def test_a_worker_is_told_to_register(self, plain: Plain, method: str, path: str, body: Any) -> None:
        answer = plain.rest(method, WORKERS + path, body)
        assert answer.fault == (404, "not_found")
        assert "register again" in answer.json["message"]

    def test_a_lease_of_a_stranger(self, plain: Plain) -> None:
        assert plain.rest("GET", "/lab/v1/workers/stranger/lease?instance=x").fault == (404, "not_found")

    @pytest.mark.parametrize("job", ["run_nowhere.1", "nonsense", "run_1." + "9" * 4_400, "%00.1", "a%2Fb.1"])
    def test_a_job_nobody_knows_is_stale(self, plain: Plain, job: str) -> None:
        for path, body in [(f"{job}/ack", {}), (job, {"status": "completed"}), (job, {"status": "progress"})]:
            answer = plain.rest("PUT", f"{WORKERS}w/jobs/{path}", {"execution_seq": 1, "lease_token": "x", **body})
            assert (answer.fault, answer.json["error"]) == ((409, "aborted"), "STALE_EXECUTION")
            assert "drop the job" in answer.json["message"]

    def test_an_environment(self, plain: Plain) -> None:
        for name in ("X-Ironflow-Environment-ID", "X-Ironflow-Environment"):
            answer = plain.post("ListRuns", {}, headers={name: "production"})
            assert answer.fault == (404, "not_found")
            assert "only 'default'" in answer.json["message"]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("HEAD", "/health", 200),
            ("HEAD", "/nothing", 404),
            ("OPTIONS", "/health", 404),
            ("OPTIONS", f"{RPC}IronflowService/Emit", 400),
            ("GET", f"{RPC}IronflowService/Emit", 400),
            ("DELETE", WORKERS + "w", 404),
            ("PATCH", "/health", 404),
            ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
            ("GET", "/" + "x" * 60_000, 404),
        ],
    )
    def test_routes(self, plain: Plain, method: str, path: str, status: int) -> None:
        answer = plain.send(method, path)
        assert answer.status == status
        assert "access-control-allow-origin" not in answer.headers
        assert len(answer.body) < 3_000

    @pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "192.168.1.1:9123"])
    def test_a_name_that_is_not_loopback(self, plain: Plain, host: str) -> None:
        answer = plain.post("Emit", {"event": "go"}, headers={"Host": host})
        assert answer.fault == (403, "permission_denied")


class TestFields:
    @pytest.mark.parametrize("procedure", ["ListRuns", "ListFunctions"])
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"limit": -1}, "limit must not be negative"),
            ({"offset": -1}, "offset must not be negative"),
            ({"limit": 2**31}, "2147483647"),
            ({"limit": 10**40}, "2147483647"),
            ({"offset": 2**63}, "2147483647"),
            ({"limit": "all"}, "$.limit"),
            ({"cursor": "?"}, "cursor"),
            ({"cursor": "//4="}, "cursor"),
            ({"cursor": "\u00e9"}, "cursor"),
            ({"cursor": 7}, "$.cursor"),
        ],
    )
    def test_lists(self, plain: Plain, procedure: str, fields: dict[str, Any], words: str) -> None:
        refused(plain, procedure, fields, 400, "invalid_argument", words)

    @pytest.mark.parametrize(
        "fields", [{"cursor": "bm90IGEgbnVtYmVy"}, {"cursor": "LTE="}, {"since": "yesterday"}, {"statuses": "failed"}]
    )
    def test_runs(self, plain: Plain, fields: dict[str, Any]) -> None:
        refused(plain, "ListRuns", fields, 400, "invalid_argument", "")

    @pytest.mark.parametrize(
        "fields",
        [
            {"limit": 2**31 - 1},
            {"offset": 2**31 - 1},
            {"search": "%_'\"\u0000"},
            {"status": "RUN_STATUS_X"},
            {"statuses": []},
        ],
    )
    def test_odd_but_good(self, plain: Plain, fields: dict[str, Any]) -> None:
        assert plain.post("ListRuns", fields).status == 200

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"timeoutMs": -1}, "must not be negative"),
            ({"timeoutMs": 2**40}, "2147483647"),
            ({"event": ""}, "must not be empty"),
        ],
    )
    def test_trigger_sync(self, plain: Plain, fields: dict[str, Any], words: str) -> None:
        refused(plain, "TriggerSync", {"event": "nobody.listens", **fields}, 400, "invalid_argument", words)

    @pytest.mark.parametrize(
        ("fields", "status", "words"),
        [
            ({"id": "a b"}, 400, "1 to 255 characters"),
            ({"id": "a\u0000b"}, 400, "1 to 255 characters"),
            ({"retry": {"maxAttempts": 2**31}}, 400, "2147483647"),
            ({"retry": {"backoffFactor": "fast"}}, 400, "backoffFactor"),
            ({"triggers": [{"event": "a", "cron": "* * * * *"}]}, 400, "exactly one"),
            ({"triggers": {"event": "a"}}, 400, "$.triggers"),
            ({"timeoutMs": 2**31}, 400, "2147483647"),
            ({"recording": True, "recordingProfile": "everything"}, 400, "run_lifecycle"),
            ({"recordingProfile": "steps"}, 400, "set recording to true"),
            ({"recording": "yes"}, 400, "$.recording"),
            ({"concurrency": {"limit": 0}}, 400, "concurrency"),
            ({"debounce": {"periodMs": 1000}}, 501, "debounce"),
            ({"preferredMode": "EXECUTION_MODE_PUSH"}, 501, "register it as pull"),
        ],
    )
    def test_registering(self, plain: Plain, fields: dict[str, Any], status: int, words: str) -> None:
        code = {400: "invalid_argument", 501: "unimplemented"}[status]
        refused(plain, "RegisterFunction", {"id": "bad", **fields}, status, code, words)
        assert plain.post("GetFunction", {"id": "bad"}).status == 404

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({}, "at least one function"),
            ({"function_ids": []}, "at least one function"),
            ({"function_ids": ["f"], "max_concurrent_jobs": -1}, "1 or more"),
            ({"function_ids": ["f"], "max_concurrent_jobs": 2**31}, "2147483647"),
            ({"function_ids": "f"}, "$.function_ids"),
            ({"function_ids": ["f"], "labels": {"a": 1}}, "$.labels"),
        ],
    )
    def test_workers(self, plain: Plain, fields: dict[str, Any], words: str) -> None:
        answer = plain.rest("POST", WORKERS + "bad/register", fields)
        assert answer.fault == (400, "invalid_argument")
        assert words in answer.json["message"]

    @pytest.mark.parametrize(
        "query", ["available=0", "available=-1", "available=x", "available=1&wait=soon", "available=1e3"]
    )
    def test_polls(self, plain: Plain, query: str) -> None:
        answer = plain.rest("GET", f"{WORKERS}w/jobs?{query}")
        assert answer.fault == (400, "invalid_argument")

    def test_a_refused_report_leaves_the_job_as_it_was(self, plain: Plain) -> None:
        run_id = plain.start("go", {})
        (job,) = plain.rest("GET", f"{WORKERS}w/jobs?available=1").json["jobs"]
        good = {"id": f"{run_id}:a:0", "name": "a", "output": 1}
        for bad in (
            {"steps": [good, {"id": "run_other:a:0", "name": "a"}]},
            {"steps": [good, {"name": "no id"}]},
            {"steps": [good], "step_offset": -1},
            {"steps": [good], "step_offset": 2**31},
            {"steps": [good] * 501, "status": "progress"},
            {"steps": [{**good, "started_at": "noon"}]},
            {"status": "finished"},
            {"status": "yielded"},
            {"status": "failed", "error": "text"},
        ):
            answer = plain.rest("PUT", job_path("w", job), report(job, **bad))
            assert answer.fault == (400, "invalid_argument"), answer
        assert (plain.run(run_id)["status"], plain.steps(run_id)) == ("RUN_STATUS_RUNNING", [])
        huge = report(job, output="x" * 9 * MEGABYTE)
        assert plain.rest("PUT", job_path("w", job), huge).fault == (413, "invalid_argument")
        assert plain.rest("PUT", job_path("w", job), report(job, steps=[good])).status == 200


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from(["go", "f", "w", "run_1", "2026-01-01T00:00:00Z", "RUN_STATUS_FAILED", "pull", "\u0000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *("id", "name", "event", "data", "dataValue", "data_value", "triggers", "retry", "timeoutMs", "timeout_ms"),
    *("limit", "cursor", "offset", "status", "statuses", "since", "until", "search", "runId", "run_id", "version"),
    *("metadata", "idempotencyKey", "preferredMode", "concurrency", "reason", "function_ids", "jobs", "steps"),
    *("step_offset", "execution_seq", "lease_token", "output", "error", "yield", "worker_id", "labels", "run_ids"),
    *("recording", "recordingProfile", "timestamp", "stepId", "eventType", "fromTimestamp", "toTimestamp"),
]
PROCEDURES = [
    "RegisterFunction",
    "GetFunction",
    "ListFunctions",
    "Emit",
    "GetRun",
    "ListRuns",
    "GetRunSteps",
    "CancelRun",
]
PAST = [
    "AuditService/GetAuditTrail",
    "TimeTravelService/GetRunStateAt",
    "TimeTravelService/GetRunTimeline",
    "TimeTravelService/GetStepOutputAt",
]
CALLS = [
    *(("POST", f"{RPC}IronflowService/{name}") for name in (*PROCEDURES, "Health")),
    *(("POST", RPC + name) for name in PAST),
    *(("POST", WORKERS + "w/" + name) for name in ("register", "heartbeat")),
    *(("PUT", WORKERS + "w/jobs/" + name) for name in ("run_1.1", "run_1.1/ack")),
]


ANY_CALL = {"call": st.sampled_from(CALLS), "body": st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6)}
ONE_SERVER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=120, derandomize=True, deadline=None, suppress_health_check=ONE_SERVER)
@given(**ANY_CALL)
def test_no_body_at_all_makes_the_server_fail(line: Line, call: tuple[str, str], body: dict[str, Any]) -> None:
    no_failure(line(*call, body))


@pytest.mark.soak
@settings(max_examples=3_000, deadline=None, suppress_health_check=ONE_SERVER)
@given(**ANY_CALL)
def test_no_body_of_many_makes_the_server_fail(line: Line, call: tuple[str, str], body: dict[str, Any]) -> None:
    no_failure(line(*call, body))


def no_failure(answer: Answer) -> None:
    """Check that a request was answered, or refused as the caller's fault."""
    if answer.status != 200:
        status, code = answer.fault
        assert status in (400, 404, 409, 501), answer
        assert code != "internal"
