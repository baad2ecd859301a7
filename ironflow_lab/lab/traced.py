"""The trace of an invoked run under the cell that waits for it: its steps as they happen, and how it ended."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from ironflow_lab.errors import ApiError
from ironflow_lab.kernel.session import in_kernel
from ironflow_lab.kernel.taps import capturing
from ironflow_lab.lab import card, summary
from ironflow_lab.lab.line import Line
from ironflow_lab.lab.live import LONGEST, SHORTEST
from ironflow_lab.lab.summary import Shown
from ironflow_lab.lab.waiting import is_settled
from ironflow_lab.wire.stepid import step_name

if TYPE_CHECKING:
    from ironflow_lab.client import AsyncClient
    from ironflow_lab.lab.session import Session

_LONGEST_PAUSE, _GROWTH = 1.0, 1.5


class Trace:
    """Shows the steps of a run from `begin` until it has settled; reads only, and outside a notebook writes a line."""

    def __init__(self, session: Session, run_id: str) -> None:
        self._session = session
        self._run_id = run_id
        self._shown: Shown | None = None
        self._line = Line(bundle=self._bundle)
        self._end: Callable[[], None] | None = None

    def begin(self) -> None:
        """Show the run, and keep that current in the background for at most half an hour."""
        self._end = self._session.begin(self._watch)

    def finish(self) -> None:
        """Show how the run stands now, for the last time."""
        self._stop()
        # How the run ended is known; a server that has gone since does not change it.
        with suppress(ApiError):
            self._session.call(self._look, patient=False)
        self._line.end()

    def leave(self) -> None:
        """Let the trace go on under its cell while nobody waits for it; a terminal's line ends here."""
        if not self._line.in_notebook:
            self._stop()
            self._line.end()

    def _stop(self) -> None:
        if self._end is not None:
            self._end()

    async def _watch(self, client: AsyncClient) -> None:
        pause, until = SHORTEST, monotonic() + LONGEST
        while monotonic() < until:
            before = self._shown
            try:
                shown = await self._look(client)
            except ApiError:
                # Whoever waits for the run is told; here it stands as it was.
                return
            if is_settled(shown.run):
                return
            same = before is not None and (before.run, before.steps) == (shown.run, shown.steps)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE) if same else SHORTEST
            await asyncio.sleep(pause)

    async def _look(self, client: AsyncClient) -> Shown:
        run, steps = await asyncio.gather(client.runs.get(self._run_id), client.runs.steps(self._run_id))
        self._shown = shown = Shown(run=run, at=self._session.clock.now(), steps=steps)
        self._line.show(_text(shown))
        return shown

    def _bundle(self, text: str) -> dict[str, str]:
        html = card.trace(self._shown) if self._shown is not None else ""
        return {"text/plain": text, "text/html": html}


def trace(session: Session, run_id: str) -> Trace | None:
    """Return the trace of a run, begun; None where nobody looks.

    That is outside a notebook and a terminal, and in a handler: its own run shows what it called.
    """
    if capturing.get() is not None or not (in_kernel() or sys.stderr.isatty()):
        return None
    begun = Trace(session, run_id)
    begun.begin()
    return begun


def _text(shown: Shown) -> str:
    line = summary.headline(shown)
    now = [step_name(step.step_id) for step in shown.steps if step.status == "running"]
    return f"{line}; step {now[-1]}" if now else line
