"""How one run came to be as it is: its audit events folded, checked, and read once when it has ended."""

from __future__ import annotations

import asyncio

from ironflow_lab.client import AsyncClient
from ironflow_lab.client.trail import Trail
from ironflow_lab.errors import FailedPreconditionError
from ironflow_lab.history.agreement import Verdict, check
from ironflow_lab.history.fold import History
from ironflow_lab.history.recording import Recording
from ironflow_lab.history.rows import events_of
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import TERMINAL

# A run that moves while it is looked at is looked at again, this often at most.
_LOOKS = 3
NOT_RECORDED = (
    "run {} was not recorded, so only its rows are known. To record runs to come, register the function with"
    " recording=True (functions of a lab are, unless they say recording=False)"
)


class Past:
    """One run's history, as far as it has been read.

    `source` says how far it can be trusted: `fold` (the audit events tell all), `incomplete` (they
    disagree with the run's rows; `note` says where) or `rows` (the run was not recorded, and the
    history is a coarser one, rebuilt from its rows). `complete` is True once the run has ended and all
    of it was read; a run that has ended may still be corrected, resumed and redacted.
    """

    def __init__(self, session: Session, run_id: str) -> None:
        self.session = session
        self.history = History(run_id)
        self.source = "fold"
        self.note = ""
        self.trail = Trail(run_id, follows=session.follows)
        self.complete = False
        # What was read whole, for as long as nothing is added to the trail.
        self.whole: Recording | None = None
        self._reading = asyncio.Lock()

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.history.run_id

    @property
    def recorded(self) -> bool:
        """Whether there are audit events, as far as read."""
        return self.source != "rows" and self.history.length > 0

    def read(self) -> Past:
        """Read what is new and return the past."""
        self.session.call(self._read)
        return self

    def recording(self) -> Past:
        """Read what is new and return the past; raises `FailedPreconditionError` for an unrecorded run."""
        if not self.read().recorded:
            raise FailedPreconditionError(
                NOT_RECORDED.format(self.run_id) + ". What its rows tell is in run.timeline and run.scrub()"
            )
        return self

    async def _read(self, client: AsyncClient) -> None:
        # Two cells may ask at once, and the trail has one cursor.
        async with self._reading:
            if self.source != "rows":
                grown = await self._extend(client)
                if self.history.length:
                    if grown or not self.complete:
                        await self._check(client)
                    return
            await self._rebuild(client)

    async def _extend(self, client: AsyncClient) -> bool:
        """Read what is new; return whether there was anything."""
        known, again = self.history.length, False
        while events := await self.trail.page(client):
            if self.history.length and not again and any(one.event_type.endswith(".redacted") for one in events):
                # What was read before holds what is to be forgotten.
                known, again = 0, True
                self.trail, self.history = Trail(self.run_id, follows=self.session.follows), History(self.run_id)
                continue
            self.history.extend(events)
            if self.trail.ended:
                break
        return self.history.length > known

    async def _check(self, client: AsyncClient) -> None:
        # The embedded server writes each event with its change; only a profile without steps lacks some.
        if self.session.follows and self.history.steps:
            self.source, self.note = "fold", ""
            self.complete = self.history.run_at(self.history.length).status in TERMINAL
            return
        verdict = Verdict(source="fold")
        for _ in range(_LOOKS):
            run, steps = await client.runs.get(self.run_id), await client.runs.steps(self.run_id)
            await self._extend(client)
            verdict = check(self.history, steps, run)
            self.complete = run.status in TERMINAL
            if verdict.source == "fold" or self.complete:
                break
        self.source, self.note = verdict.source, verdict.note

    async def _rebuild(self, client: AsyncClient) -> None:
        run, steps = await client.runs.get(self.run_id), await client.runs.steps(self.run_id)
        self.history = History(self.run_id, events_of(run, steps))
        self.source, self.note = "rows", NOT_RECORDED.format(self.run_id)
        self.complete = run.status in TERMINAL
