"""The deterministic step ids that make memoisation work (worker.md section 9.1)."""

from __future__ import annotations

import re

_RAW_PREFIXES = ("compensate:", "publish:")
_PART = re.compile(r"(?:[^:\\]|\\.?)*", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\:])")


def escape(name: str) -> str:
    """Return the name with backslashes and colons escaped.

    The prefixes of compensations and publishes stay raw.
    """
    for prefix in _RAW_PREFIXES:
        if name.startswith(prefix):
            return prefix + _escape(name[len(prefix) :])
    return _escape(name)


def step_id(scope: str, name: str, index: int) -> str:
    """Return `{scope}:{name}:{index}`; `index` counts earlier uses of the name in the scope."""
    return f"{scope}:{escape(name)}:{index}"


def step_name(step_id: str) -> str:
    """Return the name inside a step id, or the whole text when it is not one."""
    parts = [part for part in _PART.findall(step_id) if part]
    if len(parts) < 3 or not parts[-1].isdecimal():
        return step_id
    name = _ESCAPED.sub(r"\1", parts[-2])
    prefix = f"{parts[-3]}:"
    return prefix + name if prefix in _RAW_PREFIXES else name


def label(run_id: str, step_id: str) -> str:
    """Return what tells a step from the others of its run: `charge`, `charge:1`, `pack:0:wrap` in a branch.

    An id that is not of the run is returned as it is.
    """
    inner = step_id.removeprefix(run_id + ":")
    if inner == step_id:
        return step_id
    name, _, number = inner.rpartition(":")
    if name and ":" not in name and "\\" not in name and number.isdecimal():
        # Most are this plain, and a long run has thousands.
        return name if number == "0" else inner
    scope = inner.removesuffix(":0")
    # A step of the handler itself is shown as it was written, and its number only when it is not the first.
    if step_id == f"{run_id}:{escape(step_name(step_id))}:{inner.rpartition(':')[2]}":
        number = inner.rpartition(":")[2]
        return step_name(step_id) if number == "0" else f"{step_name(step_id)}:{number}"
    return scope


def _escape(name: str) -> str:
    return name.replace("\\", "\\\\").replace(":", "\\:")
