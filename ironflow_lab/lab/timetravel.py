"""A run at a moment, and between two: what `Run.at` and `Run.diff` decide."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError, FailedPreconditionError, UnimplementedError
from ironflow_lab.history.diff import Explained, explain
from ironflow_lab.history.pack import Packer
from ironflow_lab.lab import moments, told
from ironflow_lab.lab.following import Follower
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.snapshot import Snapshot
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.timetravel import RunSnapshot

if TYPE_CHECKING:
    from ironflow_lab.widgets.scrub import Scrubber


def at(past: Past, moment: Any, *, step: str | None, event: int | str | None) -> Snapshot:
    """Return the run as it was at the one moment that was given; raises for none, several and bad ones."""
    given = [name for name, value in (("a moment", moment), ("step", step), ("event", event)) if value is not None]
    if len(given) != 1:
        what = " and ".join(given) + " at once" if given else "nothing"
        raise DefinitionError(f"run.at was given {what}; give {moments.WAYS}")
    history = past.recording().history
    if step is not None:
        return at_position(past, moments.at_step(history, step))
    if event is not None:
        return at_position(past, moments.at_event(history, event))
    return _at(past, *place(past, moment))


def at_position(past: Past, position: int) -> Snapshot:
    """Return the run as it was after its first `position` events."""
    return _at(past, position, past.history.time_of(position))


def between(past: Past, a: Any, b: Any) -> tuple[Explained, ...]:
    """Return what differs between two moments, each a position, a time, a step's name or a snapshot."""
    past.recording()
    return explain(past.history, place(past, a)[0], place(past, b)[0])


def scrubber(past: Past) -> Scrubber:
    """Return a view of all that is known of the run's past, which follows it while it goes on."""
    from ironflow_lab.widgets.scrub import Scrubber

    past.read()
    history = past.history
    packer = Packer(
        past.run_id,
        history.function_id,
        recording=_profile(past),
        source=past.source,
        note=past.note,
        server=past.session.joined.server_url,
        events=history.events,
    )
    grows = past.recorded and not past.complete and past.session.capsule is None
    follow = Follower(past, packer).begin if grows else None
    return Scrubber(packer, follow=follow, live=follow is not None)


def place(past: Past, moment: Any) -> tuple[int, Instant]:
    """Return the position, and the instant, that a position, a time, a step's name or a snapshot means."""
    history, now = past.history, past.session.clock.now()
    if isinstance(moment, Snapshot):
        if moment.run_id != past.run_id:
            raise DefinitionError(f"this is a snapshot of run {moment.run_id}, not of {past.run_id}")
        return moment.position, moment.at
    if isinstance(moment, str):
        return moments.at_text(history, moment, now)
    if moments.is_time(moment):
        return moments.at_time(history, moment, now)
    position = moments.at_position(history, moment)
    return position, history.time_of(position)


def _profile(past: Past) -> str:
    if not past.recorded:
        return ""
    return "run_lifecycle" if past.source == "incomplete" and not past.history.steps else "all"


def _at(past: Past, position: int, at: Instant) -> Snapshot:
    state, source, note = past.history.at_position(position), past.source, past.note
    if source == "incomplete" and not past.session.follows and position:
        answer = _ask(past, at)
        if answer is not None:
            state = told.snapshot_of(answer, position=position, at=at, t0=past.history.t0)
            source = "server"
    return Snapshot(state, past, at=at, source=source, note=note)


def _ask(past: Past, at: Instant) -> RunSnapshot | None:
    def work(client: AsyncClient) -> Coroutine[Any, Any, RunSnapshot]:
        return client.runs.state_at(past.run_id, at)

    try:
        return past.session.call(work)
    except (UnimplementedError, FailedPreconditionError):
        # A server without time travel: the fold is all there is, and says that it is incomplete.
        return None
