"""The page of `look`, and the small pictures in it."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from millijoule.report.training.look_page import look_page
from millijoule.report.training.pictures import GAP_COLOUR, heat, montage, picture, signed, stretched
from millijoule.train import Evaluation, evaluate
from millijoule.train.look import look
from tests.networks import small_int8_model
from tests.report.training.test_run_page import Checker

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 1), dtype=np.uint8)


def seen(names=("<a>", "b", "c")):
    model = small_int8_model()
    return look(model, IMAGES[0], "image 0", 0, evaluate(model, IMAGES, np.arange(30) % 3, "random", names), IMAGES)


def test_the_page_has_every_part_and_needs_nothing_else():
    found = seen()
    page = look_page(found)
    assert Checker(page).open == []
    for text in ("What small sees", "Filters of the first layer", "Confusion", "&lt;a&gt;", "worst mistakes"):
        assert text in page
    assert "<a>" not in page.split('<script type="application/json"')[0]
    assert page.count("maps of ") == len(found.maps)
    assert page.count("a test image") == len(found.mistakes)
    assert not re.search(r'(src|href)="(?!data:)', page)
    value = json.loads(re.search(r'<script type="application/json" id="look">(.*?)</script>', page)[1])
    assert np.sum(value["confusion"]) == 30


def test_nothing_is_wrong_and_many_classes():
    found = seen()
    right = replace(found.evaluation, labels=found.evaluation.answers)
    assert "every test image is right" in look_page(replace(found, evaluation=right, mistakes=found.mistakes[:0]))
    scores = np.eye(40, dtype=np.float32)[[3, 3, 5]]
    many = Evaluation("net", "set", tuple(f"k{k}" for k in range(40)), np.array([3, 7, 5]), scores)
    page = look_page(replace(found, evaluation=many, mistakes=IMAGES[:1]))
    assert "<li>k7 for k3: 1</li>" in page
    assert '<table class="confusion">' not in page


def test_pictures_hold_the_pixels():
    pixels = np.random.default_rng(1).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    found = picture(pixels, 4, 'a "b"')
    assert 'width="20" height="12" alt="a &quot;b&quot;"' in found
    data = re.search(r"base64,(.*?)\"", found)[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels)


def test_scales():
    assert signed(np.array([-2.0, 0, 1]).reshape(1, 1, 3, 1)).reshape(-1).tolist() == [0, 128, 191]
    assert not (signed(np.zeros((1, 2, 2, 1))) - 128).any()
    maps = np.array([[[1.0, 5], [2, 5]]])
    assert stretched(maps).reshape(2, 2).tolist() == [[0, 255], [0, 0]]
    assert heat(np.array([[0.8, 0.0, 0.9]]), 0.8).tolist() == [[[255, 255, 255], [179, 38, 30], [255, 255, 255]]]


def test_a_montage_fills_rows():
    sheet = montage(np.full((3, 2, 2, 1), 9, np.uint8), 2)
    assert sheet.shape == (5, 5, 3)
    assert (sheet == 9).all(axis=2).sum() == 12
    assert (sheet[2] == GAP_COLOUR).all()
    assert len(set(GAP_COLOUR)) > 1, "a line that differs from every grey"
