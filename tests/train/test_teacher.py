"""A network learns from another one's answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import millijoule as mj
from millijoule.errors import ModelError, OptionError
from millijoule.model import Model
from millijoule.ops import Conv2d, Dense, Flatten, Relu, Softmax
from millijoule.train import accuracy, predict, prepare, train
from millijoule.train.initial import initial_weights
from millijoule.train.loop import Settings, Teacher, Trainer
from millijoule.train.loop.classification import Classification
from millijoule.train.loop.teacher import Lesson
from millijoule.train.loss import make_loss
from millijoule.train.network import network_of
from tests.networks import small_int8_model
from tests.train.cases import graph_of, linear, stripes

SETTINGS = Settings(epochs=2, batch_size=8, learning_rate=0.02)


def teacher_model(classes: int = 2):
    graph = graph_of(Conv2d(channels=4, kernel=3), Relu(), Flatten(), Dense(features=classes), Softmax(), name="large")
    return train(graph, stripes(), epochs=4, batch_size=8, progress=False)


@pytest.fixture(scope="module")
def taught():
    return teacher_model()


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_loss_is_that_of_the_paper(taught):
    """By hand: alpha · T² · the divergence of the softened answers + (1 - alpha) · cross entropy."""
    random = np.random.default_rng(0)
    student, answers = random.normal(0, 3, (5, 2)), random.normal(0, 3, (5, 2))
    lesson = Lesson(Teacher(taught, temperature=3.0, alpha=0.7), 5, SETTINGS, "cpu")
    found = lesson.loss(torch.tensor(1.5), torch.from_numpy(student), torch.from_numpy(answers)).item()
    p, q = softmax(answers / 3), softmax(student / 3)
    divergence = (p * np.log(p / q)).sum(axis=1).mean()
    assert found == pytest.approx(0.7 * 9 * divergence + 0.3 * 1.5)


@pytest.mark.parametrize(
    ("changes", "once", "asked"),
    [
        ({}, False, [36]),
        ({}, True, [36]),
        ({"shift": 1}, False, [36, 36]),
        ({"shift": 1}, True, [36]),
        ({"flip": True}, False, [36, 36]),
        ({"flip": True}, True, [36, 36]),
        ({"mixup": 0.2}, False, [36, 36]),
    ],
)
def test_how_often_a_teacher_is_asked(taught, changes, once, asked):
    """In two epochs; asked once, it sees the mirror images too."""
    settings = replace(SETTINGS, batch_size=36, **changes)
    trainer = trainer_of(stripes(), settings, Teacher(taught, once=once))
    calls, network = [], trainer.task.lesson.network

    def counted(*x, **values):
        calls.append(len(x[0]))
        return network(*x, **values)

    trainer.task.lesson.network = counted
    for epoch in range(2):
        list(trainer.steps_of(epoch))
    assert calls == asked


def trainer_of(data, settings, teacher):
    graph = linear()
    model = Model(graph, initial_weights(graph, 0), labels=data.classes, preprocess={"mean": [0.5], "std": [0.25]})
    loss = make_loss(graph, settings, data.y_train)
    return Trainer(Classification(model, loss, data.x_train, data.y_train, settings, teacher=teacher))


def test_remembered_answers_are_the_teachers(taught):
    data = stripes()
    lesson = Lesson(Teacher(taught), len(data.x_train), SETTINGS, "cpu")
    for _ in range(2):
        indices = np.array([7, 3, 11])
        answers = lesson.answers(data.x_train[indices], indices, None, 1.0)
        expected = predict(taught, prepare(data.x_train[indices], (6, 6, 1), taught.preprocess))
        assert np.allclose(answers.softmax(1).numpy(), expected, atol=1e-6)


def test_asked_once_a_teacher_answers_the_image_and_its_mirror_image_whatever_is_shown(taught):
    data, settings = stripes(), replace(SETTINGS, batch_size=36, flip=True, shift=1)
    trainer = trainer_of(data, settings, Teacher(taught, once=True))
    for epoch in range(2):
        list(trainer.steps_of(epoch))
    network = network_of(taught).eval()
    sides = []
    for images in (data.x_train, data.x_train[:, :, ::-1]):
        inputs = torch.from_numpy(prepare(np.ascontiguousarray(images), (6, 6, 1), taught.preprocess))
        sides.append(network(inputs, values=("n3",))["n3"].detach().numpy())
    seen = trainer.task.train_set
    assert np.abs(sides[0] - sides[1]).max() > 0.1, "the two differ"
    found = trainer.task.lesson.remembered.numpy()[seen]
    assert np.allclose(found, (sides[0] + sides[1])[seen] / 2, atol=1e-4)


def test_mixed_images_are_answered_as_mixed(taught):
    data = stripes()
    lesson = Lesson(Teacher(taught), len(data.x_train), replace(SETTINGS, mixup=0.2), "cpu")
    first, second = data.x_train[:4], data.x_train[4:8]
    halves = ((first.astype(int) + second) // 2).astype(np.uint8)
    mixed = lesson.answers(first, np.arange(4), second, 0.5)
    assert np.allclose(mixed.numpy(), lesson.answers(halves, np.arange(4), None, 1.0).numpy(), atol=0.1)


def test_without_a_share_a_teacher_teaches_nothing(taught):
    settings = {"epochs": 2, "batch_size": 8, "progress": False, "flip": True, "must_learn": False}
    plain = train(linear(), stripes(), **settings)
    with_teacher = train(linear(), stripes(), teacher=Teacher(taught, alpha=0.0), **settings)
    assert all(np.array_equal(plain.weights[name], with_teacher.weights[name]) for name in plain.weights)


def test_a_student_takes_over_what_the_labels_do_not_say(taught):
    """With labels that are noise, of which nothing counts, it still learns the stripes."""
    data = stripes(count=80)
    noise = np.random.default_rng(3).integers(0, 2, len(data.y_train))
    wrong = replace(data, y_train=noise)
    student = mj.distill(linear(), wrong, taught, alpha=1.0, epochs=8, batch_size=8, progress=False)
    assert accuracy(student, data.x_test, data.y_test) == 1.0


def test_a_training_goes_on_with_the_same_teacher_only(taught, tmp_path):
    settings = {"epochs": 3, "batch_size": 8, "progress": False, "checkpoint": tmp_path}
    first = train(linear(), stripes(), teacher=Teacher(taught), **settings)
    again = train(linear(), stripes(), teacher=Teacher(taught), **settings)
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)
    for other in (None, Teacher(taught, temperature=2.0), Teacher(taught, once=True)):
        with pytest.raises(OptionError, match="another teacher"):
            train(linear(), stripes(), teacher=other, **settings)


def test_teachers_that_cannot_teach(taught):
    with pytest.raises(ModelError, match="'small' is int8: give the float model"):
        Teacher(small_int8_model())
    for changes, words in (
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": float("nan")}, "alpha is nan"),
    ):
        with pytest.raises(OptionError, match=words):
            Teacher(taught, **changes)
    with pytest.raises(ModelError, match=r"teacher 'large' has an output of shape \(2,\), network 'net' one of \(3,\)"):
        Teacher(taught).check(linear(classes=3), SETTINGS)
    with pytest.raises(OptionError, match="loss cross_entropy"):
        Teacher(taught).check(linear(), replace(SETTINGS, loss="squared_error"))
    with pytest.raises(OptionError, match=r"asked once has no answers to mixed images: mixup is 0\.2"):
        Teacher(taught, once=True).check(linear(), replace(SETTINGS, mixup=0.2))
