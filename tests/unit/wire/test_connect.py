"""Unary Connect calls."""

from __future__ import annotations

import pytest

from ironflow_lab.errors import InternalError, NotFoundError, UnimplementedError
from ironflow_lab.models.runs import CancelRunRequest, GetRunRequest, Run
from ironflow_lab.wire import connect
from ironflow_lab.wire.message import Response


def test_a_request() -> None:
    request = connect.request("IronflowService/GetRun", GetRunRequest(id="run_1"))
    assert (request.method, request.path) == ("POST", "/ironflow.v1.IronflowService/GetRun")
    assert request.body == b'{"id":"run_1"}'
    assert dict(request.headers)["content-type"] == "application/json"
    assert (request.repeatable, request.wait) == (True, 0.0)


def test_changes_are_repeatable_only_with_a_key() -> None:
    message = CancelRunRequest(id="run_1")
    assert not connect.request("IronflowService/CancelRun", message).repeatable
    assert connect.request("IronflowService/Emit", message, keyed=True).repeatable


def test_an_answer_has_its_payloads_settled() -> None:
    body = b'{"id":"run_1","outputValue":[1]}'
    run = connect.read(Response(status=200, headers={}, body=body), Run)
    assert run.output == [1]


def test_a_refusal_is_raised() -> None:
    body = b'{"code":"not_found","message":"no run"}'
    with pytest.raises(NotFoundError, match="no run"):
        connect.read(Response(status=404, headers={}, body=body), Run)
    with pytest.raises(UnimplementedError):
        connect.read(Response(status=404, headers={}, body=b"404 page not found"), Run)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"attempt":1}', b'{"id":null}'])
def test_an_unreadable_answer_asks_whether_this_is_ironflow(body: bytes) -> None:
    with pytest.raises(InternalError, match="is this an Ironflow server"):
        connect.read(Response(status=200, headers={}, body=body), Run)
