"""A real server, a lab joined to it, and a function that settles orders."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.testing import LocalServer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory whose data folder is not the repository's."""
    before, place = Path.cwd(), tmp_path_factory.mktemp("lab")
    (place / ".ironflow").mkdir()
    os.chdir(place)
    yield place
    os.chdir(before)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture(scope="module")
def lab(server: LocalServer) -> Iterator[il.Lab]:
    joined = il.connect(server.url)
    yield joined
    joined.worker.stop()
    joined.close()


@pytest.fixture(scope="module")
def orders(lab: il.Lab) -> il.Lab:
    """The lab with a function that charges, sleeps a moment, and fails for some."""

    @lab.function("settle", on="order.placed", retry={"max_attempts": 3, "initial_delay": "20ms"})
    async def settle(ctx: Any) -> Any:
        number = ctx.event.data["n"]
        charged = await ctx.step.run("charge", charge, number, ctx.run.attempt)
        await ctx.step.sleep("rest", "20ms")
        return {"n": number, "charged": charged}

    return lab


def charge(number: int, attempt: int) -> int:
    if number % 5 == 4:
        raise il.NonRetryableError(f"card {number} declined", code="DECLINED")
    if number % 5 == 3 and attempt == 1:
        raise TimeoutError("no answer")
    return number * 100


@pytest.fixture(scope="module")
def script() -> Callable[..., subprocess.Popen[str]]:
    """Start a program of its own: `script(folder, code, **environment)`."""

    def start(folder: Path, code: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start
