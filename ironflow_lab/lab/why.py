"""Why a run stands where it does, and what comes of it: as the server says, or as far as its rows tell."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

from ironflow_lab.errors import (
    ApiError,
    FailedPreconditionError,
    IronflowError,
    NotFoundError,
    UnimplementedError,
)
from ironflow_lab.history import redaction
from ironflow_lab.history.actors import OPERATOR
from ironflow_lab.history.fold import History
from ironflow_lab.history.why import Ending, ending, failures, hold, losses
from ironflow_lab.lab import capsules, moving, restoring, summary
from ironflow_lab.lab.advice import Advice, Known, advice
from ironflow_lab.lab.card import FAINT, TEXT, badge
from ironflow_lab.lab.past import Past
from ironflow_lab.lab.restoring import Missing
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import TERMINAL, Step
from ironflow_lab.wire.stepid import label

_LONGEST = 300
_MOST_LOST = 3
# Told in the message, or in the head.
_SAID = frozenset({"run_id", "status", "reason", "message", "function_id"})

_OFFLINE = ("run.replay()  # execute it here again with what was recorded; nothing leaves this process",)


class Why:
    """Why a run is not executing, or how it ended: `reason` in a word of `models.reasons.REASONS`, `message`.

    `cause` is the reason told more exactly where the run has ended: one of `history.why.CAUSES`. `step` is the
    step it is about, `place` where in the code it failed, `exhausted` whether the attempts were used up (None
    where nothing failed or it is not known). `next` says what happens by itself, `next_at` when (None where no
    time is set), and `can` what one can do: each text is Python, with words behind it; `...` is for you to give.

    All fields of `models.reasons.BlockingReason` are attributes too: `due_at`, `event`, `value`,
    `worker_ids`, `ahead`, `child_run_id` and so on, empty where they say nothing. `source` is `server`
    (told by what decides about the run) or `rows` (as far as the rows of the run and its steps tell, on a
    server that does not say). `missing` is the run's function when it was defined before a restart of this
    process and has not been since, `older` says so when the run's code is not the newest; None and "" otherwise.
    """

    def __init__(
        self,
        fact: BlockingReason,
        *,
        source: str,
        at: int,
        missing: Missing | None = None,
        older: str = "",
        ending: Ending | None = None,
        advice: Advice | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.fact, self.source, self.at, self.missing, self.older = fact, source, at, missing, older
        self._ending, self._advice, self._told = ending or Ending(), advice or Advice(), tuple(notes)

    @property
    def cause(self) -> str:
        """How the run ended, else the reason."""
        return self._ending.cause or self.fact.reason

    @property
    def step(self) -> str:
        """The label of the step it is about, "" for none."""
        return self._ending.step or (label(self.fact.run_id, self.fact.step_id) if self.fact.step_id else "")

    @property
    def place(self) -> str:
        """Where in the code the run failed, as far as a stack tells; "" when it is not known."""
        return self._ending.place

    @property
    def exhausted(self) -> bool | None:
        """Whether the attempts of a failed run were used up; None where it is not known or nothing failed."""
        return self._ending.exhausted

    @property
    def next(self) -> str:
        """What happens next by itself, in words."""
        return self._advice.next

    @property
    def next_at(self) -> Instant | None:
        """When it happens; None where no time is set."""
        return self._advice.at or None

    @property
    def can(self) -> tuple[str, ...]:
        """What can be done, each as Python with words behind it, the most useful first."""
        return self._advice.can

    def __getattr__(self, name: str) -> Any:
        if name in BlockingReason.__struct_fields__:
            return getattr(self.fact, name)
        raise AttributeError(f"a reason has no {name!r}; it has {', '.join(BlockingReason.__struct_fields__)}")

    def __dir__(self) -> list[str]:
        """Return the fields and the attributes, for completion."""
        return sorted({*super().__dir__(), *BlockingReason.__struct_fields__})

    def __repr__(self) -> str:
        return f"<Why {self.fact.run_id}: {self.cause or self.fact.status}; {self._message()}>"

    def __str__(self) -> str:
        """Return the sentence, then one fact a line."""
        lines = [f"{self.fact.run_id} {self.fact.status}: {self._message()}"]
        lines += [f"  {name:<16} {value}" for name, value in self._facts()]
        lines += [f"  {self.missing.line()}"] if self.missing else []
        lines += [f"  {name:<16} {line}" for name, line in self._ahead()]
        return "\n".join([*lines, *(f"  {note}" for note in self._notes())])

    def _repr_html_(self) -> str:
        head = f"{badge(self.fact.status)} <code>{escape(self.fact.run_id)}</code> {escape(self._message())}"
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in self._facts())
        table = f"<table>{rows}</table>" if rows else ""
        table += "".join(_ahead_html(name, line) for name, line in self._ahead())
        notes = self.missing.html(self.missing.line()) if self.missing else ""
        notes += "".join(f'<div style="{FAINT}">{escape(note)}</div>' for note in self._notes())
        return f'<div class="ironflow-why" style="{TEXT};font-size:13px"><div>{head}</div>{table}{notes}</div>'

    def _message(self) -> str:
        message, value = self.fact.message, self.fact.value
        if value and self._is_secret():
            message = message.replace(value, redaction.HIDDEN)
        return redaction.clip(" ".join(message.split()), limit=2 * _LONGEST)

    def _is_secret(self) -> bool:
        """Return whether the value awaited stands under a secret-looking key of its event."""
        return any(map(redaction.is_secret, self.fact.match.split(".")))

    def _facts(self) -> list[tuple[str, str]]:
        found = []
        for name in BlockingReason.__struct_fields__:
            value = getattr(self.fact, name)
            if name == "value" and self._is_secret():
                value = redaction.HIDDEN
            if name not in _SAID and value:
                found.append((name, redaction.clip(_text(name, value), limit=_LONGEST)))
        return found

    def _ahead(self) -> list[tuple[str, str]]:
        found = [("next", redaction.clip(self.next, limit=_LONGEST))] if self.next else []
        return [*found, *(("you can", redaction.clip(one, limit=2 * _LONGEST)) for one in self.can)]

    def _notes(self) -> list[str]:
        as_of = f"as of {summary.moment(self.at)}"
        older = [*self._told, *([self.older] if self.older else [])]
        if self.source == "server":
            return [*older, as_of]
        return [*older, f"{as_of}, out of the rows of the run and its steps: this server does not say more"]


def why(session: Session, shown: Shown, past: Past) -> Why:
    """Return why the run stands where it does: asked of the server, else told by the rows that were read."""
    try:
        fact, source, at = session.client.runs.why(shown.run.id), "server", session.clock.now()
    except UnimplementedError:
        fact, source, at = of_rows(shown), "rows", shown.at
    if fact.status in TERMINAL and shown.run.status not in TERMINAL:
        # It ended between the two looks.
        client, run_id = session.client, shown.run.id
        shown = msgspec.structs.replace(shown, run=client.runs.get(run_id), steps=client.runs.steps(run_id))
    history, notes = _recorded(past)
    fact = _with_match(fact, history)
    end = ending(shown.run, shown.steps, history, logged=_logged(session, shown))
    if end.message:
        error = shown.run.error.message if shown.run.error is not None else ""
        fact = msgspec.structs.replace(fact, message=end.message, step_id=end.step_id, error=error)
    notes += _befallen(end, history)
    unserved = fact.reason in ("no_worker", "function_missing", "")
    absent = restoring.missing(session, shown.run.function_id) if unserved else None
    known = Known(
        fact=fact,
        ending=end,
        shown=shown,
        now=at,
        function=_function_status(session, shown.run.function_id) if end.cause else None,
        missing=absent,
    )
    older = moving.older(session, shown.run)
    told = advice(known)
    if session.capsule is not None:
        # What acts on the run is refused there.
        told = msgspec.structs.replace(told, can=_OFFLINE)
    return Why(fact, source=source, at=at, missing=absent, older=older, ending=end, advice=told, notes=notes)


def of_rows(shown: Shown) -> BlockingReason:
    """Return as much of the reason as the rows of a run and of its steps tell."""
    run, held = shown.run, summary.held(shown)
    fact = BlockingReason(
        run_id=run.id,
        status=str(run.status),
        reason=_reason(shown, held),
        message=summary.coming(shown) or ("executing" if run.status == "running" else summary.headline(shown)),
        function_id=run.function_id,
        since=run.updated_at,
        attempt=run.attempt,
        max_attempts=run.max_attempts,
        error=summary.error_line(run) if run.error is not None else "",
    )
    if held is None or run.status not in ("waiting", "paused"):
        return fact
    return msgspec.structs.replace(
        fact,
        step_id=held.step_id,
        event=held.wait_event_name,
        due_at=held.sleep_until or held.wait_timeout,
        child_run_id=held.child_run_id,
    )


def _reason(shown: Shown, held: Step | None) -> str:
    run = shown.run
    if run.status in TERMINAL:
        return "ended"
    if run.status == "running":
        return "pausing" if run.pause_requested else "executing"
    if run.status == "paused":
        return "retries_exhausted" if run.pause_reason == "retries_exhausted" else "paused"
    if run.status != "waiting":
        # Which of the many reasons a queue has, no row tells.
        return ""
    if held is None:
        return "retry"
    return "sleep" if held.sleep_until else "event" if held.wait_event_name else "child"


def _recorded(past: Past) -> tuple[History | None, list[str]]:
    """Return the run's recorded history, if there is one that can be read, and what to say of it."""
    try:
        past.read()
    except (UnimplementedError, FailedPreconditionError):
        return None, []
    if not past.recorded:
        return None, ["the run was not recorded: what went before its newest attempts is not known"]
    return past.history, []


def _with_match(fact: BlockingReason, history: History | None) -> BlockingReason:
    """Return the fact with what its event must have, which rows do not tell and audit events may."""
    if fact.reason != "event" or fact.match or history is None:
        return fact
    step = next((one for one in history.steps if one.step_id == fact.step_id), None)
    if step is None or not isinstance(step.match, dict):
        return fact
    (match, value) = next(iter(step.match.items()))
    return msgspec.structs.replace(fact, match=match, value=value if isinstance(value, str) else "")


def _befallen(end: Ending, history: History | None) -> list[str]:
    """Return what befell the run on its way: who holds it, attempts that failed, workers that were lost."""
    if history is None:
        return []
    found = []
    held = hold(history)
    if held is not None:
        verb = "asked to hold it" if held.asked else "has held it since"
        found.append(f"{'an operator' if held.by in ('', OPERATOR) else held.by} {verb} {summary.moment(held.at)}")
    failed, last = failures(history)
    told = bool(end.message) and end.cause not in ("completed", "cancelled")
    failed -= told and failed > 0
    if failed > 0:
        said = "" if told else f", the last with: {' '.join(last.split())}"
        said = redaction.clip(said, limit=_LONGEST) + (f", at {end.place}" if end.place and not told else "")
        found.append(f"{failed} attempt{'s' if failed > 1 else ''} before failed{said}")
    lost = losses(history)[-_MOST_LOST:]
    return [*found, *(f"worker {one.worker_id} was lost with the run at {summary.moment(one.at)}" for one in lost)]


def _logged(session: Session, shown: Shown) -> str:
    """Return the last line in which a worker of this data folder told of the run's failure, "" for none."""
    if shown.run.error is None:
        return ""
    try:
        lines = capsules.lines_of(session, shown.run.id).lines
    except (IronflowError, OSError):
        # Without a data folder there is nothing to add.
        return ""
    return next((line.text for line in reversed(lines) if line.stream == "error"), "")


def _function_status(session: Session, function_id: str) -> str | None:
    try:
        return str(session.client.functions.get(function_id).status)
    except NotFoundError:
        return ""
    except ApiError:
        return None


def _ahead_html(name: str, line: str) -> str:
    shown = escape(line)
    if name != "next":
        code, _, words = line.partition("  # ")
        shown = f'<code>{escape(code)}</code> <span style="{FAINT}">{escape(words)}</span>'
    return f'<div><span style="{FAINT}">{name}</span> {shown}</div>'


def _text(name: str, value: Any) -> str:
    if name in ("since", "due_at", "lease_expires_at"):
        return summary.moment(value)
    return ", ".join(value) if isinstance(value, tuple) else str(value)
