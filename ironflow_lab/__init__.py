"""Durable functions in notebook cells, their runs as DataFrames, and an embedded server.

    import ironflow_lab as il

    lab = il.start()                     # or il.connect("https://...")

    @lab.function("process-order", on="order.placed")
    async def process_order(ctx):
        return await ctx.step.run("charge", charge, ctx.event.data)

    lab.emit("order.placed", {"id": 1}).result

Importing this loads nothing else; each name is loaded when it is first used.
"""

from __future__ import annotations

# The name type checkers know, without the cost of importing `typing`.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ironflow_lab import errors
    from ironflow_lab._version import __version__
    from ironflow_lab.client import AsyncClient, Client
    from ironflow_lab.errors import IronflowError, NonRetryableError, RetryAfterError
    from ironflow_lab.lab.capsules import open_capsule as open  # noqa: A004 - only as `il.open`
    from ironflow_lab.lab.joining import connect, start, stop
    from ironflow_lab.lab.lab import Lab
    from ironflow_lab.lab.nesting import enable_nested_loop
    from ironflow_lab.models.functions import CancelOn, Trigger
    from ironflow_lab.runtime.function import function
    from ironflow_lab.runtime.handler import HandlerContext, handler
    from ironflow_lab.runtime.upcasters import Upcasters

__all__ = [
    "AsyncClient",
    "CancelOn",
    "Client",
    "HandlerContext",
    "IronflowError",
    "Lab",
    "NonRetryableError",
    "RetryAfterError",
    "Trigger",
    "Upcasters",
    "__version__",
    "connect",
    "enable_nested_loop",
    "errors",
    "function",
    "handler",
    "open",
    "start",
    "stop",
]

_HOMES = {
    "AsyncClient": "client",
    "CancelOn": "models.functions",
    "Client": "client",
    "HandlerContext": "runtime.handler",
    "IronflowError": "errors",
    "Lab": "lab.lab",
    "NonRetryableError": "errors",
    "RetryAfterError": "errors",
    "Trigger": "models.functions",
    "Upcasters": "runtime.upcasters",
    "__version__": "_version",
    "connect": "lab.joining",
    "enable_nested_loop": "lab.nesting",
    "function": "runtime.function",
    "handler": "runtime.handler",
    "open": "lab.capsules",
    "start": "lab.joining",
    "stop": "lab.joining",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "errors":
        return import_module("ironflow_lab.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ironflow_lab' has no attribute {name!r}")
    # A module whose `open` were another than Python's would be a trap.
    value = getattr(import_module(f"ironflow_lab.{home}"), "open_capsule" if name == "open" else name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: object) -> None:
    """Give an IPython shell `%ironflow` and `%%durable`: what `%load_ext ironflow_lab` calls."""
    from ironflow_lab import magics

    magics.load(shell)


def unload_ipython_extension(shell: object) -> None:
    """Take the magics away again: what `%unload_ext ironflow_lab` calls."""
    from ironflow_lab import magics

    magics.unload(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
