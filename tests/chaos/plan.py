"""What the 244 bills are made to do, so that the outcome of every run is known beforehand."""

from __future__ import annotations

from tests.chaos.made import Made

FUNCTION = "settle-bill"
EVENT = "order.placed"
BILLS = 244

# Bills whose number leaves the rest `r` when divided by `d`, as (d, r).
HOPELESS = (41, 5)
FAILS_ONCE = (7, 3)
FAILS_TWICE = (61, 11)


def hits(bill: int, rule: tuple[int, int]) -> bool:
    """Return whether the rule is about this bill."""
    return bill % rule[0] == rule[1]


def failures(bill: int) -> int:
    """Return how many attempts of the charge fail before one succeeds."""
    if hits(bill, FAILS_TWICE):
        return 2
    return int(hits(bill, FAILS_ONCE))


def made(bill: int) -> Made:
    """Return what a bill's run must end with. A kill is nobody's failure: it costs no attempt."""
    if hits(bill, HOPELESS):
        return Made(status="failed", steps={"validate:0": "completed", "charge:0": "failed"})
    done = ("validate:0", "charge:0", "rest:0", "receipt:0")
    return Made(attempt=failures(bill) + 1, steps=dict.fromkeys(done, "completed"))


ALL = {bill: made(bill) for bill in range(BILLS)}


def bodies() -> int:
    """Return how often bodies run when nothing is killed."""
    return sum(
        len(set(one.steps) - {"rest:0"}) + failures(bill) * (one.status == "completed") for bill, one in ALL.items()
    )
