"""Defining functions through a lab: what a server that cannot record is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import (
    ApiError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from ironflow_lab.lab.defining import refusal
from ironflow_lab.runtime.function import DurableFunction, function


def defined(recording: Any) -> DurableFunction:
    @function("f", recording=recording)
    async def handler(ctx: Any) -> None: ...

    return handler


def test_a_server_without_recording_is_explained_with_the_remedy() -> None:
    told = refusal(UnimplementedError("function 'f' asks for recording", status=501), defined(True))
    assert "function 'f' asks for recording" in told.message
    assert "recording=False" in told.message
    assert (told.code, told.status) == ("unimplemented", 501)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (UnimplementedError("no recording here", status=501), "Leave that option out"),
        (UnimplementedError("no debounce here", status=501), "Leave that option out"),
        (InvalidArgumentError("expression: no such variable 'dta'", status=400), "run the cell again"),
        (PermissionDeniedError("read only", status=403), r"il.connect(api_key=...)"),
        (UnauthenticatedError("unknown key", status=401), r"il.connect(api_key=...)"),
    ],
)
def test_a_refusal_names_the_function_and_the_remedy(error: ApiError, remedy: str) -> None:
    told = refusal(error, defined(False))
    assert type(told) is type(error)
    assert told.message.startswith(f"the function 'f' was not registered: {error.message}. ")
    assert remedy in told.message
    assert (told.code, told.status) == (error.code, error.status)


def test_no_answer_is_no_refusal() -> None:
    error = UnavailableError("connection refused; is the server running?")
    assert refusal(error, defined(True)) is error
