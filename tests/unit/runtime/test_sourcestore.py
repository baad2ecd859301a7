"""The kept versions: whole after a kill, shared by processes, readable whatever stands in the file."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from ironflow_lab.runtime import sourcestore
from ironflow_lab.runtime.sources import Source
from ironflow_lab.runtime.sourcestore import SourceStore


def version(code_hash: str, text: str = "", **changes: object) -> Source:
    return Source(code_hash=code_hash, text=text or f"def f(ctx): return {code_hash!r}", defined_at=1, **changes)  # type: ignore[arg-type]


def hashes(store: SourceStore, function_id: str = "f") -> list[str]:
    return [one.code_hash for one in store.versions(function_id)]


def file_of(folder: Path) -> Path:
    (found,) = folder.glob("*.jsonl")
    return found


def test_versions_are_kept_in_the_order_they_were_defined_last(tmp_path: Path) -> None:
    store = SourceStore(tmp_path / "sources")
    for code_hash in ("a", "b", "a", "c"):
        store.keep("f", version(code_hash))
    again = SourceStore(tmp_path / "sources")
    assert hashes(again) == ["b", "a", "c"]
    assert again.find("f", "b") == version("b")
    assert again.find("f", "z") is None
    assert again.versions("g") == ()


def test_the_same_again_writes_nothing_and_another_place_does(tmp_path: Path) -> None:
    store = SourceStore(tmp_path)
    store.keep("f", version("a", cell_number=1))
    size = file_of(tmp_path).stat().st_size
    store.keep("f", Source(code_hash="a", text=version("a").text, defined_at=99, cell_number=1))
    assert file_of(tmp_path).stat().st_size == size
    store.keep("f", version("a", cell_number=7))
    assert [one.cell_number for one in store.versions("f")] == [7]


def test_functions_have_a_file_each_whatever_their_ids(tmp_path: Path) -> None:
    store = SourceStore(tmp_path)
    ids = ["a.b", "a-b", "A.B", "../../etc", "ü", "x" * 300]
    for number, function_id in enumerate(ids):
        store.keep(function_id, version(str(number)))
    assert [hashes(store, function_id) for function_id in ids] == [[str(number)] for number in range(len(ids))]
    assert store.known() == tuple(sorted(ids))
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*.jsonl"))


def test_what_is_kept_is_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sources"
    SourceStore(folder).keep("f", version("a"))
    assert file_of(folder).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_every_cut_of_the_file_keeps_the_versions_before_it(tmp_path: Path) -> None:
    store = SourceStore(tmp_path)
    for code_hash in ("a", "b"):
        store.keep("f", version(code_hash))
    file, whole = file_of(tmp_path), file_of(tmp_path).read_bytes()
    first = whole.index(b"\n\n")
    for cut in range(0, len(whole), 7):
        file.write_bytes(whole[:cut])
        again = SourceStore(tmp_path)
        assert hashes(again) in ([["a"], ["a", "b"]] if cut >= first else [[], ["a"]])
        again.keep("f", version("c"))
        assert hashes(SourceStore(tmp_path))[-1] == "c", "what follows a cut line is whole"


@pytest.mark.parametrize(
    "damage",
    [
        b"\x00\xff\xfe",
        b"{",
        b"[]",
        b'{"function_id":"f","code_hash":7}',
        b'{"function_id":"f"}',
        b'{"function_id":"f","code_hash":"\xff"}',
        b'{"function_id":"other","code_hash":"x"}',
        b'{"function_id":"f","code_hash":"a","line":1e400}',
        b'{"x":' * 100_000,
    ],
)
def test_a_damaged_line_says_nothing(tmp_path: Path, damage: bytes) -> None:
    store = SourceStore(tmp_path)
    store.keep("f", version("a"))
    with file_of(tmp_path).open("ab") as file:
        file.write(damage + b"\n")
    store.keep("f", version("b"))
    assert hashes(SourceStore(tmp_path)) == ["a", "b"]


def test_another_process_is_seen_and_loses_nothing(tmp_path: Path) -> None:
    one, other = SourceStore(tmp_path), SourceStore(tmp_path)
    for number in range(6):
        (one if number % 2 else other).keep("f", version(str(number)))
    assert hashes(one) == hashes(other) == list("012345")


def test_a_file_is_bounded_and_its_newest_versions_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sourcestore, "MOST_BYTES", 4_000)
    store = SourceStore(tmp_path)
    for number in range(60):
        store.keep("f", version(f"{number:02d}", "x" * 100))
        assert file_of(tmp_path).stat().st_size <= 4_400
        assert hashes(store)[-1] == f"{number:02d}"
    assert len(hashes(store)) >= 5
    assert not list(tmp_path.glob("*.tmp"))


def test_while_another_process_shortens_nothing_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sourcestore, "MOST_BYTES", 200)
    store = SourceStore(tmp_path)
    with sourcestore._alone_with(tmp_path) as locked:
        assert locked
        for code_hash in "abcdef":
            store.keep("f", version(code_hash))
    assert file_of(tmp_path).stat().st_size > 200
    store.keep("f", version("g"))
    assert hashes(store)[-1] == "g"


def test_a_line_written_while_the_file_was_replaced_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SourceStore(tmp_path)
    store.keep("f", version("a"))
    file, real = file_of(tmp_path), os.fsync
    fresh = [file.read_bytes()]

    def replaced(descriptor: int) -> None:
        real(descriptor)
        if fresh:
            other = tmp_path / "other"
            other.write_bytes(fresh.pop())
            other.replace(file)

    monkeypatch.setattr(os, "fsync", replaced)
    store.keep("f", version("b"))
    assert hashes(SourceStore(tmp_path)) == ["a", "b"]


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    store = SourceStore(tmp_path / "file" / "sources")
    with caplog.at_level(logging.WARNING):
        for code_hash in ("a", "b", "a"):
            store.keep("f", version(code_hash))
    assert hashes(store) == ["b", "a"]
    assert store.known() == ("f",)
    (said,) = caplog.messages
    assert "cannot be kept" in said
    assert "name another data folder" in said


def test_what_is_no_file_is_not_opened_to_the_end(tmp_path: Path) -> None:
    store = SourceStore(tmp_path)
    store.keep("f", version("a"))
    path = file_of(tmp_path)
    path.unlink()
    os.mkfifo(path)
    assert SourceStore(tmp_path).versions("f") == ()
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    SourceStore(tmp_path).keep("f", version("b"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("scope", "name"),
    [
        ("", "_local"),
        ("_local", "local-"),
        ("flow.example.com:9123+prod", "flow.example.com-9123+prod-"),
        ("../../..", "_local"),
    ],
)
def test_each_server_has_its_own_folder(scope: str, name: str) -> None:
    found = sourcestore.folder(Path("/data"), scope)
    assert found.parent == Path("/data/sources")
    assert found.name.startswith(name)
    assert ".." not in found.parts
