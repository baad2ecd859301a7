"""Fork, replay and check change nothing: told by a proxy before the server and by what Python announces of itself."""

from __future__ import annotations

import contextlib
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ironflow_lab as il
from ironflow_lab.debug import gate
from ironflow_lab.debug.answers import Recorded
from ironflow_lab.debug.gate import Gate
from ironflow_lab.debug.replay import execute
from ironflow_lab.lab.run import Run
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.testing import LocalServer
from tests.contract.counting import CountingProxy

_WRITES = ("w", "a", "x", "+")


class Witness:
    """What the threads of replays got through with, told by audit events: it stands behind the gate."""

    def __init__(self) -> None:
        # Hooks are called in the order in which they were added: what the gate refuses does not come here.
        with gate.enter(Gate("a test")):
            pass
        self.seen: list[str] = []
        self.on = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and threading.current_thread().name.startswith("ironflow-replay") and _acts(event, arguments):
            self.seen.append(event)


def _acts(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        mode = arguments[1]
        return isinstance(mode, str) and any(sign in mode for sign in _WRITES)
    acts = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "subprocess.", "os.exec", "os.fork")
    return event.startswith((*acts, "os.posix_spawn", "os.system", "os.remove", "os.rename", "os.mkdir", "shutil."))


@pytest.fixture(scope="module")
def witness() -> Witness:
    return Witness()


@pytest.fixture(scope="module")
def proxy(server: LocalServer) -> Iterator[CountingProxy]:
    with CountingProxy(server.url) as running:
        yield running


@pytest.fixture(scope="module")
def seen(proxy: CountingProxy, lab: il.Lab) -> Iterator[il.Lab]:
    """A lab that knows the server through the proxy only; what works is another one."""
    joined = il.connect(proxy.url)
    yield joined
    joined.close()


@pytest.fixture(scope="module")
def code() -> DurableFunction:
    @function("pay", on="pay.go", retry={"max_attempts": 1, "on_exhausted": "fail"})
    async def pay(ctx: Any) -> Any:
        price = await ctx.step.run("price", price_of, ctx.event.data["n"])
        await ctx.step.sleep("rest", 0.001)
        await ctx.step.publish("orders", {"price": price})
        charged = await ctx.step.run("charge", charge, price)
        return {"price": price, "charged": charged}

    return pay


def price_of(number: int) -> int:
    return 10 * number


def charge(price: int) -> str:
    if price > 50:
        raise il.NonRetryableError("too dear", code="DECLINED")
    return f"ch_{price}"


@pytest.fixture(scope="module")
def runs(lab: il.Lab, code: DurableFunction) -> tuple[str, str]:
    """A run that completed and one that failed, as ids."""
    lab.function("pay", on="pay.go", retry={"max_attempts": 1, "on_exhausted": "fail"})(code.handler)
    done, broken = lab.emit("pay.go", {"n": 2}).wait().runs[0], lab.emit("pay.go", {"n": 7}).wait().runs[0]
    assert (done.status, broken.status) == ("completed", "failed")
    return done.id, broken.id


def forked(lab: il.Lab, run: Run, code: DurableFunction) -> None:
    fork = run.fork(with_outputs={"price": 30}, fn=code)
    _ = (fork.plan, str(fork), fork._repr_html_(), fork.status, fork.steps, fork.calls, fork.notes)
    further = fork.decide({"charge": "run"})
    assert further.result == {"price": 30, "charged": "ch_30"}
    assert not further.compare().same
    assert further.fork("charge").result["price"] == 30


def replayed(lab: il.Lab, run: Run, code: DurableFunction) -> None:
    replay = run.replay(code)
    assert replay.same
    _ = (replay.calls, str(replay), replay._repr_html_(), run.replay(code, until="price"))


def checked(lab: il.Lab, run: Run, code: DurableFunction) -> None:
    found = lab.check(code, [run])
    assert found.same
    _ = (found.frame, str(found), found._repr_html_())


@pytest.mark.parametrize("work", [forked, replayed, checked])
def test_no_request_changes_anything_and_gated_code_reaches_nothing(
    work: Callable[[il.Lab, Run, DurableFunction], None],
    runs: tuple[str, str],
    seen: il.Lab,
    proxy: CountingProxy,
    code: DurableFunction,
    witness: Witness,
) -> None:
    before = [(len(one.audit), one.status, one.record.version) for one in map(seen.run, runs)]
    total = len(seen.runs(limit=None))
    proxy.requests.clear()
    witness.seen.clear()
    witness.on = True
    for run_id in runs:
        work(seen, seen.run(run_id), code)
    witness.on = False
    assert proxy.requests, "the proxy sees what is asked"
    assert proxy.changes == []
    assert witness.seen == []
    assert [(len(one.audit), one.status, one.record.version) for one in map(seen.run, runs)] == before
    assert len(seen.runs(limit=None)) == total


def test_a_planted_change_is_seen_by_the_proxy(seen: il.Lab, proxy: CountingProxy) -> None:
    proxy.requests.clear()
    seen.emit("nobody.cares", {})
    assert [path.rpartition("/")[2] for path in proxy.changes] == ["Emit"]


def test_a_planted_violation_is_refused_and_nothing_is_sent(
    runs: tuple[str, str], seen: il.Lab, proxy: CountingProxy, witness: Witness, tmp_path: Path
) -> None:
    @function("pay", on="pay.go")
    async def violates(ctx: Any) -> Any:
        await ctx.step.run("price", list)
        for act in (send, write):
            # What a handler swallows is told all the same.
            with contextlib.suppress(Exception):
                act()
        await ctx.step.sleep("rest", 0.001)
        await ctx.step.publish("orders", {"price": 20})
        return await ctx.step.run("charge", list)

    def send() -> None:
        body = b'{"event":"nobody.cares","data":{}}'
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{proxy.url}/ironflow.v1.IronflowService/Trigger", body, headers), timeout=5
        ).read()

    def write() -> None:
        (tmp_path / "out").write_text("x")

    run = seen.run(runs[0])
    recording = run.recording()
    for work in (
        lambda: run.fork(with_outputs={"price": 30}, fn=violates).go().notes,
        lambda: run.replay(violates).notes,
        lambda: [one.notes for one in seen.check(violates, [run]).verdicts],
    ):
        proxy.requests.clear()
        witness.seen.clear()
        witness.on = True
        said = " ".join(map(str, work()))
        witness.on = False
        assert proxy.changes == []
        assert witness.seen == []
        assert not (tmp_path / "out").exists()
        assert "ask 'http:" in said
        assert "/out" in said
    # Without the gate both witnesses see it: they are not blind.
    witness.on = True
    execute(recording, violates, Recorded(recording), gate=False)
    witness.on = False
    assert len(proxy.changes) == 1
    assert {"socket.connect", "open"} <= set(witness.seen)
    assert (tmp_path / "out").exists()
