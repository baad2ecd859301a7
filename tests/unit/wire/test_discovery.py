"""The discovery file: which content is trusted."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.wire import discovery


def test_what_is_written_is_read() -> None:
    written = discovery.Discovery(
        version=1, url="http://127.0.0.1:9123", api_key="k", environment="default", instance="t"
    )
    assert discovery.parse(discovery.write(written)) == written
    assert msgspec.json.decode(discovery.write(written))["version"] == 1


@pytest.mark.parametrize(
    "url",
    ["http://localhost:9123", "http://127.0.0.1", "http://127.9.9.9:1/", "http://[::1]:9123", "http://LOCALHOST:1"],
)
def test_loopback_servers_are_usable(url: str) -> None:
    found = discovery.parse(b'{"version":1,"url":"%s","later":true}' % url.encode())
    assert found is not None
    assert (found.url, found.api_key, found.environment) == (url, "", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version":1}',
        b'{"version":2,"url":"http://localhost:1"}',
        b'{"version":"1","url":"http://localhost:1"}',
        b'{"version":1,"url":"https://localhost:1"}',
        b'{"version":1,"url":"http://example.com"}',
        b'{"version":1,"url":"http://10.0.0.1:9123"}',
        b'{"version":1,"url":"http://localhost.example.com"}',
        b'{"version":1,"url":"http://localhost@example.com"}',
        b'{"version":1,"url":"http://me:pw@localhost:1"}',
        b'{"version":1,"url":"http://localhost:port"}',
        b'{"version":1,"url":"http://localhost:0"}',
        b'{"version":1,"url":"http://[::1"}',
        b'{"version":1,"url":"http://localhost:1/elsewhere"}',
        b'{"version":1,"url":"http://localhost:1","api_key":7}',
        b'{"version":1,"url":"http://localhost:1"} x',
        b"\xff\xfe",
    ],
)
def test_other_content_is_unusable(raw: bytes) -> None:
    assert discovery.parse(raw) is None


def test_an_oversized_file_is_unusable() -> None:
    raw = b'{"version":1,"url":"http://localhost:1"}'
    assert discovery.parse(raw.ljust(discovery.LARGEST)) is not None
    assert discovery.parse(raw.ljust(discovery.LARGEST + 1)) is None


@given(st.binary())
def test_no_content_is_an_error(raw: bytes) -> None:
    assert discovery.parse(raw) is None


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost", True),
        ("https://127.0.0.1:443", True),
        ("http://[::1]", True),
        ("//127.0.0.1:80", True),
        ("http://0.0.0.0", False),
        ("http://example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_is_loopback(url: str, local: bool) -> None:
    assert discovery.is_loopback(url) is local
