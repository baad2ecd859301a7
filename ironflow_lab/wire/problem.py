"""Errors on the wire: the three body shapes, HTTP statuses and codes (rest.md 2, rpc.md 3)."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.errors import BY_CODE, ApiError, InternalError, StaleExecutionError
from ironflow_lab.wire.message import Response

STATUS: dict[str, int] = {
    "aborted": 409,
    "already_exists": 409,
    "canceled": 499,
    "data_loss": 500,
    "deadline_exceeded": 504,
    "failed_precondition": 400,
    "internal": 500,
    "invalid_argument": 400,
    "not_found": 404,
    "out_of_range": 400,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "unauthenticated": 401,
    "unavailable": 503,
    "unimplemented": 501,
    "unknown": 500,
}
_BY_STATUS = {
    401: "unauthenticated",
    402: "failed_precondition",
    403: "permission_denied",
    404: "not_found",
    408: "deadline_exceeded",
    409: "already_exists",
    412: "failed_precondition",
    429: "resource_exhausted",
    501: "unimplemented",
    502: "unavailable",
    503: "unavailable",
    504: "deadline_exceeded",
    507: "failed_precondition",
}
_OLD_WORDS = {
    "INVALID": "invalid_argument",
    "FORBIDDEN": "permission_denied",
    "NOT_FOUND": "not_found",
    "CONFLICT": "already_exists",
    "INTERNAL": "internal",
}
_RETRYABLE_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class _Body(msgspec.Struct, frozen=True):
    code: Any = None
    message: Any = None
    error: Any = None
    retryable: Any = None
    retry_after: Any = None
    details: Any = None


def from_response(response: Response) -> ApiError:
    """Return the error a refusal stands for, whichever of the three body shapes it has."""
    body = _read(response.body)
    code, text = _code_and_text(body, response)
    wait = _retry_after(response.headers.get("retry-after"), body.retry_after)
    retryable = body.retryable if isinstance(body.retryable, bool) else response.status in _RETRYABLE_STATUS
    kind = StaleExecutionError if code == "STALE_EXECUTION" else BY_CODE.get(code, ApiError)
    details = tuple(body.details) if isinstance(body.details, list) else ()
    return kind(
        text, code=code, status=response.status, retryable=retryable, retry_after=wait, details=details
    )


def unreadable(response: Response, error: Exception) -> InternalError:
    """Return the error for a 2xx answer whose body is not what the protocol promises."""
    return InternalError(
        f"the server's answer could not be read ({error}); is this an Ironflow server, and of a version"
        " this library knows?",
        code="internal",
        status=response.status,
    )


def body(code: str, message: str, *, retryable: bool | None = None) -> bytes:
    """Return the error body a server sends, readable by Connect, REST and worker clients alike."""
    fields: dict[str, Any] = {"code": code, "message": message}
    if code == "STALE_EXECUTION":
        fields = {"error": code, "code": "aborted", "message": message}
    if retryable is not None:
        fields["retryable"] = retryable
    return msgspec.json.encode(fields)


def _read(raw: bytes) -> _Body:
    try:
        return msgspec.json.decode(raw, type=_Body)
    except msgspec.DecodeError:
        return _Body(message=raw[:400].decode("utf-8", "replace").strip() or None)


def _code_and_text(body: _Body, response: Response) -> tuple[str, str]:
    domain = body.error if isinstance(body.error, str) and _is_domain_code(body.error) else None
    named = body.code if isinstance(body.code, str) and body.code else None
    raw = domain or named
    code = _OLD_WORDS.get(raw, raw) if raw else _by_status(response.status)
    text = body.message if isinstance(body.message, str) and body.message else None
    if text is None:
        text = body.error if isinstance(body.error, str) and body.error else f"HTTP {response.status}"
    return code, text


def _is_domain_code(word: str) -> bool:
    return word.isupper() and word.replace("_", "").isalnum()


def _by_status(status: int) -> str:
    found = _BY_STATUS.get(status)
    if found is not None:
        return found
    return "internal" if status >= 500 else "invalid_argument"


def _retry_after(header: str | None, field: Any) -> float | None:
    for value in (header, field):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and value.strip().isdigit():
            return float(value)
    return None
