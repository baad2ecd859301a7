"""The engine in memory: new each time, the newest schema, and each command whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ironflow_lab.errors import NotFoundError
from ironflow_lab.models.functions import RegisterFunctionRequest, Trigger
from ironflow_lab.server.engine.outcome import Write
from ironflow_lab.server.store import database
from ironflow_lab.testing import CountingIds, FakeClock
from ironflow_lab.testing.engine import Engine


def engine() -> Engine:
    made = Engine(FakeClock(), CountingIds())
    made.register(RegisterFunctionRequest(id="f", triggers=(Trigger(event="go"),)))
    made.join(("f",), 1)
    return made


def schema(connection: Any) -> list[Any]:
    found: list[Any] = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    return [*found, connection.execute("PRAGMA user_version").fetchone()]


def test_its_database_is_that_of_the_server(tmp_path: Path) -> None:
    memory, file = database.open_memory(), database.open_writer(tmp_path)
    assert schema(memory) == schema(file)
    memory.close()
    file.close()


def test_each_is_new() -> None:
    first, second = engine(), engine()
    assert first.emit("go", b"{}") == ("run_000001",)
    assert first.run("run_000001").status == "waiting_for_capacity"
    with pytest.raises(NotFoundError):
        second.run("run_000001")


def test_a_command_that_fails_has_changed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = engine()
    real = made._write

    def broken(writes: tuple[Write, ...]) -> None:
        real((*writes, Write("no_such_statement", {})))

    with monkeypatch.context() as patch:
        patch.setattr(made, "_write", broken)
        with pytest.raises(KeyError):
            made.emit("go", b"{}")
    assert made.runs() == ()
    assert len(made.emit("go", b"{}")) == 1


def test_who_comes_back_as_another_gets_what_the_dead_one_had() -> None:
    made = engine()
    made.emit("go", b"{}")
    assert made.claim() is not None
    assert made.claim() is None
    made.join(("f",), 2)
    again = made.claim()
    assert again is not None
    assert again.execution_seq == 2
