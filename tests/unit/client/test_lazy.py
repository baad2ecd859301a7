"""What using a client loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ironflow_lab.client

CASES = {
    "import ironflow_lab.client": ["httpx", "msgspec", "asyncio"],
    "from ironflow_lab.client import Client; Client('http://localhost:9')": [
        "aiohttp",
        "asyncio",
        "ironflow_lab.client._async",
    ],
    "from ironflow_lab.client import AsyncClient; AsyncClient('http://localhost:9')": [
        "aiohttp",
        "ironflow_lab.client._sync",
    ],
}


@pytest.mark.parametrize("program", CASES)
def test_what_is_not_needed_is_not_loaded(program: str) -> None:
    shown = f"{program}; import sys; print(*[n for n in {CASES[program]!r} if n in sys.modules])"
    command = [sys.executable, "-c", shown]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.split() == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = ironflow_lab.client.nothing_here
