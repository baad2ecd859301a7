"""Edit, run again, emit, stop, restart in any order: no run is lost, and none has steps of two versions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.runtime import output
from ironflow_lab.runtime.registry import Registry
from tests.contract.swap_room import Notebook, QuickRoom

A_FEW, ALL, MOMENTS = 15, 1_000, 25


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuickRoom]:
    with QuickRoom(tmp_path_factory.mktemp("swap")) as room:
        yield room


def lived(room: QuickRoom, folder: Path, seed: int) -> Notebook:
    """Return the notebook of a seed after its life."""

    async def life() -> Notebook:
        notebook = Notebook(room, folder / f"sources-{seed}", seed)
        await notebook.live(MOMENTS)
        return notebook

    return asyncio.run(life())


def hold_the_law(room: QuickRoom, folder: Path, seeds: range) -> None:
    asked = kernels = runs = moves = 0
    for seed in seeds:
        notebook = lived(room, folder, seed)
        assert notebook.broken() == [], f"seed {seed}"
        asked, kernels = asked + notebook.asked, kernels + notebook.kernels
        runs, moves = runs + len(notebook.runs), moves + len(notebook.moves)
    assert min(asked, kernels - len(seeds), runs, moves) > 0, "nothing of what was to be shown has happened"


def test_no_run_is_lost_and_none_has_two_versions(room: QuickRoom, tmp_path: Path) -> None:
    hold_the_law(room, tmp_path, range(A_FEW))


@pytest.mark.soak
@pytest.mark.parametrize("start", range(0, ALL, 50))
def test_no_run_is_lost_and_none_has_two_versions_in_a_thousand_lives(tmp_path: Path, start: int) -> None:
    with QuickRoom(tmp_path) as fresh:
        hold_the_law(fresh, tmp_path, range(start, start + 50))


@pytest.mark.parametrize("fault", ["the pin is dropped", "the newest is revived", "the restart forgets"])
def test_a_planted_fault_is_seen(room: QuickRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(output, "note", lambda *_, **__: None)
    if fault == "the pin is dropped":

        def newest(self: Registry, given: Any) -> Any:
            self.unpin(given.run_id)
            return next((one for one in self.newest() if one.id == given.function_id), None)

        monkeypatch.setattr(Registry, "choose", newest)
    elif fault == "the newest is revived":
        monkeypatch.setattr(Registry, "_version", lambda self, newest, code_hash: newest)
    else:
        monkeypatch.setattr(Registry, "begin", lambda self, run_id, function, *, first: None)
    # Seeds of their own: the room has the functions of the others.
    start = {"the pin is dropped": 10_000, "the newest is revived": 20_000, "the restart forgets": 30_000}[fault]
    assert any(lived(room, tmp_path, seed).broken() for seed in range(start, start + 30))
