"""Progress is for terminals only."""

import sys

import pytest

from millijoule.report.progress import counting


class Terminal:
    """stderr as a terminal that keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_silent_where_there_is_no_terminal(capsys):
    with counting("running the firmware") as done:
        done(1)
        done(2)
    assert capsys.readouterr() == ("", "")


def test_shows_the_samples_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with counting("running the firmware") as done:
        done(1234)
    assert "running the firmware" in terminal.written
    assert "1,234 samples" in terminal.written


def test_nothing_is_shown_before_the_first_sample(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with counting("running the firmware"):
        pass
    assert "running" not in terminal.written


def interrupted() -> None:
    with counting("running the firmware") as done:
        done(1)
        raise KeyboardInterrupt


def test_errors_pass_through():
    with pytest.raises(KeyboardInterrupt):
        interrupted()
