"""Runs in flight and the code they run on: each finishes on the code it began with, unless it is moved."""

from __future__ import annotations

import logging

from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.lab.serving import look
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import TERMINAL, Run
from ironflow_lab.runtime import begun
from ironflow_lab.runtime.begun import NEWEST

log = logging.getLogger("ironflow_lab.lab")

# A failed run can be tried again, and may be moved before.
_OVER = TERMINAL - {"failed"}


def move(session: Session, *runs: Run) -> None:
    """Let the next segments of the runs use the newest code; kept in the data folder.

    Raises `FailedPreconditionError`, having moved none, when one of them has ended.
    """
    for run in runs:
        if run.status in _OVER:
            raise FailedPreconditionError(f"run {run.id} is {run.status}: there is nothing of it left to execute")
    for run in runs:
        session.guard.check(f"let run {run.id} of {run.function_id!r} go on with the newest code")
    kept = begun.at(look(session).sources)
    on_disk = [kept.move(run.id) for run in runs]
    if not all(on_disk):
        log.warning("that they were moved could not be kept in the data folder: it holds until this process ends")


def older(session: Session, run: Run) -> str:
    """Return what to say of a run in flight whose code is not the newest defined here; "" for any other."""
    here = look(session)
    newest = None if run.status in TERMINAL else here.definition(run.function_id)
    if newest is None:
        return ""
    began = begun.at(here.sources).of(run.id)
    if began in ("", NEWEST, newest.code_hash):
        return ""
    return (
        f"it began with version {began:.8} of its function and finishes on that; the newest is"
        f" {newest.code_hash:.8}. run.move() lets it go on with the newest"
    )
