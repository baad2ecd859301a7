"""`server.json`: read only when it is whole, believed only when the server answers with its token."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ironflow_lab.local import health, record
from ironflow_lab.models.server import Health

SAMPLE = record.ServerRecord(
    pid=7, token="t", url="http://127.0.0.1:9123", port=9123, version="0.1.0", started_at=1, notes=("a note",)
)


def test_it_is_read_as_written_and_private(tmp_path: Path) -> None:
    record.write(tmp_path, SAMPLE)
    assert record.read(tmp_path) == SAMPLE
    assert stat.S_IMODE((tmp_path / record.FILE).stat().st_mode) == 0o600
    record.remove(tmp_path)
    assert record.read(tmp_path) is None
    record.remove(tmp_path)


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\x00", b"null", b'{"pid":1}', b" " * 70_000]
)
def test_garbage_counts_as_no_record(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / record.FILE).write_bytes(garbage)
    assert record.read(tmp_path) is None
    assert record.answering(tmp_path) is None


@pytest.mark.parametrize(
    ("answer", "believed"),
    [
        (Health(status="ok", instance="t"), True),
        (Health(status="ok", instance="another"), False),
        (Health(status="ok"), False),
        (None, False),
    ],
)
def test_only_the_token_proves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Health | None, believed: bool
) -> None:
    record.write(tmp_path, SAMPLE)
    monkeypatch.setattr(health, "ask", lambda url, *, timeout: {SAMPLE.url: answer}[url])
    assert record.answering(tmp_path) == (SAMPLE if believed else None)


def test_an_empty_token_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ask", lambda url, *, timeout: Health(status="ok"))
    (tmp_path / record.FILE).write_bytes(
        b'{"pid":1,"token":"","url":"http://127.0.0.1:1","port":1,"version":"","started_at":1}'
    )
    assert record.read(tmp_path) is not None
    assert record.answering(tmp_path) is None
