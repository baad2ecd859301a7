"""What happens next to a run, and what can be done about it, as Python that runs as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ironflow_lab.history import redaction
from ironflow_lab.history.why import Ending, failing, label
from ironflow_lab.lab import summary
from ironflow_lab.lab.restoring import Missing
from ironflow_lab.lab.summary import Shown
from ironflow_lab.models.instant import Instant
from ironflow_lab.models.reasons import BlockingReason
from ironflow_lab.models.runs import Step
from ironflow_lab.wire import eventpath

_MOST_HOLDERS = 2
# An expression with a longer text in it is no help: what it stands for is left to be filled in.
_LONGEST = 200
_FILL = "..."


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """`next` is what happens by itself, in words, `at` when (zero where no time is set), `can` what one can do."""

    next: str = ""
    at: Instant = Instant(0)
    can: tuple[str, ...] = ()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that advice rests on: the reason, how the run ended, its rows, and its function's status.

    `function` is active, paused or archived, empty for one that is gone, None where it was not asked.
    """

    fact: BlockingReason
    ending: Ending
    shown: Shown
    now: int
    function: str | None = None
    missing: Missing | None = None


def advice(known: Known) -> Advice:
    """Return what happens next and what can be done; for a reason it does not know it says nothing."""
    reason = known.ending.cause or known.fact.reason
    words, at = _next(known, reason)
    return Advice(next=words, at=at, can=tuple(_can(known, reason)))


def _next(known: Known, reason: str) -> tuple[str, Instant]:
    fact, none = known.fact, Instant(0)
    if known.ending.cause:
        return "nothing, until it is retried" if fact.status == "failed" else "nothing: the run has ended", none
    if reason in ("sleep", "retry", "event", "child"):
        return _timed(known, reason), fact.due_at
    if reason in ("executing", "pausing") and fact.lease_expires_at:
        worker = ", ".join(map(_short, fact.worker_ids))
        told = f"unless worker {worker} is heard of before {summary.moment(fact.lease_expires_at)}, another one gets it"
        return _pausing(reason, told), fact.lease_expires_at
    name = repr(_short(fact.function_id))
    ahead = ", ".join(map(_short, fact.ahead[:_MOST_HOLDERS]))
    words = {
        "executing": "its worker goes on with it",
        "pausing": "it is held at the next step boundary",
        "function_paused": f"nothing, until function {name} is active again",
        "function_missing": f"nothing, until function {name} is registered again",
        "no_worker": f"nothing, until a worker that serves {name} is there",
        "workers_busy": f"a worker takes it once it has room; it is number {fact.position} in the queue",
        "lane_full": f"it is handed out once there is room in its lane: when {ahead or 'another run'} ends or waits",
        "handing_out": "a worker gets it at once",
        "paused": "nothing, until it is resumed",
        "retries_exhausted": "nothing, until it is resumed; its attempts are then counted from 1 again",
        "": f"a worker that serves {name} takes it, as soon as there is one with room",
    }
    return words.get(reason, ""), none


def _pausing(reason: str, told: str) -> str:
    return f"it is held at the next step boundary; {told}" if reason == "pausing" else told


def _timed(known: Known, reason: str) -> str:
    fact = known.fact
    if not fact.due_at:
        return {"retry": "its next attempt begins after a delay that this server does not tell"}.get(reason, "")
    at = summary.moment(fact.due_at)
    at = f"at {at}" if fact.due_at > known.now else f"at any moment (it was due at {at})"
    if reason == "sleep":
        return f"it wakes {at} and goes on"
    if reason == "retry":
        step = failing(known.shown.run, known.shown.steps)
        again = f", step {_short(label(step))!r} runs again" if step is not None else ", its handler runs again"
        return f"attempt {fact.attempt} begins {at}: finished steps are kept{again}"
    if reason == "event":
        where = f" with {_shown_value(fact)} at {fact.match}" if fact.match else ""
        return f"an event {_short(fact.event)!r}{where} lets it go on; without one it fails {at}"
    return f"it goes on when run {_short(fact.child_run_id)} ends; else the call fails {at}"


def _can(known: Known, reason: str) -> Iterator[str]:
    fact = known.fact
    if known.ending.cause:
        yield from _after_the_end(known)
        return
    yield from _to_let_it_go_on(known, reason)
    if reason not in ("paused", "pausing", "retries_exhausted"):
        yield "run.pause()  # hold it, to look at it and to correct the outputs of its steps"
    if fact.status == "running":
        yield "lab.wait(run)  # until it has ended or is paused"
    yield "run.cancel()  # end it"


def _to_let_it_go_on(known: Known, reason: str) -> Iterator[str]:
    fact, function = known.fact, _text(known.fact.function_id)
    if reason == "event":
        yield _emit(fact)
    elif reason == "child":
        yield f"lab.run({_text(fact.child_run_id)}).why()  # what its child waits for"
    elif reason in ("paused", "retries_exhausted"):
        yield "run.resume()  # let it go on where it stands; finished steps are kept"
        yield from _correct(known, "inject")
        if reason == "retries_exhausted":
            yield from _here(known)
    elif reason == "lane_full":
        for holder in fact.ahead[:_MOST_HOLDERS]:
            yield f"lab.run({_text(holder)}).why()  # what holds the lane"
    elif reason == "function_paused":
        yield f"lab.client.functions.set_status({function}, 'active')  # hand its runs out"
    elif reason in ("no_worker", "function_missing", ""):
        if known.missing is not None:
            yield f"lab.restore({function})  # put its last source into a new cell, to be run again"
        else:
            yield f"lab.function({function})(handler)  # define it here and serve it; or start the program that does"
    elif reason == "retry":
        yield from _correct(known, "patch", then="")


def _after_the_end(known: Known) -> Iterator[str]:
    ending, fact = known.ending, known.fact
    if fact.status == "failed":
        if ending.child_run_id:
            yield f"lab.run({_text(ending.child_run_id)}).why()  # why its child failed"
        where = f"from step {_short(ending.step)!r} on" if ending.step else "from where it failed"
        yield f"run.retry()  # try again {where}; finished steps are kept"
        if ending.cause != "wait_timeout":
            yield from _correct(known, "patch")
        yield "run.retry(from_beginning=True)  # every step again"
        yield from _here(known)
        if ending.cause in ("handler_failed", "step_failed", "timeout"):
            yield f"lab.worker.logs({_text(fact.run_id)})  # what it wrote"
    yield from _another(known)


def _here(known: Known) -> Iterator[str]:
    """Yield what can be done in this process, where the run is not touched."""
    cause = known.ending.cause or ("step_failed" if known.ending.step else "handler_failed")
    if cause == "step_failed":
        step = _text(known.ending.step)
        yield f"run.replay(break_at={step})  # execute it here again with what was recorded, and stop at that step"
        yield f"run.fork(with_outputs={{{step}: {_FILL}}})  # what would follow from another output, here, in memory"
    elif cause == "handler_failed":
        yield "run.replay(break_at='error')  # execute it here again with what was recorded, and stop where it fails"


def _correct(known: Known, verb: str, *, then: str = "run.resume()") -> Iterator[str]:
    """Yield how to go on with another output of the step that failed, where one did."""
    step = failing(known.shown.run, known.shown.steps)
    if step is None or step.status == "timed_out":
        return
    after = f"; {then}" if then else ""
    words = "go on" if then else "have its next attempt go on"
    yield f"run.{verb}({_step(step)}, {_FILL}){after}  # give the step an output, and {words} as if it had succeeded"


def _another(known: Known) -> Iterator[str]:
    function = _text(known.fact.function_id)
    if known.function == "":
        yield f"lab.function({function})(handler); run.rerun()  # its function is gone: define it again first"
        return
    if known.function == "archived":
        active = f"lab.client.functions.set_status({function}, 'active')"
        yield f"{active}; run.rerun()  # its function is archived: make it active first"
        return
    yield "run.rerun()  # a new run with the same input; run.rerun({...}) with another"


def _emit(fact: BlockingReason) -> str:
    words = "# ends the wait"
    if "*" in fact.event or ">" in fact.event:
        return f"lab.emit({_FILL}, {_FILL})  # an event whose name fits {_short(fact.event)!r} ends the wait"
    if not fact.match:
        return f"lab.emit({_text(fact.event)}, {_FILL})  {words}; the data are the step's output"
    parts = eventpath.bare(fact.match.removeprefix("event.")).split(".")
    value = _FILL if _is_secret(fact) else _text(fact.value)
    inside = parts[1:] if parts[0] == "metadata" and len(parts) > 1 else parts
    nested = value
    for part in reversed(inside):
        nested = f"{{{_text(part)}: {nested}}}"
    given = nested if inside is parts else f"{_FILL}, metadata={nested}"
    return f"lab.emit({_text(fact.event)}, {given})  {words}"


def _step(step: Step) -> str:
    return _text(label(step))


def _shown_value(fact: BlockingReason) -> str:
    return redaction.HIDDEN if _is_secret(fact) else repr(_short(fact.value))


def _is_secret(fact: BlockingReason) -> bool:
    return any(map(redaction.is_secret, fact.match.split(".")))


def _short(text: str) -> str:
    return redaction.clip(" ".join(text.split()), limit=60)


def _text(value: Any) -> str:
    written = repr(str(value))
    return written if len(written) <= _LONGEST else _FILL
