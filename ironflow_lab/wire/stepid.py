"""The deterministic step ids that make memoisation work (worker.md section 9.1)."""

from __future__ import annotations

_RAW_PREFIXES = ("compensate:", "publish:")


def escape(name: str) -> str:
    """Return the name with `\\` and `:` escaped; the prefixes of compensations and publishes stay raw."""
    for prefix in _RAW_PREFIXES:
        if name.startswith(prefix):
            return prefix + _escape(name[len(prefix) :])
    return _escape(name)


def step_id(scope: str, name: str, index: int) -> str:
    """Return `{scope}:{name}:{index}`; `index` counts earlier uses of the name in the scope."""
    return f"{scope}:{escape(name)}:{index}"


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace(":", "\\:")
