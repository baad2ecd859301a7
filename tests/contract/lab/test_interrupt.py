"""The stop button of a real kernel: it ends what waits, cancels it, and leaves the worker running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from ironflow_lab.testing import LocalServer

SETUP = """
import ironflow_lab as il, pandas as pd
lab = il.connect({url!r})

@lab.function("sleeps", on="sleep.asked")
async def sleeps(ctx):
    await ctx.step.sleep("long", "1h")

@lab.function("quick", on="quick.asked")
async def quick(ctx):
    return "still here"

emission = lab.emit_frame("sleep.asked", pd.DataFrame({{"n": range(3)}}))
"""
PATIENCE = 40


@pytest.fixture(scope="module")
def kernel(server: LocalServer, folder: Path) -> Iterator[Any]:
    """A kernel with a lab, as (manager, client)."""
    manager, client = start_new_kernel(cwd=str(folder), kernel_name="python3")
    reply = client.execute_interactive(SETUP.format(url=server.url), timeout=PATIENCE, output_hook=lambda message: None)
    assert reply["content"]["status"] == "ok", reply
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def stopped(kernel: Any, code: str) -> dict[str, Any]:
    """Execute, press stop once the kernel says that it is busy with it, and return the reply's content."""
    manager, client = kernel

    def hook(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["text"] == "waiting\n":
            manager.interrupt_kernel()

    # A kernel aborts what arrives right after an error, unless it is told not to.
    reply = client.execute_interactive(
        f"print('waiting', flush=True)\n{code}", timeout=PATIENCE, output_hook=hook, stop_on_error=False
    )
    content: dict[str, Any] = reply["content"]
    return content


@pytest.mark.parametrize(
    "code",
    [
        "emission.wait()",
        "lab.wait(emission)",
        "lab.emit_sync('sleep.asked', timeout='10m')",
        "lab.invoke(sleeps)",
        "await lab.aio.runs.wait(emission.run_ids, timeout='10m')",
        "await lab.aio.events.emit_sync('sleep.asked', timeout='10m')",
    ],
)
def test_stop_ends_every_kind_of_wait_and_not_the_worker(code: str, kernel: Any) -> None:
    content = stopped(kernel, code)
    assert content["status"] == "error"
    assert content["ename"] in ("KeyboardInterrupt", "CancelledError")
    _, client = kernel
    check = "lab.emit('quick.asked').result == 'still here' and lab.worker.status().state == 'running'"
    reply = client.execute_interactive(
        f"assert {check}\nassert emission.runs[0].status == 'waiting'",
        timeout=PATIENCE,
        output_hook=lambda message: None,
    )
    assert reply["content"]["status"] == "ok", reply
