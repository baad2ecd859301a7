"""Labs in processes of their own: stopped, killed, restarted, patched."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.testing import LocalServer

Script = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize("verb", ["emission.wait()", "lab.emit_sync(event)"])
def test_the_stop_button_ends_a_wait_and_nothing_else(
    verb: str, server: LocalServer, tmp_path: Path, script: Script
) -> None:
    event = "stop." + "".join(filter(str.isalpha, verb))
    child = script(
        tmp_path,
        f"""
        event = {event!r}
        import signal, threading
        import ironflow_lab as il
        from ironflow_lab.runtime.threads import LoopThread
        lab = il.connect({server.url!r})

        @lab.function(event, on=event)
        async def sleeps(ctx):
            await ctx.step.sleep("long", "1h")

        @lab.function(event + '-quick', on=event + '.quick')
        async def quick(ctx):
            return "still here"

        emission = lab.emit(event)
        real = LoopThread._wait

        def wait(self, future, deadline):
            # Pressed when the wait has begun.
            threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
            LoopThread._wait = real
            return real(self, future, deadline)

        LoopThread._wait = wait
        try:
            {verb}
        except KeyboardInterrupt:
            print("stopped", lab.run(emission.run_ids[0]).status, lab.emit(event + '.quick').result)
        """,
    )
    output, errors = child.communicate(timeout=60)
    assert output.strip() in ("stopped waiting still here", "stopped running still here"), errors
    assert child.returncode == 0
    assert errors == ""


def test_a_batch_interrupted_with_its_kernel_is_continued_by_another(
    orders: il.Lab, server: LocalServer, folder: Path, script: Script
) -> None:
    code = f"""
        import os
        import pandas as pd
        import ironflow_lab as il
        from ironflow_lab.lab import sending
        real = sending._emit

        async def emit(client, batch, position):
            if position == 20:
                os.kill(os.getpid(), 9)
            return await real(client, batch, position)

        if os.environ["DIE"] == "yes":
            sending._emit = emit
        lab = il.connect({server.url!r})
        emission = lab.emit_frame("kernel.died", pd.DataFrame({{"n": range(30)}}))
        print(*emission.event_ids)
        """

    def seen() -> int:
        return orders.client.runs.list(limit=1).total_count

    died = script(folder, code, DIE="yes")
    died.communicate(timeout=60)
    assert died.returncode == -9

    @orders.function("counts", on="kernel.died")
    async def counts(ctx: Any) -> Any:
        return None

    before = seen()
    output, errors = script(folder, code, DIE="no").communicate(timeout=60)
    assert errors == ""
    assert len(set(output.split())) == 30
    started = seen() - before
    assert 10 <= started < 30, "rows accepted before the kill started nothing new: the function came later"


def test_the_embedded_server_at_another_port_gets_the_functions_again(tmp_path: Path, script: Script) -> None:
    child = script(
        tmp_path,
        """
        import ironflow_lab as il
        lab = il.start("data", port=0)

        @lab.function("stays", on="stay.asked")
        async def stays(ctx):
            return lab.client.server_url

        first = lab.emit("stay.asked").result
        assert il.stop("data")
        lab = il.start("data", port=0)
        second = lab.emit("stay.asked").result
        print(first == second, second == lab.client.server_url, len(lab.runs()))
        assert il.stop("data")
        """,
    )
    output, errors = child.communicate(timeout=60)
    assert output.split()[1:] == ["True", "2"], errors


PATCHES = ("", "nest_asyncio2", "nest_asyncio")


@pytest.fixture(scope="module")
def patched(server: LocalServer, folder: Path, script: Script) -> dict[str, subprocess.Popen[str]]:
    """Return a program for each patch, started side by side since each takes seconds."""
    code = """
        import asyncio
        import ironflow_lab as il

        async def main():
            patch, url = {patch!r}, {url!r}
            if patch:
                __import__(patch).apply()
            lab = il.connect(url)

            @lab.function("nested" + patch, on="nested.asked" + patch)
            async def nested(ctx):
                return await ctx.step.run("double", lambda: ctx.event.data * 2)

            print(lab.emit_sync("nested.asked" + patch, 4).result, len(lab.runs(limit=1)))
            async with lab.aio as client:
                print((await client.server.health()).status)

        asyncio.run(main())
        """
    places = {patch: folder / f"patch{number}" for number, patch in enumerate(PATCHES)}
    for place in places.values():
        (place / ".ironflow").mkdir(parents=True)
    return {patch: script(place, code.format(patch=patch, url=server.url)) for patch, place in places.items()}


@pytest.mark.parametrize("patch", PATCHES)
def test_the_library_works_under_either_patch_and_under_none(
    patch: str, patched: dict[str, subprocess.Popen[str]]
) -> None:
    output, errors = patched[patch].communicate(timeout=60)
    assert output.split() == ["8", "1", "ok"], errors
