"""Joining a real server: what it says, what it keeps quiet, what it does without one."""

from __future__ import annotations

import pytest

import ironflow_lab as il
from ironflow_lab.errors import (
    UnavailableError,
)
from ironflow_lab.testing import LocalServer

SECRET = "hunter2-s3cret"


def test_it_says_what_it_joined(lab: il.Lab, server: LocalServer) -> None:
    text = repr(lab)
    for part in (server.url, "version", "environment default"):
        assert part in text
    assert "without" not in text, "the embedded server lacks nothing a lab wants"
    assert "guarded" not in text


def test_the_key_shows_nowhere(server: LocalServer) -> None:
    joined = il.connect(server.url, api_key=SECRET)
    shown = [repr(joined), repr(joined.client), repr(joined.aio), repr(vars(joined)), joined._repr_html_()]
    joined.close()
    assert SECRET not in "".join(shown)


def test_no_server_there_is_one_error_with_the_remedy() -> None:
    with pytest.raises(UnavailableError, match=r"il\.start\(\)"):
        il.connect("http://127.0.0.1:1")


def test_the_environment_variable_is_used(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRONFLOW_SERVER_URL", server.url)
    joined = il.connect()
    assert joined.client.server_url == server.url
    joined.close()
