"""Runs to scrub, as audit events: notebook cells of the tests import it too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ironflow_lab.history.pack import Packer
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant

START = 1_764_000_000_000_000_000
MS = 1_000_000
HOSTILE = (
    "<img src=x onerror=\"window.sentinel='stolen'\"><script>window.sentinel='run'</script>"
    "<svg onload=\"fetch('http://sentinel.invalid/')\">"
)


class Recorder:
    """Writes audit events as a server would: `after` milliseconds pass, then something happens."""

    def __init__(self, run_id: str = "run_story", function_id: str = "process-order") -> None:
        self.run_id = run_id
        self.function_id = function_id
        self.events: list[AuditEvent] = []
        self._now = START

    def add(self, kind: str, *, after: float = 0.0, step: str = "", **payload: Any) -> None:
        self._now += max(1, round(after * MS))
        self.events.append(
            AuditEvent(
                id=f"aud_{len(self.events)}",
                run_id=self.run_id,
                function_id=self.function_id,
                step_id=step,
                event_type=kind,
                payload=payload,
                created_at=Instant(self._now),
            )
        )

    def create(self, data: Any) -> None:
        self.add("run.created", runId=self.run_id, input=data, status="waiting_for_capacity", attempt=1)

    def inject(self, name: str, output: Any, *, previous: Any, after: float = 1.0) -> None:
        told = {"previousOutput": previous, "newOutput": output, "reason": "a discount was forgotten"}
        self.add("step.injected", after=after, step=name, stepId=name, injectedBy="ada", **told)

    def status(self, old: str, new: str, *, after: float = 0.0, **more: Any) -> None:
        self.add("run.status_changed", after=after, oldStatus=old, newStatus=new, **more)

    def start(self, name: str, *, after: float = 1.0, kind: str = "invoke", attempt: int = 1) -> None:
        self.add("step.started", after=after, step=name, stepId=name, stepName=name, stepType=kind, attempt=attempt)

    def complete(self, name: str, output: Any, *, after: float = 1.0) -> None:
        self.add("step.completed", after=after, step=name, stepId=name, output=output, durationMs=round(after))

    def fail(self, name: str, message: str, *, after: float = 1.0, attempt: int = 1) -> None:
        error = {"message": message, "code": "CARD_DECLINED"}
        self.add("step.failed", after=after, step=name, stepId=name, error=error, attempt=attempt)


def story() -> list[AuditEvent]:
    """A run with every kind of time: queue, work, a failure, a retry, sleep, a wait, a pause, an injection."""
    told = Recorder()
    items = [{"sku": "lamp", "n": 1}, {"sku": "bulb", "n": 4}]
    told.create({"order": "o-1042", "total": 129.9, "items": items, "n": 2**60 + 1})
    told.status("waiting_for_capacity", "running", after=400, reason="claimed", workerId="w-1", attempt=1)
    told.start("validate", after=20)
    told.complete("validate", {"ok": True, "checks": ["stock", "address"]}, after=180)
    told.start("charge", after=10)
    told.fail("charge", "card declined by the bank", after=700)
    declined = {"message": "card declined by the bank"}
    told.status("running", "waiting", after=5, reason="retry", attempt=1, error=declined)
    told.status("waiting", "running", after=1_500, reason="claimed", workerId="w-1", attempt=2)
    told.start("charge", after=15, attempt=2)
    told.complete("charge", {"paid": 129.9, "receipt": "r-77", "token": "tok_secret"}, after=520)
    told.start("cool-off", kind="sleep")
    told.status("running", "waiting", reason="sleep")
    told.complete("cool-off", None, after=2_000)
    told.status("waiting", "running", reason="woken", workerId="w-1", attempt=2, after=30)
    told.start("wait-for-stock", kind="wait_for_event")
    told.status("running", "waiting", reason="event")
    told.complete("wait-for-stock", {"name": "stock.arrived"}, after=1_300)
    told.status("waiting", "running", reason="woken", workerId="w-1", after=10)
    told.add("run.paused", after=5, oldStatus="running", newStatus="paused", reason="to correct the charge")
    told.inject("charge", {"paid": 119.9, "receipt": "r-77"}, after=900, previous={"paid": 129.9, "receipt": "r-77"})
    told.add("run.resumed", after=200, oldStatus="paused", newStatus="running", reason="corrected")
    told.start("ship", after=12)
    told.complete("ship", {"parcel": "p-9", "weight": 2.4}, after=640)
    told.status("running", "completed", after=8, reason="completed", output={"order": "o-1042", "parcel": "p-9"})
    return told.events


def undone() -> list[AuditEvent]:
    """A run that waits for an event and a child, is held, corrected, resumed from a step, and undone in the end."""
    told = Recorder("run_undone")
    told.create({"order": "o-1043"})
    told.status("waiting_for_capacity", "running", after=40, reason="claimed", workerId="w-1", attempt=1)
    told.start("charge", after=5)
    told.complete("charge", {"paid": 80}, after=120)
    approval = {"event": "order.approved", "match": "data.token", "value": "t-1"}
    told.add("step.started", after=2, step="approve", stepId="approve", stepName="approve", **_WAITS, **approval)
    told.status("running", "waiting", reason="event")
    told.complete("approve", {"name": "order.approved"}, after=400)
    told.status("waiting", "running", reason="woken", workerId="w-1", after=10)
    shipped = {"childRunId": "run_ship", "functionId": "ship", "input": {"fast": True}}
    told.add("step.started", after=2, step="ship", stepId="ship", stepName="ship", **_INVOKES, **shipped)
    told.status("running", "waiting", reason="child")
    told.fail("ship", "no courier", after=300)
    told.status("waiting", "running", reason="woken", workerId="w-1", after=10)
    told.status("running", "running", reason="pause_requested", after=3)
    told.add("run.paused", after=20, oldStatus="running", newStatus="paused", reason="injection")
    patch = {"originalOutput": {"paid": 80}, "patchedOutput": {"paid": 8}, "patchedBy": "ada", "reason": "typo"}
    told.add("step.patched", after=200, step="charge", stepId="charge", **patch)
    resumed: dict[str, Any] = {
        "newStatus": "waiting_for_capacity",
        "reason": "resumed",
        "fromStep": "charge",
        "attempt": 1,
    }
    told.add("run.resumed", after=100, oldStatus="paused", **resumed)
    for name in ("approve", "ship"):
        told.add("step.discarded", step=name, stepId=name, reason="resumed from charge")
    told.status("waiting_for_capacity", "running", after=30, reason="claimed", workerId="w-1")
    told.add("step.started", after=2, step="approve", stepId="approve", stepName="approve", **_WAITS, **approval)
    told.status("running", "waiting", reason="event")
    late = {"message": "nobody approved", "code": "WAIT_TIMEOUT"}
    told.add("step.failed", after=500, step="approve", stepId="approve", error=late, attempt=1, rowStatus="timed_out")
    undo: dict[str, Any] = {"stepId": "compensate:charge", "compensationTargetStep": "charge"}
    began = {"stepName": "compensate:charge", "stepType": "compensate", "attempt": 1}
    told.add("saga.compensation.started", after=9, step="compensate:charge", **undo, **began)
    told.add("saga.compensation.completed", after=60, step="compensate:charge", **undo, result=None, durationMs=60)
    told.status("waiting", "failed", after=1, reason="failed", error=late)
    return told.events


_WAITS: dict[str, Any] = {"stepType": "wait_for_event", "attempt": 1, "until": "2026-01-02T03:04:05Z"}
_INVOKES: dict[str, Any] = {"stepType": "invoke_function", "attempt": 1}


def hostile() -> list[AuditEvent]:
    """A run with markup, scripts and awkward names wherever a name or a value can stand."""
    told = Recorder("run_<b>bold</b>", HOSTILE)
    value = {"__proto__": {"polluted": HOSTILE}, "constructor": HOSTILE, HOSTILE: [HOSTILE], "exact": 2**63 - 1}
    told.create(value)
    told.status("waiting_for_capacity", "running", after=10, reason="claimed", workerId=HOSTILE)
    for name in ("__proto__", "a:b.c", HOSTILE, "constructor"):
        told.start(name, after=5)
        told.complete(name, value, after=20)
    told.start("boom")
    told.fail("boom", HOSTILE, after=10)
    told.status("running", "failed", after=1, reason="failed", error={"message": HOSTILE})
    return told.events


def long(count: int, *, steps: int | None = None) -> list[AuditEvent]:
    """A run of about `count` events, three a step: started, failed or completed, and so on."""
    told = Recorder("run_long")
    told.create({"n": count})
    told.status("waiting_for_capacity", "running", after=5, reason="claimed", workerId="w-1")
    number = 0
    many = steps or max(1, count // 4)
    while len(told.events) < count - 1:
        name = f"step-{number % many}"
        told.start(name, after=3, attempt=1 + number // many)
        if number % 17 == 3:
            told.fail(name, f"attempt failed {number}", after=7, attempt=1 + number // many)
            told.start(name, after=2, attempt=2 + number // many)
        told.complete(name, {"number": number, "text": "x" * (number % 40), "list": list(range(number % 6))}, after=5)
        number += 1
    told.status("running", "completed", after=1, reason="completed", output={"done": number})
    return told.events


def heavy() -> list[AuditEvent]:
    """A run whose step returns 5 MB."""
    told = Recorder("run_heavy")
    told.create({})
    told.status("waiting_for_capacity", "running", after=5, reason="claimed", workerId="w-1")
    told.start("fetch")
    told.complete("fetch", {"rows": [{"row": number, "text": "y" * 90} for number in range(43_000)]}, after=50)
    told.status("running", "completed", after=1, reason="completed", output=None)
    return told.events


def packed(events: Sequence[AuditEvent], **more: Any) -> Packer:
    """Pack a run's events."""
    return Packer(events[0].run_id, events[0].function_id, events=events, **more)


def pieces(events: Sequence[AuditEvent], size: int) -> Iterator[Sequence[AuditEvent]]:
    """Yield the events a few at a time."""
    for first in range(0, len(events), size):
        yield events[first : first + size]
