"""The one table from a command to the function that decides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ironflow_lab.clock import Ids
from ironflow_lab.server.engine import (
    claims,
    commands,
    erase,
    events,
    functions,
    invoking,
    publishing,
    reasons,
    redaction,
    reports,
    runs,
    secrets,
    timers,
    trail,
)
from ironflow_lab.server.engine.outcome import Outcome, Recorded

Decide = Callable[[Any, Any, int, Ids], Outcome]

DECISIONS: dict[type, Decide] = {
    commands.RegisterFunction: functions.register,
    commands.SetFunctionStatus: functions.set_status,
    commands.DeleteFunction: functions.delete,
    commands.RollbackFunction: functions.rollback,
    commands.EmitEvent: events.emit,
    commands.InvokeFunction: invoking.invoke,
    commands.Publish: publishing.publish,
    commands.RedactEvent: redaction.redact_event,
    commands.CancelRun: runs.cancel,
    commands.PauseRun: runs.pause,
    commands.InjectOutput: runs.inject,
    commands.PatchStep: runs.patch,
    commands.ResumeRun: runs.resume,
    commands.Explain: reasons.explain,
    commands.DeleteRun: erase.delete_run,
    commands.DeleteRuns: erase.delete_runs,
    commands.RedactRun: erase.redact_run,
    commands.RedactStep: erase.redact_step,
    commands.CreateSecret: secrets.create,
    commands.UpdateSecret: secrets.update,
    commands.PatchSecret: secrets.patch,
    commands.DeleteSecret: secrets.delete,
    commands.RegisterWorker: claims.register,
    commands.Heartbeat: claims.heartbeat,
    commands.Hold: claims.hold,
    commands.Release: claims.release,
    commands.Claim: claims.claim,
    commands.Unclaim: claims.unclaim,
    commands.Ack: claims.ack,
    commands.Report: reports.report,
    commands.Restart: timers.restart,
    commands.WakeDue: timers.wake_due,
    commands.Lapse: timers.lapse,
}


def decide(state: Any, command: commands.Command, now: int, ids: Ids) -> Outcome:
    """Return the outcome of a command on the state the store loaded for it; raises `ApiError` to refuse."""
    outcome = DECISIONS[type(command)](state, command, now, ids)
    # Followers are told here, in one place: no decision can forget them.
    grown = tuple(Recorded(run_id) for run_id in trail.recorded(outcome.writes))
    return msgspec.structs.replace(outcome, wakes=(*outcome.wakes, *grown)) if grown else outcome
