"""A run read whole: its row, its steps and its audit events, as one value at rest."""

from __future__ import annotations

from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.serving import look
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import Run
from ironflow_lab.runtime import begun
from ironflow_lab.runtime.sourcestore import SourceStore


def read(session: Session, past: Past) -> Recording:
    """Return all that is known of a run; raises `NotFoundError`."""
    past.read()
    run = session.client.runs.get(past.run_id)
    return Recording(
        run=run,
        steps=session.client.runs.steps(past.run_id),
        events=tuple(past.history.events) if past.recorded else (),
        code=_code(session, run),
        note=past.note,
    )


def _code(session: Session, run: Run) -> Code:
    """Return what the data folder knows of the code that the run began with."""
    sources = look(session).sources
    code_hash = begun.at(sources).of(run.id)
    if code_hash in ("", begun.NEWEST):
        return Code()
    source = SourceStore(sources).find(run.function_id, code_hash)
    return Code(code_hash=code_hash, place=source.place() if source is not None else "")
