"""The store of log lines: bounded in memory, written behind the handlers' backs, read after the process's end."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironflow_lab.runtime import logs
from ironflow_lab.runtime.logfiles import file_name
from ironflow_lab.runtime.logs import LogLine, LogStore


def line(text: str, run_id: str = "run_01", **more: Any) -> LogLine:
    return LogLine(at=1, run_id=run_id, function_id="bill", text=text, stream="stdout", **more)


def texts(store: LogStore, run_id: str = "run_01") -> list[str]:
    return [one.text for one in store.read(run_id).lines]


def test_another_process_reads_what_was_written(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    given = line("grüße\n", attempt=2, step="pay", step_id="s1", level="INFO", data={"text/html": "<b>"})
    store.add(given)
    store.add(line("other", "run_02"))
    store.flush()
    found = LogStore(tmp_path).read("run_01")
    assert found.lines == (given,)
    assert (found.found, found.dropped) == (True, 0)


def test_of_an_unknown_run_nothing_is_known(tmp_path: Path) -> None:
    found = LogStore(tmp_path).read("run_01")
    assert (found.found, found.lines, found.dropped) == (False, (), 0)
    assert not (tmp_path / "logs").exists(), "reading makes no folder"


def test_the_writer_comes_by_itself(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    written = threading.Event()
    append = store._files.append

    def noticed(*args: Any) -> None:
        append(*args)
        written.set()

    store._files.append = noticed  # type: ignore[method-assign,assignment]  # for the one call
    store.add(line("one"))
    assert written.wait(10)
    assert (tmp_path / "logs" / file_name("run_01")).exists()


def test_of_a_run_the_newest_lines_are_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    for number in range(20_000):
        store.add(line(f"line {number:06d} " + "x" * 50))
    assert store._runs["run_01"].size <= logs.KEPT_PER_RUN
    for found in (store.read("run_01"), LogStore(tmp_path).read("run_01")):
        weight = sum(one.weight() for one in found.lines)
        assert logs.KEPT_PER_RUN // 4 < weight <= logs.KEPT_PER_RUN
        assert found.lines[-1].text.startswith("line 019999")
        numbers = [int(one.text[5:11]) for one in found.lines]
        assert numbers == list(range(numbers[0], 20_000))
        assert found.dropped + len(found.lines) == 20_000


def test_memory_is_bounded_and_the_disk_has_what_left_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT_IN_ALL", 1000)
    store = LogStore(tmp_path)
    for number in range(50):
        store.add(line("x" * 100, f"run_{number}"))
        store.flush()
    assert store._total <= 1000
    assert len(store._runs) < 10
    assert all(texts(store, f"run_{number}") == ["x" * 100] for number in range(50))


def test_what_is_not_written_yet_does_not_leave_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT_IN_ALL", 1000)
    store = LogStore(tmp_path)
    store._ticker.touch = lambda: None  # type: ignore[method-assign]
    for number in range(50):
        store.add(line("x" * 100, f"run_{number}"))
    assert len(store._runs) == 50
    store.flush()
    store.add(line("x", "run_50"))
    assert store._total <= 1000


def test_without_a_disk_the_memory_is_read(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    store = LogStore(tmp_path)
    store.add(line("one"))
    store.flush()
    store.add(line("two"))
    assert texts(store) == ["one", "two"]


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe\x00", b"{", b"[1,2", b"null", b"[]", b'["a","b"]', b"[" * 100_000, b"9" * 5000, b'"x"',
        b'[1,"run_02","bill","of another","stdout"]', b'[1e999,"run_01","f","t","s"]', b'{"at":1}', b"\r",
    ],
)  # fmt: skip
def test_damaged_lines_are_passed_over(damage: bytes, tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    store.add(line("before"))
    store.flush()
    with (tmp_path / "logs" / file_name("run_01")).open("ab") as file:
        file.write(damage + b"\n")
    store.add(line("after"))
    assert texts(store) == ["before", "after"]
    assert texts(LogStore(tmp_path)) == ["before", "after"]


def test_a_line_that_was_cut_off_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    store.add(line("before"))
    store.flush()
    path = tmp_path / "logs" / file_name("run_01")
    path.write_bytes(path.read_bytes()[:-4])
    store.add(line("after"))
    assert texts(store) == ["after"], "only the line that was cut off is lost"


@given(st.binary(max_size=400))
def test_no_file_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("data")
    (folder / "logs").mkdir()
    (folder / "logs" / file_name("run_01")).write_bytes(content)
    LogStore(folder).read("run_01")


def test_text_that_is_no_unicode_is_written(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    store.add(line("name \udcff end", step="\udcff", data={"text/plain": "\udcff"}))
    [found] = LogStore(tmp_path).read("run_01").lines or store.read("run_01").lines
    assert found.text == "name ? end"


def test_threads_lose_no_line(tmp_path: Path) -> None:
    store = LogStore(tmp_path)

    def write(run_id: str) -> None:
        for number in range(500):
            store.add(line(str(number), run_id))

    threads = [threading.Thread(target=write, args=(f"run_{number % 4}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        store.flush()
    for number in range(4):
        assert sorted(map(int, texts(store, f"run_{number}"))) == sorted([*range(500)] * 2)


def test_a_forked_child_leaves_its_parents_lines_alone(tmp_path: Path) -> None:
    store = LogStore(tmp_path)
    store.add(line("one"))
    pid = os.fork()
    if pid == 0:
        store.flush()
        os._exit(int((tmp_path / "logs").exists()) if not store._dirty else 0)
    _, status = os.waitpid(pid, 0)
    assert status == 0
    assert texts(store) == ["one"]


def test_a_process_has_one_store_for_a_folder(tmp_path: Path) -> None:
    assert logs.at(tmp_path) is logs.at(tmp_path)
    assert logs.at(tmp_path) is not logs.at(tmp_path / "other")
