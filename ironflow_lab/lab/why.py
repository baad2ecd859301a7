"""Why a run is not executing: as the server says, or as far as the run's rows tell."""

from __future__ import annotations

from html import escape
from typing import Any

import msgspec

from ironflow_lab.errors import UnimplementedError
from ironflow_lab.history import redaction
from ironflow_lab.lab import moving, restoring, summary
from ironflow_lab.lab.card import FAINT, TEXT, badge
from ironflow_lab.lab.restoring import Missing
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import TERMINAL, Step

_LONGEST = 300
# Told in the message, or in the head.
_SAID = frozenset({"run_id", "status", "reason", "message", "function_id"})


class Why:
    """Why a run is not executing: `reason` in a word of `models.reasons.REASONS`, `message` in a sentence.

    All fields of `models.reasons.BlockingReason` are attributes too: `due_at`, `event`, `value`,
    `worker_ids`, `ahead`, `child_run_id` and so on, empty where they say nothing. `source` is `server`
    (told by what decides about the run) or `rows` (as far as the rows of the run and its steps tell, on a
    server that does not say). `missing` is the run's function when it was defined before a restart of this
    process and has not been since, `older` says so when the run's code is not the newest; None and "" otherwise.
    """

    def __init__(
        self, fact: BlockingReason, *, source: str, at: int, missing: Missing | None = None, older: str = ""
    ) -> None:
        self.fact, self.source, self.at, self.missing, self.older = fact, source, at, missing, older

    def __getattr__(self, name: str) -> Any:
        if name in BlockingReason.__struct_fields__:
            return getattr(self.fact, name)
        raise AttributeError(f"a reason has no {name!r}; it has {', '.join(BlockingReason.__struct_fields__)}")

    def __dir__(self) -> list[str]:
        """Return the fields and the attributes, for completion."""
        return sorted({*super().__dir__(), *BlockingReason.__struct_fields__})

    def __repr__(self) -> str:
        return f"<Why {self.fact.run_id}: {self.fact.reason or self.fact.status}; {self._message()}>"

    def __str__(self) -> str:
        """Return the sentence, then one fact a line."""
        lines = [f"{self.fact.run_id} {self.fact.status}: {self._message()}"]
        lines += [f"  {name:<16} {value}" for name, value in self._facts()]
        lines += [f"  {self.missing.line()}"] if self.missing else []
        return "\n".join([*lines, *(f"  {note}" for note in self._notes())])

    def _repr_html_(self) -> str:
        head = f"{badge(self.fact.status)} <code>{escape(self.fact.run_id)}</code> {escape(self._message())}"
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in self._facts())
        table = f"<table>{rows}</table>" if rows else ""
        notes = self.missing.html(self.missing.line()) if self.missing else ""
        notes += "".join(f'<div style="{FAINT}">{escape(note)}</div>' for note in self._notes())
        return f'<div class="ironflow-why" style="{TEXT};font-size:13px"><div>{head}</div>{table}{notes}</div>'

    def _message(self) -> str:
        message, value = self.fact.message, self.fact.value
        if value and self._is_secret():
            message = message.replace(value, redaction.HIDDEN)
        return redaction.clip(" ".join(message.split()), limit=_LONGEST)

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

    def _notes(self) -> list[str]:
        as_of = f"as of {summary.moment(self.at)}"
        older = [self.older] if self.older else []
        if self.source == "server":
            return [*older, as_of]
        return [*older, f"{as_of}, out of the rows of the run and its steps: this server does not say more"]


def why(session: Session, shown: Shown) -> Why:
    """Return why the run is not executing: asked of the server, else told by the rows that were read."""
    try:
        fact, source, at = session.client.runs.why(shown.run.id), "server", session.clock.now()
    except UnimplementedError:
        fact, source, at = of_rows(shown), "rows", shown.at
    unserved = fact.reason in ("no_worker", "function_missing", "")
    absent = restoring.missing(session, shown.run.function_id) if unserved else None
    return Why(fact, source=source, at=at, missing=absent, older=moving.older(session, shown.run))


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


def _text(name: str, value: Any) -> str:
    if name in ("since", "due_at", "lease_expires_at"):
        return summary.moment(value)
    return ", ".join(value) if isinstance(value, tuple) else str(value)
