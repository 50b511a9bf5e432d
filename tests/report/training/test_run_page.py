"""The page of a training: what it shows, and that it needs nothing else."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from millijoule.report.training.curves import Curve, chart, nice_ticks
from millijoule.report.training.run_page import counted, run_page
from millijoule.report.training.tables import class_rows, duration
from millijoule.train.run_folder import Epoch
from tests.train.test_evaluation import CASE

FIRST = Epoch(1, 0.5, 0.75, 0.4, 0.1, 1000, 2.0, 3.0, 1.5, 2.5)
EPOCHS = [FIRST, replace(FIRST, epoch=2, loss=0.25, accuracy=0.875, images=2000)]
CONFIG = {
    "network": "lenet5", "data": "a <b> & c", "recipe": "sgd", "settings": {"epochs": 2},
    "versions": {"torch": "9.9"}, "machine": {"cores": 2},
}  # fmt: skip


class Checker(HTMLParser):
    """Every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "br", "img", "rect", "line", "polyline", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("rect", "line", "polyline", "circle"):
            assert self.open.pop() == tag


def test_the_page_shows_accuracy_curves_settings_and_versions():
    page = run_page(CONFIG, EPOCHS, counted(CASE))
    assert Checker(page).open == []
    for text in ("Training lenet5 on a &lt;b&gt; &amp; c", "87.50 %", "50.00 %", "after epoch 2", "9.9", "500"):
        assert text in page
    assert page.count("<polyline") == 5
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    value = json.loads(re.search(r'<script type="application/json" id="training">(.*?)</script>', page)[1])
    assert value["evaluation"]["accuracy"] == 0.5
    assert [each["loss"] for each in value["epochs"]] == [0.5, 0.25]


def test_the_epoch_that_is_kept_is_told():
    worse_after = [EPOCHS[1], replace(FIRST, epoch=3)]
    for keep, words in (("best", "after epoch 2, which is kept"), ("last", "after epoch 3, which is kept")):
        config = {**CONFIG, "settings": {"epochs": 3, "keep": keep}}
        assert words in run_page(config, worse_after, None)


def test_a_page_in_the_middle_of_training_has_no_test_images():
    page = run_page(CONFIG, EPOCHS[:1], None)
    assert Checker(page).open == []
    assert "Test accuracy" not in page


def test_curves_span_the_plot_and_name_their_ends():
    drawing = chart("Loss", "epoch", [Curve("training", "first", [(1, 2.0), (3, 0.0)])])
    assert 'aria-label="Loss: training ends at 0"' in drawing
    first, last = (tuple(map(float, point.split(","))) for point in re.search(r'points="(.*?)"', drawing)[1].split())
    assert first == (62.0, 30.0)
    assert last == (490.0, 218.0)
    assert "<title>training, epoch 3: 0</title>" in drawing


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.971, 0.983, [0.97, 0.975, 0.98, 0.985]), (5, 5, [5, 6]), (0, 0, [0, 0.2])],
)
def test_ticks_are_round_numbers_around_the_values(low, high, ticks):
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_class_rows_say_what_a_class_is_mostly_taken_for():
    assert class_rows(CASE) == [
        ("a", "2", "50.00 %", "b (1)"),
        ("b", "1", "100.00 %", ""),
        ("c", "3", "33.33 %", "a (2)"),
    ]


@pytest.mark.parametrize(("seconds", "text"), [(8.31, "8.3 s"), (83.4, "1 min 23 s"), (5025, "1 h 23 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
