"""The log under a cell as values: the newest lines of the newest runs, and the forms in which they are shown."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from html import escape
from typing import Any

from ironflow_lab.clock import MILLISECOND
from ironflow_lab.runtime.logs import LogLine

MIME = "application/vnd.ironflow-lab.log+json"
MOST_RUNS = 20
MOST_LINES = 200
MOST_TEXT = 64 * 1024
# What a line takes beside its text.
_WEIGHT = 40
_PLAIN_LINES = 20
# Escape sequences of terminals, and what else has no shape in a text.
_UNSEEN = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")
_MARKS = {"warning": "⚠ ", "error": "✗ "}
_STYLE = "margin:0;white-space:pre-wrap;overflow-wrap:anywhere;max-height:24em;overflow:auto"
_COLOURS = {"stderr": "#b25000", "warning": "#9a6700", "error": "#c9302c"}


class _Run:
    __slots__ = ("attempt", "dropped", "lines", "state")

    def __init__(self) -> None:
        self.lines: deque[tuple[LogLine, str]] = deque()
        self.attempt = 0
        self.dropped = 0
        self.state = "executing"


class Log:
    """The lines of one function's runs: 200 lines and 64 kB in all, of the 20 runs that wrote last.

    When there is no room the run with the most lines loses its oldest. Not safe for threads.
    """

    def __init__(self, function_id: str) -> None:
        self.function_id = function_id
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._hidden = 0
        self._lines = 0
        self._text = 0

    def add(self, line: LogLine, state: str) -> None:
        """Add a line of a run that is in `state`; "" leaves the state as it is."""
        run = self._runs.get(line.run_id)
        if run is None:
            run = self._runs[line.run_id] = _Run()
            run.state = "waiting"
            if len(self._runs) > MOST_RUNS:
                self._hide()
        self._runs.move_to_end(line.run_id)
        text = _UNSEEN.sub("", line.text)
        run.lines.append((line, text))
        run.state = state or run.state
        run.attempt = line.attempt or run.attempt
        self._lines += 1
        self._text += len(text) + _WEIGHT
        while self._lines > MOST_LINES or self._text > MOST_TEXT:
            self._shorten()

    def mark(self, run_id: str, state: str) -> bool:
        """Say how a run stands; return whether it is shown and the state is new."""
        run = self._runs.get(run_id)
        if run is None or run.state == state:
            return False
        run.state = state
        return True

    def copy(self) -> Log:
        """Return a log of the same lines, for another thread."""
        other = Log(self.function_id)
        other._hidden = self._hidden
        for run_id, run in self._runs.items():
            twin = other._runs[run_id] = _Run()
            twin.lines = run.lines.copy()
            twin.attempt, twin.dropped, twin.state = run.attempt, run.dropped, run.state
        return other

    def bundle(self) -> dict[str, Any]:
        """Return the log as a mime bundle."""
        return {MIME: self._json(), "text/html": self._html(), "text/plain": self._plain()}

    def _hide(self) -> None:
        _, run = self._runs.popitem(last=False)
        self._hidden += 1
        self._lines -= len(run.lines)
        self._text -= sum(len(text) + _WEIGHT for _, text in run.lines)

    def _shorten(self) -> None:
        run = max(self._runs.values(), key=lambda one: len(one.lines))
        _, text = run.lines.popleft()
        run.dropped += 1
        self._lines -= 1
        self._text -= len(text) + _WEIGHT

    def _json(self) -> dict[str, Any]:
        runs = [
            {
                "run_id": run_id,
                "attempt": run.attempt,
                "state": run.state,
                "dropped": run.dropped,
                "lines": [
                    {
                        "at": line.at // MILLISECOND,
                        "step": line.step,
                        "attempt": line.attempt,
                        "stream": line.stream,
                        "level": line.level,
                        "text": text,
                    }
                    for line, text in run.lines
                ],
            }
            for run_id, run in self._runs.items()
        ]
        return {"version": 1, "function": self.function_id, "runs": runs, "hidden_runs": self._hidden}

    def _html(self) -> str:
        parts = []
        newest = next(reversed(self._runs), None)
        for run_id, run in self._runs.items():
            lines = "\n".join(_html_line(line, text) for line, text in run.lines)
            if run.dropped:
                lines = f"… {run.dropped:,} older lines\n{lines}"
            opened = " open" if run_id == newest or any(line.stream in _MARKS for line, _ in run.lines) else ""
            title = escape(self._title(run_id, run))
            parts.append(f'<details{opened}><summary>{title}</summary><pre style="{_STYLE}">{lines}</pre></details>')
        if self._hidden:
            parts.insert(0, f"<div>{self._hidden:,} older runs are not shown</div>")
        return f"<div><div>Log of <code>{escape(self.function_id)}</code></div>{''.join(parts)}</div>"

    def _plain(self) -> str:
        parts = [f"Log of {self.function_id}"]
        for run_id, run in self._runs.items():
            parts.append(f"  {self._title(run_id, run)}")
            shown = list(run.lines)[-_PLAIN_LINES:]
            older = run.dropped + len(run.lines) - len(shown)
            parts += [f"    … {older:,} older lines"] if older else []
            parts += [f"    {_head(line)}{text}" for line, text in shown]
        return "\n".join(parts)

    def _title(self, run_id: str, run: _Run) -> str:
        if not run_id:
            return "notes"
        again = f", attempt {run.attempt}" if run.attempt > 1 else ""
        count = len(run.lines) + run.dropped
        return f"{run_id} · {run.state}{again} · {count:,} line{'s' if count != 1 else ''}"


def _html_line(line: LogLine, text: str) -> str:
    shown = escape(f"{_head(line)}{text}")
    colour = _COLOURS.get(line.stream)
    return f'<span style="color:{colour}">{shown}</span>' if colour else shown


def _head(line: LogLine) -> str:
    step = f"[{_UNSEEN.sub('', line.step)}] " if line.step else ""
    level = f"{line.level} " if line.level else ""
    return f"{step}{_MARKS.get(line.stream, '')}{level}"
