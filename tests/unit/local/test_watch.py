"""An owner that has ended is noticed, whether or not somebody waited for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ironflow_lab.local import watch


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that lives until its input closes."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_none_is_never_gone() -> None:
    assert not watch.Owner(0).is_gone()


def test_a_living_owner_is_not_gone(child: subprocess.Popen[bytes]) -> None:
    assert not watch.Owner(child.pid).is_gone()
    assert not watch.Owner(os.getpid()).is_gone()


def test_an_ended_owner_is_gone(child: subprocess.Popen[bytes]) -> None:
    owner = watch.Owner(child.pid)
    child.kill()
    child.wait()
    assert owner.is_gone()
    assert owner.is_gone()
    assert watch.Owner(child.pid).is_gone()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no process descriptors")
def test_an_owner_nobody_waited_for_is_gone_too(child: subprocess.Popen[bytes]) -> None:
    owner = watch.Owner(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert watch.is_alive(child.pid)
    assert owner.is_gone()


def test_without_process_descriptors_the_number_tells(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    owner = watch.Owner(child.pid)
    assert not owner.is_gone()
    child.kill()
    child.wait()
    assert owner.is_gone()


def test_a_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    assert watch.is_alive(1)
