"""A script that serves until it is told to end, and one whose worker is set up."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.errors import DefinitionError
from ironflow_lab.testing import LocalServer

Script = Callable[..., "subprocess.Popen[str]"]

SERVES = """
    import signal, sys, threading
    import ironflow_lab as il
    lab = il.connect({url!r})
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    gate = threading.Event()

    @lab.function({id!r}, retry=1)
    def works(ctx):
        ctx.step.run("first", lambda: 1)
        ctx.step.run("second", hold)
        return "finished"

    def hold():
        print("holding", flush=True)
        while not lab.worker.status().state == "draining":
            gate.wait(0.01)
        print("draining", flush=True)
        gate.wait({hold})
        return 2

    lab.worker.run()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    print("returned", lab.worker.status().state, flush=True)
"""


@pytest.fixture
def serves(lab: il.Lab, server: LocalServer, folder: Path, script: Script) -> Iterator[Callable[..., Any]]:
    """Start a script that serves one function, and a run of it that is in its second step."""
    started: list[subprocess.Popen[str]] = []

    def start(id: str, hold: float) -> tuple[subprocess.Popen[str], str]:
        process = script(folder, SERVES.format(url=server.url, id=id, hold=hold))
        started.append(process)
        while id not in set(lab.functions()["function_id"]):
            assert process.poll() is None, process.communicate()
        run_id = lab.client.functions.invoke(id).run_id
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        return process, run_id

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_jobs_finish(number: signal.Signals, lab: il.Lab, serves: Callable[..., Any]) -> None:
    process, run_id = serves(f"drained-{number.name.lower()}", hold=0.05)
    process.send_signal(number)
    told, complaints = process.communicate(timeout=20)
    assert told == "draining\nreturned stopped\n"
    assert (process.returncode, complaints) == (0, "")
    assert lab.run(run_id).output == "finished"


def test_a_second_signal_stops_at_once_and_keeps_what_was_finished(lab: il.Lab, serves: Callable[..., Any]) -> None:
    process, run_id = serves("stopped", hold=600)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "draining\n"
    process.send_signal(signal.SIGINT)
    told, complaints = process.communicate(timeout=20)
    assert (told, complaints, process.returncode) == ("returned stopped\n", "", 0)
    run = lab.run(run_id)
    assert run.status != "completed"
    assert list(run.steps.query("status == 'completed'")["name"]) == ["first"]


def test_a_worker_is_set_up_while_it_serves(lab: il.Lab) -> None:
    @lab.function("asked")
    async def asked(ctx: Any) -> str:
        return "answered"

    lab.worker.configure(concurrency=3, labels={"region": "eu"}, heartbeat="2s", reconnect_delay="100ms")
    now = lab.worker.status()
    assert (now.concurrency, now.labels, now.heartbeat) == (3, {"region": "eu"}, 2.0)
    assert "region=eu" in lab.worker._repr_html_()
    assert lab.invoke(asked, timeout="10s") == "answered"
    with pytest.raises(DefinitionError, match="from 1 to 1,000"):
        lab.worker.configure(concurrency=0)
    assert lab.worker.status().concurrency == 3


def test_a_worker_is_set_up_before_its_first_function(server: LocalServer, folder: Path, script: Script) -> None:
    code = """
        import sys
        import ironflow_lab as il
        sys.argv = ["early.py"]
        lab = il.connect({url!r})
        lab.worker.configure(concurrency=2, labels={{"region": "us"}})

        @lab.function("early")
        def early(ctx):
            return "early"

        now = lab.worker.status()
        print(now.concurrency, now.labels, lab.invoke(early))
    """
    process = script(folder, code.format(url=server.url))
    told, complaints = process.communicate(timeout=30)
    assert "2 {'region': 'us'} early" in told, complaints
