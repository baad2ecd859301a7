"""Objects of another loop or thread, and other classic mistakes: each with what to do about it."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ironflow_lab.runtime import foreign

ANOTHER_LOOP = "make it inside the handler"


def raised_by(call: Callable[[], Any]) -> BaseException:
    """Return what a call raises in another thread."""
    caught: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - the test wants whatever it is
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return caught[0]


async def use(kind: str, made: Any) -> None:
    """Use an object in such a way that it looks at its loop."""
    match kind:
        case "Lock":
            await made.acquire()
            await made.acquire()
        case "Semaphore":
            await made.acquire()
        case "Condition":
            async with made:
                await made.wait()
        case "Event":
            await made.wait()
        case "Queue":
            await made.get()
        case "Future":
            await made


@pytest.mark.parametrize("kind", ["Lock", "Event", "Queue", "Condition", "Semaphore", "Future"])
def test_objects_of_another_loop(kind: str) -> None:
    async def make() -> Any:
        made = asyncio.get_running_loop().create_future() if kind == "Future" else getattr(asyncio, kind)()
        if kind == "Semaphore":
            made = asyncio.Semaphore(0)
        if kind != "Future":
            # An object belongs to the loop it first waited in.
            waiting = asyncio.ensure_future(use(kind, made))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return made

    made = asyncio.run(make())
    error = raised_by(lambda: asyncio.run(use(kind, made)))
    assert isinstance(error, RuntimeError)
    assert ANOTHER_LOOP in foreign.remedy(error), error


def nested() -> None:
    async def inner() -> None: ...

    async def outer() -> None:
        given = inner()
        try:
            asyncio.run(given)
        finally:
            given.close()

    asyncio.run(outer())


def sqlite() -> None:
    connection = sqlite3.connect(":memory:")
    try:
        raise raised_by(lambda: connection.execute("select 1"))
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (nested, "write `await` instead"),
        (sqlite, "open the connection inside the step"),
        (asyncio.get_event_loop, "make the handler an `async def`"),
        (asyncio.get_running_loop, "make the handler an `async def`"),
        (lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), "set signal handlers in a cell"),
    ],
)
def test_what_python_itself_says(call: Callable[[], Any], words: str) -> None:
    error = raised_by(call)
    assert words in foreign.remedy(error), error


class ClientConnectionError(Exception):
    """As aiohttp names it."""


class TclError(Exception):
    """As tkinter names it."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("Event loop is closed"), ANOTHER_LOOP),
        (RuntimeError("Task <Task> got Future <Future> attached to a different loop"), ANOTHER_LOOP),
        (RuntimeError("Session is closed"), ANOTHER_LOOP),
        (ClientConnectionError("Connector is closed."), "open the client inside the handler"),
        (RuntimeError("Cannot send a request, as the client has been closed."), "open the client inside the handler"),
        (RuntimeError("Timeout context manager should be used inside a task"), "outside the handler's task"),
        (RuntimeError("main thread is not in main loop"), "instead of pyplot"),
        (TclError("main thread is not in main loop"), "instead of pyplot"),
        (UserWarning("Starting a Matplotlib GUI outside of the main thread will likely fail."), "instead of pyplot"),
        (SystemExit(2), "il.NonRetryableError"),
        (KeyboardInterrupt(), "run.cancel()"),
    ],
)
def test_what_libraries_say(error: BaseException, words: str) -> None:
    assert words in foreign.remedy(error)


class Mute(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the order is bound to a different event loop"),
        RuntimeError("card declined"),
        KeyError("Event loop is closed"),
        Mute(),
    ],
)
def test_other_errors_have_no_remedy(error: BaseException) -> None:
    assert foreign.remedy(error) == ""
