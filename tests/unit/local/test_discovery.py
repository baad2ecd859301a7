"""The discovery file leads to the live server of its tree, and another live server keeps its own."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ironflow_lab.local import discovery, health
from ironflow_lab.models.server import Health
from ironflow_lab.wire.discovery import Discovery, write

URL = "http://127.0.0.1:9123"
OTHER = "http://127.0.0.1:9200"


class Net:
    """What each URL answers; asking any other is an error of the test."""

    def __init__(self) -> None:
        self.answers: dict[str, Health | None] = {}

    def ask(self, url: str) -> Health | None:
        return self.answers[url]


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    """Return the stand-in for health checks."""
    net = Net()
    monkeypatch.setattr(health, "ask", net.ask)
    return net


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file goes; its folder does not exist yet."""
    return tmp_path / ".ironflow" / "engine.json"


def planted(path: Path, url: str, instance: str = "") -> None:
    """Put a discovery file there."""
    path.parent.mkdir()
    path.write_bytes(write(Discovery(version=1, url=url, instance=instance)))


def leads_to(path: Path) -> tuple[str, str]:
    """Return URL and token in the file."""
    found = discovery.read(path)
    assert found is not None
    return found.url, found.instance


def test_publishing_where_there_is_none(path: Path, net: Net) -> None:
    assert discovery.publish(path, URL, "mine") == ""
    assert leads_to(path) == (URL, "mine")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_publishing_twice_writes_once(path: Path, net: Net) -> None:
    discovery.publish(path, URL, "mine")
    before = path.stat().st_ino
    assert discovery.publish(path, URL, "mine") == ""
    assert path.stat().st_ino == before


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b'{"version":2,"url":"http://127.0.0.1:1"}', b" " * 70_000])
def test_garbage_is_repaired(path: Path, net: Net, garbage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(garbage)
    assert discovery.publish(path, URL, "mine") == ""
    assert leads_to(path) == (URL, "mine")


@pytest.mark.parametrize("answer", [None, Health(status="ok", instance="a third one")])
def test_a_stale_file_is_repaired(path: Path, net: Net, answer: Health | None) -> None:
    planted(path, OTHER, "its")
    net.answers[OTHER] = answer
    assert discovery.publish(path, URL, "mine") == ""
    assert leads_to(path) == (URL, "mine")


def test_a_file_that_names_our_own_port_is_stale_without_asking(path: Path, net: Net) -> None:
    planted(path, "http://localhost:9123", "its")
    assert discovery.publish(path, URL, "mine") == ""
    assert leads_to(path) == (URL, "mine")


@pytest.mark.parametrize("instance", ["its", ""])
def test_a_different_live_server_keeps_its_file_and_is_named(path: Path, net: Net, instance: str) -> None:
    planted(path, OTHER, instance)
    net.answers[OTHER] = Health(status="ok", instance=instance)
    note = discovery.publish(path, URL, "mine")
    assert note == f"{path} leads to another live server, {OTHER}; for this one set IRONFLOW_SERVER_URL={URL}"
    assert leads_to(path) == (OTHER, instance)


def test_a_folder_in_its_place_is_told(path: Path, net: Net) -> None:
    path.mkdir(parents=True)
    note = discovery.publish(path, URL, "mine")
    assert "could not be written" in note
    assert note.endswith(f"set IRONFLOW_SERVER_URL={URL}")


def test_without_a_working_directory_the_remedy_is_told(net: Net) -> None:
    note = discovery.publish(None, URL, "mine")
    assert note == f"there is no working directory for a discovery file; set IRONFLOW_SERVER_URL={URL}"
    discovery.withdraw(None, "mine")


@pytest.mark.parametrize(("token", "stays"), [("mine", False), ("another", True)])
def test_only_ones_own_file_is_withdrawn(path: Path, net: Net, token: str, stays: bool) -> None:
    planted(path, URL, "mine")
    discovery.withdraw(path, token)
    assert path.exists() is stays
    discovery.withdraw(path, token)


def test_it_lies_in_the_working_directorys_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert discovery.path_here() == tmp_path.resolve() / ".ironflow" / "engine.json"
    (tmp_path / "elsewhere" / ".ironflow").mkdir(parents=True)
    assert discovery.path_here(tmp_path / "elsewhere") == tmp_path / "elsewhere" / ".ironflow" / "engine.json"
    (tmp_path / "notebooks").rmdir()
    assert discovery.path_here() is None
