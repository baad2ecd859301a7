"""What some runs share that others lack: `lab.compare(runs)`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, cast

from ironflow_lab.client import AsyncClient
from ironflow_lab.errors import DefinitionError, NotFoundError
from ironflow_lab.history.recording import Code, Recording
from ironflow_lab.history.shared import Difference, Findings, shared
from ironflow_lab.lab.bounded import each
from ironflow_lab.lab.card import CELL, FAINT, TEXT
from ironflow_lab.lab.handles import RunsLike, is_frame, run_ids
from ironflow_lab.lab.progress import count
from ironflow_lab.lab.session import Session
from ironflow_lab.models.runs import Run, Step

if TYPE_CHECKING:
    import pandas as pd

# More runs make nothing surer that would be worth the reading.
MOST_RUNS = 1_000
MOST_ROWS = 20
_IN_FLIGHT = 8

Chooser = Callable[[Run], bool]


class Shared:
    """What `group` runs share that `others` lack, best first: `differences`, as a frame in `frame`.

    `names` says what the two groups are, `notes` what is to be said: how sure it is, what was left out.
    """

    def __init__(
        self,
        findings: Findings,
        *,
        names: tuple[str, str],
        sizes: tuple[int, int],
        notes: Sequence[str] = (),
        server: str = "",
        at: int = 0,
    ) -> None:
        self.names, self.group, self.others = names, *sizes
        self.differences: tuple[Difference, ...] = findings.differences
        self.looked_at = findings.looked_at
        self.notes: tuple[str, ...] = (*findings.notes, *notes)
        self._server, self._at = server, at

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The differences, with `frames.comparison.SHARED` as columns."""
        from ironflow_lab.frames.comparison import shared_frame
        from ironflow_lab.frames.provenance import stamp

        return stamp(
            shared_frame(self.differences),
            source="shared",
            server=self._server,
            query={self.names[0]: self.group, self.names[1]: self.others},
            fetched_at=self._at,
        )

    def __len__(self) -> int:
        return len(self.differences)

    def __repr__(self) -> str:
        best = f"; {self.differences[0].words()}" if self.differences else ""
        return f"<Shared: {self._headline()}{best}>"

    def __str__(self) -> str:
        """Return one line for each difference, and what is to be said about them."""
        lines = [" | ".join(row) for row in map(_row, self.differences[:MOST_ROWS])]
        return "\n".join([self._headline(), *(f"  {line}" for line in [*lines, *self.notes])])

    def _repr_html_(self) -> str:
        titles = ("what", self.names[0], self.names[1], "chance", "the same runs have")
        head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in titles)
        body = "".join(
            "<tr>" + "".join(f'<td style="{CELL}">{escape(cell)}</td>' for cell in _row(one)) + "</tr>"
            for one in self.differences[:MOST_ROWS]
        )
        table = (
            '<table style="border-collapse:collapse;margin:6px 0;background:transparent">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
        notes = "".join(f'<div style="{FAINT}">{escape(note)}</div>' for note in self.notes)
        return (
            f'<div class="ironflow-shared" style="{TEXT};font-size:13px;line-height:1.5;max-width:70em">'
            f"<div>{escape(self._headline())}</div>{table if self.differences else ''}{notes}</div>"
        )

    def _headline(self) -> str:
        return f"what {self.group} {self.names[0]} share that {self.others} {self.names[1]} lack"


def compare(session: Session, runs: RunsLike | Iterable[Recording], by: str | Chooser | None = None) -> Shared:
    """Return what the failed of the runs share that the completed lack, or as `by` parts them.

    Raises `DefinitionError` for a `by` that parts nothing, and where one of the groups is empty.
    """
    given = _recordings(runs)
    notes: list[str] = []
    if given is None:
        wanted = run_ids(cast(RunsLike, runs))
        flags = _flags(runs, by) if isinstance(by, str) else None
        ids = _bounded(list(dict.fromkeys(wanted)), runs, notes)
        given = _read(session, ids, notes)
        choose: Chooser = (lambda run: flags.get(run.id, False)) if flags is not None else _chooser(by)
    else:
        choose = _chooser(by)
    group = [one for one in given if choose(one.run)]
    others = [one for one in given if not choose(one.run) and (by is not None or one.run.status == "completed")]
    names = ("failed runs", "completed runs") if by is None else ("chosen runs", "other runs")
    left = len(given) - len(group) - len(others)
    notes += [f"{count(left, 'run')} neither failed nor completed, and left out"] if left else []
    if not group or not others:
        raise DefinitionError(
            f"there are {len(group)} {names[0]} and {len(others)} {names[1]}, and a comparison needs both;"
            " take in more runs (lab.runs(function=..., since=...)), or part them by= a function of a run"
        )
    return Shared(
        shared(group, others),
        names=names,
        sizes=(len(group), len(others)),
        notes=notes,
        server=session.joined.server_url,
        at=session.clock.now(),
    )


def failed(run: Run) -> bool:
    """Return whether a run failed, or stands because its attempts are used up."""
    return run.status == "failed" or (run.status == "paused" and run.pause_reason == "retries_exhausted")


def _chooser(by: str | Chooser | None) -> Chooser:
    if by is None:
        return failed
    if not callable(by):
        raise DefinitionError(f"by={by!r:.60} is neither a column of a frame of runs nor a function of a run's record")
    return by


def _recordings(runs: Any) -> list[Recording] | None:
    """Return recordings given as such; None for anything else."""
    if isinstance(runs, list | tuple) and runs and all(isinstance(one, Recording) for one in runs):
        return list(runs)
    return None


def _flags(runs: Any, column: str) -> dict[str, bool]:
    if not is_frame(runs) or column not in runs.columns:
        raise DefinitionError(f"by={column!r:.60} is a column only of a frame that has it; pass lab.runs(...) with it")
    named = runs.attrs.get("columns", {}).get("run_id", "run_id")
    known = runs[[named, column]].dropna()
    return {str(run_id): bool(flag) for run_id, flag in zip(known[named], known[column], strict=True)}


def _bounded(ids: list[str], runs: Any, notes: list[str]) -> list[str]:
    """Return at most 1,000 ids; of a frame that tells the status, as many failed as others where there are."""
    if len(ids) <= MOST_RUNS:
        return ids
    notes.append(f"of {len(ids):,} runs, {MOST_RUNS:,} were looked at")
    if not is_frame(runs) or "status" not in runs.columns:
        return ids[:MOST_RUNS]
    named = runs.attrs.get("columns", {}).get("run_id", "run_id")
    status = dict(zip(runs[named], runs["status"].astype(str), strict=True))
    bad = [one for one in ids if status.get(one) in ("failed", "paused")]
    rest = [one for one in ids if status.get(one) == "completed"]
    half = MOST_RUNS // 2
    kept = set(bad[: max(half, MOST_RUNS - len(rest))]) | set(rest[: max(half, MOST_RUNS - len(bad))])
    return [one for one in ids if one in kept]


def _read(session: Session, ids: list[str], notes: list[str]) -> list[Recording]:
    async def one(client: AsyncClient, run_id: str) -> tuple[Run, tuple[Step, ...]] | None:
        try:
            return await client.runs.get(run_id), await client.runs.steps(run_id)
        except NotFoundError:
            return None

    def work(client: AsyncClient) -> Coroutine[Any, Any, list[tuple[Run, tuple[Step, ...]] | None]]:
        return each(lambda run_id: one(client, run_id), ids, in_flight=_IN_FLIGHT)

    found = session.call(work) if ids else []
    gone = sum(one is None for one in found)
    notes += [f"{count(gone, 'run')} of them no longer there"] if gone else []
    codes = _codes(session, [one[0] for one in found if one is not None])
    return [Recording(run=one[0], steps=one[1], code=codes[one[0].id]) for one in found if one is not None]


def _codes(session: Session, runs: Sequence[Run]) -> dict[str, Code]:
    """Return with which code each run began, as far as the data folder knows."""
    from ironflow_lab.lab.serving import look
    from ironflow_lab.runtime import begun

    kept = begun.at(look(session).sources)
    codes = {run.id: kept.of(run.id) for run in runs}
    return {run_id: Code(code_hash="" if code == begun.NEWEST else code) for run_id, code in codes.items()}


def _row(one: Difference) -> tuple[str, ...]:
    chance = "only what comes with it" if one.follows else f"{one.chance:.2g}" + ("" if one.sure else ", not sure")
    also = "; ".join(fact.words() for fact in one.also)
    shares = (f"{has:,} of {of:,}" for has, of in ((one.has, one.known), (one.others_have, one.others_known)))
    return (one.words(), *shares, chance, also)
