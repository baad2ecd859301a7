"""What happens before a kernel ends, whatever its `do_shutdown` is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.kernel import shutdown


class Kernel:
    """A kernel whose shutdown is written down."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        self._log.append(restart)
        return {"status": "ok", "restart": restart}


class AwaitedKernel(Kernel):
    async def do_shutdown(self, restart: bool) -> dict[str, Any]:  # type: ignore[override]  # ipykernel has both
        return super().do_shutdown(restart)


@pytest.fixture
def log() -> list[Any]:
    return []


def begin(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "shell", lambda: SimpleNamespace(kernel=kernel))


@pytest.mark.parametrize("kind", [Kernel, AwaitedKernel])
async def test_it_comes_before_the_end(kind: type[Kernel], log: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = kind(log)
    begin(kernel, monkeypatch)
    shutdown.before_shutdown(lambda: log.append("saved"))
    assert log == []
    assert await kernel.do_shutdown(True) == {"status": "ok", "restart": True}
    assert log == ["saved", True]


async def test_an_error_does_not_keep_the_kernel(
    log: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernel: Any = Kernel(log)
    begin(kernel, monkeypatch)

    def fails() -> None:
        raise RuntimeError("a bug")

    shutdown.before_shutdown(fails)
    assert (await kernel.do_shutdown(False))["status"] == "ok"
    assert "a bug" in caplog.text


def test_outside_a_kernel_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "shell", lambda: None)
    shutdown.before_shutdown(lambda: None)
