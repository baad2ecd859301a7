"""One run in the hand: its card, its values, and the verbs that act on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ironflow_lab.client.arguments import When
from ironflow_lab.errors import ApiError, NotFoundError
from ironflow_lab.lab import card, summary
from ironflow_lab.lab.session import Session
from ironflow_lab.models.functions import Function
from ironflow_lab.models.runs import TERMINAL, Error, Step
from ironflow_lab.models.runs import Run as Record

if TYPE_CHECKING:
    import pandas as pd

    from ironflow_lab.lab.past import Past
    from ironflow_lab.lab.snapshot import Snapshot
    from ironflow_lab.widgets.scrub import Scrubber


class Run:
    """One run. Every property reads the server again until the run has ended.

    Displayed it is a card with status, attempts, error, what comes next, steps and payloads.
    """

    def __init__(self, session: Session, record: Record) -> None:
        self._session = session
        self._record = record
        self._read_at = session.clock.now()
        self._steps: tuple[Step, ...] | None = None
        self._function: Function | None = None
        self._past: Past | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self._record.id

    @property
    def function_id(self) -> str:
        """The id of the function it executes."""
        return self._record.function_id

    @property
    def record(self) -> Record:
        """All the server says of the run, as a record."""
        return self._now()

    @property
    def status(self) -> str:
        """waiting_for_capacity, running, waiting, paused, completed, failed or cancelled."""
        return str(self._now().status)

    @property
    def input(self) -> Any:
        """The data of the event that started it."""
        return self._record.input

    @property
    def output(self) -> Any:
        """What the handler returned; None until the run is completed."""
        return self._now().output

    @property
    def error(self) -> Error | None:
        """Why it failed, or why its last attempt did."""
        return self._now().error

    @property
    def attempts(self) -> int:
        """The number of the current attempt, counted from 1."""
        return self._now().attempt

    @property
    def steps(self) -> pd.DataFrame:
        """The steps with their outputs, with `frames.schema.STEPS` as columns."""
        # Loads pandas, which the other properties do without.
        from ironflow_lab.lab import loading

        return loading.steps(self._session, [self.id], payloads=True)

    @property
    def audit(self) -> pd.DataFrame:
        """All that was recorded of the run, oldest first, with `frames.schema.AUDIT` as columns."""
        from ironflow_lab.lab import recorded

        return recorded.trail(self._history().read())

    @property
    def timeline(self) -> pd.DataFrame:
        """Every moment of the run, oldest first, with `frames.schema.TIMELINE` as columns.

        Of a run that was not recorded it is what its rows tell, and `attrs["source"]` is `rows`.
        """
        from ironflow_lab.lab import recorded

        return recorded.timeline(self._history().read())

    def at(
        self, moment: int | When | Snapshot | None = None, *, step: str | None = None, event: int | str | None = None
    ) -> Snapshot:
        """Return the run as it was: its status, and every step's status and output then.

        Give one of: a position (the number of audit events that had happened, negative ones count from
        the end), an `event` (its number or id: right after it), a `step` (its name: after it ended), or
        a time ("2h" ago, an RFC 3339 text, an aware datetime). Raises `InvalidArgumentError` beyond the
        run's ends, `NotFoundError` for an unknown step and a time before the run was created, and
        `FailedPreconditionError` for a run that was not recorded.
        """
        from ironflow_lab.lab import timetravel

        return timetravel.at(self._history(), moment, step=step, event=event)

    def diff(self, a: int | When | Snapshot, b: int | When | Snapshot) -> pd.DataFrame:
        """Return what differs between two moments of the run, with `frames.schema.CHANGES` as columns.

        A moment is a position, a time, a step's name or a `Snapshot`; the order of the two is kept. Each
        row tells the event that made the change and who caused it. Raises as `at` does.
        """
        from ironflow_lab.lab import recorded, timetravel

        past = self._history()
        return recorded.changes(past, timetravel.between(past, a, b), (a, b))

    def scrub(self) -> Scrubber:
        """Return the run's time-travel view; a run that goes on is followed.

        A run that was not recorded is shown as its rows tell it, which the view says.
        """
        from ironflow_lab.lab import timetravel

        return timetravel.scrubber(self._history())

    def refresh(self) -> Run:
        """Read the run from the server and return it."""
        self._record = self._session.client.runs.get(self.id)
        self._read_at = self._session.clock.now()
        self._steps = None
        return self

    def cancel(self, *, reason: str = "") -> Run:
        """End the run and return it; raises `FailedPreconditionError` when it has ended already."""
        self._session.guard.check(f"cancel run {self.id}")
        self._record = self._session.client.runs.cancel(self.id, reason=reason)
        self._read_at = self._session.clock.now()
        self._steps = None
        return self

    def __repr__(self) -> str:
        """Return one line, as of the last reading."""
        shown = self._shown(())
        facts = [summary.headline(shown), summary.error_line(self._record)]
        if self._record.status not in TERMINAL:
            facts.append(f"as of {summary.moment(self._read_at)}")
        return f"<Run {self.id}: {'; '.join(fact for fact in facts if fact)}>"

    def __str__(self) -> str:
        """Return the card as text, read from the server now."""
        shown, note = self._look()
        return card.text(shown) + (f"\n  {note}" if note else "")

    def _repr_html_(self) -> str:
        """Return the card, read from the server now; when that fails it says so."""
        shown, note = self._look()
        return card.html(shown, note=note)

    def _history(self) -> Past:
        # Joining a server does without what only time travel needs.
        from ironflow_lab.lab.past import Past

        self._past = self._past or Past(self._session, self.id)
        return self._past

    def _now(self) -> Record:
        return self._record if self._record.status in TERMINAL else self.refresh()._record

    def _look(self) -> tuple[summary.Shown, str]:
        client = self._session.client
        try:
            self._now()
            if self._steps is None:
                self._steps = client.runs.steps(self.id)
            self._function = self._function or self._find_function()
        except ApiError as error:
            # A card is drawn by the notebook, which would show a broken one as nothing.
            return self._shown(self._steps or ()), f"not up to date: {error}"
        return self._shown(self._steps), ""

    def _find_function(self) -> Function | None:
        try:
            return self._session.client.functions.get(self.function_id)
        except NotFoundError:
            return None

    def _shown(self, steps: tuple[Step, ...]) -> summary.Shown:
        return summary.Shown(run=self._record, at=self._read_at, steps=steps, function=self._function)
