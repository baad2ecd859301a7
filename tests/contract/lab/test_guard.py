"""What may change a server and what may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    GuardError,
)
from ironflow_lab.testing import LocalServer
from ironflow_lab.wire import connect

CHANGES: list[Callable[[il.Lab], Any]] = [
    lambda lab: lab.emit("order.placed", {}),
    lambda lab: lab.emit_sync("order.placed", {}),
    lambda lab: lab.emit_frame("order.placed", pd.DataFrame({"n": [1]})),
    lambda lab: lab.function("guarded", on="x.y")(lambda ctx: None),
    lambda lab: lab.worker.start(),
    lambda lab: lab.cancel(lab.runs(limit=1)["run_id"].iloc[0]),
]


def traffic(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the procedures that are called from now on."""
    called: list[str] = []
    write = connect.request

    def noted(procedure: str, *given: Any, **options: Any) -> Any:
        called.append(procedure)
        return write(procedure, *given, **options)

    monkeypatch.setattr(connect, "request", noted)
    return called


@pytest.mark.parametrize("change", CHANGES)
def test_a_guarded_lab_changes_nothing(
    change: Callable[[il.Lab], Any], orders: il.Lab, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders.emit("order.placed", {"n": 1}).wait()
    guarded = il.connect(server.url, guard=True)
    called = traffic(monkeypatch)
    with pytest.raises(GuardError, match=r"with lab\.allow\(\):"):
        change(guarded)
    assert set(called) <= connect.REPEATABLE
    guarded.close()


def test_allowed_changes_happen(orders: il.Lab, server: LocalServer) -> None:
    guarded = il.connect(server.url, guard=True)
    assert "guarded" in repr(guarded)
    with guarded.allow():
        assert guarded.emit("order.placed", {"n": 1}).result == {"n": 1, "charged": 100}
    guarded.close()


def test_reading_calls_nothing_that_changes(orders: il.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": range(40)}))
    called = traffic(monkeypatch)
    emission.wait()
    frame = orders.runs(payloads=True, limit=50)
    orders.steps(frame.head(3))
    orders.functions()
    run = orders.run(frame["run_id"].iloc[0])
    _ = (run.status, run.steps, run.refresh(), repr(run), str(run), run._repr_html_())
    _ = (emission.frame(), emission.runs, emission.status, repr(emission), orders.wait(emission))
    _ = (repr(orders), repr(orders.worker), orders.worker._repr_html_())
    frame.ironflow.failures()
    frame.ironflow.latency()
    assert called
    assert set(called) <= connect.REPEATABLE
