"""Training's state on disk."""

import os

import numpy as np
import pytest

from millijoule.errors import DataError, OptionError
from millijoule.model import Model
from millijoule.train.checkpoint import (
    FILE,
    Best,
    Checkpoint,
    fingerprint,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from millijoule.train.initial import initial_weights
from millijoule.train.loop import Settings
from tests.train.cases import linear

GRAPH = linear()
IDENTITY = {"network": "a", "data": "b", "epochs": 3}


def state(epochs_done: int = 2) -> Checkpoint:
    now, best = (initial_weights(GRAPH, seed) for seed in (epochs_done, 7))
    momenta = {"momentum_buffer/n1.weight": now["n1.weight"] * 2}
    return Checkpoint(epochs_done, now, momenta, {"n1.bias": now["n1.bias"] + 3}, Best(1, 0.75, 0.5, best))


def save(folder, epochs_done: int = 2, **changes) -> None:
    model = Model(GRAPH, initial_weights(GRAPH, 0), labels=("a", "b"), preprocess={"mean": [0.5], "std": [0.25]})
    save_checkpoint(folder, state(epochs_done), IDENTITY | changes, model)


def assert_equal(found, expected) -> None:
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_what_was_written_is_read(tmp_path):
    save(tmp_path / "new" / "folder")
    found = read_checkpoint(tmp_path / "new" / "folder", IDENTITY)
    assert found.epochs_done == 2
    assert_equal(found.weights, state().weights)
    assert_equal(found.optimizer, state().optimizer)
    assert_equal(found.average, state().average)
    assert_equal(found.best.weights, state().best.weights)
    assert (found.best.epoch, found.best.accuracy, found.best.loss) == (1, 0.75, 0.5)
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [FILE]


def test_the_best_model_comes_with_labels_and_preprocessing(tmp_path):
    save(tmp_path)
    model = load_checkpoint(tmp_path, GRAPH)
    assert_equal(model.weights, state().best.weights)
    assert (model.labels, model.preprocess) == (("a", "b"), {"mean": [0.5], "std": [0.25]})


def test_no_checkpoint_is_none_to_a_training_and_an_error_to_a_reader(tmp_path):
    assert read_checkpoint(tmp_path, IDENTITY) is None
    with pytest.raises(DataError, match="cannot be read"):
        load_checkpoint(tmp_path, GRAPH)


def test_a_checkpoint_of_another_training_names_the_difference(tmp_path):
    save(tmp_path)
    with pytest.raises(OptionError, match=r"a training with another epochs \(3 there, 5 asked for\): choose another"):
        read_checkpoint(tmp_path, IDENTITY | {"epochs": 5})
    with pytest.raises(OptionError, match="a training with another data: choose another"):
        read_checkpoint(tmp_path, IDENTITY | {"data": "c"})


def test_a_checkpoint_from_before_a_setting_existed_had_its_default(tmp_path):
    settings = Settings(epochs=3, batch_size=8, learning_rate=0.1)
    save(tmp_path)
    assert read_checkpoint(tmp_path, IDENTITY | {"whiten": False}, settings).epochs_done == 2
    with pytest.raises(OptionError, match=r"another whiten \(False there, True asked for\)"):
        read_checkpoint(tmp_path, IDENTITY | {"whiten": True}, settings)


def test_what_makes_a_training_the_same():
    from dataclasses import make_dataclass

    settings = make_dataclass("Settings", ["seed"])
    images, labels = np.zeros((2, 6, 6, 1), np.uint8), np.array([0, 1])
    one = fingerprint(GRAPH, images, labels, settings(0))
    assert one == fingerprint(linear(), images.copy(), labels.copy(), settings(0))
    for other in (
        fingerprint(linear(classes=3), images, labels, settings(0)),
        fingerprint(GRAPH, images + np.uint8(1), labels, settings(0)),
        fingerprint(GRAPH, images, labels[::-1], settings(0)),
        fingerprint(GRAPH, images, labels, settings(1)),
    ):
        assert other != one


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-100], lambda whole: b"no" * 50])
def test_a_broken_checkpoint_is_named(tmp_path, damage):
    save(tmp_path)
    path = tmp_path / FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"cannot be read .*: remove it to start again") as error:
        read_checkpoint(tmp_path, IDENTITY)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "Ctrl-C"])
@pytest.mark.parametrize("where", ["savez", "replace"])
def test_a_write_that_fails_keeps_the_old_checkpoint(tmp_path, monkeypatch, kind, where):
    save(tmp_path, epochs_done=1)

    def fail(*arguments, **keywords):
        raise kind

    monkeypatch.setattr(*((np, "savez") if where == "savez" else (os, "replace")), fail)
    with pytest.raises(type(kind)):
        save(tmp_path, epochs_done=2)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert read_checkpoint(tmp_path, IDENTITY).epochs_done == 1


def test_best_is_accuracy_first_then_loss_then_the_later():
    best = Best(1, 0.9, 0.5, {})
    assert best.is_beaten_by(0.91, 9.0)
    assert best.is_beaten_by(0.9, 0.4)
    assert best.is_beaten_by(0.9, 0.5)
    assert not best.is_beaten_by(0.9, 0.6)
    assert not best.is_beaten_by(0.89, 0.0)
