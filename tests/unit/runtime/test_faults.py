"""Errors on the wire: code, retryable, message, and the user's part of the traceback."""

from __future__ import annotations

import asyncio
import functools
import linecache
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
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
    assert faults.describe(caught.value).endswith("notebook cell does; make it inside the handler)")


async def hold_again(lock: asyncio.Lock) -> None:
    await lock.acquire()


def test_a_connection_made_in_another_thread_is_explained() -> None:
    connection = sqlite3.connect(":memory:")
    with ThreadPoolExecutor(1) as pool, pytest.raises(sqlite3.ProgrammingError) as caught:
        pool.submit(connection.execute, "select 1").result()
    connection.close()
    assert faults.describe(caught.value).endswith("or pass check_same_thread=False and guard it with a lock)")


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


# ---- told in the cell

CELL = """
from ironflow_lab.runtime.function import function

@function("process-order")
def process_order(ctx):
    return charge(ctx)

def charge(order):
    return order["card"]

@function("wrapped")
def wrapped(ctx):
    try:
        charge(ctx)
    except KeyError as error:
        raise RuntimeError("step failed") from error
"""


@pytest.fixture(scope="module")
def cell() -> dict[str, Any]:
    """Two functions of a cell, as they are executed in a notebook."""
    linecache.cache["<cell-7>"] = (len(CELL), None, CELL.splitlines(True), "<cell-7>")
    names: dict[str, Any] = {}
    exec(compile(CELL, "<cell-7>", "exec"), names)  # noqa: S102 - as a notebook cell is executed
    return names


def failure(durable: Any, *given: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:
        durable.handler(*given)
    return caught.value


def test_the_line_is_the_last_one_of_the_cell(cell: dict[str, Any]) -> None:
    durable = cell["process_order"]
    told = faults.told(durable, failure(durable, {}))
    assert told == """process-order, line 9 (return order["card"]): KeyError: 'card'"""


def test_a_cause_inside_the_cell_is_the_place(cell: dict[str, Any]) -> None:
    durable = cell["wrapped"]
    told = faults.told(durable, failure(durable, {}))
    assert told == """wrapped, line 9 (return order["card"]): RuntimeError: step failed"""


def test_without_a_line_of_the_cell_its_definition_is_the_place(cell: dict[str, Any]) -> None:
    told = faults.told(cell["process_order"], raised(PayloadError("it returned a set; return a sorted list")))
    assert told == "process-order, defined in line 4: it returned a set; return a sorted list"


def test_a_known_mistake_is_told_with_its_remedy_once(cell: dict[str, Any]) -> None:
    durable = cell["process_order"]
    told = faults.told(durable, raised(RuntimeError("Event loop is closed")))
    assert told.count("make it inside the handler") == 1
    try:
        raise StepError("SystemExit: 2") from SystemExit(2)
    except StepError as error:
        assert "raise il.NonRetryableError" in faults.told(durable, error)


def test_of_a_group_the_speaker_is_told(cell: dict[str, Any]) -> None:
    group = ExceptionGroup("two", [ValueError("first"), StepError("no", retryable=False)])
    assert faults.told(cell["process_order"], group).endswith(": no")


def test_handlers_of_every_kind_have_a_place() -> None:
    class Called:
        def __call__(self, ctx: Any) -> None:
            raise ValueError("boom")

    for handler in (Called(), functools.partial(Called()), len):
        durable = SimpleNamespace(id="f", handler=handler)
        told = faults.told(durable, raised(ValueError("boom")))  # type: ignore[arg-type]  # as if it were one
        assert told.startswith("f")
        assert told.endswith(": ValueError: boom")


def test_what_is_told_is_capped(cell: dict[str, Any]) -> None:
    assert len(faults.told(cell["process_order"], raised(ValueError("x" * 100_000)))) < faults.LONGEST_MESSAGE + 300
