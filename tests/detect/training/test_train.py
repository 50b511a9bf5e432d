"""Training detectors: it learns, the same twice, never lost; by the loop of all trainings."""

import re
from dataclasses import replace

import numpy as np
import pytest

from millijoule.detect.heads import HEADS
from millijoule.detect.training import box_sizes, choose, train_detector
from millijoule.errors import DataError, MillijouleError, ModelError, OptionError
from millijoule.train import load_checkpoint
from millijoule.train.loop import Trainer
from tests.detect.training.cases import shapes
from tests.train.test_loop import assert_same, interrupt_in_epoch

FAST = {"batch_size": 8, "learning_rate": 0.02, "validation": 0.2, "progress": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return shapes(tmp_path_factory.mktemp("shapes"))


def detector_for(data, head="centre", classes=2):
    sizes = box_sizes(data, (64, 64))
    return HEADS[head](
        backbone="mobilenet_v1-0.25", classes=classes, image=(64, 64), strides=(8, 16), channels=16, sizes=sizes
    )


@pytest.mark.parametrize(
    ("head", "changes"),
    [("centre", {}), ("ssdlite", {"score_loss": "hard_negatives", "box_loss": "smooth_l1", "box_weight": 0.5})],
)
def test_squares_and_discs_are_learnt_in_some_steps(data, head, changes):
    epochs = []
    model = train_detector(
        detector_for(data, head), data, epochs=28, mosaic=0.0, on_epoch=epochs.append, **FAST, **changes
    )
    assert epochs[-1].loss < 0.6 * epochs[0].loss
    best = max(each.accuracy for each in epochs)
    assert best > 0.4
    assert max(each.accuracy for each in epochs[:4]) < 0.3
    assert model.labels == ("square", "disc")
    assert model.boxes is not None


def test_focal_loss_and_generalised_overlap_fall(data):
    epochs = []
    train_detector(detector_for(data, "ssdlite"), data, epochs=12, mosaic=0.3, on_epoch=epochs.append, **FAST)
    assert epochs[-1].loss < 0.8 * epochs[0].loss


def test_a_resumed_training_ends_like_an_uninterrupted_one(data, tmp_path, monkeypatch):
    detector, settings = detector_for(data), {"epochs": 3, "mosaic": 0.5, "must_learn": False, **FAST}
    whole = train_detector(detector, data, **settings)
    assert_same(train_detector(detector, data, **settings), whole)
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, 1)
        with pytest.raises(MillijouleError, match=r"interrupted in epoch 2 of 3; .* \(validation mAP@0.5 "):
            train_detector(detector, data, checkpoint=tmp_path, **settings)
    kept = load_checkpoint(tmp_path, detector.graph)
    assert (kept.boxes, kept.labels) == (detector.boxes, data.classes)
    assert_same(train_detector(detector, data, checkpoint=tmp_path, **settings), whole)
    other = replace(data, train=data.train[1:])
    with pytest.raises(OptionError, match="another data"):
        train_detector(detector, other, checkpoint=tmp_path, **settings)


def test_test_images_are_never_looked_at(data):
    settings = {"epochs": 1, "must_learn": False, **FAST}
    without = replace(data, test=())
    assert_same(
        train_detector(detector_for(data), data, **settings), train_detector(detector_for(data), without, **settings)
    )


def test_numbers_to_begin_with_replace_random_ones(data):
    detector = detector_for(data)
    params = detector.graph.params()
    start = {"stem.weight": np.full(params["stem.weight"].shape, 0.25, np.float32)}
    model = train_detector(
        detector, data, epochs=1, must_learn=False, start=start, average=0.0, **FAST | {"learning_rate": 1e-9}
    )
    np.testing.assert_allclose(model.weights["stem.weight"], 0.25, atol=1e-6)
    bias = model.weights["scores_0.bias"]
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), 0.01, atol=1e-4, err_msg="no class is likely at first")


def test_a_network_that_finds_nothing_has_not_learnt(data, monkeypatch):
    monkeypatch.setattr(Trainer, "evaluate", lambda trainer: (0.0, 1.0))
    with pytest.raises(OptionError, match="finds no object of the held-out images: it has not learnt"):
        train_detector(detector_for(data), data, epochs=1, **FAST)


def test_what_does_not_go_together(data):
    with pytest.raises(ModelError, match="'centre' tells 3 classes apart, data set 'shapes' has 2: they must be equal"):
        train_detector(detector_for(data, classes=3), data, epochs=1)
    for changes, words in (
        ({"score_loss": "hinge"}, "score_loss is 'hinge'; it must be one of focal, hard_negatives"),
        ({"box_loss": "iou"}, "box_loss is 'iou'; it must be one of giou, smooth_l1"),
        ({"zoom": -0.1}, "zoom is -0.1; it must be 0 or more, at most 3"),
        ({"mosaic": 2}, "mosaic is 2; it must be 0 or more, at most 1"),
        ({"box_weight": float("nan")}, "box_weight is nan"),
        ({"mixup": 0.2}, "mixup is a setting of classifiers; detectors have score_loss, box_loss"),
        ({"zooom": 1}, "there is no setting 'zooom'; did you mean zoom?"),
        ({"recipe": "airbench"}, "there is no recipe 'airbench' for detectors; known are auto, sgd"),
        ({"epochs": 0}, "epochs is 0; it must be 1 or more"),
        ({"score_loss": "hard_negatives"}, "score_loss hard_negatives is for ssdlite"),
    ):
        with pytest.raises(OptionError, match=re.escape(words)):
            train_detector(detector_for(data), data, **changes)


def test_a_set_of_difficult_boxes_alone_teaches_nothing(data):
    hard = [replace(each, boxes=replace(each.boxes, difficult=~each.boxes.difficult)) for each in data.train]
    with pytest.raises(DataError, match="'shapes' has no training box that is not difficult"):
        box_sizes(replace(data, train=tuple(hard)), (64, 64))


def test_the_recipe_of_ssd_can_be_changed_setting_by_setting():
    plain = choose("sgd", 300, {})
    assert (plain.optimizer, plain.score_loss, plain.box_loss) == ("sgd", "hard_negatives", "smooth_l1")
    assert choose("sgd", 300, {"zoom": 0.1, "flip": None}) == replace(plain, zoom=0.1)
