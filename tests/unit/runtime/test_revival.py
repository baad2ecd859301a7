"""The code a run began with: what the server tells, and what its source makes."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from ironflow_lab.errors import NotFoundError, PermissionDeniedError
from ironflow_lab.models.functions import RegisterFunctionRequest
from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime import codehash, revival
from ironflow_lab.runtime.function import CODE_HASH, DurableFunction, function
from ironflow_lab.runtime.sources import Source
from tests.unit.runtime.assignments import assignment, done
from tests.unit.runtime.fakes import FakeServer, Fault, Run, broken, gone

WORD = "of the module"


@function("f", on="order.placed")
async def newest(ctx: Any) -> str:
    return "new"


def source(text: str, **changes: Any) -> Source:
    found = Source(code_hash=codehash.of_text(text), text=text, alone=True)
    return replace(found, **changes)


# ---- which segments


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (assignment(), False),
        (assignment(step_sequence_base=UNSET), False),
        (assignment(execution_seq=2), True),
        (assignment(done("a")), True),
        (assignment(step_sequence_base=1), True),
    ],
)
def test_a_segment_is_not_the_first_when_anything_says_so(given: Assignment, expected: bool) -> None:
    assert revival.resumed(given) is expected


# ---- what the server tells


def registered(server: FakeServer, *hashes: str) -> None:
    for code_hash in hashes:
        server.define(RegisterFunctionRequest(id="f", metadata={CODE_HASH: code_hash}))


async def told(server: FakeServer, run: Run) -> str:
    return await revival.began_with(server, assignment(run_id=run.id))


async def test_the_version_that_was_current_when_the_run_was_created() -> None:
    server = FakeServer()
    registered(server, "a", "b")
    old = server.emit("f")
    registered(server, "c")
    new = server.emit("f")
    assert (await told(server, old), await told(server, new)) == ("b", "c")


async def test_it_is_found_behind_many_later_changes() -> None:
    server = FakeServer()
    registered(server, "a")
    run = server.emit("f")
    registered(server, *(f"later-{number}" for number in range(500)))
    assert await told(server, run) == "a"
    assert server.count("history") == 4


async def test_versions_begin_anew_after_a_deletion() -> None:
    server = FakeServer()
    registered(server, "a")
    old = server.emit("f")
    server.forget_function("f")
    registered(server, "b")
    new = server.emit("f")
    assert (old.function_version, new.function_version) == (1, 1)
    assert (await told(server, old), await told(server, new)) == ("a", "b")


async def test_a_change_of_the_same_moment_still_counts() -> None:
    server = FakeServer()
    registered(server, "a")
    run = server.emit("f")
    run.created_at -= 5
    assert await told(server, run) == "a"
    server.forget_function("f")
    registered(server, "b")
    assert await told(server, run) == "b", "of two that it cannot be, the last"


async def test_a_server_that_cannot_tell() -> None:
    server = FakeServer()
    unversioned = server.emit("f")
    registered(server, "a")
    unheard = server.emit("f")
    unheard.function_version = 9
    assert [await told(server, run) for run in (unversioned, unheard, Run("gone", "f", None))] == ["", "", ""]
    server.define(RegisterFunctionRequest(id="g", metadata={CODE_HASH: [1]}))
    odd = server.emit("g")
    assert await told(server, odd) == ""
    server.fault("history", Fault(before=NotFoundError("never was")))
    assert await told(server, unheard) == ""


@pytest.mark.parametrize("error", [gone(), broken(), PermissionDeniedError("no", status=403)])
async def test_a_server_that_may_tell_later_or_refuses_the_key_is_an_error(error: Any) -> None:
    server = FakeServer()
    registered(server, "a")
    run = server.emit("f")
    server.fault("get_run", Fault(before=error))
    with pytest.raises(type(error)):
        await told(server, run)


# ---- what a source makes


def revived(text: str, **changes: Any) -> DurableFunction | None:
    return revival.revive(newest, source(text, **changes))


async def test_the_earlier_handler_runs_in_the_globals_of_the_newest() -> None:
    text = '@lab.function("f", on=missing_name)\nasync def newest(ctx, times=2):\n    return WORD * times\n'
    found = revived(text)
    assert found is not None
    assert await found(None) == WORD * 2
    assert (found.id, found.triggers, found.code_hash) == ("f", newest.triggers, codehash.of_text(text))
    assert found.source is not None
    assert found.source.text == text
    assert found.is_async
    assert isinstance(globals()["newest"], DurableFunction), "names of the notebook are not touched"
    assert newest.code_hash != found.code_hash


def test_a_plain_handler_of_earlier_stays_plain() -> None:
    found = revived("    def newest(ctx):\n        return 'indented'\n")
    assert found is not None
    assert not found.is_async
    assert found(None) == "indented"


def test_tracebacks_show_the_version_that_ran_at_its_line_in_the_cell() -> None:
    found = revived("def newest(ctx):\n    raise ValueError('old bug')\n", line=7)
    assert found is not None
    with pytest.raises(ValueError, match="old bug") as caught:
        found(None)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.lineno, last.line) == (8, "raise ValueError('old bug')")
    linecache.checkcache()
    assert linecache.getline(last.filename, 8).strip() == "raise ValueError('old bug')"


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("def newest(ctx):\n    return 1\n", {"alone": False}),
        ("def newest(ctx):\n    return 1\n", {"code_hash": "tampered"}),
        ("def newest(ctx: Gone):\n    return 1\n", {}),
        ("newest = 1\n", {}),
        ("def a(ctx): pass\ndef newest(ctx): pass\n", {}),
        ("", {}),
    ],
)
def test_what_a_source_does_not_make(text: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # The annotation of the third is looked up, as in a cell: this file's own future import must not count.
    monkeypatch.setattr(revival, "_FUTURES", 0)
    assert revived(text, **changes) is None


def test_a_damaged_text_makes_nothing() -> None:
    assert revival.revive(newest, Source(code_hash="x", text="def f(:", alone=True)) is None


def test_nothing_is_made_beside_a_handler_without_globals() -> None:
    class Odd:
        def __call__(self, ctx: Any) -> int:
            return 1

    odd: Callable[[Any], Any] = Odd()
    text = "def newest(ctx):\n    return 1\n"
    assert revival.revive(DurableFunction(odd, id="f"), source(text)) is None
