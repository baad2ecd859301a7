"""Which definition a run gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ironflow_lab.models.workers import Assignment
from ironflow_lab.runtime import output
from ironflow_lab.runtime import registry as module
from ironflow_lab.runtime.begun import Begun
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.registry import Open, Registry
from ironflow_lab.runtime.sourcestore import SourceStore
from tests.unit.runtime.assignments import assignment


def first() -> DurableFunction:
    @function("f")
    def handler(ctx: Any) -> int:
        return 1

    return handler


def second() -> DurableFunction:
    @function("f")
    def handler(ctx: Any) -> int:
        return 2

    return handler


def third() -> DurableFunction:
    word = 3

    @function("f")
    def handler(ctx: Any) -> int:
        return word

    return handler


def given(run_id: str = "run_1", *, again: bool = False) -> Assignment:
    return assignment(run_id=run_id, execution_seq=2 if again else 1)


class House:
    """Registries of one data folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def registry(self, *functions: DurableFunction) -> Registry:
        found = Registry(store=SourceStore(self.folder), begun=Begun(self.folder))
        for one in functions:
            found.keep(one)
            found.define(one)
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(output, "note", lambda where, text, **_: said.append(text))
    return said


def code(found: DurableFunction | Open | None) -> Any:
    """Return what a definition's handler returns."""
    assert isinstance(found, DurableFunction)
    return found(None)


def test_unknown_functions_are_not_chosen(house: House) -> None:
    registry = Registry()
    assert registry.choose(given()) is None
    assert registry.choose(given(again=True)) is None
    assert "f" not in registry
    assert not registry.waits("f")
    house.registry(first())
    assert house.registry().waits("f"), "it waits for its cell"
    assert not house.registry().waits("g")


# ---- in one process


def test_a_new_definition_is_for_new_runs_only() -> None:
    registry, old, new = Registry(), first(), second()
    registry.define(old)
    registry.pin("run_1", old)
    registry.define(new)
    assert registry.choose(given(again=True)) is old
    assert registry.choose(given("run_2")) is new
    assert registry.newest() == (new,)


def test_the_same_code_defined_again_replaces_even_for_runs_in_flight() -> None:
    registry, old, again = Registry(), first(), first()
    registry.define(old)
    registry.pin("run_1", old)
    registry.define(again)
    assert registry.choose(given(again=True)) is again


def test_a_run_keeps_its_code_when_the_function_is_removed() -> None:
    registry, old = Registry(), first()
    registry.define(old)
    registry.pin("run_1", old)
    registry.remove("f")
    assert registry.choose(given(again=True)) is old
    assert registry.choose(given("run_2")) is None


def test_a_run_whose_pin_made_room_still_has_its_code_twice_redefined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PINNED", 1)
    registry = Registry()
    # Its free variable would keep it from being compiled anew.
    registry.define(third())
    registry.begin("run_1", registry.newest()[0], first=True)
    registry.pin("run_1", registry.newest()[0])
    for one in (first(), second()):
        registry.define(one)
    registry.pin("run_2", registry.newest()[0])
    assert registry.pinned() == ("run_2",)
    assert code(registry.choose(given(again=True))) == 3


def test_the_newest_pins_and_earlier_definitions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PINNED", 2)
    monkeypatch.setattr(module, "MOST_EARLIER", 1)
    registry, old = Registry(), first()
    registry.define(old)
    for run in ("run_1", "run_2", "run_1", "run_3"):
        registry.pin(run, old)
    assert registry.pinned() == ("run_1", "run_3")
    registry.unpin("run_1")
    assert registry.pinned() == ("run_3",)
    for one in (second(), third(), first()):
        registry.define(one)
    assert len(registry._earlier) == 1


# ---- after a restart


def test_after_a_restart_with_edited_code_a_run_has_the_code_it_began_with(house: House, notes: list[str]) -> None:
    before = house.registry(first())
    before.begin("run_1", before.newest()[0], first=True)
    after = house.registry(second())
    again = given(again=True)
    assert code(after.choose(again)) == 1
    assert after.choose(again) is after.choose(again), "compiled once"
    assert code(after.choose(given("run_2"))) == 2
    assert notes == []


def test_a_run_begun_after_the_edit_it_waited_through_has_the_newer(house: House) -> None:
    before = house.registry(first(), second())
    before.begin("run_1", before.newest()[0], first=True)
    assert code(house.registry(first()).choose(given(again=True))) == 2


def test_a_run_that_is_not_known_here_is_asked_about(house: House) -> None:
    house.registry(first())
    after = house.registry(second())
    again = given(again=True)
    assert after.choose(again) is Open.ASK
    assert code(after.answered(again, first().code_hash)) == 1
    assert after.answered(again, second().code_hash) is after.newest()[0]


@pytest.mark.parametrize("code_hash", ["", "0123456789abcdef"])
def test_code_that_cannot_be_had_is_replaced_by_the_newest_and_said(
    house: House, notes: list[str], code_hash: str
) -> None:
    registry = house.registry(second())
    found = registry.answered(given(again=True), code_hash)
    assert code(found) == 2
    (said,) = notes
    assert "run_1 of 'f' began with" in said
    assert registry.newest()[0].code_hash[:8] in said
    registry.begin("run_1", registry.newest()[0], first=False)
    assert code(registry.choose(given(again=True))) == 2
    assert len(notes) == 1, "once a run"


def test_a_handler_with_free_variables_is_not_compiled_anew(house: House, notes: list[str]) -> None:
    before = house.registry(third())
    before.begin("run_1", before.newest()[0], first=True)
    assert code(house.registry(second()).choose(given(again=True))) == 2
    assert len(notes) == 1


def test_without_a_store_the_newest_goes_on(notes: list[str]) -> None:
    registry = Registry()
    registry.define(second())
    assert code(registry.answered(given(again=True), "0123456789abcdef")) == 2
    assert len(notes) == 1


def test_the_same_code_under_the_hash_of_another_python_is_the_newest(house: House, notes: list[str]) -> None:
    registry = house.registry(first())
    mine = registry.newest()[0].source
    assert mine is not None
    SourceStore(house.folder).keep("f", replace(mine, code_hash="of-another-python"))
    assert registry.answered(given(again=True), "of-another-python") is registry.newest()[0]
    assert notes == []


def test_nothing_runs_of_a_function_that_is_not_defined_here(house: House) -> None:
    before = house.registry(first())
    before.begin("run_1", before.newest()[0], first=True)
    after = house.registry()
    assert after.choose(given(again=True)) is None
    assert after.answered(given(again=True), first().code_hash) is None


# ---- moved


def test_a_moved_run_has_the_newest_from_its_next_segment_on(house: House) -> None:
    registry = house.registry(first())
    old = registry.newest()[0]
    registry.begin("run_1", old, first=True)
    registry.define(second())
    Begun(house.folder).move("run_1")
    # The segment that was in hand when it was moved ends on its code, and pins it.
    registry.pin("run_1", old)
    moved = registry.choose(given(again=True))
    assert code(moved) == 2
    assert isinstance(moved, DurableFunction)
    registry.begin("run_1", moved, first=False)
    assert registry.pinned() == ()
    registry.define(third())
    assert code(registry.choose(given(again=True))) == 2, "it finishes on that"


def test_a_restart_does_not_undo_a_move(house: House) -> None:
    before = house.registry(first())
    before.begin("run_1", before.newest()[0], first=True)
    Begun(house.folder).move("run_1")
    assert code(house.registry(second()).choose(given(again=True))) == 2


def test_a_run_that_failed_for_good_begins_with_the_newest_when_it_is_tried_again(house: House) -> None:
    registry = house.registry(first())
    old = registry.newest()[0]
    registry.begin("run_1", old, first=True)
    registry.pin("run_1", old)
    registry.release("run_1")
    registry.define(second())
    assert code(registry.choose(given(again=True))) == 2
    assert code(house.registry(second()).choose(given(again=True))) == 2


def test_what_is_noted_is_only_what_is_news(house: House) -> None:
    registry = house.registry(first())
    one = registry.newest()[0]
    registry.begin("run_1", one, first=True)
    size = (house.folder / "runs.log").stat().st_size
    registry.begin("run_1", one, first=False)
    assert (house.folder / "runs.log").stat().st_size == size
