"""What a serving process holds: one tenant per folder, two files, both gone at the end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ironflow_lab._version import __version__
from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import discovery, health, hosting, lock, record
from ironflow_lab.models.server import Health

URL = "http://127.0.0.1:9300"


class Noon:
    """A clock that stands still."""

    def now(self) -> int:
        return 43_200


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder outside the working directory's tree."""
    (tmp_path / "tree" / ".ironflow").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    return tmp_path / "data"


def hold(folder: Path, owner_pid: int = 0) -> hosting.Tenancy:
    """Return a hold that has to be had."""
    place = hosting.hold(folder, owner_pid=owner_pid, clock=Noon())
    assert place is not None
    return place


def test_announcing_writes_both_files_and_leaving_removes_them(folder: Path, tmp_path: Path) -> None:
    place = hold(folder, owner_pid=12)
    place.notes.append("unusual")
    place.announce(URL)
    assert record.read(folder) == record.ServerRecord(
        pid=os.getpid(),
        token=place.token,
        url=URL,
        port=9300,
        version=__version__,
        started_at=43_200,
        owner_pid=12,
        notes=("unusual",),
    )
    published = discovery.read(tmp_path / "tree" / ".ironflow" / "engine.json")
    assert published is not None
    assert (published.url, published.instance) == (URL, place.token)
    place.leave()
    assert [path.name for path in folder.iterdir()] == [lock.FILE]
    assert list((tmp_path / "tree" / ".ironflow").iterdir()) == []


def test_tokens_are_not_reused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert hold(folder).token != hold(tmp_path / "other").token


def test_a_folder_that_is_held_cannot_be_held(folder: Path) -> None:
    held = lock.acquire(folder)
    assert held is not None
    assert hosting.hold(folder) is None
    held.release()


def test_what_a_killed_server_left_is_cleared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = record.ServerRecord(pid=1, token="t", url=URL, port=9300, version="0", started_at=1)
    record.write(folder, left)
    monkeypatch.setattr(health, "ask", lambda url, *, timeout: None)
    hold(folder)
    assert record.read(folder) is None


def test_a_server_whose_lock_file_was_removed_keeps_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = hold(folder)
    place.announce(URL)
    (folder / lock.FILE).unlink()

    def slowly(url: str, *, timeout: float) -> Health | None:
        return Health(status="ok", instance=place.token) if timeout > 2 * health.TIMEOUT else None

    monkeypatch.setattr(health, "ask", slowly)
    assert hosting.hold(folder) is None
    assert lock.holder(folder) is None


def test_leaving_a_folder_that_is_another_servers_now_removes_nothing_of_it(folder: Path) -> None:
    place = hold(folder)
    place.announce(URL)
    (folder / lock.FILE).unlink()
    place.leave()
    assert record.read(folder) is not None


def test_leaving_a_folder_that_is_gone_is_no_error(folder: Path) -> None:
    place = hold(folder)
    (folder / lock.FILE).unlink()
    folder.rmdir()
    place.leave()


def test_a_missing_folder_is_told(folder: Path) -> None:
    with pytest.raises(ServerStartError, match="cannot be written"):
        hosting.hold(folder / "missing")
    place = hold(folder)
    (folder / lock.FILE).unlink()
    folder.rmdir()
    with pytest.raises(ServerStartError, match="cannot be written"):
        place.announce(URL)
