"""The stop button of a real kernel: it ends what waits, cancels it, and leaves the worker running.

Under plain asyncio and under either library that patches it; one kernel for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from ironflow_lab.testing import LocalServer

SETUP = """
import asyncio, threading, time
import ironflow_lab as il, pandas as pd
from ironflow_lab.runtime.threads import io_thread

lab = il.connect({url!r}, namespace={namespace!r})

@lab.function("sleeps", on="sleep.asked")
async def sleeps(ctx):
    await ctx.step.sleep("long", "1h")

@lab.function("quick", on="quick.asked")
async def quick(ctx):
    return "still here"

holding, released = threading.Event(), threading.Event()

@lab.function("holds")
def holds(ctx):
    holding.set()
    released.wait(60)
    return "finished"

# What lies between the lab and the server knows when it is asked, and can stop to answer.
asked, stalled = threading.Event(), threading.Event()

async def between(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", {port})
    async def pump(source, sink):
        while data := await source.read(65536):
            asked.set()
            while stalled.is_set():
                await asyncio.sleep(0.01)
            sink.write(data)
    await asyncio.gather(pump(reader, back), pump(there, writer))

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(between, "127.0.0.1", 0), loop).result(10)
slow = il.connect("http://127.0.0.1:%d" % listening.sockets[0].getsockname()[1], namespace={namespace!r})
emission = slow.emit_frame("sleep.asked", pd.DataFrame({{"n": range(3)}}))
frame = pd.DataFrame({{"n": range(40)}})

def soon(met=asked.is_set):
    "Say so once the cell has something to wait for."
    def tell():
        while not met():
            time.sleep(0.005)
        print("waiting", flush=True)
    asked.clear()
    threading.Thread(target=tell, daemon=True).start()

def waited_for():
    "The work that a call of a lab or of its client waits for."
    return [task for task in asyncio.all_tasks(io_thread().loop) if task.get_coro().__qualname__ == "_made"]
"""
AFTER = """
deadline = time.monotonic() + 20
while waited_for():
    assert time.monotonic() < deadline, waited_for()
    time.sleep(0.01)
stalled.clear()
released.set()
assert lab.invoke(quick, trace=False) == "still here"
assert lab.worker.status().state == "running"
assert emission.runs[0].status == "waiting"
"""
HOLD = """
holding.clear()
released.clear()
run_id = lab.client.functions.invoke(holds.id).run_id
assert holding.wait(20)
"""
PATIENCE = 40
STALLED = "stalled.set(); soon()\n"
WAITS = {
    "wait": "soon()\nemission.wait()",
    "invoke": "soon()\nslow.invoke(sleeps)",
    "drain": "soon(lambda: lab.worker.status().state == 'draining')\nlab.worker.drain('10m')",
    "aio wait": "soon()\nawait slow.aio.runs.wait(emission.run_ids, timeout='10m')",
    "registration": STALLED + "slow.function('late')(lambda ctx: None)",
    "runs": STALLED + "slow.runs()",
    "result": "soon()\nemission.result",
    "lab.wait": "soon()\nslow.wait(emission)",
    "emit().result": "soon()\nslow.emit('sleep.asked').result",
    "emit_sync": "soon()\nslow.emit_sync('sleep.asked', timeout='10m')",
    "aio emit_sync": "soon()\nawait slow.aio.events.emit_sync(emission.event, timeout='10m')",
    "aio gather": (
        "soon()\nawait asyncio.gather(*(slow.aio.runs.wait([one], timeout='10m') for one in emission.run_ids))"
    ),
    "emit": STALLED + "slow.emit('quick.asked')",
    "emit_frame": STALLED + "slow.emit_frame('quick.asked', frame)",
    "steps": STALLED + "slow.steps(emission)",
    "aio runs": STALLED + "await slow.aio.runs.list()",
}
# Under a patch these stand for the rest, which go the same ways.
TELLING = tuple(WAITS)[:6]
PATCHES = {
    "neither": "",
    "nest-asyncio": "import nest_asyncio\nnest_asyncio.apply()\n",
    "nest-asyncio2": "import nest_asyncio2\nnest_asyncio2.apply()\n",
}


@pytest.fixture(scope="module")
def kernels(server: LocalServer, folder: Path) -> Iterator[Callable[[str], Any]]:
    """What returns the kernel under a patch, as (manager, client), with a lab in it."""
    port = int(server.url.rpartition(":")[2])
    with ExitStack() as ending:

        @cache
        def start(patch: str) -> Any:
            manager, client = start_new_kernel(cwd=str(folder), kernel_name="python3")
            ending.callback(manager.shutdown_kernel, now=True)
            ending.callback(client.stop_channels)
            execute(client, PATCHES[patch] + SETUP.format(url=server.url, port=port, namespace=patch))
            return manager, client

        yield start


def execute(client: Any, code: str) -> None:
    """Execute code that has to succeed."""
    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply["content"]


def stopped(kernel: Any, code: str) -> dict[str, Any]:
    """Execute, press stop once the kernel says that it waits, and return the reply's content."""
    manager, client = kernel

    def hook(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["text"] == "waiting\n":
            manager.interrupt_kernel()

    # A kernel aborts what arrives right after an error, unless it is told not to.
    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=hook, stop_on_error=False)
    content: dict[str, Any] = reply["content"]
    return content


@pytest.mark.parametrize(
    ("patch", "name"),
    [
        pytest.param(patch, name, marks=() if patch == "neither" or name in TELLING else pytest.mark.soak)
        for patch in PATCHES
        for name in WAITS
    ],
)
def test_stop_ends_every_kind_of_wait_and_not_the_worker(patch: str, name: str, kernels: Callable[[str], Any]) -> None:
    kernel = kernels(patch)
    if name == "drain":
        execute(kernel[1], HOLD)
    content = stopped(kernel, WAITS[name])
    assert content["status"] == "error"
    assert content["ename"] in ("KeyboardInterrupt", "CancelledError"), content
    execute(kernel[1], AFTER)
    if name == "drain":
        # The job in hand was not disturbed.
        execute(kernel[1], "assert lab.wait(run_id)[0].output == 'finished'")
