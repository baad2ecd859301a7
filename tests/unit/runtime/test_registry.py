"""Which definition a run gets."""

from __future__ import annotations

from typing import Any

import pytest

from ironflow_lab.runtime import registry as module
from ironflow_lab.runtime.function import DurableFunction, function
from ironflow_lab.runtime.registry import Registry


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


def test_unknown_functions_resolve_to_nothing() -> None:
    assert Registry().resolve("run_1", "f") is None
    assert "f" not in Registry()


def test_a_new_definition_is_for_new_runs_only() -> None:
    registry, old, new = Registry(), first(), second()
    registry.define(old)
    registry.pin("run_1", old)
    registry.define(new)
    assert registry.resolve("run_1", "f") is old
    assert registry.resolve("run_2", "f") is new
    assert registry.newest() == (new,)
    registry.unpin("run_1")
    assert registry.resolve("run_1", "f") is new


def test_the_same_code_defined_again_replaces_even_for_runs_in_flight() -> None:
    registry, old, again = Registry(), first(), first()
    registry.define(old)
    registry.pin("run_1", old)
    registry.define(again)
    assert registry.resolve("run_1", "f") is again


def test_a_run_keeps_its_code_when_the_function_is_removed() -> None:
    registry, old = Registry(), first()
    registry.define(old)
    registry.pin("run_1", old)
    registry.remove("f")
    assert registry.resolve("run_1", "f") is old
    assert registry.resolve("run_2", "f") is None


def test_the_oldest_pins_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PINNED", 2)
    registry, old = Registry(), first()
    registry.define(second())
    for run in ("run_1", "run_2", "run_1", "run_3"):
        registry.pin(run, old)
    kept = {run for run in ("run_1", "run_2", "run_3") if registry.resolve(run, "f") is old}
    assert kept == {"run_1", "run_3"}
