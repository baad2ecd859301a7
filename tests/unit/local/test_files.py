"""Private files are written whole, and the log is capped without losing its end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ironflow_lab.local import files


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old and longer")
    path.chmod(0o644)
    files.write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_what_it_led_to_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / "x.json").symlink_to(target)
    files.write_private(tmp_path / "x.json", b"new")
    assert (target.read_text(), (tmp_path / "x.json").read_text()) == ("kept", "new")


def test_a_failing_write_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(IsADirectoryError):
        files.write_private(tmp_path / "x.json", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_reading_is_limited_and_never_raises(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    assert files.read_limited(path, 4) == b"01234"
    assert files.read_limited(tmp_path / "missing", 4) is None
    assert files.read_limited(tmp_path, 4) is None


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    for path in (tmp_path / "x", tmp_path / "x", tmp_path / "gone" / "x"):
        files.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_private_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    for text, begins in ((b"one\n", 0), (b"two\n", 4)):
        descriptor, begin = files.open_log(path)
        os.write(descriptor, text)
        os.close(descriptor)
        assert begin == begins
    assert files.tail(path, 4) == ["two"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_long_log_is_emptied_and_its_end_kept(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"x" * files.LOG_LIMIT + b"\nthe end\n")
    with path.open("ab") as writer:
        descriptor, begin = files.open_log(path)
        os.close(descriptor)
        writer.write(b"of a server that still writes\n")
    assert begin == 0
    assert files.tail(path, begin) == ["of a server that still writes"]
    kept = (tmp_path / "server.log.1").read_bytes()
    assert kept.endswith(b"\nthe end\n")
    assert len(kept) < files.LOG_LIMIT


def test_the_end_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("before\n\n" + "".join(f"line {number}\n" for number in range(40)))
    assert files.tail(path, 0, lines=2) == ["line 38", "line 39"]
    assert files.tail(path, 10**9) == []
    assert files.tail(tmp_path / "missing", 0) == []
    assert files.tell_end(path, ["a", "b"]) == f"The end of {path}:\n  a\n  b"
    assert files.tell_end(path, []) == f"{path} is empty."
