"""The perceptron's own learning rule, and the problem that it cannot learn."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from millijoule import zoo
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train.data import Dataset
from millijoule.train.loop import train
from millijoule.train.network import accuracy
from millijoule.train.prepare import fit, measure_preprocess, prepare

XOR_PASSES = 100


def train_perceptron(graph: Graph, dataset: Dataset, epochs: int, seed: int) -> tuple[Model, list[int]]:
    """(the model, wrong answers in each epoch) of `zoo.perceptron` under Rosenblatt's rule.

    Images come one by one, in random order. Where the answer is wrong, the image is added to the weights of its class
    and taken from those of the class that was answered; else nothing changes (F. Rosenblatt, "Principles of
    neurodynamics", 1962, chapter 5, for several classes). Weights begin at 0. Stops when nothing was wrong.
    """
    shape = graph.inputs[0].shape
    preprocess = measure_preprocess(fit(dataset.x_train, shape), shape)
    inputs = prepare(dataset.x_train, shape, preprocess).reshape(len(dataset.x_train), -1)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)  # the bias as one more input
    weights = np.zeros((len(dataset.classes), inputs.shape[1]), np.float32)
    wrong = []
    for epoch in range(epochs):
        wrong.append(0)
        for index in np.random.default_rng([seed, epoch]).permutation(len(inputs)):
            answer, label = int((weights @ inputs[index]).argmax()), dataset.y_train[index]
            if answer != label:
                weights[label] += inputs[index]
                weights[answer] -= inputs[index]
                wrong[-1] += 1
        if not wrong[-1]:
            break
    arrays = {"output.weight": weights[:, :-1].copy(), "output.bias": weights[:, -1].copy()}
    return Model(graph, arrays, labels=dataset.classes, preprocess=preprocess), wrong


@dataclass(frozen=True)
class Xor:
    """Right answers out of 4 to exclusive or. passes: how often the perceptron saw all four."""

    perceptron: int
    passes: int
    two_layer: int

    def to_json(self) -> dict[str, int]:
        return asdict(self)


def xor(seed: int = 0) -> Xor:
    """Exclusive or, which no single layer can learn (Minsky and Papert 1969), beside a network with a hidden layer.

    The hidden layer has 4 sigmoid units and learns by plain gradient descent under the squared error (Rumelhart et al.
    1986).
    """
    x = np.array([[0, 0], [0, 255], [255, 0], [255, 255]], np.uint8).reshape(4, 1, 2, 1)
    y = np.array([0, 1, 1, 0])
    dataset = Dataset("exclusive or", x, y, x, y, ("0", "1"))
    single, wrong = train_perceptron(zoo.perceptron(classes=2, input_shape=(1, 2, 1)), dataset, XOR_PASSES, seed)
    hidden = train(
        zoo.two_layer(classes=2, input_shape=(1, 2, 1), hidden=4),
        dataset,
        epochs=200,
        batch_size=4,
        learning_rate=5.0,
        momentum=0.0,
        weight_decay=0.0,
        schedule="constant",
        warm_up=0.0,
        loss="squared_error",
        validation=0.0,
        seed=seed,
        progress=False,
    )
    right = [round(4 * accuracy(model, x, y)) for model in (single, hidden)]
    return Xor(perceptron=right[0], passes=len(wrong), two_layer=right[1])
