"""One run in the hand: its card, its values, and the verbs that act on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab.client.arguments import When
from ironflow_lab.errors import ApiError, NotFoundError
from ironflow_lab.lab import card, intervening, origin, restoring, summary
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.understanding import Understanding
from ironflow_lab.models.functions import Function
from ironflow_lab.models.runs import TERMINAL, Error, Step
from ironflow_lab.models.runs import Run as Record

if TYPE_CHECKING:
    import pandas as pd

    from ironflow_lab.lab.past import Past
    from ironflow_lab.lab.snapshot import Snapshot
    from ironflow_lab.lab.why import Why
    from ironflow_lab.widgets.scrub import Scrubber


# These never leave; a failed run can be resumed.
_FINAL = TERMINAL - {"failed"}


class Run(Understanding):
    """One run. Every property reads the server again until the run is completed or cancelled.

    Displayed it is a card with status, attempts, error, what comes next, steps and payloads. A verb that
    changes it returns it as it is then; a `step` is meant by its name, by its name and number where
    several share one (`charge:1`), or by its id. On a guarded server every such verb raises `GuardError`
    that says what it would do, unless that was allowed.
    """

    def __init__(self, session: Session, record: Record) -> None:
        self._session = session
        self._record = record
        self._read_at = session.clock.now()
        self._steps: tuple[Step, ...] | None = None
        self._function: Function | None = None
        self._past: Past | None = None
        self._origin: str | None = None

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
        return self._became(self._session.client.runs.get(self.id))

    @property
    def children(self) -> pd.DataFrame:
        """The runs its steps started, with `frames.schema.RUNS` and their payloads as columns.

        One that has been deleted is missing, which `attrs["truncated"]` says.
        """
        from ironflow_lab.lab import family

        return family.children(self._session, self.id)

    def why(self) -> Why:
        """Return why the run is not executing, or how it ended; what happens next and when; what you can do.

        The lane, no worker, a retry due, an event awaited, who paused it; the step that failed, where in the
        code, and whether its attempts were used up. On a server that does not say, it is what the rows of the
        run and its steps tell, and `source` is `rows`.
        """
        from ironflow_lab.lab import why

        self.refresh()
        self._steps = self._session.client.runs.steps(self.id)
        return why.why(self._session, self._shown(self._steps), self._history())

    def pause(self) -> Run:
        """Hold the run: at once where no worker executes it, else at the next boundary between two steps.

        It returns when the server has answered; the status is then `paused`, or `running` with
        `record.pause_requested`, and the card says which. Raises `FailedPreconditionError` when it has ended.
        """
        self._session.guard.check(f"pause run {self.id} of {self.function_id!r} at its next step boundary")
        self._session.client.runs.pause(self.id)
        return self.refresh()

    def inject(self, step: str, output: Any, *, reason: str = "") -> Run:
        """Replace the output of a finished step while the run is paused; a failed step counts as completed then.

        The steps to come see the new output. Raises `FailedPreconditionError` unless the run is paused and
        the step has finished, `NotFoundError` for an unknown step, and `InvalidArgumentError` for an output
        that is not JSON.
        """
        found = self._step(step)
        self._session.guard.check(f"replace the output of step {step!r} of paused run {self.id}")
        self._session.client.runs.inject(self.id, found.id or found.step_id, output, reason=reason)
        return self.refresh()

    def patch(self, step: str, output: Any, *, reason: str = "") -> Run:
        """Correct the output of a finished step, whatever the run does; its first output stays readable.

        A run that has ended takes no notice of it until it is resumed. Raises as `inject` does, but for the
        run's status.
        """
        found = self._step(step)
        self._session.guard.check(f"correct the output of step {step!r} of run {self.id}")
        self._session.client.runs.patch(found.id, output, reason=reason)
        return self.refresh()

    def resume(self, from_step: str | None = None) -> Run:
        """Let the paused run go on, or the failed one again; finished steps are kept.

        With `from_step` that step and all later ones run again, except that a patched or injected output
        of it is kept. Raises `FailedPreconditionError` for a run that is neither paused nor failed, and
        `NotFoundError` for an unknown step.
        """
        steps = () if from_step is None else self._session.client.runs.steps(self.id)
        first = None if from_step is None else intervening.named(steps, from_step, self.id)
        self._session.guard.check(intervening.resume_plan(self._record, steps, first))
        return self._became(self._session.client.runs.resume(self.id, from_step=first.step_id if first else ""))

    def retry(self, *, from_beginning: bool = False) -> Run:
        """Run the failed run again from the point of failure, or every step of it; raises as `resume` does."""
        what = "with every step" if from_beginning else "from the point of failure"
        self._session.guard.check(f"run {self.id} again {what}")
        return self._became(self._session.client.runs.retry(self.id, from_beginning=from_beginning))

    def cancel(self, *, reason: str = "") -> Run:
        """End the run and return it; raises `FailedPreconditionError` when it has ended already."""
        self._session.guard.check(f"cancel run {self.id}")
        return self._became(self._session.client.runs.cancel(self.id, reason=reason))

    def rerun(self, input: Any = msgspec.UNSET) -> Run:
        """Start a new run of the same function, with the same input unless another is given, and return it.

        None is an input too. The new run names this one: its `origin`. The function is the one registered
        now. Raises `NotFoundError` when it is gone, and `FailedPreconditionError` when it is archived or this
        run's input has been redacted.
        """
        data = intervening.input_again(self._record, input)
        self._session.guard.check(f"start a new run of {self.function_id!r}")
        client, key = self._session.client, origin.key(self.id, self._session.ids)
        started = client.functions.invoke(self.function_id, data, idempotency_key=key)
        return Run(self._session, client.runs.get(started.run_id))

    @property
    def origin(self) -> Run | None:
        """The run that this one is a rerun of; None for a run that something else started.

        Raises `NotFoundError` when that run, or the event that tells of it, is gone.
        """
        found = origin.of(self._session, self._record)
        return Run(self._session, self._session.client.runs.get(found)) if found else None

    def move(self) -> Run:
        """Let the run's next segments use the newest code of its function, and return it.

        Without that it finishes on the code it began with. It is kept in the data folder, so that a restart
        of the kernel does not undo it; what executes at this moment ends on its old code. Raises
        `FailedPreconditionError` when it has ended.
        """
        from ironflow_lab.lab import moving

        moving.move(self._session, self._now())
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
        told = [card.text(shown), *restoring.lines(self._session, shown.run), note]
        return "\n  ".join(line for line in told if line)

    def _repr_html_(self) -> str:
        """Return the card, read from the server now; when that fails it says so."""
        shown, note = self._look()
        return card.html(shown, note=note) + restoring.below(self._session, shown.run)

    def _history(self) -> Past:
        # Joining a server does without what only time travel needs.
        from ironflow_lab.lab.past import Past

        self._past = self._past or Past(self._session, self.id)
        return self._past

    def _became(self, record: Record) -> Run:
        self._record, self._steps = record, None
        self._read_at = self._session.clock.now()
        return self

    def _step(self, wanted: str) -> Step:
        return intervening.named(self._session.client.runs.steps(self.id), wanted, self.id)

    def _now(self) -> Record:
        return self._record if self._record.status in _FINAL else self.refresh()._record

    def _look(self) -> tuple[summary.Shown, str]:
        client = self._session.client
        try:
            self._now()
            if self._steps is None:
                self._steps = client.runs.steps(self.id)
            self._function = self._function or self._find_function()
            if self._origin is None:
                self._origin = origin.seen(self._session, self._record)
        except ApiError as error:
            # A card is drawn by the notebook, which would show a broken one as nothing.
            return self._shown(self._steps or ()), f"not up to date: {error}"
        return self._shown(self._steps), self._session.told

    def _find_function(self) -> Function | None:
        try:
            return self._session.client.functions.get(self.function_id)
        except NotFoundError:
            return None

    def _shown(self, steps: tuple[Step, ...]) -> summary.Shown:
        return summary.Shown(
            run=self._record, at=self._read_at, steps=steps, function=self._function, origin=self._origin or ""
        )
