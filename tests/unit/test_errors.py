"""The error tree: one root, one table, and a docstring that draws it."""

from __future__ import annotations

import re

import pytest

from ironflow_lab import errors
from ironflow_lab.errors import (
    BY_CODE,
    ApiError,
    DefinitionError,
    GuardError,
    IronflowError,
    NonRetryableError,
    PayloadError,
    RetryAfterError,
    StaleExecutionError,
    StepError,
    StepFailure,
    StepTimeoutError,
    is_retryable,
)
from ironflow_lab.runtime import faults


def tree() -> list[type[IronflowError]]:
    """Return every error class of the module, parents first."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in classes if issubclass(kind, IronflowError)]


def drawn() -> dict[str, str]:
    """Return each class that the module's docstring draws, with its parent there."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([ │├└─]*)([A-Z]\w+(?:Error|Failure))\b", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[2]
        above = [(width, parent) for width, parent in above if width < depth]
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


def test_the_docstring_draws_the_tree() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in tree()}


@pytest.mark.parametrize("kind", tree())
def test_every_error_is_documented_and_ours(kind: type[IronflowError]) -> None:
    assert kind.__doc__
    assert issubclass(kind, IronflowError)


def test_a_definition_error_is_a_value_error() -> None:
    assert issubclass(DefinitionError, ValueError)


@pytest.mark.parametrize(
    "code",
    [
        "canceled",
        "unknown",
        "invalid_argument",
        "deadline_exceeded",
        "not_found",
        "already_exists",
        "permission_denied",
        "resource_exhausted",
        "failed_precondition",
        "aborted",
        "out_of_range",
        "unimplemented",
        "internal",
        "unavailable",
        "data_loss",
        "unauthenticated",
        "STALE_EXECUTION",
    ],
)
def test_every_code_of_the_wire_has_a_class(code: str) -> None:
    assert issubclass(BY_CODE[code], ApiError)


def test_the_table_leads_back_to_the_code() -> None:
    shared = {"canceled", "data_loss", "out_of_range", "unknown", "STALE_EXECUTION"}
    for code, kind in BY_CODE.items():
        assert code in shared or kind.code == code
    assert BY_CODE["STALE_EXECUTION"] is StaleExecutionError


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("x"), True),
        (SystemExit(1), True),
        (StepError("x"), True),
        (StepTimeoutError("x"), True),
        (RetryAfterError("x", delay=1), True),
        (StepError("x", retryable=False), False),
        (NonRetryableError("x"), False),
        (PayloadError("x"), False),
        (DefinitionError("x"), False),
        (GuardError("x"), False),
        (ApiError("x", retryable=True), True),
        (ApiError("x"), False),
        (ExceptionGroup("x", [ValueError("a"), StepError("b")]), True),
        (ExceptionGroup("x", [ValueError("a"), ExceptionGroup("y", [NonRetryableError("b")])]), False),
    ],
)
def test_whether_another_try_may_help(error: BaseException, expected: bool) -> None:
    assert is_retryable(error) is expected
    if not isinstance(error, ApiError | GuardError):
        assert faults.advice(error)[1] is expected, "what the worker does with it in a handler"


def test_an_api_error_tells_all() -> None:
    error = BY_CODE["not_found"]("no run", status=404, retryable=True, retry_after=2.0, details=(1,))
    assert (error.code, error.message, str(error)) == ("not_found", "no run", "no run")
    assert (error.status, error.retryable, error.retry_after, error.details) == (404, True, 2.0, (1,))
    assert ApiError("x", code="RUN_NOT_RUNNING").code == "RUN_NOT_RUNNING"


@pytest.mark.parametrize(
    ("error", "code", "retryable", "retry_after_ms"),
    [
        (StepFailure("x"), "ERROR", True, None),
        (StepError("x"), "STEP_FAILED", True, None),
        (StepError("x", retryable=False, retry_after_ms=5), "STEP_FAILED", False, 5),
        (NonRetryableError("x"), "NON_RETRYABLE", False, None),
        (NonRetryableError("x", code="CARD_EXPIRED"), "CARD_EXPIRED", False, None),
        (RetryAfterError("x", delay=1.5), "RETRY_AFTER", True, 1_500),
        (RetryAfterError("x", delay=-1), "RETRY_AFTER", True, 0),
        (PayloadError("x"), "SERIALIZATION_ERROR", False, None),
    ],
)
def test_what_a_handler_raises_says_what_goes_on_the_wire(
    error: StepFailure, code: str, retryable: bool, retry_after_ms: int | None
) -> None:
    assert (error.code, error.retryable, error.retry_after_ms) == (code, retryable, retry_after_ms)
