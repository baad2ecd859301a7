"""A worker as HTML and as one line: escaped, bounded, readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ironflow_lab.history import redaction
from ironflow_lab.lab.card import CELL, FAINT, TEXT, badge, error
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.summary import moment
from ironflow_lab.runtime.logs import LogLine
from ironflow_lab.runtime.status import FunctionStatus, JobStatus, WorkerSnapshot

MOST_ROWS = 20
MOST_LINES = 20
LONGEST_LINE = 200
LONGEST_ERROR = 400


def line(now: WorkerSnapshot) -> str:
    """Return the worker's state on one line."""
    return ", ".join([f"{now.worker_id}: {now.state}", *_facts(now), *_troubles(now)])


def html(now: WorkerSnapshot, at: int, *, logs: Sequence[LogLine] = (), waiting: Sequence[str] = ()) -> str:
    """Return the card: state, jobs with their step and seconds, functions, labels, what went wrong, the log.

    `at` is the present instant, `waiting` names functions whose runs wait for a worker that defines them.
    """
    parts = [
        f'<div class="ironflow-worker" style="{TEXT};font-size:13px;line-height:1.5;max-width:60em">',
        f"<div><strong>worker</strong> {badge(now.state)} <code>{escape(now.worker_id)}</code></div>",
        f'<div style="{FAINT}">{escape(" · ".join(_facts(now)))}</div>',
        *(error(trouble) for trouble in _troubles(now)),
        _labels(now),
        _functions(now.functions),
        f"<div>{escape(_waiting(waiting))}</div>" if waiting else "",
        _jobs(now.jobs, at),
        _log(logs),
        "</div>",
    ]
    return "".join(parts)


def _facts(now: WorkerSnapshot) -> list[str]:
    facts = [
        f"{len(now.jobs)} of {now.concurrency} jobs in hand",
        f"leases held by {now.lease}",
        f"{count(now.counts.completed, 'segment')} completed, {now.counts.failed:,} failed",
        f"{count(now.counts.steps, 'step')}",
    ]
    return [*facts, f"restarted {count(now.restarts, 'time')}"] if now.restarts else facts


def _troubles(now: WorkerSnapshot) -> list[str]:
    troubles = []
    if now.blocked_for:
        troubles.append(f"its async handlers are blocked for {now.blocked_for:.0f} s")
    if now.last_error:
        troubles.append(f"last error: {redaction.clip(now.last_error, limit=LONGEST_ERROR)}")
    return troubles


def _labels(now: WorkerSnapshot) -> str:
    if not now.labels:
        return ""
    words = ", ".join(f"{name}={value}" for name, value in now.labels.items())
    return f'<div style="{FAINT}">labels {escape(redaction.clip(words, limit=LONGEST_LINE))}</div>'


def _functions(functions: Sequence[FunctionStatus]) -> str:
    rows = [(one.id, ", ".join(one.triggers) or "invoke only", one.code_hash[:8], one.place) for one in functions]
    return _table(("function", "started by", "code", "defined in"), rows)


def _jobs(jobs: Sequence[JobStatus], at: int) -> str:
    rows = [
        (job.run_id, job.function_id, str(job.attempt), str(job.steps), _doing(job), _took(job, at)) for job in jobs
    ]
    return _table(("run", "function", "attempt", "steps", "doing", "for"), rows)


def _doing(job: JobStatus) -> str:
    if job.ending:
        return "reporting"
    words = ", ".join(job.doing[:3]) + (f" and {len(job.doing) - 3} more" if len(job.doing) > 3 else "")
    return f"{words or 'the handler'}{', pausing at its end' if job.pausing else ''}"


def _took(job: JobStatus, at: int) -> str:
    return f"{max(0, at - job.started_at) / 1_000_000_000:.1f} s"


def _waiting(waiting: Sequence[str]) -> str:
    named = ", ".join(waiting[:MOST_ROWS]) + (" and more" if len(waiting) > MOST_ROWS else "")
    return f"runs wait for functions that are not defined here: {named}; run their cells, or lab.restore(name)"


def _log(logs: Sequence[LogLine]) -> str:
    if not logs:
        return ""
    rows = "\n".join(escape(_log_line(one)) for one in logs[-MOST_LINES:])
    return (
        "<details><summary>newest output</summary>"
        f'<pre style="{TEXT};background:transparent;white-space:pre-wrap">{rows}</pre></details>'
    )


def _log_line(one: LogLine) -> str:
    where = f"{one.function_id} {one.step}".strip()
    text = redaction.clip(one.text.rstrip("\n").replace("\n", " "), limit=LONGEST_LINE)
    return f"{moment(one.at)}  {where}  {text}"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    titles = "".join(f'<th style="{CELL}">{escape(title)}</th>' for title in head)
    lines = "".join(
        "<tr>"
        + "".join(f'<td style="{CELL}">{escape(redaction.clip(cell, limit=LONGEST_LINE))}</td>' for cell in row)
        + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = f"<div>and {len(rows) - MOST_ROWS:,} more</div>" if len(rows) > MOST_ROWS else ""
    return (
        '<table style="border-collapse:collapse;margin:6px 0;background:transparent">'
        f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>{more}"
    )
