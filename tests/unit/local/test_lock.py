"""One holder per folder, however the former one ended."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ironflow_lab.local import lock

HOLD = """
import sys
from pathlib import Path
from ironflow_lab.local import lock
held = lock.acquire(Path(sys.argv[1]))
print(held is not None, flush=True)
sys.stdin.read()
"""


def test_the_second_gets_none_until_the_first_lets_go(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path, patience=0)
    assert held is not None
    assert lock.acquire(tmp_path, patience=0) is None
    assert lock.holder(tmp_path) == os.getpid()
    held.release()
    assert lock.holder(tmp_path) is None
    again = lock.acquire(tmp_path, patience=0)
    assert again is not None
    again.release()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        assert lock.holder(tmp_path) == child.pid
        assert lock.acquire(tmp_path, patience=0) is None
        child.kill()
    assert lock.holder(tmp_path) is None


def test_a_child_of_the_holder_does_not_inherit_it(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path, patience=0)
    assert held is not None
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        held.release()
        assert lock.holder(tmp_path) is None
        child.kill()


def test_a_removed_file_is_no_longer_the_folders_lock(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path, patience=0)
    assert held is not None
    assert held.is_current()
    (tmp_path / lock.FILE).unlink()
    assert not held.is_current()
    (tmp_path / lock.FILE).touch()
    assert not held.is_current()
    held.release()


@pytest.mark.parametrize("content", [b"", b"not a number", b"\xff\xfe"])
def test_a_holder_that_has_not_said_its_number_is_0(tmp_path: Path, content: bytes) -> None:
    held = lock.acquire(tmp_path, patience=0)
    assert held is not None
    (tmp_path / lock.FILE).write_bytes(content)
    assert lock.holder(tmp_path) == 0
    held.release()


def test_nothing_is_held_where_there_is_no_folder(tmp_path: Path) -> None:
    assert lock.holder(tmp_path / "missing") is None
    with pytest.raises(FileNotFoundError):
        lock.acquire(tmp_path / "missing")


def test_the_file_is_private(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path, patience=0)
    assert held is not None
    assert stat.S_IMODE((tmp_path / lock.FILE).stat().st_mode) == 0o600
    held.release()
