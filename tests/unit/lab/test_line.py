"""The line outside a notebook: at a terminal one changing line, in a file nothing."""

from __future__ import annotations

import io
import sys

import pytest

from ironflow_lab.lab.line import Line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_each_text_replaces_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = Line()
    line.show("1 of 2")
    line.show("2 of 2")
    line.end()
    assert terminal.getvalue() == "\r\x1b[2K1 of 2\r\x1b[2K2 of 2\n"


def test_in_a_file_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line()
    line.show("1 of 2")
    line.end()
    assert capsys.readouterr() == ("", "")


def test_an_invisible_line_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = Line(visible=False)
    line.show("1 of 1")
    line.end()
    assert terminal.getvalue() == ""


def test_what_was_not_to_be_seen_is_shown_once_it_is_revealed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line = Line(visible=False)
    line.show("1 of 1")
    line.reveal()
    line.show("1 of 1")
    assert terminal.getvalue() == "\r\x1b[2K1 of 1"
    assert not line.in_notebook
