"""Recordings of runs that really happened, in the testing kit's engine: rows and audit events."""

from __future__ import annotations

from typing import Any

import msgspec

from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.models.audit import AuditEvent
from ironflow_lab.models.runs import Run
from ironflow_lab.runtime.function import DurableFunction
from ironflow_lab.server.engine.ports import AuditAsked
from ironflow_lab.server.store import history
from ironflow_lab.testing.engine import ENV
from ironflow_lab.testing.result import Result
from ironflow_lab.testing.running import apart, make_setup
from ironflow_lab.testing.watch import Watch
from ironflow_lab.testing.world import World
from ironflow_lab.wire import codec
from ironflow_lab.wire.payload import settle


class _Kept(World):
    """A world that is written down before it ends."""

    recording: Recording

    def _result(self, root: str) -> Result:
        run = self._engine.run(root)
        self.recording = Recording(
            run=run,
            steps=self._engine.steps(root),
            events=self._events(run),
            code=Code(code_hash=self._setup.function.code_hash),
        )
        return super()._result(root)

    def _events(self, run: Run) -> Any:
        asked = AuditAsked(run_id=run.id, limit=1_000)
        found = list((page := history.trail(self._engine._db, ENV, asked)).events)
        while page.next_cursor:
            page = history.trail(self._engine._db, ENV, msgspec.structs.replace(asked, cursor=page.next_cursor))
            found += page.events
        return tuple(settle(codec.decode(codec.encode(event), AuditEvent)) for event in found)


def recorded(function: DurableFunction, data: Any = None, **given: Any) -> Recording:
    """Return the recording of a run of a function; the arguments are those of `run_function`."""
    setup = make_setup(function.recorded(), data, **given)
    world = _Kept(setup, Watch(), shown=False)
    apart(world)
    return world.recording
