"""Who may ask: loopback names only, so that a page whose name leads here gets nothing."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from ironflow_lab.server.engine.ports import Desk, Reads
from ironflow_lab.server.protocol.asgi import LAB_ROUTES, App
from ironflow_lab.server.protocol.connect import Connect
from ironflow_lab.server.protocol.eventlog import EventLog
from ironflow_lab.server.protocol.events import Events
from ironflow_lab.server.protocol.history import History
from ironflow_lab.server.protocol.runs import Runs
from ironflow_lab.server.protocol.secrets import Secrets
from ironflow_lab.server.protocol.waiting import Waiting
from ironflow_lab.server.protocol.workers import Workers
from ironflow_lab.testing import FakeClock
from tests.unit.server.protocol.calls import Call


class Nobody:
    """Neither desk nor reads: these calls must not get that far."""


@pytest.fixture
def app() -> App:
    closing = asyncio.Event()
    waiting, desk, reads = Waiting(closing), cast(Desk, Nobody()), cast(Reads, Nobody())
    history = History(reads, waiting)
    return App(
        connect=Connect((Events(desk, reads, waiting).procedures, history.procedures)),
        history=history,
        events=EventLog(desk, reads),
        runs=Runs(desk, reads),
        secrets=Secrets(desk, reads),
        workers=Workers(desk, waiting, lease_seconds=90, closing=closing),
        waiting=waiting,
        reads=reads,
        clock=FakeClock(),
        version="1.2.3",
        token="start",
    )


async def called(app: App, method: str, path: str, **headers: Any) -> Call:
    call = Call(method, path, **headers)
    await app(call.scope, call.receive, call.send)
    return call


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9123", "127.0.0.1:9123", "127.8.8.8", "[::1]:9123", "[::1]", "LOCALHOST:1"]
)
async def test_loopback_names_are_answered(app: App, host: str) -> None:
    assert (await called(app, "GET", "/health", host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com:9123",
        "192.168.0.7",
        "0.0.0.0",
        "",
        "localhost@example.com",
        "me@localhost",
        "[::1",
        "2130706433",
        "[::ffff:8.8.8.8]",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/api/v1/workers/w/jobs?available=1", "/ironflow.v1.IronflowService/Emit"])
async def test_any_other_is_refused(app: App, host: str, path: str) -> None:
    call = await called(app, "GET", path, host=host)
    assert (call.status, call.json["code"]) == (403, "permission_denied")
    assert "loopback" in call.json["message"]


async def test_a_client_of_http_1_0_names_no_host(app: App) -> None:
    assert (await called(app, "GET", "/health")).status == 200


async def test_what_it_says_of_itself(app: App) -> None:
    health = (await called(app, "GET", "/health")).json
    assert health["status"] == "ok"
    assert (health["version"], health["instance"]) == ("1.2.3", "start")
    assert (await called(app, "GET", "/ready")).json["status"] == "ready"
    said = (await called(app, "GET", "/api/v1/capabilities")).json
    assert (said["auth_required"], tuple(said["lab"])) == (False, LAB_ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("HEAD", "/health", 200, None),
        ("HEAD", "/ready", 200, None),
        ("OPTIONS", "/health", 404, "not_found"),
        ("POST", "/health", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/lab/v1/runs/wait", 404, "not_found"),
        ("POST", "/lab/v1/runs/run_1/why", 404, "not_found"),
        ("GET", "/api/v1/workers/w/nonsense", 404, "not_found"),
        ("GET", "/api/v1/workers//jobs", 404, "not_found"),
        ("DELETE", "/api/v1/workers/w/jobs", 404, "not_found"),
        ("PUT", "/api/v1/workers/w/jobs/run_1.1/ack/more", 404, "not_found"),
        ("GET", "/api/v1/audit/settings", 200, None),
        ("POST", "/api/v1/audit", 404, "not_found"),
        ("GET", "/api/v1/audit?limit=x", 400, "invalid_argument"),
        ("GET", "/api/v1/audit?from=yesterday", 400, "invalid_argument"),
        ("GET", "/api/v1/audit?action=runs:read", 400, "invalid_argument"),
        ("GET", "/api/v1/events?limit=-1", 400, "invalid_argument"),
        ("GET", "/api/v1/events?until=tomorrow", 400, "invalid_argument"),
        ("GET", "/api/v1/events/names?since=1", 400, "invalid_argument"),
        ("GET", "/api/v1/events?names=" + "a," * 101, 400, "invalid_argument"),
        ("DELETE", "/api/v1/events/evt_1", 404, "not_found"),
        ("GET", "/api/v1/secrets", 400, "invalid_argument"),
        ("GET", "/api/v1/secretsx", 404, "not_found"),
        ("POST", "/api/v1/events/names", 404, "not_found"),
        ("POST", "/api/v1/events", 415, "invalid_argument"),
        ("GET", "/api/v1/eventsx", 404, "not_found"),
        ("GET", "/lab/v1/runs/run_1/audit?wait=x", 400, "invalid_argument"),
        ("POST", "/lab/v1/runs/run_1/audit", 404, "not_found"),
        ("GET", "/ironflow.v1.IronflowService/Emit", 400, "invalid_argument"),
        ("POST", "/ironflow.v1.IronflowService/Dream", 501, "unimplemented"),
        ("POST", "/ironflow.v1.KVService/Get", 501, "unimplemented"),
        ("POST", "/ironflow.v1.IronflowService/Emit", 415, "invalid_argument"),
        ("POST", "/api/v1/workers/w/heartbeat", 415, "invalid_argument"),
        ("GET", "/api/v1/workers/w/jobs?available=0", 400, "invalid_argument"),
        ("GET", "/api/v1/workers/w/jobs?available=-1", 400, "invalid_argument"),
        ("GET", "/api/v1/workers/w/jobs?available=many", 400, "invalid_argument"),
        ("GET", "/api/v1/workers/w/jobs?available=99999999999", 400, "invalid_argument"),
        ("GET", "/api/v1/workers/w/jobs?available=1&wait=1.5", 400, "invalid_argument"),
        ("GET", "/api/v1/workers/w/jobs?available=%D9%A3", 400, "invalid_argument"),
    ],
)
async def test_routes(app: App, method: str, path: str, status: int, code: str | None) -> None:
    call = await called(app, method, path)
    assert (call.status, call.json.get("code")) == (status, code)
    assert "access-control-allow-origin" not in call.headers


async def test_a_fault_is_classified_and_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    path = "/ironflow.v1.IronflowService/Emit"
    call = await called(app, "POST", path, body=b'{"event":"a"}', content_type="application/json")
    assert (call.status, call.json["code"]) == (500, "internal")
    assert "its log says more" in call.json["message"]
    assert "AttributeError" in caplog.text


async def test_other_protocols_are_not_spoken(app: App) -> None:
    call = Call()
    await app({"type": "websocket"}, call.receive, call.send)
    assert call.sent == []
