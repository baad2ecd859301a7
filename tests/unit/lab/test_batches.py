"""What is remembered of batches that were not sent to the end."""

from __future__ import annotations

from pathlib import Path

from ironflow_lab.lab.batches import Batches, Unfinished

BEGUN = Unfinished(name="batch_1", begun_at=5)


def test_a_begun_batch_is_found_by_another_process_until_it_ends(tmp_path: Path) -> None:
    Batches(tmp_path, "server").begin("content", BEGUN)
    (file,) = (tmp_path / "batches").iterdir()
    assert file.suffix == ".json"
    assert Batches(tmp_path, "server").find("content") == BEGUN
    Batches(tmp_path, "server").end("content")
    assert Batches(tmp_path, "server").find("content") is None
    assert list((tmp_path / "batches").iterdir()) == []


def test_other_contents_and_other_servers_are_other_batches(tmp_path: Path) -> None:
    Batches(tmp_path, "server").begin("content", BEGUN)
    assert Batches(tmp_path, "server").find("other content") is None
    assert Batches(tmp_path, "other server").find("content") is None


def test_a_half_written_file_is_no_batch(tmp_path: Path) -> None:
    Batches(tmp_path, "server").begin("content", BEGUN)
    (file,) = (tmp_path / "batches").iterdir()
    file.write_bytes(b'{"name":"bat')
    Batches(tmp_path, "server").end("other content")
    assert Batches(tmp_path, "elsewhere").find("content") is None
    file.unlink()


def test_where_the_folder_cannot_be_written_this_process_remembers(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    Batches(blocked, "server").begin("content", BEGUN)
    assert Batches(blocked, "server").find("content") == BEGUN
    Batches(blocked, "server").end("content")
    assert Batches(blocked, "server").find("content") is None
