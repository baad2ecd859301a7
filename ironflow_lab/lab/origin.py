"""Which run another one is a rerun of: the idempotency key of its event says it, on every server.

The wire's call that starts a run takes no metadata. Its key is kept with the event, which the run names.
"""

from __future__ import annotations

import re

from ironflow_lab.clock import Ids
from ironflow_lab.errors import ApiError, NotFoundError
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import Run

_PREFIX = "rerun:"
_KEY = re.compile(r"rerun:([^:\s]{1,100}):[^:\s]{1,100}")
_LONGEST_ID = 100


def key(run_id: str, ids: Ids) -> str:
    """Return the key of a rerun of this run, another one at every call."""
    # An id that the key could not be read back from is not worth a failed call.
    known = run_id if run_id and len(run_id) <= _LONGEST_ID and not re.search(r"[:\s]", run_id) else "-"
    return f"{_PREFIX}{known}:{ids.new('rerun_')}"


def origin_in(idempotency_key: str) -> str:
    """Return the id of the run that a rerun's key names, "" for any other key."""
    found = _KEY.fullmatch(idempotency_key)
    return "" if found is None or found[1] == "-" else found[1]


def of(session: Session, run: Run) -> str:
    """Return the id of the run that this is a rerun of, "" when it is none; one reading of its event.

    Raises `NotFoundError` when the event is gone, and with it what was known of the origin.
    """
    if not run.event_id or run.parent_run_id:
        return ""
    try:
        return origin_in(session.client.events.get(run.event_id).idempotency_key)
    except NotFoundError as error:
        raise NotFoundError(
            f"whether {run.id} is a rerun is not known: the event that started it, {run.event_id}, is gone"
        ) from error


def seen(session: Session, run: Run) -> str:
    """Return the same for a run's card: "" too where it is not known."""
    # Nothing but an invocation has such a key, and a card is not to cost a reading for every other run.
    if not run.event_name.endswith("function.invoked"):
        return ""
    try:
        return of(session, run)
    except ApiError:
        return ""
