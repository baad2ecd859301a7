"""What is to happen before a kernel ends."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any

from ironflow_lab.kernel.session import shell

log = logging.getLogger("ironflow_lab.kernel")


def before_shutdown(call: Callable[[], None]) -> None:
    """Have `call` run once the kernel is asked to shut down or restart; nothing outside a kernel.

    It runs while threads can still be started, which at the end of the interpreter they cannot. Jupyter
    terminates a kernel that is not gone 2.5 s after it was asked. An error of `call` is logged.
    """
    running = shell()
    if running is None:
        return
    kernel = running.kernel
    inner = kernel.do_shutdown

    async def do_shutdown(restart: bool) -> Any:
        try:
            await asyncio.to_thread(call)
        except Exception:
            log.exception("what was to happen before the kernel's end failed")
        answer = inner(restart)
        return await answer if inspect.isawaitable(answer) else answer

    kernel.do_shutdown = do_shutdown
