"""Where the data folder is, and which folders are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import filesystem, folders


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project root with a folder `notebooks/deep`, which is the working directory."""
    root = tmp_path / "project"
    (root / "notebooks" / "deep").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    monkeypatch.chdir(root / "notebooks" / "deep")
    return root.resolve()


def test_the_project_root_holds_the_data_when_no_folder_exists(project: Path) -> None:
    assert folders.locate(None) == project / ".ironflow"


@pytest.mark.parametrize("mark", ["pyproject.toml", ".git"])
def test_either_mark_makes_a_root(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert folders.project_root(tmp_path / "a" / "b") == tmp_path


def test_without_a_mark_the_folder_itself_is_the_root(tmp_path: Path) -> None:
    assert folders.project_root(tmp_path) == tmp_path


def test_the_nearest_existing_folder_wins_over_the_root(project: Path) -> None:
    (project / ".ironflow").mkdir()
    near = project / "notebooks" / ".ironflow"
    near.mkdir()
    assert folders.locate(None) == near


def test_an_existing_folder_above_the_root_wins_over_a_new_one(project: Path) -> None:
    above = project.parent / ".ironflow"
    above.mkdir()
    assert folders.locate(None) == above


def test_a_file_of_that_name_is_not_a_folder(project: Path) -> None:
    (project / "notebooks" / ".ironflow").touch()
    assert folders.locate(None) == project / ".ironflow"


def test_a_named_folder_is_taken_from_the_working_directory(project: Path) -> None:
    assert folders.locate("data") == project / "notebooks" / "deep" / "data"
    assert folders.locate(Path("/some/where")) == Path("/some/where")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folders.locate("~/data") == tmp_path.resolve() / "data"


def test_a_deleted_working_directory_names_the_remedy(project: Path) -> None:
    Path.cwd().rmdir()
    with pytest.raises(ServerStartError, match=r"no longer exists.*--data-dir"):
        folders.locate(None)
    with pytest.raises(ServerStartError, match="no longer exists"):
        folders.locate("relative")
    assert folders.locate("/absolute") == Path("/absolute")


def test_a_new_folder_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    folder = tmp_path / "a" / ".ironflow"
    folders.prepare(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    folders.prepare(folder)


def test_a_folder_of_another_name_gets_no_gitignore(tmp_path: Path) -> None:
    folders.prepare(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("inside", ["", "below"])
def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(ServerStartError, match="data is a file, not a folder: name another folder: --data-dir"):
        folders.prepare(tmp_path / "data" / inside)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ServerStartError, match=r"cannot be written \(Permission denied\): name another"):
        folders.prepare(tmp_path / "data")


def test_a_full_or_read_only_disk_is_told(tmp_path: Path) -> None:
    told = str(folders.unwritable(tmp_path, OSError(30, "Read-only file system")))
    assert told == (
        f"{tmp_path} cannot be written (Read-only file system): "
        "name another folder: --data-dir DIR, or data_dir= in Python."
    )


def test_the_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ServerStartError, match="belongs to another user: name another folder"):
        folders.prepare(tmp_path)


def test_the_superuser_may_use_the_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    folders.prepare(tmp_path)


def test_a_network_file_system_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "network_kind", lambda path: "nfs4")
    with pytest.raises(ServerStartError, match=r"network file system \(nfs4\).*--data-dir DIR"):
        folders.prepare(tmp_path / "data")
    assert not (tmp_path / "data").exists()
