"""Secrets on a real file: who gets a value, with which job, and that it is gone once it is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ironflow_lab.errors import AlreadyExistsError, NotFoundError
from ironflow_lab.models.secrets import CreateSecretRequest, PatchSecretRequest, UpdateSecretRequest
from ironflow_lab.models.workers import Assignment
from ironflow_lab.server.engine.commands import CreateSecret, DeleteSecret, PatchSecret, UpdateSecret
from ironflow_lab.server.store import database, load_secrets
from ironflow_lab.server.store.database import FILE
from tests.contract.engine_room import ENV, Room, claim

VALUE = "sk_live_1234"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room(tmp_path) as opened:
        opened.function("f", "go", secrets=["A", "B"], recording=True)
        opened.function("g", "went")
        opened.worker("w", "f", "g")
        yield opened


def keep(room: Room, name: str, value: str = VALUE, *, env: str = ENV) -> None:
    room.ask(CreateSecret(env=env, request=CreateSecretRequest(name=name, value=value)))


def handed_out(room: Room, event: str = "go") -> dict[str, str]:
    """Start a run and return the secrets that come with its job."""
    room.emit(event)
    (job,) = room.poll()
    assert isinstance(job.context, msgspec.UnsetType) == (event == "went")
    return given(job)


def given(job: Assignment) -> dict[str, str]:
    return {} if isinstance(job.context, msgspec.UnsetType) else job.context.secrets


def known(room: Room, env: str = ENV) -> list[tuple[str, int]]:
    """Return the names and revisions that a reader sees."""
    db = database.open_reader(room.folder)
    try:
        return [(secret.name, secret.revision) for secret in load_secrets.listed(db, env)]
    finally:
        db.close()


def test_those_declared_come_with_the_job_and_missing_ones_do_not(room: Room) -> None:
    assert handed_out(room) == {}
    keep(room, "C", "not declared")
    keep(room, "A", "of another", env=ENV + "2")
    assert handed_out(room) == {}
    keep(room, "A", "1")
    assert handed_out(room) == {"A": "1"}
    keep(room, "B", "2")
    assert handed_out(room) == {"A": "1", "B": "2"}
    assert handed_out(room, "went") == {}, "it declares none"


def test_each_job_gets_what_is_kept_when_it_is_handed_out(room: Room) -> None:
    keep(room, "A", "old")
    room.emit()
    room.ask(UpdateSecret(env=ENV, name="A", request=UpdateSecretRequest(value="new")))
    (job,) = room.poll()
    assert given(job) == {"A": "new"}
    room.ask(PatchSecret(env=ENV, name="A", request=PatchSecretRequest(name="B")))
    room.report(job, status="failed", error={"message": "again", "retryable": True, "retry_after_ms": 0})
    room.pass_time(1)
    (job,) = room.poll()
    assert given(job) == {"B": "new"}, "the same value under its new name"
    room.ask(DeleteSecret(env=ENV, name="B"))
    assert handed_out(room) == {}
    room.function("f", "go", secrets=["C"])
    keep(room, "C", "3")
    assert handed_out(room) == {"C": "3"}, "what the function declares now"


def test_a_poll_that_waits_gets_them_too(room: Room) -> None:
    keep(room, "A")
    parked = room.send(claim(), parks=True)
    room.emit()
    (job,) = room.answer(parked).jobs
    assert given(job) == {"A": VALUE}


def test_revisions_count_values(room: Room) -> None:
    keep(room, "B")
    keep(room, "A")
    assert known(room) == [("A", 1), ("B", 1)]
    for _ in range(2):
        room.ask(UpdateSecret(env=ENV, name="A", request=UpdateSecretRequest(value=VALUE)))
    room.ask(PatchSecret(env=ENV, name="A", request=PatchSecretRequest(name="Z", description="d")))
    assert known(room) == [("B", 1), ("Z", 3)]
    room.restart()
    assert known(room) == [("B", 1), ("Z", 3)]


def test_names_are_one_per_environment(room: Room) -> None:
    keep(room, "A")
    keep(room, "B")
    with pytest.raises(AlreadyExistsError):
        keep(room, "A")
    with pytest.raises(AlreadyExistsError):
        room.ask(PatchSecret(env=ENV, name="A", request=PatchSecretRequest(name="B")))
    room.ask(PatchSecret(env=ENV, name="A", request=PatchSecretRequest(name="A", description="itself")))
    assert known(room, "another") == []
    with pytest.raises(NotFoundError):
        room.ask(DeleteSecret(env="another", name="A"))
    assert known(room) == [("A", 1), ("B", 1)]


def test_two_creations_in_one_batch_make_one_secret(room: Room) -> None:
    request = CreateSecretRequest(name="A", value=VALUE)
    with room.one_batch():
        tokens = [room.send(CreateSecret(env=ENV, request=request)) for _ in range(2)]
    answers = [room.answer(token) for token in tokens]
    assert [isinstance(answer, AlreadyExistsError) for answer in answers] == [False, True]
    assert known(room) == [("A", 1)]


def test_a_value_that_is_replaced_or_deleted_is_nowhere_in_the_database(room: Room) -> None:
    keep(room, "A", VALUE)
    keep(room, "B", VALUE * 5_000)
    assert handed_out(room)["A"] == VALUE
    room.ask(UpdateSecret(env=ENV, name="A", request=UpdateSecretRequest(value="other")))
    room.ask(DeleteSecret(env=ENV, name="B"))
    room.close()
    assert [path.name for path in room.folder.iterdir() if path.name.startswith(FILE)] == [FILE]
    kept = (room.folder / FILE).read_bytes()
    assert b"other" in kept
    assert VALUE.encode() not in kept


def test_a_value_stands_in_the_secret_s_row_alone(room: Room) -> None:
    keep(room, "A")
    room.emit()
    (job,) = room.poll()
    room.report(job, steps=[{"id": f"{job.run_id}:a:0", "name": "a", "status": "completed", "output": 1}])
    tables = [name for (name,) in room.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {table: repr(room.rows(f"SELECT * FROM {table}")) for table in tables}
    assert [table for table, text in rows.items() if VALUE in text] == ["secrets"]
    assert len(rows["audit"]) > 100, "the run is recorded"
    assert VALUE not in repr(job)
