"""The progress bar of training."""

import sys

from millijoule.train import train
from millijoule.train.progress import TrainingProgress
from tests.report.test_progress import Terminal
from tests.train.cases import linear, stripes


def test_silent_where_there_is_no_terminal(capsys):
    train(linear(), stripes(), epochs=1)
    assert capsys.readouterr() == ("", "")


def test_silent_if_not_wanted(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    train(linear(), stripes(), epochs=1, progress=False)
    assert terminal.written == ""


def test_shows_epoch_loss_accuracy_and_speed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with TrainingProgress(True, epochs=8, steps=2, epochs_done=3) as bar:
        bar.step(10, 0.5)
        bar.step(10, 0.5)
        bar.epoch(0.875)
    for word in ("training", "epoch 4/8", "loss 0.5000", "validation accuracy 0.8750", "images/s"):
        assert word in terminal.written
    assert capsys.readouterr().out == ""
