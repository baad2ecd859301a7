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
from ironflow_lab.wire import connect, rest
from ironflow_lab.wire.message import Request

CHANGES: list[Callable[[il.Lab], Any]] = [
    lambda lab: lab.emit("order.placed", {}),
    lambda lab: lab.emit_sync("order.placed", {}),
    lambda lab: lab.invoke("settle", {"n": 1}),
    lambda lab: lab.emit_frame("order.placed", pd.DataFrame({"n": [1]})),
    lambda lab: lab.function("guarded", on="x.y")(lambda ctx: None),
    lambda lab: lab.worker.start(),
    lambda lab: lab.cancel(lab.runs(limit=1)["run_id"].iloc[0]),
]


def harmless(request: Request) -> bool:
    """Whether the protocol says that the call changes nothing."""
    procedure = request.path.removeprefix(connect.SERVICE)
    return request.method == "GET" or procedure in connect.REPEATABLE or request.path == rest.LAB_WAIT


@pytest.mark.parametrize("change", CHANGES)
def test_a_guarded_lab_changes_nothing(
    change: Callable[[il.Lab], Any], orders: il.Lab, server: LocalServer, traffic: list[Request]
) -> None:
    orders.emit("order.placed", {"n": 1}).wait()
    guarded = il.connect(server.url, guard=True)
    traffic.clear()
    with pytest.raises(GuardError, match=r"with lab\.allow\(\):"):
        change(guarded)
    assert [request.path for request in traffic if not harmless(request)] == []
    guarded.close()


def test_allowed_changes_happen(orders: il.Lab, server: LocalServer) -> None:
    guarded = il.connect(server.url, guard=True)
    assert "guarded" in repr(guarded)
    with guarded.allow():
        assert guarded.emit("order.placed", {"n": 1}).result == {"n": 1, "charged": 100}
    guarded.close()


def test_reading_calls_nothing_that_changes(orders: il.Lab, traffic: list[Request]) -> None:
    emission = orders.emit_frame("order.placed", pd.DataFrame({"n": range(40)}))
    traffic.clear()
    emission.wait()
    frame = orders.runs(payloads=True, limit=50)
    orders.steps(frame.head(3))
    orders.functions()
    run = orders.run(frame["run_id"].iloc[0])
    _ = (run.status, run.steps, run.refresh(), repr(run), str(run), run._repr_html_())
    _ = (emission.frame(), emission.runs, emission.status, repr(emission), orders.wait(emission))
    _ = (repr(orders), repr(orders.worker), orders.worker._repr_html_())
    _ = (run.children, run.why(), repr(run.why()))
    frame.ironflow.failures()
    frame.ironflow.latency()
    _ = (orders.audit(run), orders.audit(limit=5), orders.audit(since="1h", event_type="run.created", limit=5))
    for follows in (False, True):
        orders._session.follows = follows
        again = orders.run(run.id)
        _ = (again.audit, again.timeline, orders.timeline(run.id), again.diff(0, -1))
        then = again.at(-1)
        _ = (then.steps, then.step("charge"), repr(then), str(then), then._repr_html_(), then.document())
        _ = (again.at(event=1), again.at(step="charge"), again.at(then.at))
        again.scrub().close()
    client, past = orders.client, run.at(-1)
    client.runs.state_at(run.id, past.at)
    client.runs.timeline(run.id)
    client.runs.step_output_at(run.id, past.step("charge").step_id, past.at)
    client.audit.follow(run.id, wait=0)
    assert traffic
    assert [request.path for request in traffic if not harmless(request)] == []
