"""The command line: what it accepts, what it refuses, and the statuses it ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ironflow_lab._version import __version__
from ironflow_lab.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory."""
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path.resolve()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what a misused command line says; its status is 2."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"ironflow-lab {__version__}\n"


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in refused(capsys)
    assert "invalid choice: 'start'" in refused(capsys, "start")


@pytest.mark.parametrize("port", ["-1", "65536", "http", "9123.5", ""])
@pytest.mark.parametrize("command", [("serve", "--port"), ("lab", "--port"), ("lab", "--server-port")])
def test_a_port_is_a_number_that_can_be_one(
    capsys: pytest.CaptureFixture[str], command: tuple[str, str], port: str
) -> None:
    assert f"argument {command[1]}" in refused(capsys, *command, port)


@pytest.mark.parametrize("seconds", ["0", "-5", "inf", "nan", "soon"])
def test_a_lease_lasts_some_time(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    assert "argument --lease-seconds" in refused(capsys, "serve", f"--lease-seconds={seconds}")


@pytest.mark.parametrize("pid", ["0", "-1", "make"])
def test_an_owner_is_a_process(capsys: pytest.CaptureFixture[str], pid: str) -> None:
    assert "argument --owner-pid" in refused(capsys, "serve", f"--owner-pid={pid}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", "", "a b"])
def test_only_loopback_is_served(capsys: pytest.CaptureFixture[str], here: Path, host: str) -> None:
    assert main(["serve", "--host", host]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"ironflow-lab: error: --host {host}: ")
    assert "SSH tunnel" in told
    assert not (here / ".ironflow").exists()


def test_a_file_is_no_data_folder(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert main(["serve", "--data-dir", "pyproject.toml"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"ironflow-lab: error: {here}/pyproject.toml is a file, not a folder: ")


def test_status_and_stop_when_nothing_runs(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    assert main(["status"]) == 1
    assert main(["stop"]) == 0
    assert main(["stop", "--force", "--data-dir", "elsewhere"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"No server runs for {here}/.ironflow.",
        f"No server runs for {here}/.ironflow.",
        f"No server runs for {here}/elsewhere.",
    ]
    assert [path.name for path in here.iterdir()] == ["pyproject.toml"]


def test_a_deleted_working_directory_is_told(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    (here / "pyproject.toml").unlink()
    here.rmdir()
    for command in ("serve", "status", "stop"):
        assert main([command]) == 1
        assert "The working directory no longer exists" in capsys.readouterr().err
