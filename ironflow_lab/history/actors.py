"""Who made an event happen, as far as the audit trail tells."""

from __future__ import annotations

from ironflow_lab.history.payloads import payload_of, text
from ironflow_lab.history.rules import PAUSE_REQUESTED
from ironflow_lab.history.snapshot import RunState
from ironflow_lab.models.audit import AuditEvent

OPERATOR = "operator"
_CORRECTIONS = {"step.patched": "patchedBy", "step.injected": "injectedBy"}
_PAUSES = frozenset({"run.paused", "run.resumed"})
_OPERATORS = frozenset({"step.discarded", "step.redacted", "run.redacted"})
# What the server does by itself, though a worker may hold the run meanwhile.
_ITS_OWN = frozenset({"timeout", "wait_timeout", "woken", "worker_lost", "unclaimed", "restarted"})


def actor_of(event: AuditEvent, run: RunState) -> str:
    """Return who patched or injected, the worker's id, `operator`, or "" for the server itself.

    `run` is the run's own state before the event: what a segment does is done by the worker that holds it.
    """
    payload, kind = payload_of(event), event.event_type
    if kind in _CORRECTIONS:
        return text(payload, _CORRECTIONS[kind], OPERATOR)
    if kind in _OPERATORS or text(payload, "newStatus") == "cancelled":
        return OPERATOR
    if text(payload, "reason") in ("cancelled", PAUSE_REQUESTED):
        return OPERATOR
    if kind in _PAUSES and text(payload, "reason") != "retries_exhausted":
        return OPERATOR
    if text(payload, "reason") in _ITS_OWN:
        return ""
    return text(payload, "workerId", run.worker_id)
