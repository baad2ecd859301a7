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
    if (at_hand := session.recording_of(past.run_id)) is not None:
        return at_hand
    past.read()
    if past.whole is not None and _is_all(session, past, past.whole):
        return past.whole
    run = session.client.runs.get(past.run_id)
    past.whole = Recording(
        run=run,
        steps=session.client.runs.steps(past.run_id),
        events=tuple(past.history.events) if past.recorded else (),
        code=_code(session, run),
        note=past.note,
    )
    return past.whole


def _is_all(session: Session, past: Past, kept: Recording) -> bool:
    """Return whether what was read whole is all there is: it has ended, and no event was added."""
    # The embedded server writes an event with every change of a step; of another one that is not known.
    told = session.follows and past.source == "fold" and bool(past.history.steps)
    return told and past.complete and kept.ended and kept.events == tuple(past.history.events)


def _code(session: Session, run: Run) -> Code:
    """Return what the data folder knows of the code that the run was executed with last."""
    sources = look(session).sources
    code_hash = begun.at(sources).last(run.id)
    if not code_hash:
        return Code()
    source = SourceStore(sources).find(run.function_id, code_hash)
    return Code(code_hash=code_hash, place=source.place() if source is not None else "")
