"""How JupyterLab is started, and when a browser is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ironflow_lab.errors import ServerStartError
from ironflow_lab.local import workbench


@pytest.mark.parametrize(
    ("environment", "platform", "seen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1.2.3.4 1 5.6.7.8 22"}, "darwin", False),
        ({"DISPLAY": ":10", "SSH_TTY": "/dev/pts/1"}, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({"BROWSER": "firefox"}, "linux", True),
    ],
)
def test_a_browser_is_opened_where_somebody_sees_it(environment: dict[str, str], platform: str, seen: bool) -> None:
    assert workbench.has_browser(environment, platform) is seen


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert workbench.notebook_command(Path("/p"), port=8890, page="/lab", browser=True) == [
        sys.executable,
        "-P",
        "-m",
        "ironflow_lab.local.owned",
        str(os.getpid()),
        "jupyterlab",
        "--ServerApp.root_dir=/p",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=8890",
        "--ServerApp.port_retries=0",
        "--LabApp.default_url=/lab",
    ]


def test_the_superuser_and_the_headless_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    command = workbench.notebook_command(Path("/p"), port=8890, page="/lab", browser=False)
    assert command[-2:] == ["--no-browser", "--allow-root"]


def test_without_jupyterlab_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "jupyterlab", None)
    said: list[str] = []
    with pytest.raises(ServerStartError, match=r"pip install 'ironflow-lab\[lab\]'"):
        workbench.run(port=None, server_port=None, browser=False, say=said.append)
    assert said == []
    assert list(tmp_path.iterdir()) == []
