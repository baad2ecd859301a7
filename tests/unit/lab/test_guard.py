"""The guard: on where the server is not on this machine, lifted only where the user said so."""

from __future__ import annotations

import asyncio

import pytest

from ironflow_lab.errors import GuardError
from ironflow_lab.lab.guard import Guard

REMOTE = "https://ironflow.example.org"


@pytest.mark.parametrize(
    ("url", "given", "on"),
    [
        ("http://localhost:9123", None, False),
        ("http://127.0.0.1:9123", None, False),
        ("http://[::1]:9123", None, False),
        (REMOTE, None, True),
        ("http://localhost.example.org", None, True),
        ("http://localhost:9123", True, True),
        (REMOTE, False, False),
    ],
)
def test_on_unless_the_server_is_here_or_it_was_said(url: str, given: bool | None, on: bool) -> None:
    assert Guard(url, on=given).on is on


def test_the_error_shows_the_plan_and_both_remedies() -> None:
    with pytest.raises(GuardError) as refused:
        Guard(REMOTE).check("emit 'order.placed'")
    for part in ("emit 'order.placed'", REMOTE, "with lab.allow():", "guard=False", "Nothing was done"):
        assert part in str(refused.value)


def test_allowed_inside_the_block_only() -> None:
    guard = Guard(REMOTE)
    with guard.allow():
        guard.check("change something")
        with guard.allow():
            guard.check("change something")
        guard.check("change something")
    with pytest.raises(GuardError):
        guard.check("change something")


def test_the_block_ends_with_its_error() -> None:
    guard = Guard(REMOTE)
    with pytest.raises(ZeroDivisionError), guard.allow():
        raise ZeroDivisionError
    with pytest.raises(GuardError):
        guard.check("change something")


async def test_what_runs_beside_the_block_stays_guarded() -> None:
    guard = Guard(REMOTE)
    entered, checked = asyncio.Event(), asyncio.Event()

    async def beside() -> bool:
        await entered.wait()
        try:
            guard.check("change something")
        except GuardError:
            return True
        finally:
            checked.set()
        return False

    task = asyncio.create_task(beside())
    with guard.allow():
        entered.set()
        await checked.wait()
    assert await task


def test_two_guards_are_lifted_apart() -> None:
    one, other = Guard(REMOTE), Guard(REMOTE)
    with one.allow(), pytest.raises(GuardError):
        other.check("change something")
