"""One worker id per notebook and data folder, one live holder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ironflow_lab.runtime import identity


def test_the_id_stays_for_the_same_owner_and_folder(tmp_path: Path) -> None:
    first = identity.acquire(tmp_path, "/home/me/My Tour.ipynb")
    first.release()
    again = identity.acquire(tmp_path, "/home/me/My Tour.ipynb")
    assert again.worker_id == first.worker_id
    assert re.fullmatch(r"my-tour-[0-9a-f]{8}", again.worker_id)
    assert again.shared_with == ""
    again.release()
    again.release()


def test_other_owners_and_folders_have_other_ids(tmp_path: Path) -> None:
    held = [
        identity.acquire(tmp_path / folder, owner)
        for folder in ("a", "b")
        for owner in ("/x/tour.ipynb", "/y/tour.ipynb", "interactive")
    ]
    assert len({one.worker_id for one in held}) == 6
    for one in held:
        one.release()


def test_a_second_live_holder_gets_a_fresh_id_and_is_told(tmp_path: Path) -> None:
    first = identity.acquire(tmp_path, "tour.ipynb")
    second = identity.acquire(tmp_path, "tour.ipynb")
    assert second.worker_id != first.worker_id
    assert second.shared_with == first.worker_id
    first.release()
    second.release()
    third = identity.acquire(tmp_path, "tour.ipynb")
    assert third.worker_id == first.worker_id
    third.release()


def test_the_end_of_a_process_frees_its_id(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from ironflow_lab.runtime import identity;"
        "held = identity.acquire(Path(sys.argv[1]), 'tour.ipynb');"
        "print(held.worker_id, flush=True); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60
    )
    held = identity.acquire(tmp_path, "tour.ipynb")
    assert held.worker_id == ended.stdout.strip()
    assert held.shared_with == ""
    held.release()


@pytest.mark.parametrize("content", [b"", b"../../etc\n", b"\xff\xfe", b"x" * 500])
def test_a_damaged_file_gives_a_new_id_that_stays(tmp_path: Path, content: bytes) -> None:
    first = identity.acquire(tmp_path, "tour.ipynb")
    first.release()
    [path] = (tmp_path / identity.FOLDER).iterdir()
    path.write_bytes(content)
    repaired = identity.acquire(tmp_path, "tour.ipynb")
    repaired.release()
    again = identity.acquire(tmp_path, "tour.ipynb")
    assert again.worker_id == repaired.worker_id != first.worker_id
    again.release()


def test_a_folder_that_cannot_be_written_gives_a_fresh_id(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    one, two = (identity.acquire(blocked, "tour.ipynb") for _ in range(2))
    assert one.worker_id != two.worker_id
    one.release()


@pytest.mark.parametrize(
    ("notebook", "argv", "owner"),
    [
        ("/home/me/tour.ipynb", ["/usr/bin/ipykernel_launcher.py"], "/home/me/tour.ipynb"),
        ("", ["/usr/bin/ipykernel_launcher.py"], "interactive"),
        (None, ["/home/me/job.py"], "/home/me/job.py"),
        (None, ["-c"], "interactive"),
        (None, [""], "interactive"),
        (None, [], "interactive"),
    ],
)
def test_owner(notebook: str | None, argv: list[str], owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert identity.owner(notebook) == owner


def test_a_mark_is_of_the_owner_and_the_folder(tmp_path: Path) -> None:
    first = identity.acquire(tmp_path / "a", "/home/me/tour.ipynb")
    beside = identity.acquire(tmp_path / "a", "/home/me/tour.ipynb")
    assert beside.worker_id != first.worker_id
    assert beside.mark == first.mark
    assert "tour" not in first.mark
    other = identity.acquire(tmp_path / "a", "/home/me/other.ipynb")
    elsewhere = identity.acquire(tmp_path / "b", "/home/me/tour.ipynb")
    assert len({first.mark, other.mark, elsewhere.mark}) == 3
    assert identity.is_own(first.mark)
    assert not identity.is_own("0123456789abcdef")
    for one in (first, beside, other, elsewhere):
        one.release()
    again = identity.acquire(tmp_path / "a", "/home/me/tour.ipynb")
    assert again.mark == first.mark
    again.release()


def test_an_identity_is_live_while_it_is_held(tmp_path: Path) -> None:
    held = identity.acquire(tmp_path, "/home/me/tour.ipynb")
    other = identity.acquire(tmp_path, "/home/me/other.ipynb")
    other.release()
    assert identity.is_live(tmp_path, held.mark)
    assert not identity.is_live(tmp_path, other.mark)
    assert not identity.is_live(tmp_path / "none", held.mark)
    held.release()
    assert not identity.is_live(tmp_path, held.mark)
    # Looking takes nothing from whoever comes next.
    assert identity.acquire(tmp_path, "/home/me/tour.ipynb").shared_with == ""
