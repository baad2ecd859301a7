"""Files of log lines: bounded, safe for any run id, and readable whatever stands in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ironflow_lab.runtime import logfiles
from ironflow_lab.runtime.logfiles import LogFiles, file_name


def lines(*texts: str) -> list[bytes]:
    return [text.encode() for text in texts]


@pytest.fixture
def files(tmp_path: Path) -> LogFiles:
    return LogFiles(tmp_path / "logs", per_run=1000)


def test_what_is_appended_is_read_by_another(files: LogFiles, tmp_path: Path) -> None:
    files.append("run_01", lines("one", "two"), 0)
    files.append("run_02", lines("other"), 0)
    files.append("run_01", lines("three"), 0)
    found = LogFiles(tmp_path / "logs", per_run=1000).read("run_01")
    assert found is not None
    assert (found.texts, found.dropped) == (lines("one", "two", "three"), 0)
    assert files.read("run_03") is None


def test_nobody_else_reads_them(files: LogFiles, tmp_path: Path) -> None:
    files.append("run_01", lines("one"), 0)
    [path] = (tmp_path / "logs").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_lost_lines_are_counted(files: LogFiles) -> None:
    files.append("run_01", lines("one"), 3)
    files.append("run_01", [], 4)
    found = files.read("run_01")
    assert found is not None
    assert (found.texts, found.dropped) == (lines("one"), 7)


def test_a_long_file_keeps_its_end_and_counts_the_rest(files: LogFiles, tmp_path: Path) -> None:
    for number in range(300):
        files.append("run_01", lines(f"line {number:04d}"), 0)
        [path] = (tmp_path / "logs").iterdir()
        assert path.stat().st_size <= 1000
    found = files.read("run_01")
    assert found is not None
    assert found.texts[-1] == b"line 0299"
    assert len(found.texts) + found.dropped == 300
    assert len(found.texts) >= 45


def test_a_file_that_others_made_large_is_read_from_its_end(files: LogFiles, tmp_path: Path) -> None:
    files.append("run_01", lines("one"), 0)
    [path] = (tmp_path / "logs").iterdir()
    path.write_bytes(b"x" * 100_000 + b"\nlast\n")
    found = files.read("run_01")
    assert found is not None
    assert (found.texts, found.dropped) == (lines("last"), 1)


@pytest.mark.parametrize("run_id", ["../../etc/passwd", "/", "", "a/b", ".", "x" * 5000, "\0", "run_\udcff", "run 1\n"])
def test_any_run_id_names_a_file_in_the_folder(run_id: str, files: LogFiles, tmp_path: Path) -> None:
    files.append(run_id, lines("one"), 0)
    assert files.fault == ""
    [path] = (tmp_path / "logs").iterdir()
    found = files.read(run_id)
    assert found is not None
    assert found.texts == lines("one")
    assert path.name.isascii()


def test_ids_that_differ_in_case_or_signs_have_files_of_their_own() -> None:
    names = {file_name(one).lower() for one in ("run_a", "run_A", "run/a", "run-a", "run a")}
    assert len(names) == 5


def test_neither_links_nor_folders_nor_pipes_are_followed(files: LogFiles, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / file_name("link")).symlink_to(secret)
    (tmp_path / "logs" / file_name("folder")).mkdir()
    os.mkfifo(tmp_path / "logs" / file_name("pipe"))
    for run_id in ("link", "folder", "pipe"):
        files.append(run_id, lines("one"), 0)
        assert files.fault
        found = files.read(run_id)
        assert found is None or not found.texts
    assert secret.read_text() == "private\n"


def test_a_folder_that_cannot_be_made_is_said_and_found_again(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    files = LogFiles(tmp_path / "logs", per_run=1000)
    files.append("run_01", lines("one"), 0)
    assert files.fault
    assert files.read("run_01") is None
    (tmp_path / "logs").unlink()
    files.append("run_01", lines("two"), 0)
    assert files.fault == ""
    found = files.read("run_01")
    assert found is not None
    assert found.texts == lines("two")


def test_the_oldest_files_go_when_all_are_too_many(
    files: LogFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfiles, "IN_ALL", 3 * logfiles.BLOCK)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "notes.txt").write_text("the user's own")
    for number in range(5):
        files.append(f"run_{number}", lines("one"), 0)
        os.utime(tmp_path / "logs" / file_name(f"run_{number}"), (number, number))
    files.prune()
    assert [number for number in range(5) if files.read(f"run_{number}")] == [2, 3, 4]
    assert (tmp_path / "logs" / "notes.txt").exists()


def test_the_folder_is_not_looked_through_after_each_line(files: LogFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    def look() -> list[object]:
        looks.append(None)
        return []

    monkeypatch.setattr(files, "_list", look)
    for _ in range(20):
        files.append("run_01", lines("one"), 0)
        files.prune()
    assert len(looks) == 1
