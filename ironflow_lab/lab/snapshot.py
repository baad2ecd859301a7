"""A run as it was at one moment, as a notebook holds and shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab.history.snapshot import Snapshot as State
from ironflow_lab.history.snapshot import StepState
from ironflow_lab.lab import pastcard
from ironflow_lab.lab.past import Past
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.instant import Instant

if TYPE_CHECKING:
    import pandas as pd


class Snapshot:
    """A run as it was: after its first `position` audit events, `length` in all when it was looked at.

    `source` is `fold` (the audit events tell all), `server` (as the server itself says, because they
    do not) or `incomplete` (they do not, and the server says no more; `note` says what is missing).
    Displayed it is a card with the status, the steps and the payloads of that moment.
    """

    def __init__(self, state: State, past: Past, *, at: Instant, source: str, note: str) -> None:
        history = past.history
        self._state = state
        self._at = at
        self._server = past.session.joined.server_url
        self._taken_at = past.session.clock.now()
        self.source = source
        self.note = note
        self.length = history.length
        self.event: AuditEvent | None = history.events[state.position - 1] if state.position else None
        self._labels = history.labels

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self._state.run_id

    @property
    def function_id(self) -> str:
        """The id of the function it executes."""
        return self._state.function_id

    @property
    def position(self) -> int:
        """How many audit events had happened; 0 is before the run was created."""
        return self._state.position

    @property
    def at(self) -> Instant:
        """The moment: the time that was asked for, else that of `event`; zero before the run was created."""
        return self._at

    @property
    def status(self) -> str:
        """The run's status then; empty before the run was created."""
        return self._state.status

    @property
    def attempts(self) -> int:
        """The number of the attempt then, counted from 1; 0 before the run was created."""
        return self._state.attempt

    @property
    def input(self) -> Any:
        """The data of the event that started the run; None before it was created."""
        return _or_none(self._state.input)

    @property
    def output(self) -> Any:
        """What the handler had returned; None unless the run was completed."""
        return _or_none(self._state.output)

    @property
    def error(self) -> Any:
        """The run's last error then, as JSON; None when there was none."""
        return _or_none(self._state.error)

    @property
    def steps(self) -> pd.DataFrame:
        """The steps that had started, as they were, with `frames.schema.STATES` as columns."""
        # Loads pandas, which the other properties do without.
        from ironflow_lab.lab import recorded

        return recorded.states(self, self._state.steps, server=self._server, fetched_at=self._taken_at)

    def step(self, step: str) -> StepState:
        """Return one step as it was, by name, by label (`charge:1`) or by id; what it lacked is `UNSET`.

        Raises `NotFoundError` that names the steps which had started.
        """
        return self._state.step(step)

    def document(self) -> dict[str, Any]:
        """Return the whole state as JSON, unredacted: `{"run": {...}, "steps": [...]}`."""
        return self._state.document()

    def __repr__(self) -> str:
        """Return one line."""
        return f"<Snapshot of {self.run_id}: {pastcard.headline(self._shown())}>"

    def __str__(self) -> str:
        """Return the card as text."""
        return pastcard.text(self._shown())

    def _repr_html_(self) -> str:
        return pastcard.html(self._shown())

    def _shown(self) -> pastcard.Shown:
        return pastcard.Shown(
            state=self._state,
            at=self._at,
            event=self.event,
            length=self.length,
            later=self._labels[len(self._state.steps) :],
            note=self.note,
            source=self.source,
        )


def _or_none(value: Any) -> Any:
    return None if value is msgspec.UNSET else value
