"""Which server, key and environment hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ironflow_lab.client import config
from ironflow_lab.client.config import Key, Settings
from ironflow_lab.errors import DefinitionError
from ironflow_lab.wire import discovery

LOCAL = discovery.Discovery(version=1, url="http://127.0.0.1:7777", api_key="ifkey_local", environment="dev")


def place(folder: Path, content: bytes = discovery.write(LOCAL)) -> Path:
    """Write a discovery file below `folder`."""
    (folder / ".ironflow").mkdir(parents=True)
    path = folder / ".ironflow" / "engine.json"
    path.write_bytes(content)
    return path


def resolve(folder: Path, *given: str | None, **variables: str) -> Settings:
    """Resolve with these arguments and variables only."""
    url, key, environment = (*given, None, None, None)[:3]
    known = None if key is None else Key(key)
    return config.resolve(url, known, environment, variables=variables, folder=folder)


def shape(settings: Settings) -> tuple[str, str, str]:
    return (settings.server_url, str(settings.api_key), settings.environment)


def test_nothing_given_is_the_default(tmp_path: Path) -> None:
    settings = resolve(tmp_path)
    assert shape(settings) == ("http://localhost:9123", "", "")
    assert settings.source == "default"


def test_arguments_beat_variables_beat_the_file(tmp_path: Path) -> None:
    path = place(tmp_path)
    assert shape(resolve(tmp_path)) == ("http://127.0.0.1:7777", "ifkey_local", "dev")
    assert resolve(tmp_path).source == str(path)
    settings = resolve(tmp_path, IRONFLOW_SERVER_URL="http://b:2", IRONFLOW_ENV="staging")
    assert shape(settings) == ("http://b:2", "", "staging")
    assert settings.source == "IRONFLOW_SERVER_URL"
    settings = resolve(tmp_path, "http://a:1", "ka", "prod", IRONFLOW_SERVER_URL="http://b", IRONFLOW_API_KEY="kb")
    assert shape(settings) == ("http://a:1", "ka", "prod")


def test_an_argument_completes_the_file(tmp_path: Path) -> None:
    place(tmp_path)
    assert shape(resolve(tmp_path, None, "mine")) == ("http://127.0.0.1:7777", "mine", "dev")
    assert shape(resolve(tmp_path, None, "", "")) == ("http://127.0.0.1:7777", "", "")
    assert resolve(tmp_path, IRONFLOW_ENV="staging").environment == "staging"


def test_a_discovered_key_goes_to_no_other_server(tmp_path: Path) -> None:
    place(tmp_path)
    assert resolve(tmp_path, "http://a:1").api_key == ""
    assert resolve(tmp_path, IRONFLOW_URL="http://b:2").api_key == ""


@pytest.mark.parametrize(
    "variables",
    [{"IRONFLOW_NO_DISCOVERY": "1"}, {"IRONFLOW_API_KEY": "k"}],
)
def test_discovery_is_skipped(tmp_path: Path, variables: dict[str, str]) -> None:
    place(tmp_path)
    assert resolve(tmp_path, **variables).server_url == config.DEFAULT_URL


def test_a_key_in_the_environment_is_used(tmp_path: Path) -> None:
    assert resolve(tmp_path, IRONFLOW_API_KEY="ifkey_1").api_key == "ifkey_1"
    assert resolve(tmp_path, "http://a:1", IRONFLOW_API_KEY="ifkey_1").api_key == "ifkey_1"


def test_blank_variables_are_unset(tmp_path: Path) -> None:
    place(tmp_path)
    settings = resolve(tmp_path, IRONFLOW_SERVER_URL=" ", IRONFLOW_API_KEY="", IRONFLOW_NO_DISCOVERY="0")
    assert settings.server_url == LOCAL.url


def test_the_alias_comes_second(tmp_path: Path) -> None:
    both = {"IRONFLOW_SERVER_URL": "http://b:2", "IRONFLOW_URL": "http://c:3"}
    assert resolve(tmp_path, **both).server_url == "http://b:2"
    assert resolve(tmp_path, IRONFLOW_URL="http://c:3").source == "IRONFLOW_URL"


def test_the_nearest_file_decides_even_when_it_is_unusable(tmp_path: Path) -> None:
    place(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert resolve(below).server_url == LOCAL.url
    place(tmp_path / "a", b'{"version":1,"url":"http://example.com"}')
    assert resolve(below).server_url == config.DEFAULT_URL


def test_a_file_that_cannot_be_read_is_passed_by(tmp_path: Path) -> None:
    place(tmp_path)
    below = tmp_path / "a"
    (below / ".ironflow" / "engine.json").mkdir(parents=True)
    assert resolve(below).server_url == LOCAL.url


def test_an_oversized_file_is_unusable(tmp_path: Path) -> None:
    place(tmp_path, discovery.write(LOCAL) + b" " * discovery.LARGEST)
    assert resolve(tmp_path).server_url == config.DEFAULT_URL


def test_the_working_directory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert config.resolve(variables={}).server_url == LOCAL.url


def test_a_removed_working_directory_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert config.resolve(variables={"IRONFLOW_URL": "http://b:2"}).server_url == "http://b:2"
    assert config.resolve(variables={}).server_url


def test_the_process_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("IRONFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IRONFLOW_SERVER_URL", "http://b:2")
    assert config.resolve().server_url == "http://b:2"


@pytest.mark.parametrize("url", ["http://h", "https://h:8443", "http://[::1]:9123", "https://h/prefix", "http://h/"])
def test_usable_addresses(tmp_path: Path, url: str) -> None:
    assert resolve(tmp_path, url).server_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "localhost:9123",
        "ftp://h",
        "http://",
        "http://h:port",
        "http://h:0",
        "http://h:99999",
        "http://[::1",
        "http://h?x=1",
        "http://h#x",
        "http://h\n",
        "http://a b",
    ],
)
def test_unusable_addresses_name_a_usable_one(tmp_path: Path, url: str) -> None:
    with pytest.raises(DefinitionError, match="http://localhost:9123"):
        resolve(tmp_path, url)


def test_credentials_in_an_address_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="IRONFLOW_API_KEY") as caught:
        resolve(tmp_path, IRONFLOW_SERVER_URL="http://me:hunter2@h")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["a b", "k\r\nx: y", "schlüssel", "k\n"])
def test_a_key_that_no_header_can_carry(tmp_path: Path, key: str) -> None:
    with pytest.raises(DefinitionError, match="api_key") as caught:
        resolve(tmp_path, None, key)
    assert key not in str(caught.value)


def test_the_key_shows_nowhere() -> None:
    settings = Settings(server_url="http://h", api_key=Key("ifkey_1"))
    assert "ifkey_1" not in repr(settings)
    assert repr(Key("ifkey_1")) == "'***'"
    assert repr(Key("")) == "''"
