"""What the 300 runs over all primitives are made to do, one kind after the other.

Each kind is a function of its own; the `turn` of a run is its place among those of its kind, by which
kinds vary. The numbers from `CHILDREN` on are those of the runs that runs start.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.chaos.made import Made

RUNS = 300
CHILDREN = 1000
KINDS = (
    *("loop", "wait", "late", "parent", "starter", "fan", "spread", "herald"),
    *("saga", "exhausted", "held", "stopped", "patched", "cancelled"),
)
CHILD = "chaos-child"
TOPIC = "chaos-news"
# What operators put in the place of outputs.
QUOTE, CHECK = {"price": 7}, {"fit": True}
BRANCHES, ITEMS = 3, 4
# The kinds that wait for an event which comes.
AWAITING = ("wait", "held")


def kind(number: int) -> str:
    """Return what kind of run this is."""
    return KINDS[number % len(KINDS)]


def turn(number: int) -> int:
    """Return the run's place among those of its kind."""
    return number // len(KINDS)


def flaky(number: int) -> int:
    """Return how many attempts of the step that may fail do so."""
    return (1, 0, 2)[turn(number) % 3]


def function(of: str) -> str:
    """Return the id of a kind's function."""
    return f"chaos-{of}"


def event(of: str) -> str:
    """Return the name of the event that starts a kind."""
    return f"chaos.{of}"


def awaited(of: str) -> str:
    """Return the name of the event that a kind waits for."""
    return f"chaos.{of}.answered"


def _done(*steps: str) -> dict[str, str]:
    return dict.fromkeys(steps, "completed")


def _tries(number: int) -> int:
    return flaky(number) + 1


def _loop(number: int) -> Made:
    return Made(attempt=_tries(number), steps=_done("turn:0", "turn:1", "rest:0", "turn:2", "turn:3"))


def _wait(number: int) -> Made:
    return Made(attempt=_tries(number), steps=_done("ask:0", "answer:0", "act:0"))


def _late(number: int) -> Made:
    return Made(status="failed", steps={"ask:0": "completed", "never:0": "timed_out"})


def _parent(number: int) -> Made:
    ended = "failed" if _fails(number) else "completed"
    steps = {"before:0": "completed", f"{CHILD}:0": ended, "after:0": "completed"}
    return Made(attempt=_tries(number), steps=steps, children={f"{CHILD}:0": CHILDREN + number})


def _starter(number: int) -> Made:
    steps = _done("before:0", f"{CHILD}:0", f"{CHILD}:1", "after:0")
    numbers = {f"{CHILD}:0": CHILDREN + number, f"{CHILD}:1": 2 * CHILDREN + number}
    return Made(attempt=_tries(number), steps=steps, children=numbers)


def _fan(number: int) -> Made:
    steps = _done(*(f"fan:{branch}:{name}:0" for branch in range(BRANCHES) for name in ("a", "nap", "b")), "join:0")
    return Made(attempt=_tries(number), steps=steps)


def _spread(number: int) -> Made:
    steps = _done(*(f"each:{item}:{name}:0" for item in range(ITEMS) for name in ("work", "nap")), "join:0")
    return Made(attempt=_tries(number), steps=steps)


def _herald(number: int) -> Made:
    steps = _done("write:0", f"publish:{TOPIC}:0", "rest:0", f"publish:{TOPIC}:1", "after:0")
    return Made(attempt=_tries(number), steps=steps)


def _saga(number: int) -> Made:
    steps = _done("reserve:0", "charge:0", "rest:0")
    if turn(number) % 2:
        steps["ship:0"] = "failed"
    undone = ("compensate:charge:0", "compensate:charge:1", "compensate:reserve:0")
    return Made(status="failed", steps={**steps, **_done(*undone)}, undone=undone)


def _exhausted(number: int) -> Made:
    """Fail twice, pause, and have all attempts again once resumed; nothing is undone."""
    return Made(steps=_done("reserve:0", "charge:0", "after:0"))


def _held(number: int) -> Made:
    steps = _done("quote:0", "answer:0", "use:0")
    return Made(steps=steps, corrected={"quote:0": QUOTE}, outputs={"quote:0": QUOTE, "use:0": QUOTE})


def _stopped(number: int) -> Made:
    """Asked to pause while a body runs: held at the next boundary, at the sleep at the latest."""
    steps = _done("quote:0", "slow:0", "rest:0", "use:0")
    return Made(steps=steps, corrected={"quote:0": QUOTE}, outputs={"quote:0": QUOTE, "use:0": QUOTE})


def _patched(number: int) -> Made:
    """Fail for good on a bad quote: the quote is patched, or the step that refused it."""
    steps = _done("quote:0", "check:0", "after:0")
    corrected: dict[str, Any] = {"check:0": CHECK} if turn(number) % 2 else {"quote:0": QUOTE}
    return Made(steps=steps, corrected=corrected, outputs={**corrected, "after:0": CHECK})


def _cancelled(number: int) -> Made:
    """Cancelled while it waits, or while a body runs; nothing is undone."""
    steps = _done("first:0")
    if turn(number) % 2 == 0:
        steps["never:0"] = "waiting"
    return Made(status="cancelled", steps=steps)


_MADE = {
    "loop": _loop,
    "wait": _wait,
    "late": _late,
    "parent": _parent,
    "starter": _starter,
    "fan": _fan,
    "spread": _spread,
    "herald": _herald,
    "saga": _saga,
    "exhausted": _exhausted,
    "held": _held,
    "stopped": _stopped,
    "patched": _patched,
    "cancelled": _cancelled,
}


def _fails(number: int) -> bool:
    return turn(number) % 2 == 1


def child_fails(number: int) -> bool:
    """Return whether a child fails for good: those of every other parent do."""
    return number < 2 * CHILDREN and kind(number - CHILDREN) == "parent" and _fails(number - CHILDREN)


def _child(number: int) -> Made:
    steps = _done("work:0", "nap:0")
    if child_fails(number):
        return Made(status="failed", steps={**steps, "break:0": "failed"})
    return Made(steps={**steps, **_done("finish:0")})


def all_made() -> dict[int, Made]:
    """Return what every run is made for, children included, by number."""
    first = {number: _MADE[kind(number)](number) for number in range(RUNS)}
    children = {number: _child(number) for one in first.values() for number in one.children.values()}
    return {**first, **children}


ALL = all_made()


def functions() -> Counter[str]:
    """Return how many runs each function has."""
    return Counter(CHILD if number >= CHILDREN else function(kind(number)) for number in ALL)


def events() -> Counter[str]:
    """Return how many events of each name there are, those that children are started by left out."""
    started = Counter(event(kind(number)) for number in range(RUNS))
    return started + Counter(awaited(kind(number)) for number in range(RUNS) if kind(number) in AWAITING)


def messages() -> int:
    """Return how many messages are published."""
    return sum(step.startswith("publish:") for one in ALL.values() for step in one.steps)


def bodies() -> int:
    """Return about how many bodies run when nothing is killed."""
    quiet = ("rest:", "nap:", "answer:", "never:", f"{CHILD}:", "publish:")
    return sum(not step.startswith(quiet) and ":nap:" not in step for one in ALL.values() for step in one.steps)
