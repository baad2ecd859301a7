"""Which server the panel shows for a folder, and what it says of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ironflow_lab.errors import DefinitionError, FailedPreconditionError, InvalidArgumentError
from ironflow_lab.jupyter.upstream import Status, Upstreams
from tests.unit.jupyter.engine import Engine

KEY = "key-that-nobody-sees"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the developer's environment says."""
    for name in ("IRONFLOW_SERVER_URL", "IRONFLOW_URL", "IRONFLOW_API_KEY", "IRONFLOW_ENV", "IRONFLOW_NO_DISCOVERY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def engine() -> Engine:
    """A server that answers under every address."""
    return Engine("runs/audit")


def publish(folder: Path, **fields: object) -> None:
    """Write a discovery file."""
    (folder / ".ironflow").mkdir()
    content = {"version": 1, "url": "http://127.0.0.1:9200", "api_key": KEY, "environment": "dev", **fields}
    (folder / ".ironflow" / "engine.json").write_bytes(msgspec.json.encode(content))


async def test_a_discovered_server_is_said_without_its_key(tmp_path: Path, engine: Engine) -> None:
    publish(tmp_path, instance="i-1")
    upstreams = Upstreams(tmp_path, client=engine.client)
    status = await upstreams.status(tmp_path)
    assert status == Status(
        found=True, url="http://127.0.0.1:9200", version="9", environment="dev", instance="i-1", local=True
    )
    assert upstreams.at(tmp_path).settings.api_key == KEY
    assert KEY not in repr(status) + repr(upstreams.at(tmp_path).settings)


async def test_another_server_at_the_address_of_a_stale_file_is_not_the_one(tmp_path: Path, engine: Engine) -> None:
    publish(tmp_path, instance="i-0")
    status = await Upstreams(tmp_path, client=engine.client).status(tmp_path)
    assert (status.found, status.startable) == (False, True)
    assert "another server" in status.message


async def test_without_any_server_one_can_be_started(tmp_path: Path, engine: Engine) -> None:
    engine.down = True
    status = await Upstreams(tmp_path, client=engine.client).status(tmp_path)
    assert (status.found, status.startable, status.local) == (False, True, True)


async def test_a_server_that_was_named_is_not_replaced(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "https://ironflow.example")
    engine.down = True
    upstreams = Upstreams(tmp_path, client=engine.client)
    status = await upstreams.status(tmp_path)
    assert (status.found, status.startable, status.local) == (False, False, False)
    with pytest.raises(FailedPreconditionError, match=r"IRONFLOW_SERVER_URL names https://ironflow\.example"):
        await upstreams.start(tmp_path)


async def test_what_comes_back_is_asked_again_for_what_it_can(tmp_path: Path, engine: Engine) -> None:
    upstreams = Upstreams(tmp_path, client=engine.client)
    upstream = upstreams.at(tmp_path)
    assert await upstream.extras() == ("runs/audit",)
    engine.extras = ()
    assert await upstream.extras() == ("runs/audit",)
    engine.down = True
    assert not (await upstreams.status(tmp_path)).found
    engine.down = False
    assert await upstream.extras() == ()


def test_settings_are_looked_up_anew_for_every_request(tmp_path: Path, engine: Engine) -> None:
    upstreams = Upstreams(tmp_path, client=engine.client)
    before = upstreams.at(tmp_path)
    assert before is upstreams.at(tmp_path)
    publish(tmp_path)
    after = upstreams.at(tmp_path)
    assert (before.settings.source, after.settings.server_url) == ("default", "http://127.0.0.1:9200")


def test_a_url_that_cannot_be_used_is_named(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "ftp://x")
    with pytest.raises(DefinitionError, match="IRONFLOW_SERVER_URL"):
        Upstreams(tmp_path, client=engine.client).at(tmp_path)


def test_folders_are_those_that_jupyter_shows(tmp_path: Path) -> None:
    root = tmp_path / "shown"
    (root / "a" / "b").mkdir(parents=True)
    (tmp_path / "hidden").mkdir()
    (root / "link").symlink_to(tmp_path / "hidden")
    upstreams = Upstreams(root)
    for named in ("", "/", "gone", "a/../"):
        assert upstreams.folder(named) == root
    assert upstreams.folder("a/b") == root / "a" / "b"
    assert upstreams.folder("a/gone/deeper") == root / "a"
    for named in ("..", "a/../../hidden", "link", "\x00"):
        with pytest.raises(InvalidArgumentError):
            upstreams.folder(named)
