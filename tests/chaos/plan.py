"""What the 244 bills are made to do, so that the outcome of every run is known beforehand."""

from __future__ import annotations

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


def outcome(bill: int) -> tuple[str, int]:
    """Return the status a bill's run must end with, and the attempt it must end in.

    A kill is nobody's failure: it costs no attempt.
    """
    if hits(bill, HOPELESS):
        return "failed", 1
    return "completed", failures(bill) + 1


def steps(bill: int) -> dict[str, str]:
    """Return the steps a bill's run must end with, by name, and the status of each."""
    if hits(bill, HOPELESS):
        return {"validate": "completed", "charge": "failed"}
    return dict.fromkeys(("validate", "charge", "rest", "receipt"), "completed")


def bodies() -> int:
    """Return how often bodies run when nothing is killed."""
    return sum(
        len(set(steps(bill)) - {"rest"}) + failures(bill) * (outcome(bill)[0] == "completed") for bill in range(BILLS)
    )
