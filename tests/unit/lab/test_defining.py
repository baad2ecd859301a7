"""Defining functions through a lab: what a server that cannot record is answered with."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.errors import UnimplementedError
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


@pytest.mark.parametrize(("recording", "message"), [(False, "no recording here"), (True, "no debounce here")])
def test_what_has_other_reasons_stays_as_it_is(recording: Any, message: str) -> None:
    error = UnimplementedError(message)
    assert refusal(error, defined(recording)) is error
