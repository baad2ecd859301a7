"""For code of yours that calls `asyncio.run` in a cell; the library itself never needs it."""

from __future__ import annotations

import asyncio
from importlib import import_module

from ironflow_lab.errors import IronflowError


def enable_nested_loop() -> None:
    """Let a running event loop be entered again, so that `asyncio.run` works in a cell.

    Uses nest-asyncio2, else the older nest-asyncio when that is installed. It patches `asyncio` for
    the whole process. Raises `IronflowError` that names the extra when neither is there.
    """
    for name in ("nest_asyncio2", "nest_asyncio"):
        try:
            patch = import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            continue
        patch.apply(_running())
        return
    raise IronflowError("no library for nested event loops is installed; pip install 'ironflow-lab[nested]'")


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
