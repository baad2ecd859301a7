"""After a restart: runs wait for functions whose cells have not been executed again; which, and what they were."""

from __future__ import annotations

from html import escape

import msgspec

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import FailedPreconditionError, IronflowError, UnimplementedError
from ironflow_lab.history import redaction
from ironflow_lab.kernel.session import next_cell
from ironflow_lab.lab import moving, sources, summary
from ironflow_lab.lab.card import FAINT, TEXT
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.serving import look
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import TERMINAL, Run
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.runtime.sources import Source

MOST_FUNCTIONS = 5
_MOST_RUNS = 200
_LONGEST_TEXT = 2_000
# In seconds: a lab is shown in any case.
_PATIENCE = 1.0
_EXECUTABLE = ("waiting_for_capacity", "running")
_IN_FLIGHT = (*_EXECUTABLE, "waiting")


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A function that was defined before this process began, and is not defined in it; `runs` wait for it."""

    function_id: str
    source: Source
    runs: int = 0

    def line(self) -> str:
        """Return what there is to do about it."""
        made = f"(version {self.source.code_hash:.8}, {summary.moment(self.source.defined_at)})"
        return (
            f"{self.function_id!r} is not defined in this process; it was last defined in {self.source.place()} {made}."
            f" Run that cell again, or put it into a new one: lab.restore({self.function_id!r})"
        )

    def waiting(self) -> str:
        """Return how many runs wait for it, and what there is to do."""
        verb = "waits" if self.runs == 1 else "wait"
        return f"{count(self.runs, 'run')} {verb} for {self.function_id!r}: {self.line()}"

    def html(self, line: str) -> str:
        """Return a line and the source to unfold, escaped and cut."""
        text = redaction.clip(self.source.text or self.source.cell, limit=_LONGEST_TEXT)
        unfold = f'<details><summary style="{FAINT}">its last source</summary>{sources.shown(text)}</details>'
        return f'<div class="ironflow-missing">{escape(line)}{unfold if text else ""}</div>'


def missing(session: Session, function_id: str) -> Missing | None:
    """Return what is known of a function that is not defined in this process, None when it is or nothing is."""
    here = look(session)
    if here.definition(function_id) is not None:
        return None
    versions = sources.store(session).versions(function_id)
    return Missing(function_id=function_id, source=versions[-1]) if versions else None


def lines(session: Session, run: Run) -> list[str]:
    """Return what a run in flight has to do with code: that its function is not defined, or that it is older."""
    absent, older = _told(session, run)
    return [line for line in (absent.line() if absent else "", older) if line]


def below(session: Session, run: Run) -> str:
    """Return the same as HTML, with the source of what is not defined."""
    absent, older = _told(session, run)
    parts = [absent.html(absent.line()) if absent else "", f"<div>{escape(older)}</div>" if older else ""]
    inside = "".join(parts)
    return f'<div style="{TEXT};font-size:13px;max-width:60em">{inside}</div>' if inside else ""


def restore(session: Session, function: str | DurableFunction) -> str:
    """Put the last source of a function into a new cell below, executing nothing, and return it.

    It is the text of the whole cell where that is known, else the function's. Outside a notebook it is only
    returned. Raises `NotFoundError`, naming what is kept, and `FailedPreconditionError` where the text could
    not be found when it was defined.
    """
    function_id = session.naming.function(function)
    kept = sources.store(session)
    versions = kept.versions(function_id)
    if not versions:
        raise sources.unknown(kept, function_id)
    text = versions[-1].cell or versions[-1].text
    if not text:
        raise FailedPreconditionError(
            f"the text of {function_id!r} could not be found when it was defined in {versions[-1].place()}, or was"
            " too long to keep"
        )
    next_cell(text)
    return text


def waiting(session: Session) -> tuple[Missing, ...]:
    """Return the functions that runs wait for and that are not defined in this process, at most 5.

    The server is asked only when there may be any, for a second at most; one that does not answer tells none.
    """
    try:
        here, kept = look(session), sources.store(session)
        absent = {name for name in kept.known() if here.definition(name) is None}
        if not absent:
            return ()
        found = session.call(lambda client: _stuck(client, absent), timeout=_PATIENCE, patient=False)
    except IronflowError:
        return ()
    told = ((name, runs, kept.versions(name)) for name, runs in found.items())
    return tuple(Missing(function_id=name, source=of[-1], runs=runs) for name, runs, of in told if of)


def _told(session: Session, run: Run) -> tuple[Missing | None, str]:
    if run.status in TERMINAL or session.capsule is not None:
        return None, ""
    try:
        absent = missing(session, run.function_id) if run.status in _EXECUTABLE else None
        return absent, moving.older(session, run)
    except IronflowError:
        # Without a data folder there is nothing to add to a run's card.
        return None, ""


async def _stuck(client: AsyncClient, absent: set[str]) -> dict[str, int]:
    """Return how many runs each of these functions has that nobody executes."""
    page = await client.runs.list(statuses=_IN_FLIGHT, limit=_MOST_RUNS)
    by_function: dict[str, list[Run]] = {}
    for run in page.runs:
        if run.function_id in absent:
            by_function.setdefault(run.function_id, []).append(run)
    found: dict[str, int] = {}
    for name, runs in sorted(by_function.items()):
        queued = next((run for run in runs if run.status == "waiting_for_capacity"), None)
        if queued is not None and len(found) < MOST_FUNCTIONS and await _nobody(client, queued.id):
            found[name] = len(runs)
    return found


async def _nobody(client: AsyncClient, run_id: str) -> bool:
    try:
        return (await client.runs.why(run_id)).reason == "no_worker"
    except UnimplementedError:
        # Such a server does not tell; a queued run of a function that was defined here is likely enough one.
        return True
