"""A run as HTML and as text: escaped, redacted, capped, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ironflow_lab.history import redaction
from ironflow_lab.lab import summary
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.runs import Step
from ironflow_lab.wire import stepid

MOST_STEPS = 50
LONGEST_PAYLOAD = 2_000
LONGEST_ERROR = 500

# JupyterLab's variables where they exist, else what the page has: no colour of our own but mid tones.
TEXT = "color:var(--jp-ui-font-color1, inherit)"
FAINT = "color:var(--jp-ui-font-color2, inherit);opacity:.85"
_LINE = "var(--jp-border-color2, rgba(128,128,128,.4))"
CELL = f"text-align:left;padding:2px 12px 2px 0;border-top:1px solid {_LINE}"
_TONES = {
    "completed": "var(--jp-success-color1, #2e8b57)",
    "failed": "var(--jp-error-color1, #d0483e)",
    "timed_out": "var(--jp-error-color1, #d0483e)",
    "dead": "var(--jp-error-color1, #d0483e)",
    "cancelled": "var(--jp-ui-font-color2, #888888)",
    "pausing": "var(--jp-warn-color1, #b8730a)",
    "paused": "var(--jp-warn-color1, #b8730a)",
    "retrying": "var(--jp-warn-color1, #b8730a)",
}
_MOVING = "var(--jp-info-color1, #2a7fb8)"


def html(shown: Shown, *, note: str = "") -> str:
    """Return the card: status, attempts, times, error, what comes next, steps and payloads."""
    run = shown.run
    asked = f" {badge('pausing')}" if run.status == "running" and run.pause_requested else ""
    title = f"<strong>{escape(run.function_id)}</strong> {badge(run.status)}{asked}"
    parts = [
        f'<div class="ironflow-run" style="{TEXT};font-size:13px;line-height:1.5;max-width:60em">',
        f"<div>{title} <code>{escape(run.id)}</code></div>",
        f'<div style="{FAINT}">{escape(_facts(shown))}</div>',
        _error(shown),
        *(f"<div>{escape(line)}</div>" for line in (summary.coming(shown),) if line),
        _steps(shown.steps),
        payload("input", run.input),
        payload("output", run.output) if run.status == "completed" else "",
        f'<div style="{FAINT}">{escape(note)}</div>' if note else "",
        "</div>",
    ]
    return "".join(parts)


def trace(shown: Shown) -> str:
    """Return how a run goes, without its payloads: status, times, error, what comes next, at most 50 steps."""
    run = shown.run
    parts = [
        f'<div class="ironflow-trace" style="{TEXT};font-size:13px;line-height:1.5;max-width:60em">',
        f"<div><strong>{escape(run.function_id)}</strong> {badge(run.status)} <code>{escape(run.id)}</code>",
        f' <span style="{FAINT}">{escape(summary.elapsed(shown))}</span></div>',
        _error(shown),
        *(f"<div>{escape(line)}</div>" for line in (summary.coming(shown),) if line),
        _steps(shown.steps),
        "</div>",
    ]
    return "".join(parts)


def text(shown: Shown) -> str:
    """Return the card as plain text, one fact a line."""
    run = shown.run
    lines = [f"{run.id}: {summary.headline(shown)}", f"  {_facts(shown)}"]
    error = summary.error_line(run)
    lines += [f"  error   {redaction.clip(error, limit=LONGEST_ERROR)}"] if error else []
    coming = summary.coming(shown)
    lines += [f"  next    {coming}"] if coming else []
    lines.append(f"  input   {redaction.show(run.input, limit=100)}")
    if run.status == "completed":
        lines.append(f"  output  {redaction.show(run.output, limit=100)}")
    lines += [f"  {_step_line(step)}" for step in shown.steps[:MOST_STEPS]]
    lines += _more(shown.steps)
    return "\n".join(lines)


def _facts(shown: Shown) -> str:
    run = shown.run
    budget = f"attempt {summary.attempts(run)}"
    chosen = summary.policy(shown)
    facts = [f"{budget}, {chosen}" if chosen else budget]
    if run.started_at:
        facts.append(f"started {summary.moment(run.started_at)}")
    elif run.created_at:
        facts.append(f"created {summary.moment(run.created_at)}")
    if summary.elapsed(shown):
        facts.append(summary.elapsed(shown))
    if run.event_name:
        facts.append(f"event {run.event_name}")
    facts += [summary.parent(run)] if run.parent_run_id else []
    facts += [f"rerun of {shown.origin}"] if shown.origin else []
    return " · ".join(facts)


def badge(status: str) -> str:
    """Return the status in a frame of its colour."""
    # The word says it; the colour only repeats it.
    tone = _TONES.get(status, _MOVING)
    return f'<span style="border:1px solid {tone};color:{tone};border-radius:3px;padding:0 6px">{escape(status)}</span>'


def table(rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """Return rows of steps as a table; the cells are HTML, the notes below it are text."""
    head = "".join(f'<th style="{CELL}">{name}</th>' for name in ("step", "status", "attempt", "took", "result"))
    body = "".join("<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in row) + "</tr>" for row in rows)
    below = "".join(f"<div>{escape(note)}</div>" for note in notes)
    return (
        '<table style="border-collapse:collapse;margin:6px 0;background:transparent">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
    )


def error(line: str) -> str:
    """Return an error in its colour, cut to 500 characters."""
    tone = _TONES["failed"]
    return f'<div style="color:{tone}">{escape(redaction.clip(line, limit=LONGEST_ERROR))}</div>'


def _error(shown: Shown) -> str:
    line = summary.error_line(shown.run)
    return error(line) if line else ""


def _steps(steps: tuple[Step, ...]) -> str:
    return table(map(_step_row, steps[:MOST_STEPS]), _more(steps)) if steps else ""


def _step_row(step: Step) -> Sequence[str]:
    return (
        escape(stepid.label(step.run_id, step.step_id)),
        f"{badge(step.status)}{_marks(step)}",
        escape(str(step.attempt or "")),
        f'<span style="white-space:nowrap">{escape(summary.step_took(step))}</span>',
        f"<code>{escape(_result(step))}</code>" if _result(step) else "",
    )


def _marks(step: Step) -> str:
    said = summary.marks(step)
    return f' <span style="{FAINT}">{escape(said)}</span>' if said else ""


def _step_line(step: Step) -> str:
    name, took = stepid.label(step.run_id, step.step_id), summary.step_took(step)
    marks = f"[{summary.marks(step)}] " if summary.marks(step) else ""
    return f"{name:<20} {step.status:<10} {took:>9}  {marks}{_result(step)}".rstrip()


def _result(step: Step) -> str:
    result = _outcome(step)
    if not step.child_run_id:
        return result
    return f"child {step.child_run_id}: {result}" if result else f"child {step.child_run_id}"


def _outcome(step: Step) -> str:
    if step.error is not None and step.status != "completed":
        return redaction.clip(step.error.message.strip().partition("\n")[0], limit=80)
    if step.status != "completed" or step.step_type == "sleep":
        return ""
    return redaction.show(step.output, limit=80)


def _more(steps: tuple[Step, ...]) -> list[str]:
    hidden = len(steps) - MOST_STEPS
    return [f"and {hidden:,} more steps; see run.steps"] if hidden > 0 else []


def payload(name: str, value: Any) -> str:
    """Return a payload to unfold, redacted and cut; nothing for None."""
    if value is None:
        return ""
    shown = escape(redaction.pretty(value, limit=LONGEST_PAYLOAD))
    return (
        f"<details><summary>{name}</summary>"
        f'<pre style="{TEXT};background:transparent;white-space:pre-wrap">{shown}</pre></details>'
    )
