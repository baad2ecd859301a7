"""Which code each run began with: kept across processes, bounded, readable whatever stands in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironflow_lab.runtime import begun
from ironflow_lab.runtime.begun import NEWEST, Begun


def test_what_a_run_began_with_outlives_the_process(tmp_path: Path) -> None:
    one = Begun(tmp_path / "sources")
    one.note("run_1", "aaaa")
    one.note("run_2", "bbbb")
    other = Begun(tmp_path / "sources")
    assert (other.of("run_1"), other.of("run_2"), other.of("run_3")) == ("aaaa", "bbbb", "")
    assert (tmp_path / "sources" / begun.FILE).stat().st_mode & 0o777 == 0o600


def test_another_process_is_heard_at_once_and_the_last_word_counts(tmp_path: Path) -> None:
    one, other = Begun(tmp_path), Begun(tmp_path)
    one.note("run_1", "aaaa")
    assert other.of("run_1") == "aaaa"
    assert other.move("run_1")
    assert one.of("run_1") == NEWEST
    one.note("run_1", "bbbb")
    assert other.of("run_1") == "bbbb"
    other.ended("run_1")
    assert one.of("run_1") == NEWEST


def test_which_code_executed_a_run_last_outlives_its_failure(tmp_path: Path) -> None:
    one = Begun(tmp_path)
    assert one.last("run_1") == ""
    one.note("run_1", "aaaa")
    one.ended("run_1")
    assert (one.of("run_1"), one.last("run_1")) == (NEWEST, "aaaa")
    other = Begun(tmp_path)
    assert other.last("run_1") == "aaaa"
    other.note("run_1", "bbbb")
    assert one.last("run_1") == "bbbb"


def test_without_a_folder_it_is_remembered_as_long_as_the_process() -> None:
    kept = Begun()
    kept.note("run_1", "aaaa")
    assert kept.of("run_1") == "aaaa"
    assert not kept.move("run_1")
    assert kept.of("run_1") == NEWEST


def test_a_folder_that_cannot_be_written_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Begun(tmp_path / "file" / "sources")
    kept.note("run_1", "aaaa")
    assert not kept.move("run_2")
    assert (kept.of("run_1"), kept.of("run_2")) == ("aaaa", NEWEST)


def test_every_cut_of_the_file_keeps_the_lines_before_it(tmp_path: Path) -> None:
    kept = Begun(tmp_path)
    kept.note("run_1", "aaaa")
    kept.note("run_2", "bbbb")
    file = tmp_path / begun.FILE
    whole = file.read_bytes()
    for cut in range(len(whole) + 1):
        file.write_bytes(whole[:cut])
        Begun(tmp_path).note("run_3", "cccc")
        again = Begun(tmp_path)
        assert again.of("run_3") == "cccc"
        assert again.of("run_1") == "aaaa" or cut < whole.index(b"\n\n")


@pytest.mark.parametrize("line", [b"\xff\xfe \xff", b"run_1", b"run_1  ", b"a b c", b"x" * 3_000_000, b"\0" * 100])
def test_a_damaged_line_says_nothing(tmp_path: Path, line: bytes) -> None:
    (tmp_path / begun.FILE).write_bytes(line + b"\n")
    kept = Begun(tmp_path)
    kept.note("run_1", "aaaa")
    assert Begun(tmp_path).of("run_1") == "aaaa"


def test_a_run_id_that_is_no_word_is_not_written(tmp_path: Path) -> None:
    kept = Begun(tmp_path)
    kept.note("run_1 x\nrun_2", "aaaa")
    assert kept.of("run_1 x\nrun_2") == "aaaa"
    assert not (tmp_path / begun.FILE).exists()


def test_the_file_is_bounded_and_the_newest_half_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(begun, "MOST_BYTES", 1_000)
    kept, reader = Begun(tmp_path), Begun(tmp_path)
    for number in range(500):
        kept.note(f"run_{number}", "aaaa")
        assert reader.of(f"run_{number}") == "aaaa"
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2_200
    late = Begun(tmp_path)
    assert [late.of(f"run_{number}") for number in (499, 450, 0)] == ["aaaa", "aaaa", ""]
    assert reader.of("run_499") == "aaaa"


def test_the_newest_runs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(begun, "MOST_RUNS", 2)
    kept = Begun()
    for run in ("run_1", "run_2", "run_1", "run_3"):
        kept.note(run, "aaaa")
    assert [kept.of(run) for run in ("run_1", "run_2", "run_3")] == ["aaaa", "", "aaaa"]


def test_one_record_a_folder_in_a_process(tmp_path: Path) -> None:
    assert begun.at(tmp_path) is begun.at(tmp_path)
