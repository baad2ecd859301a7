"""The browser's half of a view, as it was built."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ironflow_lab.errors import IronflowError

_FOLDER = Path(__file__).parent / "static"


@cache
def bundle(name: str) -> str:
    """Return the text of a built module; raises `IronflowError` that says how to build it when it is not there."""
    path = _FOLDER / f"{name}.js"
    if not path.is_file():
        raise IronflowError(
            f"the view {name!r} is not built: in a checkout run `python labextension/build.py`,"
            " otherwise install ironflow-lab from its wheel"
        )
    return path.read_text("utf-8")
