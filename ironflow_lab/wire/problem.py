"""Errors on the wire: the three body shapes, HTTP statuses and codes (rest.md 2, rpc.md 3)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from ironflow_lab.errors import (
    BY_CODE,
    ApiError,
    InternalError,
    PermissionDeniedError,
    UnauthenticatedError,
)
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
# A worker must stop on these two, whatever code a newer server gives them (worker.md section 3).
_BY_FATAL_STATUS: dict[int, type[ApiError]] = {
    401: UnauthenticatedError,
    403: PermissionDeniedError,
}
_FOREVER = 1e9
_LONGEST_TEXT = 8 * 1024
_LONGEST_REASON = 100
_RETRYABLE_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class _Body(msgspec.Struct, frozen=True):
    code: Any = None
    message: Any = None
    error: Any = None
    retryable: Any = None
    retry_after: Any = None
    details: Any = None


def from_response(response: Response, *, bare_404: str = "not_found") -> ApiError:
    """Return the error a refusal stands for, whichever of the three body shapes it has.

    `bare_404` is the code of a 404 whose body names none: for a Connect procedure it says that this
    server does not have it (rpc.md section 3).
    """
    body = _read(response.body)
    code, text = _code_and_text(body, response, bare_404)
    wait = _retry_after(response.headers, body.retry_after)
    retryable = body.retryable if isinstance(body.retryable, bool) else response.status in _RETRYABLE_STATUS
    kind = BY_CODE.get(code) or _BY_FATAL_STATUS.get(response.status, ApiError)
    details = tuple(body.details) if isinstance(body.details, list) else ()
    return kind(
        text[:_LONGEST_TEXT],
        code=code,
        status=response.status,
        retryable=retryable,
        retry_after=wait,
        details=details,
        reason=response.headers.get("ironflow-error-reason", "")[:_LONGEST_REASON],
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
        # A page from a proxy in between says nothing that its status does not.
        text = raw[:400].decode("utf-8", "replace").strip()
        return _Body(message=None if text.startswith("<") else text or None)


def _code_and_text(body: _Body, response: Response, bare_404: str) -> tuple[str, str]:
    domain = body.error if isinstance(body.error, str) and _is_domain_code(body.error) else None
    named = body.code if isinstance(body.code, str) and body.code else None
    raw = domain or named
    unnamed = bare_404 if response.status == 404 else _by_status(response.status)
    code = _OLD_WORDS.get(raw, raw) if raw else unnamed
    said = (text for text in (body.message, body.error) if isinstance(text, str) and text)
    return code, next(said, None) or _silent(response)


def _silent(response: Response) -> str:
    status = response.status
    if 300 <= status < 400:
        elsewhere = response.headers.get("location", "another address")
        return f"HTTP {status}: the server sends to {elsewhere}; give that server's own URL instead"
    if status == 404:
        return "HTTP 404: this server does not have what was asked for, or is no Ironflow server"
    return f"HTTP {status}"


def _is_domain_code(word: str) -> bool:
    return word.isupper() and word.replace("_", "").isalnum()


def _by_status(status: int) -> str:
    if 300 <= status < 400:
        return "failed_precondition"
    return _BY_STATUS.get(status) or ("internal" if status >= 500 else "invalid_argument")


def _retry_after(headers: dict[str, str], field: Any) -> float | None:
    header = headers.get("retry-after")
    for value in (header, field):
        seconds = _seconds(value)
        if seconds is not None:
            return seconds
    until, now = _date(header), _date(headers.get("date"))
    return None if until is None or now is None else max(0.0, until - now)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < _FOREVER else None


def _date(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        return parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return None
