"""The remote API in two colours: `Client` blocks, `AsyncClient` is awaited; one attribute per resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ironflow_lab.client._async.client import AsyncClient
    from ironflow_lab.client._sync.client import Client

__all__ = ["AsyncClient", "Client"]

_HOMES = {
    "AsyncClient": "ironflow_lab.client._async.client",
    "Client": "ironflow_lab.client._sync.client",
}


def __getattr__(name: str) -> Any:
    # On first use: neither colour loads the other.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
