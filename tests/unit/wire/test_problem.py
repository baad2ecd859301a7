"""Refusals: three body shapes, one error."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab import errors
from ironflow_lab.errors import BY_CODE, ApiError, StaleExecutionError
from ironflow_lab.wire import problem
from ironflow_lab.wire.message import Response


def refusal(status: int, body: Any = b"", **headers: str) -> ApiError:
    """Return the error of an answer; header names are written with underscores."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return problem.from_response(Response(status=status, headers=named, body=raw))


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "message"),
    [
        (404, {"error": "no such worker"}, errors.NotFoundError, "not_found", "no such worker"),
        (404, {"code": "not_found", "message": "m", "error": "e"}, errors.NotFoundError, "not_found", "m"),
        (409, {"code": "aborted", "message": "m"}, errors.AbortedError, "aborted", "m"),
        (409, {"error": "STALE_EXECUTION"}, StaleExecutionError, "STALE_EXECUTION", "STALE_EXECUTION"),
        (
            409,
            {"error": "STALE_EXECUTION", "code": "aborted", "message": "m"},
            StaleExecutionError,
            "STALE_EXECUTION",
            "m",
        ),
        (409, {"error": "RUN_NOT_RUNNING", "code": "x"}, ApiError, "RUN_NOT_RUNNING", "RUN_NOT_RUNNING"),
        (400, {"code": "INVALID", "message": "m"}, errors.InvalidArgumentError, "invalid_argument", "m"),
        (403, {"code": "FORBIDDEN"}, errors.PermissionDeniedError, "permission_denied", "HTTP 403"),
        (401, {"code": "token_expired"}, errors.UnauthenticatedError, "token_expired", "HTTP 401"),
        (403, {"error": "KEY_BOUND"}, errors.PermissionDeniedError, "KEY_BOUND", "KEY_BOUND"),
        (503, b"", errors.UnavailableError, "unavailable", "HTTP 503"),
        (502, b"<html>Bad gateway</html>", errors.UnavailableError, "unavailable", "HTTP 502"),
        (500, b"plain words", errors.InternalError, "internal", "plain words"),
        (500, b"[1]", errors.InternalError, "internal", "[1]"),
        (500, {"code": 7, "message": [], "error": None}, errors.InternalError, "internal", "HTTP 500"),
        (418, b"", errors.InvalidArgumentError, "invalid_argument", "HTTP 418"),
        (599, b"", errors.InternalError, "internal", "HTTP 599"),
    ],
)
def test_every_shape(status: int, body: Any, kind: type[ApiError], code: str, message: str) -> None:
    error = refusal(status, body)
    assert type(error) is kind
    assert (error.code, error.message, error.status) == (code, message, status)


@pytest.mark.parametrize(("code", "status"), problem.STATUS.items())
def test_what_this_server_writes_every_client_reads(code: str, status: int) -> None:
    error = refusal(status, problem.body(code, "m"))
    assert (type(error), error.code, error.message) == (BY_CODE[code], code, "m")


def test_a_lost_fence_is_written_for_every_client() -> None:
    written = msgspec.json.decode(problem.body("STALE_EXECUTION", "m", retryable=False))
    assert written == {
        "error": "STALE_EXECUTION",
        "code": "aborted",
        "message": "m",
        "retryable": False,
    }


def test_a_bare_404_of_a_procedure() -> None:
    bare = Response(status=404, headers={}, body=b"404 page not found")
    named = Response(status=404, headers={}, body=b'{"code":"not_found"}')
    assert isinstance(problem.from_response(bare), errors.NotFoundError)
    missing = problem.from_response(bare, bare_404="unimplemented")
    assert isinstance(missing, errors.UnimplementedError)
    found = problem.from_response(named, bare_404="unimplemented")
    assert isinstance(found, errors.NotFoundError)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_names_where_to(status: int) -> None:
    error = refusal(status, location="https://elsewhere")
    assert isinstance(error, errors.FailedPreconditionError)
    assert "https://elsewhere" in error.message
    assert not error.retryable


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (400, {}, False),
        (404, {}, False),
        (409, {}, False),
        (408, {}, True),
        (429, {}, True),
        (500, {}, True),
        (501, {}, False),
        (503, {}, True),
        (503, {"retryable": False}, False),
        (409, {"retryable": True}, True),
        (503, {"retryable": "no"}, True),
    ],
)
def test_retryable(status: int, body: dict[str, Any], retryable: bool) -> None:
    assert refusal(status, body).retryable is retryable


NOW = "Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.mark.parametrize(
    ("headers", "field", "seconds"),
    [
        ({}, None, None),
        ({"retry_after": "2"}, None, 2.0),
        ({"retry_after": " 1.5 "}, None, 1.5),
        ({"retry_after": "0"}, 9, 0.0),
        ({}, 3, 3.0),
        ({}, "4", 4.0),
        ({"retry_after": "2"}, 9, 2.0),
        ({"retry_after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": NOW}, None, 30.0),
        ({"retry_after": "Fri, 02 Jan 2026 03:04:00 GMT", "date": NOW}, None, 0.0),
        ({"retry_after": "Fri, 02 Jan 2026 03:04:35 GMT"}, None, None),
        ({"retry_after": "soon"}, 5, 5.0),
        ({"retry_after": "-1"}, None, None),
        ({"retry_after": "nan"}, None, None),
        ({"retry_after": "inf"}, None, None),
        ({"retry_after": "Fri, 99 Jan", "date": NOW}, None, None),
        ({}, True, None),
        ({}, [1], None),
    ],
)
def test_retry_after(headers: dict[str, str], field: Any, seconds: float | None) -> None:
    assert refusal(429, {"retry_after": field}, **headers).retry_after == seconds


def test_a_long_text_is_cut() -> None:
    assert len(refusal(500, {"message": "x" * 1_000_000}).message) == 8 * 1024


def test_details_are_kept() -> None:
    assert refusal(400, {"details": [{"type": "t"}]}).details == ({"type": "t"},)
    assert refusal(400, {"details": "t"}).details == ()


def test_the_reason_is_a_header_of_its_own() -> None:
    assert refusal(409, {"code": "aborted"}, ironflow_error_reason="contended").reason == "contended"
    assert refusal(409, {"code": "aborted"}).reason == ""
    assert len(refusal(409, {"code": "aborted"}, ironflow_error_reason="x" * 9_999).reason) == 100


@given(
    st.integers(300, 599),
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["code", "error", "message", "retryable", "retry_after", "details"]), inner
            )
        ),
    ).map(msgspec.json.encode),
)
def test_no_refusal_is_a_surprise(status: int, body: bytes) -> None:
    error = refusal(status, body)
    assert isinstance(error, ApiError)
    assert error.message
    assert error.code
    assert error.status == status
