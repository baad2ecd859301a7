"""Errors on the wire: code, retryable, message, and the user's part of the traceback."""

from __future__ import annotations

import asyncio
import linecache
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import UNSET

from ironflow_lab.errors import (
    DefinitionError,
    NonRetryableError,
    PayloadError,
    RetryAfterError,
    StepError,
    StepTimeoutError,
)
from ironflow_lab.runtime import faults, payloads


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - the test wants the traceback
        return caught


@pytest.mark.parametrize(
    ("error", "code", "retryable", "delay"),
    [
        (ValueError("boom"), "ERROR", True, UNSET),
        (SystemExit(2), "ERROR", True, UNSET),
        (NonRetryableError("declined"), "NON_RETRYABLE", False, UNSET),
        (NonRetryableError("declined", code="DECLINED"), "DECLINED", False, UNSET),
        (StepError("body failed"), "STEP_FAILED", True, UNSET),
        (StepError("body failed", retryable=False), "STEP_FAILED", False, UNSET),
        (StepError("later", retry_after_ms=1500), "STEP_FAILED", True, 1500),
        (StepTimeoutError("slow"), "STEP_TIMEOUT", True, UNSET),
        (PayloadError("nan"), "SERIALIZATION_ERROR", False, UNSET),
        (RetryAfterError("busy", delay=1.5), "RETRY_AFTER", True, 1500),
        (DefinitionError("bad step name"), "NON_RETRYABLE", False, UNSET),
    ],
)
def test_code_and_advice(error: BaseException, code: str, retryable: bool, delay: Any) -> None:
    fault = faults.job_fault(error)
    assert (fault.code, fault.retryable, fault.retry_after_ms) == (code, retryable, delay)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError"),
        (NonRetryableError("card declined"), "card declined"),
    ],
)
def test_message_names_foreign_errors(error: BaseException, message: str) -> None:
    assert faults.job_fault(error).message == message


def test_a_lock_made_in_another_loop_is_explained() -> None:
    lock = asyncio.Lock()

    async def hold() -> None:
        await lock.acquire()
        waiting = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(hold())
    with pytest.raises(RuntimeError) as caught:
        asyncio.run(hold_again(lock))
    assert faults.describe(caught.value).endswith("as in a notebook cell; make it inside the handler)")


async def hold_again(lock: asyncio.Lock) -> None:
    await lock.acquire()


def test_a_connection_made_in_another_thread_is_explained() -> None:
    connection = sqlite3.connect(":memory:")
    with ThreadPoolExecutor(1) as pool, pytest.raises(sqlite3.ProgrammingError) as caught:
        pool.submit(connection.execute, "select 1").result()
    connection.close()
    assert faults.describe(caught.value).endswith("open the connection inside the step)")


def test_message_is_capped() -> None:
    message = faults.describe(ValueError("x" * 10_000))
    assert len(message) == faults.LONGEST_MESSAGE
    assert message.endswith("(cut)")


def test_an_error_that_cannot_print_itself_has_a_message() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert faults.describe(Mute()) == "Mute: (its message could not be made)"
    assert "Mute" in faults.stack(raised(Mute()))


def test_of_a_group_the_one_that_forbids_a_retry_speaks() -> None:
    group = ExceptionGroup("two", [ValueError("first"), ExceptionGroup("inner", [StepError("no", retryable=False)])])
    fault = faults.job_fault(group)
    assert (fault.code, fault.retryable, fault.message) == ("STEP_FAILED", False, "no")


def test_of_a_group_of_retryable_errors_the_first_speaks() -> None:
    fault = faults.job_fault(ExceptionGroup("two", [ValueError("first"), KeyError("x")]))
    assert (fault.code, fault.retryable, fault.message) == ("ERROR", True, "ValueError: first")


def test_stack_shows_the_users_frames_only() -> None:
    def charge() -> None:
        payloads.settle({"x": object()}, "step 'charge'")

    with pytest.raises(PayloadError) as caught:
        charge()
    stack = faults.stack(caught.value)
    assert "in charge" in stack
    assert "payloads.settle(" in stack
    assert "runtime/payloads.py" not in stack
    assert stack.endswith("PayloadError: " + str(caught.value))


def test_stack_shows_the_cause() -> None:
    try:
        try:
            raise KeyError("card")
        except KeyError as error:
            raise ValueError("cannot charge") from error
    except ValueError as error:
        stack = faults.stack(error)
    assert stack.index("KeyError: 'card'") < stack.index("which led to:") < stack.index("ValueError")


def test_stack_shows_the_members_of_a_group() -> None:
    stack = faults.stack(raised(ExceptionGroup("two", [ValueError("one"), KeyError("other")])))
    assert "ValueError: one" in stack
    assert "KeyError: 'other'" in stack


def test_a_long_stack_keeps_its_end() -> None:
    padding = "#" * 200
    source = "".join(f"def dive_{n}(): return dive_{n - 1}() {padding}\n" for n in range(1, 81))
    source += f"def dive_0(): return 1 / 0 {padding}\n"
    linecache.cache["<cell>"] = (len(source), None, source.splitlines(True), "<cell>")
    names: dict[str, Callable[[], Any]] = {}
    exec(compile(source, "<cell>", "exec"), names)  # noqa: S102 - as a notebook cell is executed
    with pytest.raises(ZeroDivisionError) as caught:
        names["dive_80"]()
    stack = faults.stack(caught.value)
    assert len(stack) <= faults.LONGEST_STACK
    assert stack.startswith("… (cut)")
    assert stack.endswith("ZeroDivisionError: division by zero")
