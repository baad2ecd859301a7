"""Output by context: cells, filters, and streams that stay what they were."""

from __future__ import annotations

import contextvars
import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from ironflow_lab.kernel import output
from ironflow_lab.kernel.output import FilteredStream, KernelOutput, here, kernel_output

PARENT: contextvars.ContextVar[str] = contextvars.ContextVar("parent", default="latest cell")


class Shell:
    """A kernel's shell; `cell` is the one being executed."""

    kernel = object()

    def __init__(self) -> None:
        self.cell = "cell 1"

    def get_parent(self) -> str:
        return self.cell

    def set_thread_parent(self, parent: str) -> None:
        PARENT.set(parent)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    running = Shell()
    monkeypatch.setattr(output, "shell", lambda: running)
    return running


def nothing(stream: str, text: str) -> str:
    return text


def test_outside_a_kernel_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "shell", lambda: None)
    before = sys.stdout
    assert here() is None
    assert kernel_output() is None
    assert sys.stdout is before


def test_output_goes_to_the_cell_it_was_defined_in(shell: Shell) -> None:
    first = here()
    shell.cell = "cell 2"
    second = here()
    shell.cell = "cell 3"
    sink = KernelOutput()
    assert sink.context(first, nothing).run(PARENT.get) == "cell 1"
    assert sink.context(second, nothing).run(PARENT.get) == "cell 2"
    assert sink.context(None, nothing).run(PARENT.get) == "latest cell"
    assert PARENT.get() == "latest cell", "the caller's context is not touched"


def test_before_ipykernel_7_4_the_cells_own_context_is_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Shell, "set_thread_parent")
    PARENT.set("cell 5")
    cell = here()
    PARENT.set("cell 6")
    assert KernelOutput().context(cell, nothing).run(PARENT.get) == "cell 5"


@pytest.mark.usefixtures("shell")
def test_each_context_is_its_own() -> None:
    cell, sink = here(), KernelOutput()
    one, two = sink.context(cell, nothing), sink.context(cell, nothing)
    one.run(PARENT.set, "changed")
    assert two.run(PARENT.get) == "cell 1"


@pytest.mark.usefixtures("shell")
def test_text_passes_the_filter_of_its_context(monkeypatch: pytest.MonkeyPatch) -> None:
    base = io.StringIO()
    monkeypatch.setattr(sys, "stdout", base)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    sink = kernel_output()
    assert sink is not None
    seen: list[tuple[str, str]] = []

    def shout(stream: str, text: str) -> str:
        seen.append((stream, text))
        return text.upper() if "secret" not in text else ""

    context = sink.context(here(), shout)
    context.run(print, "hello", end="")
    context.run(print, "a secret", end="")
    context.run(sys.stderr.write, "oh")
    print("plain", end="")
    assert base.getvalue() == "HELLOplain"
    assert [one for one in seen if one[1]] == [("stdout", "hello"), ("stdout", "a secret"), ("stderr", "oh")]


def test_writing_returns_the_full_length() -> None:
    stream = FilteredStream("stdout", io.StringIO())
    context = KernelOutput().context(None, lambda stream, text: "")
    assert context.run(stream.write, "12345") == 5
    assert stream.write("123") == 3
    context.run(stream.writelines, ["a", "b"])


@pytest.mark.usefixtures("shell")
def test_installing_twice_wraps_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    kernel_output()
    wrapped = sys.stdout
    kernel_output()
    assert sys.stdout is wrapped
    assert isinstance(wrapped, FilteredStream)


def test_a_filtered_stream_is_otherwise_the_stream_it_was() -> None:
    base = SimpleNamespace(encoding="UTF-8", isatty=lambda: False, set_parent="set", write=len)
    stream: Any = FilteredStream("stdout", base)  # type: ignore[arg-type]  # enough of a stream
    assert (stream.encoding, stream.isatty(), stream.set_parent) == ("UTF-8", False, "set")
    assert not hasattr(stream, "fileno")
    assert not stream.capturing()
    assert KernelOutput().context(None, nothing).run(stream.capturing)
