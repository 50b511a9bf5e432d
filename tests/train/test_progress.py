"""The progress bar of training."""

import re
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


def test_shows_epoch_loss_accuracy_speed_and_time_left_in_80_columns(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with TrainingProgress(True, epochs=164, steps=2, epochs_done=161) as bar:
        for _ in range(3):
            bar.step(1, 12.5)
        bar.epoch(0.875)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.written.split("\r")[-1])
    assert re.search(r"epoch 162/164 loss 12.5000 val. accuracy 0.8750 [0-9,]+ images/s (\d:\d\d:\d\d|-:--:--)", shown)
    assert capsys.readouterr().out == ""
