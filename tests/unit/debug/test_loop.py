"""The event loop that does not wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from ironflow_lab.debug.loop import Loop


def run(work: Callable[[Loop], Coroutine[Any, Any, Any]], *, patience: float = 0.0) -> tuple[Any, list[str]]:
    told: list[str] = []

    def idle() -> None:
        told.append("idle")
        loop.stop()

    loop = Loop(idle, began=0, patience=patience)
    try:
        task = loop.create_task(work(loop))
        task.add_done_callback(lambda _: loop.stop())
        loop.run_forever()
        done = task.result() if task.done() else None
        if not task.done():
            task.cancel()
            loop.call_soon(loop.stop)
            loop.run_forever()
        return done, told
    finally:
        loop.close()


def test_sleeps_pass_at_once_and_in_the_order_of_their_time() -> None:
    async def work(loop: Loop) -> Any:
        woken = []

        async def one(seconds: float) -> None:
            await asyncio.sleep(seconds)
            woken.append((seconds, round(loop.time(), 6)))

        await asyncio.gather(one(7200), one(60), one(3600))
        return woken

    assert run(work) == ([(60, 60.0), (3600, 3600.0), (7200, 7200.0)], [])


def test_what_is_due_far_from_the_beginning_is_not_due_for_ever() -> None:
    """There, the time a loop takes for the same instant is less than the smallest step of its clock."""

    async def work(loop: Loop) -> Any:
        await asyncio.gather(asyncio.sleep(1767927845.0), asyncio.sleep(1767927845.0))
        await asyncio.sleep(1e-8)
        return round(loop.time())

    assert run(work) == (1767927845, [])


def test_timeouts_strike_in_their_order() -> None:
    async def work(loop: Loop) -> Any:
        try:
            async with asyncio.timeout(30):
                await asyncio.sleep(60)
        except TimeoutError:
            return round(loop.time(), 6)

    assert run(work)[0] == 30.0


def test_a_loop_with_nothing_to_do_says_so() -> None:
    async def work(loop: Loop) -> Any:
        await asyncio.Event().wait()

    assert run(work) == (None, ["idle"])


def test_another_thread_may_wake_it() -> None:
    async def work(loop: Loop) -> Any:
        woken = asyncio.Event()
        threading.Thread(target=lambda: loop.call_soon_threadsafe(woken.set)).start()
        await woken.wait()
        return "woken"

    assert run(work, patience=5.0) == ("woken", [])


def test_while_something_real_is_executed_time_is_real() -> None:
    async def work(loop: Loop) -> Any:
        loop.real += 1
        ended = loop.create_future()
        threading.Timer(0.01, lambda: loop.call_soon_threadsafe(ended.set_result, "real")).start()
        value = await asyncio.wait_for(ended, 60)
        loop.real -= 1
        return value, loop.time() < 60

    assert run(work)[0] == ("real", True)
