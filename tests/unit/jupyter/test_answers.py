"""Runs as lines, and errors as the status they travel with."""

from __future__ import annotations

import pytest

from ironflow_lab.errors import (
    DefinitionError,
    FailedPreconditionError,
    InvalidArgumentError,
    IronflowError,
    NotFoundError,
    PermissionDeniedError,
    ServerStartError,
    UnauthenticatedError,
    UnavailableError,
)
from ironflow_lab.jupyter.answers import refusal, run_line
from ironflow_lab.models.runs import Error, RunRow
from ironflow_lab.wire import codec


def test_a_line_has_no_payload_and_no_long_text() -> None:
    wire = b'{"id":"run_1","functionId":"pay","status":"RUN_STATUS_FAILED","input":{"card":"4242"},"output":[1]}'
    row = codec.decode(wire, RunRow)
    line = run_line(row)
    assert (line["id"], line["function_id"], line["status"], line["error"]) == ("run_1", "pay", "failed", "")
    assert b"4242" not in codec.encode(line)
    long = run_line(RunRow(id="r" * 1_000, error=Error(message="e" * 1_000)))
    assert (len(long["id"]), len(long["error"])) == (200, 200)


def test_a_status_of_a_newer_server_is_kept() -> None:
    assert run_line(RunRow(id="r", status="RUN_STATUS_COMPENSATING"))["status"] == "compensating"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFoundError("no"), 404, "not_found"),
        (InvalidArgumentError("no"), 400, "invalid_argument"),
        (FailedPreconditionError("no"), 409, "failed_precondition"),
        (UnavailableError("no"), 502, "unavailable"),
        # Not 401 or 403: Jupyter would take its own session to have ended.
        (UnauthenticatedError("no"), 502, "unauthenticated"),
        (PermissionDeniedError("no"), 502, "permission_denied"),
        (ServerStartError("no"), 409, "failed_precondition"),
        (DefinitionError("no"), 400, "invalid_argument"),
    ],
)
def test_an_error_travels_with_a_status(error: IronflowError, status: int, code: str) -> None:
    assert refusal(error) == (status, {"code": code, "message": "no"})
