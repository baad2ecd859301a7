"""A replay under a notebook's debugger, through the kernel's debug protocol: where it stands, and what may not happen.

One kernel for the whole file: first without a debugger, then with one attached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.debug.breaks import NO_DEBUGGER
from ironflow_lab.testing import LocalServer
from tests.conformance.plain import Plain, payload
from tests.contract.jobs import WORKERS, register
from tests.contract.lab.debugged import Debugged

LEASE = 1.0
JOIN = 'import threading, ironflow_lab as il\nlab = il.connect("{url}")'
CELL = """\
def charge(price):
    return {"id": "ch_1", "amount": price * 100}

@lab.function("settle", on="order.placed")
async def settle(ctx):
    price = ctx.event.data["price"]
    charged = await ctx.step.run(
        "charge", charge, price)
    total = charged["amount"] + 1; print("total", total)
    if total > 500:
        raise il.NonRetryableError("too dear")
    shipped = await ctx.step.run("ship", lambda: f"parcel {total}")
    return {"total": total, "shipped": shipped}

@lab.function("plainly", on="plain.placed")
def plainly(ctx):
    price = ctx.event.data["price"]
    charged = ctx.step.run("charge", charge, price)
    open("planted", "w")
    return charged
"""
CHARGE, TOTAL, RAISE, PLAIN_CHARGE, WRITE = 7, 9, 11, 18, 19
CHARGED = {"id": "ch_1", "amount": 300}
HOLD = """
began, release = [], threading.Event()

@lab.function("hold", on="hold.asked")
def hold(ctx):
    def body():
        began.append(1)
        release.wait()
        return "held"
    return ctx.step.run("body", body)
"""
LATE = """\
@lab.function("late", on="late.asked")
async def late(ctx):
    return await ctx.step.run("one", lambda: 1)
"""
RUNS = """
cheap = lab.emit_sync("order.placed", {"price": 3}).runs[0]
dear = lab.emit_sync("order.placed", {"price": 7}).runs[0]
plain = lab.emit_sync("plain.placed", {"price": 3}).runs[0]
print(cheap.status, dear.status, plain.status)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """A server whose leases are short."""
    with LocalServer(lease_seconds=LEASE) as running:
        yield running


@pytest.fixture(scope="module")
def unattached(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debugged]:
    """A kernel whose worker has served runs; no debugger is attached to it."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("debugged"))
    try:
        with Debugged() as kernel:
            kernel.run(JOIN.format(url=server.url))
            kernel.run(CELL)
            assert kernel.run(RUNS) == "completed failed completed\n"
            Path("planted").unlink()
            yield kernel
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def kernel(unattached: Debugged) -> Debugged:
    """The same kernel with the debugger switched on, which knows the cell."""
    unattached.attach()
    unattached.dump(CELL)
    return unattached


@pytest.fixture(scope="module")
def path(kernel: Debugged) -> str:
    """The name by which the debugger knows the cell."""
    return kernel.dump(CELL)


def test_without_a_debugger_it_ends_and_says_how_to_switch_one_on(unattached: Debugged) -> None:
    printed = unattached.run('found = cheap.replay(break_at="charge")\nprint(found.status, *found.notes)')
    assert printed.startswith("total 301\ncompleted ")
    assert NO_DEBUGGER in printed


def test_it_stands_at_the_step_in_the_users_cell_and_steps_over_it(kernel: Debugged, path: str) -> None:
    sent = kernel.begin('found = cheap.replay(break_at="charge")\nprint(found.status, found.same, found.output)')
    stopped = kernel.stopped()
    assert (stopped.reason, stopped.all_threads) == ("breakpoint", True)
    assert (stopped.path, stopped.line, stopped.frame["name"]) == (path, CHARGE, "settle")
    assert stopped.locals() == {"price": 3}
    stopped.go("next")
    stopped = kernel.stopped()
    assert (stopped.path, stopped.line) == (path, TOTAL)
    assert stopped.locals() == {"price": 3, "charged": CHARGED}
    stopped.go("continue")
    assert kernel.printed(sent) == "total 301\ncompleted True {'total': 301, 'shipped': 'parcel 301'}\n"


def test_the_local_is_the_recorded_output_and_not_a_new_one(kernel: Debugged, path: str) -> None:
    kernel.run("def charge(price):\n    return {'id': 'another', 'amount': 0}")
    sent = kernel.begin('cheap.replay(break_at=["charge", "ship"])')
    kernel.stopped().go("continue")
    stopped = kernel.stopped()
    assert (stopped.path, stopped.locals()["charged"]) == (path, CHARGED)
    stopped.go("continue")
    kernel.printed(sent)


def test_it_stands_where_the_handler_raises(kernel: Debugged, path: str) -> None:
    sent = kernel.begin('found = dear.replay(break_at="error")\nprint(found.status)')
    stopped = kernel.stopped()
    assert (stopped.reason, stopped.path, stopped.line) == ("exception", path, RAISE)
    assert stopped.locals()["total"] == 701
    stopped.go("continue")
    assert kernel.printed(sent) == "total 701\nfailed\n"


def test_a_cell_that_the_front_end_did_not_dump_is_shown_too(kernel: Debugged) -> None:
    kernel.run(LATE)
    kernel.run('late_run = lab.emit_sync("late.asked", {}).runs[0]')
    sent = kernel.begin('late_run.replay(break_at="one")')
    stopped = kernel.stopped()
    assert stopped.line == 3
    assert kernel.ask("source", source={"path": stopped.path})["content"] == LATE
    stopped.go("continue")
    kernel.printed(sent)
    # The run is replayed on the code that it began with, which is in no cell any more.
    kernel.run(LATE.replace("lambda: 1", "lambda: 2"))
    sent = kernel.begin('late_run.replay(break_at="one")')
    stopped = kernel.stopped()
    assert stopped.line == 3
    assert kernel.ask("source", source={"path": stopped.path})["content"] == LATE
    stopped.go("continue")
    kernel.printed(sent)


def test_a_plain_handler_stands_too_and_has_no_effects_under_the_debugger(kernel: Debugged, path: str) -> None:
    sent = kernel.begin('found = plain.replay(break_at="charge")\nprint(found.status, *found.notes)')
    stopped = kernel.stopped()
    assert (stopped.path, stopped.line) == (path, PLAIN_CHARGE)
    stopped.go("next")
    stopped = kernel.stopped()
    assert (stopped.line, stopped.locals()) == (WRITE, {"price": 3, "charged": CHARGED})
    stopped.go("continue")
    assert f"write the file 'planted' (line {WRITE}: " in kernel.printed(sent)
    assert not Path("planted").exists()


def test_a_breakpoint_of_the_front_ends_stops_a_replay(kernel: Debugged, path: str) -> None:
    kernel.ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": TOTAL}], sourceModified=False)
    sent = kernel.begin("print(cheap.replay().status)")
    stopped = kernel.stopped()
    assert (stopped.reason, stopped.path, stopped.line) == ("breakpoint", path, TOTAL)
    assert stopped.locals()["charged"] == CHARGED
    kernel.ask("setBreakpoints", source={"path": path}, breakpoints=[], sourceModified=False)
    stopped.go("continue")
    assert kernel.printed(sent) == "total 301\ncompleted\n"


def test_a_stop_longer_than_the_lease_re_executes_nothing(kernel: Debugged, server: LocalServer) -> None:
    plain = Plain(server.url)
    kernel.run(HOLD)
    kernel.run('held = lab.emit("hold.asked", {}).runs[0]\nwhile not began:\n    threading.Event().wait(0.01)')
    held_id = kernel.run("print(held.id)").strip()
    sent = kernel.begin('cheap.replay(break_at="charge")')
    stopped = kernel.stopped()
    # A silent worker that holds no connection takes a run now: once another is offered that run, a lease has lapsed.
    plain.call("RegisterFunction", {"id": "witness", "triggers": [{"event": "witness.asked"}]})
    register(plain, "silent", "witness")
    witness_id = plain.start("witness.asked", {})
    assert offered(plain, "silent") == [witness_id]
    register(plain, "heir", "witness", "hold")
    assert offered(plain, "heir") == [witness_id]
    assert plain.rest("GET", f"{WORKERS}heir/jobs?available=5").status == 204
    stopped.go("continue")
    kernel.printed(sent)
    assert kernel.run("release.set()\nprint(lab.wait(held)[0].status, len(began))") == "completed 1\n"
    assert payload(plain.run(held_id), "output") == "held"


def offered(plain: Plain, worker: str) -> list[Any]:
    """The runs a worker is offered, waiting for the first."""
    answer = plain.rest("GET", f"{WORKERS}{worker}/jobs?available=5&wait=20")
    return [job["run_id"] for job in answer.json["jobs"]]


def test_a_server_begins_from_a_kernel_under_a_debugger(kernel: Debugged) -> None:
    """A debugger makes the Pythons that its own process starts wait for it."""
    Path("own/.ironflow").mkdir(parents=True)
    started = (
        "import pathlib\nown = il.start(pathlib.Path('own/.ironflow').resolve(), wait=60)\nprint(own.runs().shape[0])"
    )
    try:
        assert kernel.run(started).splitlines()[-1] == "0"
    finally:
        kernel.run("il.stop(pathlib.Path('own/.ironflow').resolve(), force=True)")


def test_a_debugger_that_is_switched_off_lets_the_replay_go_on(kernel: Debugged) -> None:
    """The last test: what it leaves is a kernel without a debugger."""
    sent = kernel.begin('print(cheap.replay(break_at=["charge", "ship"]).status)')
    kernel.stopped()
    kernel.ask("disconnect", restart=False, terminateDebuggee=False)
    assert kernel.printed(sent) == "total 301\ncompleted\n"
    assert NO_DEBUGGER in kernel.run('print(*cheap.replay(break_at="charge").notes)')
