"""For nbval: a cell with the tag `restart-kernel` is executed in a new kernel, as its notebook tells its reader."""

from __future__ import annotations

from typing import Any

TAG = "restart-kernel"


def pytest_runtest_setup(item: Any) -> None:
    """Kill the kernel before a cell that says so, and start another."""
    cell = getattr(item, "cell", None)
    if cell is not None and TAG in cell.metadata.get("tags", ()):
        kernel = item.parent.kernel
        kernel.restart()
        kernel.kc.wait_for_ready(timeout=60)
