"""Audit trails for tests: told by hand, or made up with every kind of event, value, name and clock."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from ironflow_lab.clock import MILLISECOND
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant, format_instant
from ironflow_lab.wire.stepid import step_id

RUN = "run_1"
T0 = 1_767_323_045 * 1_000 * MILLISECOND
HOSTILE = ("__proto__", "constructor", "<img src=x onerror=alert(1)>", "a:b", "a.b", "", "\x00", "n" * 10_000, "steps")
REASONS = (
    *("claimed", "retry", "sleep", "event", "child", "woken", "completed", "failed", "timeout", "wait_timeout"),
    *("cancelled", "worker_lost", "pause_requested", "injection", "resumed", "odd"),
)
STATUSES = ("waiting_for_capacity", "running", "waiting", "paused", "completed", "failed", "cancelled", "odd")

keys = st.sampled_from([*HOSTILE[:-2], "amount", "password", "max_tokens", "api-key"]) | st.text(max_size=4)
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
json_values = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


class Story:
    """Tells a trail event by event; times are milliseconds since `T0`."""

    def __init__(self, run_id: str = RUN) -> None:
        self.run_id = run_id
        self.events: list[AuditEvent] = []

    def tell(self, at: float, event_type: str, payload: Any = None, *, step: str = "") -> Story:
        self.events.append(
            AuditEvent(
                id=f"aud_{len(self.events) + 1}",
                run_id=self.run_id,
                function_id="pay",
                step_id=step,
                event_type=event_type,
                payload={"runId": self.run_id} if payload is None else payload,
                created_at=Instant(T0 + round(at * MILLISECOND)),
            )
        )
        return self

    def created(self, at: float = 0, **extra: Any) -> Story:
        return self.tell(at, "run.created", {"runId": self.run_id, "functionId": "pay", "input": {"n": 1}, **extra})

    def moved(self, at: float, new: str, reason: str = "", **extra: Any) -> Story:
        kind = "run.paused" if new == "paused" else "run.status_changed"
        return self.tell(at, kind, {"newStatus": new, "reason": reason, **extra})

    def resumed(self, at: float, new: str = "waiting_for_capacity", **extra: Any) -> Story:
        return self.tell(at, "run.resumed", {"newStatus": new, "reason": "resumed", **extra})

    def started(self, at: float, name: str, *, index: int = 0, kind: str = "invoke", **extra: Any) -> Story:
        step = step_id(self.run_id, name, index)
        return self.tell(at, "step.started", {"stepId": step, "stepName": name, "stepType": kind, **extra}, step=step)

    def completed(self, at: float, name: str, output: Any, *, index: int = 0, **extra: Any) -> Story:
        step = step_id(self.run_id, name, index)
        return self.tell(at, "step.completed", {"stepId": step, "output": output, "durationMs": 5, **extra}, step=step)

    def failed(self, at: float, name: str, error: Any, *, index: int = 0, attempt: int = 1, **extra: Any) -> Story:
        step = step_id(self.run_id, name, index)
        return self.tell(at, "step.failed", {"stepId": step, "error": error, "attempt": attempt, **extra}, step=step)

    def patched(self, at: float, name: str, before: Any, after: Any, *, index: int = 0, **extra: Any) -> Story:
        step = step_id(self.run_id, name, index)
        payload = {"stepId": step, "originalOutput": before, "patchedOutput": after, **extra}
        return self.tell(at, "step.patched", payload, step=step)

    def injected(self, at: float, name: str, before: Any, after: Any, *, index: int = 0, **extra: Any) -> Story:
        step = step_id(self.run_id, name, index)
        payload = {"stepId": step, "previousOutput": before, "newOutput": after, **extra}
        return self.tell(at, "step.injected", payload, step=step)

    def discarded(self, at: float, name: str, *, index: int = 0, reason: str = "resumed from a") -> Story:
        step = step_id(self.run_id, name, index)
        return self.tell(at, "step.discarded", {"stepId": step, "reason": reason}, step=step)

    def undoing(self, at: float, name: str, **extra: Any) -> Story:
        step = step_id(self.run_id, f"compensate:{name}", 0)
        own = {"stepName": f"compensate:{name}", "stepType": "compensate", "compensationTargetStep": name}
        return self.tell(at, "saga.compensation.started", {"stepId": step, **own, **extra}, step=step)

    def undone(self, at: float, name: str, result: Any = None, **extra: Any) -> Story:
        step = step_id(self.run_id, f"compensate:{name}", 0)
        payload = {"stepId": step, "result": result, "durationMs": 4, "compensationTargetStep": name, **extra}
        return self.tell(at, "saga.compensation.completed", payload, step=step)

    def not_undone(self, at: float, name: str, error: Any, **extra: Any) -> Story:
        step = step_id(self.run_id, f"compensate:{name}", 0)
        payload = {"stepId": step, "error": error, "attempt": 1, "compensationTargetStep": name, **extra}
        return self.tell(at, "saga.compensation.failed", payload, step=step)


def charge() -> Story:
    """A charge that fails, is tried again after a delay, sleeps, is patched, and completes."""
    story = Story().created(0, input={"order": "A-1", "card_token": "tok_1"})
    story.moved(1, "running", "claimed", workerId="worker-1")
    story.started(2, "validate", attempt=1, startedAt=format_instant(T0 + 2 * MILLISECOND))
    story.completed(3, "validate", {"ok": True}, endedAt=format_instant(T0 + 3 * MILLISECOND))
    story.started(4, "charge", attempt=1).failed(9, "charge", {"message": "declined"})
    story.moved(10, "waiting", "retry", error={"message": "declined"}, attempt=2)
    story.moved(1010, "waiting_for_capacity", "woken")
    story.moved(1011, "running", "claimed", workerId="worker-2")
    story.started(1012, "charge", attempt=2).completed(1020, "charge", {"amount": 10})
    story.started(1021, "cool-off", kind="sleep", until=format_instant(T0 + 6021 * MILLISECOND))
    story.moved(1022, "waiting", "sleep")
    story.completed(6021, "cool-off", None).moved(6022, "waiting_for_capacity", "woken")
    story.patched(6023, "charge", {"amount": 10}, {"amount": 12}, patchedBy="ada", reason="fee")
    story.moved(6024, "running", "claimed", workerId="worker-2")
    return story.moved(6030, "completed", "completed", output={"paid": 12})


def approval() -> Story:
    """A charge that waits for an event and for a child, is held, corrected, resumed from a step, and undone."""
    story = Story().created(0, input={"order": "A-1"}, parentRunId="run_0", parentStepId="run_0:pay:0")
    story.moved(1, "running", "claimed", workerId="worker-1")
    story.started(2, "charge", attempt=1).completed(3, "charge", {"amount": 10})
    until = format_instant(T0 + 900 * MILLISECOND)
    story.started(4, "approve", kind="wait_for_event", until=until, event="order.approved", match="order", value="A-1")
    story.moved(5, "waiting", "event")
    story.completed(6, "approve", {"name": "order.approved"}).moved(7, "waiting_for_capacity", "woken")
    story.moved(8, "running", "claimed", workerId="worker-1")
    child: dict[str, Any] = {"childRunId": "run_2", "functionId": "ship_order", "input": {"fast": True}}
    story.started(9, "ship", kind="invoke_function", until=until, **child).moved(10, "waiting", "child")
    story.moved(11, "paused", "injection").injected(12, "charge", {"amount": 10}, {"amount": 9}, injectedBy="bob")
    story.failed(13, "ship", {"message": "no"}).patched(14, "ship", None, {"sent": 1}, patchedBy="ada", reason="done")
    story.resumed(15, fromStep=step_id(RUN, "charge", 0), attempt=1)
    story.discarded(15.1, "approve").discarded(15.2, "ship")
    story.moved(16, "running", "claimed", workerId="worker-2").moved(17, "running", "pause_requested")
    story.started(18, "approve", kind="wait_for_event", until=until, event="order.approved", attempt=1)
    story.moved(19, "waiting", "event").failed(20, "approve", {"message": "late"}, rowStatus="timed_out")
    story.undoing(21, "charge", attempt=1).undone(22, "charge")
    story.undoing(23, "approve", attempt=1).not_undone(24, "approve", {"message": "gone"})
    return story.moved(25, "failed", "wait_timeout", error={"message": "late"})


_VALUES: tuple[Any, ...] = (
    None,
    0,
    -0.0,
    1,
    1.0,
    True,
    "",
    "é\u2028",
    [],
    {},
    {"password": "p"},
    2**60 + 1,
    1e300,
    "x" * 50,
)
_SENDERS = (
    *("started", "completed", "failed", "patched", "injected", "discarded", "undoing", "undone", "not_undone"),
    *("moved", "moved", "resumed", "other"),
)
_OTHERS = ("saga.compensation.skipped", "saga.begun", "kv.set", "{}", "run.redacted", "step.redacted", "step.odd", "")


def trails(*, backwards: bool = True, odd: bool = True, most: int = 16) -> st.SearchStrategy[list[AuditEvent]]:
    """Return trails of a run that was created, in which anything may follow anything.

    The odd ones have times that no server writes. All are made from a number: hypothesis takes a
    hundred times as long to draw each part of an event.
    """

    def trail(number: int, length: int) -> list[AuditEvent]:
        return Maker(random.Random(number), backwards=backwards, odd=odd).trail(length)

    return st.builds(trail, st.integers(0, 2**32), st.integers(0, most))


class Maker:
    """Makes up a trail by chance."""

    def __init__(self, chance: random.Random, *, backwards: bool, odd: bool) -> None:
        self.chance = chance
        self.story = Story().created(0, input=self.value())
        self.names = [chance.choice((*HOSTILE, "charge", "a", "b")) for _ in range(chance.randint(1, 4))]
        self.least = -5 if backwards else 0
        self.odd = ("", "yesterday", None) if odd else ()
        self.at = 0.0

    def trail(self, length: int) -> list[AuditEvent]:
        for _ in range(length):
            self.at += self.chance.randint(self.least, 20) + self.chance.choice((0.0, 0.000001, 0.5))
            getattr(self, self.chance.choice(_SENDERS))(self.chance.choice(self.names), self.chance.randint(0, 1))
        return self.story.events

    def value(self, depth: int = 0) -> Any:
        kind = self.chance.random()
        if depth > 3 or kind < 0.6:
            return self.chance.choice(_VALUES)
        inner = [self.value(depth + 1) for _ in range(self.chance.randint(0, 3))]
        return inner if kind < 0.75 else {self.chance.choice((*HOSTILE, "token", "n")): one for one in inner}

    def instants(self, *names: str) -> dict[str, Any]:
        told = [name for name in names if self.chance.random() < 0.5]
        return {name: self.chance.choice((*self.odd, *[self._near()] * 6)) for name in told}

    def _near(self) -> str:
        return format_instant(T0 + round((self.at + self.chance.randint(-10, 10)) * MILLISECOND))

    def started(self, name: str, index: int) -> None:
        kind = self.chance.choice(("invoke", "sleep", "wait_for_event", "invoke_function", "compensate"))
        waits = {"event": name, "match": "token", "value": self.value(), "functionId": name, "input": self.value()}
        told = {key: value for key, value in waits.items() if self.chance.random() < 0.3}
        self.story.started(self.at, name, index=index, kind=kind, **self.instants("startedAt", "until"), **told)

    def completed(self, name: str, index: int) -> None:
        self.story.completed(self.at, name, self.value(), index=index, **self.instants("endedAt"))

    def failed(self, name: str, index: int) -> None:
        told = self.instants("endedAt") | ({"rowStatus": "timed_out"} if self.chance.random() < 0.3 else {})
        attempt = self.chance.randint(1, 70_000)
        self.story.failed(self.at, name, self.value(), index=index, attempt=attempt, **told)

    def patched(self, name: str, index: int) -> None:
        self.story.patched(self.at, name, self.value(), self.value(), index=index, patchedBy=name, reason="why")

    def injected(self, name: str, index: int) -> None:
        self.story.injected(self.at, name, self.value(), self.value(), index=index)

    def discarded(self, name: str, index: int) -> None:
        self.story.discarded(self.at, name, index=index)

    def undoing(self, name: str, index: int) -> None:
        self.story.undoing(self.at, name, **self.instants("startedAt"))

    def undone(self, name: str, index: int) -> None:
        self.story.undone(self.at, name, self.value(), **self.instants("endedAt"))

    def not_undone(self, name: str, index: int) -> None:
        self.story.not_undone(self.at, name, self.value(), **self.instants("endedAt"))

    def resumed(self, name: str, index: int) -> None:
        self.story.resumed(self.at, self.chance.choice(STATUSES), fromStep=step_id(RUN, name, index), attempt=1)

    def moved(self, name: str, index: int) -> None:
        extra = {name: self.value() for name in ("output", "error") if self.chance.random() < 0.4}
        if self.chance.random() < 0.5:
            extra["attempt"] = self.chance.randint(1, 70_000)
        self.story.moved(self.at, self.chance.choice(STATUSES), self.chance.choice(REASONS), **extra)

    def other(self, name: str, index: int) -> None:
        step = self.chance.choice(("", step_id(RUN, name, index)))
        self.story.tell(self.at, self.chance.choice(_OTHERS), self.chance.choice(({}, None, {"stepId": 1})), step=step)
