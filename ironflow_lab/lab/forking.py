"""A what-if in the hand: what it would do, what came of it, and what it needs to be told to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from ironflow_lab.debug import choices as choosing
from ironflow_lab.debug.choices import Choices, Word
from ironflow_lab.debug.fork import Deciding, Need, Plan, Planned
from ironflow_lab.debug.replay import execute
from ironflow_lab.debug.replayed import Replayed
from ironflow_lab.errors import FailedPreconditionError, RunFailedError
from ironflow_lab.history import redaction
from ironflow_lab.history.recording import Recording
from ironflow_lab.lab import forkcard
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import Error

if TYPE_CHECKING:
    import pandas as pd

    from ironflow_lab.lab.comparing import Comparison
    from ironflow_lab.lab.replaying import Resolved

_UNKNOWN = "not executed"


class Fork:
    """What would have become of a run, had some of its steps come out otherwise or its code been another.

    Local, in this process and not durable: no server knows of it and the run is never touched. The recorded
    outcomes are handed out up to the fork, and after it each step gets what was decided: `stub` (its recorded
    outcome), `run` (its body, executed here and for real), `stop`, or an output of yours. The handler's own code
    stays behind the gate of a replay.

    `plan` says what would happen with every step before anything does. It is executed when its outcome is
    first asked for (`status`, `output`, `result`, `error`, `steps`, `calls`, `needs`, `compare()`) or by `go()`.
    """

    def __init__(self, session: Session, recording: Recording, resolved: Resolved, choices: Choices) -> None:
        self._session = session
        self._original, self._resolved, self._choices = recording, resolved, choices
        self._planned = Plan(recording, choices)
        self._answers: Deciding | None = None
        self._replayed: Replayed | None = None

    @property
    def run_id(self) -> str:
        """The id of the run it was forked from."""
        return self._original.run.id

    @property
    def executed(self) -> bool:
        """Whether it has been executed."""
        return self._replayed is not None

    @property
    def plan(self) -> pd.DataFrame:
        """What it does with every step, known before anything is executed: `frames.forks.PLAN` as columns."""
        from ironflow_lab.frames.forks import plan_frame

        return self._stamped(plan_frame(self.rows), "fork plan")

    @cached_property
    def rows(self) -> tuple[Planned, ...]:
        """The plan as records."""
        return self._planned.rows()

    @property
    def bodies(self) -> tuple[str, ...]:
        """The steps whose bodies it would execute for real, in words."""
        return self._planned.executed()

    def go(self) -> Fork:
        """Execute it, once, and return it; the stop button ends it."""
        self._outcome()
        return self

    @property
    def status(self) -> str:
        """`completed`, `failed`, `waiting`, `stopped` (it needs a decision, see `needs`) or `diverged`."""
        return self._outcome().status

    @property
    def reason(self) -> str:
        """Why it did not come to its end, in words; "" when it did."""
        return self._outcome().reason

    @property
    def output(self) -> Any:
        """What the handler returned; None unless it completed."""
        output = self._outcome().output
        return None if output is msgspec.UNSET else output

    @property
    def result(self) -> Any:
        """What the handler returned.

        Raises `RunFailedError` when it failed, and `FailedPreconditionError` when it stopped before its end.
        """
        found = self._outcome()
        if found.status == "completed":
            return self.output
        why = redaction.clip(forkcard.reason(found), limit=500)
        if found.status == "failed":
            raise RunFailedError(f"the fork of {self.run_id} failed: {why}")
        raise FailedPreconditionError(f"the fork of {self.run_id} {found.status}: {why}")

    @property
    def error(self) -> Error | None:
        """Why it failed, with the stack of the user's code."""
        return self._outcome().error

    @property
    def needs(self) -> tuple[Need, ...]:
        """The steps it cannot go past until `decide` says how; empty when there are none."""
        self._outcome()
        return tuple(self._answers.needs) if self._answers is not None else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What it cannot know, and what its code did that a replay does not allow."""
        found = self._outcome()
        return tuple(dict.fromkeys(forkcard.notes(self._resolved.note, found, self._unused(), self._original)))

    @property
    def calls(self) -> pd.DataFrame:
        """The step calls of its code in order, each with what it got: `frames.replays.CALLS` as columns."""
        from ironflow_lab.frames.replays import calls_frame

        return self._stamped(calls_frame(self._outcome().asked), "fork calls")

    @property
    def steps(self) -> pd.DataFrame:
        """Its steps as those of a run, with `frames.schema.STEPS` as columns."""
        from ironflow_lab.frames.forks import steps_frame

        return self._stamped(steps_frame(self.recording().steps), "fork")

    def recording(self) -> Recording:
        """Return it as a run at rest, `source` is `local`: to compare, or to fork again."""
        return self._outcome().as_recording()

    def decide(
        self,
        steps: Mapping[str, Word] | None = None,
        /,
        *,
        with_outputs: Mapping[str, Any] | None = None,
        **named: Word,
    ) -> Fork:
        """Return a new fork of the same run that also knows this: `decide(charge="run")`.

        Decisions are `stub`, `run` and `stop`, as a dict or by name; `with_outputs` gives outputs or errors.
        What was decided before stays, unless it is of the same step.
        """
        decided = {**(steps or {}), **named}
        return Fork(self._session, self._original, self._resolved, choosing.more(self._choices, decided, with_outputs))

    def compare(self) -> Comparison:
        """Return it beside the run it was forked from, which is `a`."""
        from ironflow_lab.lab.comparing import Comparison

        return Comparison(
            self._original, self.recording(), server=self._session.joined.server_url, clock=self._session.clock
        )

    def fork(
        self,
        from_step: str | None = None,
        with_outputs: Mapping[str, Any] | None = None,
        fn: Any = None,
        *,
        steps: Word | Mapping[str, Word] | None = None,
    ) -> Fork:
        """Return a fork of this one: its outcomes are what is recorded; the rest is as in `run.fork`."""
        from ironflow_lab.lab.replaying import resolve

        resolved = self._resolved if fn is None else resolve(self._session, self._original, fn)
        chosen = choosing.choices(from_step, with_outputs, steps)
        return Fork(self._session, self.recording(), resolved, chosen)

    def _outcome(self) -> Replayed:
        if self._replayed is None:
            answers = Deciding(self._planned)
            self._replayed = execute(self._original, self._resolved.function, answers)
            self._answers = answers
        return self._replayed

    def _unused(self) -> Sequence[str]:
        return self._answers.unused if self._answers is not None else ()

    def _stamped(self, frame: pd.DataFrame, source: str) -> pd.DataFrame:
        from ironflow_lab.frames.provenance import stamp

        return stamp(
            frame,
            source=source,
            server=self._session.joined.server_url,
            query={"run_id": self.run_id},
            fetched_at=self._session.clock.now(),
        )

    def __repr__(self) -> str:
        how = self._replayed.status if self._replayed is not None else _UNKNOWN
        return f"<Fork of {self.run_id}: {how}, local>"

    def __str__(self) -> str:
        """Return it as text; one that would execute bodies is executed by `go()` only, and shown as planned."""
        return "\n".join(forkcard.text(self._card()))

    def _repr_html_(self) -> str:
        return forkcard.html(self._card())

    def _card(self) -> forkcard.Card:
        if self._replayed is None and not self.bodies:
            self._outcome()
        start = self._planned.start
        return forkcard.Card(
            run_id=self.run_id,
            function_id=self._original.run.function_id,
            start=forkcard.label(self.run_id, start) if start is not None else "",
            rows=tuple(row for row in self.rows if row.decision != "recorded"),
            bodies=self.bodies,
            outcome=self._replayed,
            before=sum(row.decision == "recorded" for row in self.rows),
            notes=self.notes if self._replayed is not None else (),
        )


def fork(
    session: Session,
    recording: Recording,
    from_step: str | None,
    with_outputs: Mapping[str, Any] | None,
    fn: Any,
    steps: Word | Mapping[str, Word] | None,
) -> Fork:
    """Return a what-if of a recorded run; nothing is executed yet.

    Raises `DefinitionError`, `PayloadError`, `NotFoundError` and `InvalidArgumentError` for what cannot be meant.
    """
    from ironflow_lab.lab.replaying import resolve

    chosen = choosing.choices(from_step, with_outputs, steps)
    return Fork(session, recording, resolve(session, recording, fn), chosen)
