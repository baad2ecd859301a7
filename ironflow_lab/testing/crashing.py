"""Killing the worker of a function at every moment at which it can die, one run for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ironflow_lab.errors import DefinitionError, IronflowError
from ironflow_lab.models.instant import Instant
from ironflow_lab.testing.crashreport import Crash, CrashReport
from ironflow_lab.testing.result import Result
from ironflow_lab.testing.running import Given, apart, make_setup
from ironflow_lab.testing.watch import Point, Watch
from ironflow_lab.testing.world import Emit, Setup, World
from ironflow_lab.wire import stepid

MOST = 1_000


def crash_everywhere(
    fn: Given,
    data: Any = None,
    *,
    event: str = "",
    functions: Iterable[Given] = (),
    emit: Emit = (),
    secrets: Mapping[str, str] | None = None,
    now: datetime | str | Instant | None = None,
    max_attempts: int | None = None,
    reset: Callable[[], object] | None = None,
    most: int = MOST,
) -> CrashReport:
    """Return what happens when the worker is killed at each moment of a run of `fn`, one new run for each.

    First it runs undisturbed. Then, for every await of the handler and of its steps' bodies, and for every
    step before and after its result is saved, it runs again up to there, its worker dies, another begins
    with what the engine had saved, and the run goes to its end. Bodies are counted outside the engine.

    The worker saves a step's result while the handler goes on, unless the function says durability="step".
    So a kill may lose all that has ended since the run last waited, and those moments are tried too.
    Arguments are those of `run_function`; `reset` is called before each run, so that what the function
    changes in the test's own world begins anew, and `most` bounds the number of kills: above it they are
    spread evenly. Raises `IronflowError` when the undisturbed run does not end.

    After a kill no code of an `async def` handler goes on; its `finally` blocks run when everything that
    counts is over. A plain handler is ended by a `BaseException` at its step, so its `finally` blocks run then.

    >>> async def buy(ctx):
    ...     paid = await ctx.step.run("charge", lambda: "paid")
    ...     await ctx.step.run("mail", lambda: "sent")
    ...     return paid
    >>> report = crash_everywhere(buy)
    >>> report.twice, report.lost, report.differences
    (('charge', 'mail'), (), ())
    >>> report.assert_safe(idempotent=("charge", "mail"))
    """
    if type(most) is not int or most < 1:
        raise DefinitionError(f"most={most!r:.40} must be a whole number from 1 on")
    setup = make_setup(
        fn, data, event=event, functions=functions, emit=emit, secrets=secrets, now=now, max_attempts=max_attempts
    )
    whole, seen = _live(setup, Watch(), reset, shown=True)
    if whole.status not in ("completed", "failed", "cancelled", "paused"):
        raise IronflowError(f"without any crash {whole!r}\n  so there is nothing to compare with")
    chosen = _spread(len(seen.points), most)
    crashes = []
    for number in chosen:
        point = seen.points[number]
        ended, watch = _live(setup, Watch(kill=number, victim=point), reset, shown=False)
        crashes.append(_compare(point, whole, seen, ended, watch))
    return CrashReport(whole, tuple(crashes), left_out=len(seen.points) - len(chosen))


def _live(setup: Setup, watch: Watch, reset: Callable[[], object] | None, *, shown: bool) -> tuple[Result, Watch]:
    if reset is not None:
        reset()
    return apart(World(setup, watch, shown=shown)), watch


def _spread(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({at * (count - 1) // max(most - 1, 1) for at in range(most)})


def _compare(point: Point, whole: Result, seen: Watch, ended: Result, watch: Watch) -> Crash:
    again = tuple(step_id for step_id, count in watch.bodies.items() if count > seen.bodies[step_id] > 0)
    strange = tuple(step_id for step_id in watch.bodies if step_id not in seen.bodies)
    missing = tuple(step_id for step_id in seen.bodies if step_id not in watch.bodies)
    doubled = tuple(step_id for step_id in strange if watch.bodies[step_id] > 1)
    return Crash(
        point=point,
        reached=watch.killed is not None and _same_place(watch.killed, point),
        twice=tuple(dict.fromkeys(map(stepid.step_name, (*again, *doubled)))),
        times=max((watch.bodies[step_id] for step_id in (*again, *doubled)), default=1),
        outside=sum(watch.handlers.values()) - sum(seen.handlers.values()),
        strange=tuple(dict.fromkeys(map(stepid.step_name, (*strange, *missing)))),
        status=ended.status,
        output=ended.output,
        error="" if ended.error is None else ended.error.message,
        same=(ended.status, ended.output) == (whole.status, whole.output),
        lost=_lost(whole, ended),
    )


def _lost(whole: Result, ended: Result) -> tuple[str, ...]:
    """Return the runs that have not come to an end, though they did when nobody was killed."""
    before = {run.run_id: run.status for run in (whole, *whole.runs)}
    after = {run.run_id: run.status for run in (ended, *ended.runs)}
    settled = ("completed", "failed", "cancelled")
    return tuple(run_id for run_id, status in before.items() if status in settled and after.get(run_id) not in settled)


def _same_place(one: Point, other: Point) -> bool:
    return (one.moment, one.step_id, one.run_id) == (other.moment, other.step_id, other.run_id)
