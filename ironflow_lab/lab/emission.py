"""What was emitted: its events, the runs they started, and how those ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ironflow_lab.errors import IronflowError, RunFailedError
from ironflow_lab.history import redaction
from ironflow_lab.lab import progress, progresscard, summary
from ironflow_lab.lab.live import Live, running_cell
from ironflow_lab.lab.run import Run
from ironflow_lab.lab.sending import Sent
from ironflow_lab.lab.session import Session
from ironflow_lab.lab.tally import Tally
from ironflow_lab.lab.waiting import is_settled, look
from ironflow_lab.lab.watch import watch
from ironflow_lab.models.runs import Run as Record
from ironflow_lab.wire.duration import Duration

if TYPE_CHECKING:
    import pandas as pd

    from ironflow_lab.frames.outcomes import Outcome


class Emission:
    """One event, or one a row of a frame, and the runs they started.

    `sent` has one entry a row in the order of the rows, refusals included. Displayed it shows how the runs
    stand and keeps that current, for at most half an hour.
    """

    def __init__(
        self,
        session: Session,
        event: str,
        sent: Iterable[Sent],
        *,
        source: pd.DataFrame | None = None,
    ) -> None:
        self.event = event
        self.sent = tuple(sorted(sent, key=lambda one: one.position))
        self._session = session
        self._source = source
        self._known: dict[str, Record] = {}
        self._tally = Tally(self.run_ids)
        self._live = Live(session, self._tally, self._bundle)
        self._waited_in: object = None

    @property
    def event_id(self) -> str:
        """The id of the event; raises `IronflowError` when there are several."""
        if len(self.sent) != 1:
            raise IronflowError(f"{len(self.sent):,} events were emitted; see .event_ids or .frame()")
        return self.sent[0].event_id

    @property
    def event_ids(self) -> tuple[str, ...]:
        """The ids of the accepted events, in the order of the rows."""
        return tuple(one.event_id for one in self.sent if one.error is None)

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The ids of all runs that were started, each once."""
        return tuple(dict.fromkeys(run_id for one in self.sent for run_id in one.run_ids))

    @property
    def refused(self) -> tuple[Sent, ...]:
        """The rows that were not accepted."""
        return tuple(one for one in self.sent if one.error is not None)

    @property
    def runs(self) -> list[Run]:
        """The runs that were started, as they are now."""
        self._update()
        return [Run(self._session, self._known[run_id]) for run_id in self.run_ids]

    @property
    def status(self) -> Any:
        """How the run stands now; a list in the order of the runs when there are several."""
        statuses = [run.status for run in self.runs]
        return statuses[0] if len(statuses) == 1 else statuses

    @property
    def result(self) -> Any:
        """What the run returned, waited for; a list in the order of the runs when there are several.

        Raises `RunFailedError` when a run failed, was cancelled or is paused, and `IronflowError` when
        the event started none.
        """
        if not self.run_ids:
            raise IronflowError(
                f"no function is triggered by {self.event!r}, so there is no result; define one with"
                f" @lab.function(..., on={self.event!r}) before emitting"
            )
        self.wait()
        outputs = [output_of(self._known[run_id]) for run_id in self.run_ids]
        return outputs[0] if len(outputs) == 1 else outputs

    def wait(self, timeout: Duration | None = None) -> Emission:
        """Return this emission once every run has ended or is paused, however it ended.

        Shows how far they have come. The stop button ends the wait, not the runs. Raises
        `WaitTimeoutError` after `timeout`; the runs go on.
        """
        with self._live.relieved():
            shown = watch(
                self._session,
                self.run_ids,
                self._known,
                timeout=timeout,
                tally=self._tally,
                event=self.event,
                seen=self._live.take,
            )
        if shown:
            self._waited_in = running_cell()
        return self

    def frame(self) -> pd.DataFrame:
        """Return one row a run with its outcome as it is now, `frames.schema.OUTCOMES` as columns.

        Of `emit_frame`, the rows that were sent with those columns beside them, in their order and with
        their index; a row that started several runs is there once for each, and one that was refused
        says why in `emit_error`.
        """
        self._update()
        # Loads pandas, which the other verbs do without.
        from ironflow_lab.lab import loading

        return loading.outcomes(self._session, self.event, self._outcomes(), self._source)

    def __repr__(self) -> str:
        """Return what is known without asking the server."""
        return f"<Emission of {self._line()}>"

    def _ipython_display_(self) -> None:
        """Show how the runs stand, live; not again under a cell where a wait for them says so already."""
        here = running_cell()
        if here is not None and here == self._waited_in:
            self._waited_in = None
        elif not self._live.show():
            # Outside a notebook: IPython shows the other forms then.
            raise NotImplementedError

    def _repr_html_(self) -> str:
        html: str = self._bundle("")["text/html"]
        return html

    def _line(self) -> str:
        parts = [f"{self.event}: {progress.count(len(self.sent), 'event')}"]
        if self.refused:
            parts.append(self._refusal())
        counts, total = self._tally.counts(), self._tally.total
        parts.append(progress.tally_line(counts, total) if counts else progress.count(total, "run"))
        return ", ".join(parts)

    def _refusal(self) -> str:
        return f"{len(self.refused):,} refused, the first: {_first(self.refused)}" if self.refused else ""

    def _bundle(self, note: str) -> Mapping[str, Any]:
        nobody = "no function is triggered by this event" if not self.run_ids and not self.refused else ""
        told = progresscard.Told(
            event=self.event,
            server_url=self._session.server_url,
            at=self._session.clock.now(),
            note="; ".join(filter(None, (self._refusal(), nobody, note))),
        )
        return progresscard.bundle(self._tally, told, repr(self))

    def _update(self) -> None:
        moving = [run_id for run_id in self.run_ids if run_id not in self._known or not is_settled(self._known[run_id])]
        if moving:
            records = self._session.call(lambda client: look(client, moving))
            self._known |= {record.id: record for record in records}
            for record in records:
                self._live.take(record)

    def _outcomes(self) -> list[Outcome]:
        from ironflow_lab.frames.outcomes import Outcome

        return [
            Outcome(
                position=one.position,
                event_id=one.event_id,
                run=None if run_id is None else self._known[run_id],
                emit_error="" if one.error is None else str(one.error),
            )
            for one in self.sent
            for run_id in one.run_ids or (None,)
        ]


def _first(refused: tuple[Sent, ...]) -> str:
    return redaction.clip(str(refused[0].error).partition("\n")[0], limit=200)


def output_of(record: Record) -> Any:
    """Return what a run returned; raises `RunFailedError` for one that did not complete."""
    if record.status != "completed":
        raise RunFailedError(_unsuccessful(record))
    return record.output


def _unsuccessful(record: Record) -> str:
    error = summary.error_line(record)
    why = f": {error}" if error else ""
    if record.status == "paused":
        why += "; it keeps its finished steps until it is resumed"
    return f"run {record.id} of {record.function_id!r} is {record.status}{why}"
