"""Which server, key and environment: explicit arguments, then variables, then the discovery file.

Protocol: conventions.md sections 1 to 3. A discovered key goes only to the server it was found with.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ironflow_lab.errors import DefinitionError
from ironflow_lab.wire import discovery

DEFAULT_URL = "http://localhost:9123"
_URL_VARIABLES = ("IRONFLOW_SERVER_URL", "IRONFLOW_URL")
_KEY, _ENVIRONMENT, _OFF = "IRONFLOW_API_KEY", "IRONFLOW_ENV", "IRONFLOW_NO_DISCOVERY"


class Key(str):
    """An API key that no representation shows, not even a traceback that prints local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return stars for a key, so that "none" can be told from "some"."""
        return "'***'" if self else "''"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send calls and as whom.

    `source` says where the URL came from: "argument", a variable's name, a file's path or "default".
    """

    server_url: str
    api_key: Key = Key("")
    environment: str = ""
    source: str = "argument"


def resolve(
    server_url: str | None = None,
    api_key: Key | None = None,
    environment: str | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Return the settings that hold for `folder` (the working directory) and `variables` (`os.environ`).

    None means "not given"; an empty key or environment means "none". Raises `DefinitionError` for a
    URL, key or environment that cannot be sent.
    """
    # Gathering raises nothing: a traceback must not show frames that hold all variables.
    gathered = _gather(
        server_url,
        api_key,
        environment,
        os.environ if variables is None else variables,
        folder,
    )
    return _checked(gathered)


def find_discovery(folder: Path) -> tuple[Path, discovery.Discovery] | None:
    """Return the nearest discovery file at or above `folder`, or None.

    The nearest file that can be read decides, even when it is not usable.
    """
    for place in (folder, *folder.parents):
        path = place / discovery.FOLDER / discovery.FILE
        try:
            with path.open("rb") as file:
                raw = file.read(discovery.LARGEST + 1)
        except OSError:
            continue
        found = discovery.parse(raw)
        return None if found is None else (path, found)
    return None


def _gather(
    server_url: str | None,
    api_key: Key | None,
    environment: str | None,
    variables: Mapping[str, str],
    folder: Path | None,
) -> Settings:
    key = Key(_value(variables, _KEY)) if api_key is None else api_key
    env = _value(variables, _ENVIRONMENT) if environment is None else environment
    if server_url is not None:
        return Settings(server_url=server_url, api_key=key, environment=env)
    for name in _URL_VARIABLES:
        if url := _value(variables, name):
            return Settings(server_url=url, api_key=key, environment=env, source=name)
    located = None
    if _value(variables, _OFF) != "1" and not _value(variables, _KEY):
        located = find_discovery(_here() if folder is None else folder)
    if located is None:
        return Settings(server_url=DEFAULT_URL, api_key=key, environment=env, source="default")
    path, found = located
    return Settings(
        server_url=found.url,
        api_key=Key(found.api_key) if api_key is None else key,
        environment=env or (found.environment if environment is None else ""),
        source=str(path),
    )


def _value(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name, "").strip()


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        # The working directory was removed: there is nothing to walk up from.
        return Path("/")


def _checked(settings: Settings) -> Settings:
    fault = _url_fault(settings.server_url)
    if fault:
        raise DefinitionError(f"the server URL ({settings.source}) {fault}; write for example {DEFAULT_URL}")
    for name, value in (("api_key", settings.api_key), ("environment", settings.environment)):
        if not (value.isascii() and value.isprintable() and " " not in value):
            raise DefinitionError(f"{name} has blanks or characters that no HTTP header can carry")
    return msgspec.structs.replace(settings, server_url=settings.server_url.rstrip("/"))


def _url_fault(url: str) -> str:
    if not url or any(character <= " " for character in url):
        return "is empty or has blanks"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"cannot be read ({error})"
    if parts.username is not None or parts.password is not None:
        return "has a user or password in it: pass a key as api_key= or IRONFLOW_API_KEY"
    if parts.scheme not in ("http", "https"):
        return f"{url!r} does not begin with http:// or https://"
    if not parts.hostname or port == 0:
        return f"{url!r} names no host or no usable port"
    if parts.query or parts.fragment:
        return f"{url!r} has a query or a fragment"
    return ""
