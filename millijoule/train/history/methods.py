"""Every method of the history on one data set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from millijoule import zoo
from millijoule.errors import ToolError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train.data import Dataset
from millijoule.train.history.belief import BATCH, pretrain
from millijoule.train.history.rosenblatt import train_perceptron
from millijoule.train.loop import train
from millijoule.train.network import accuracy
from millijoule.train.prepare import fit, measure_preprocess

QUICK_EPOCHS = 3
LEAST_UPDATES = 1000
"""Of each restricted Boltzmann machine: after fewer, weights are too small for what is built on them to learn."""
PLAIN: Mapping[str, Any] = {
    "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "warm_up": 0.0, "loss": "squared_error", "shift": 0,
    "validation": 0.1,
}  # fmt: skip
"""Gradient descent as in 1986: nothing but the gradient of the squared error."""


@dataclass(frozen=True)
class Result:
    """What one method reaches. error: share of the test images that are wrong. params: numbers that were learnt, of a
    forest its nodes, of a support vector machine its vectors' numbers. macs: of one answer, 0 for comparisons alone.
    epochs: passes over the training images with labels, None where there is no such thing. seconds: training and
    testing.
    """

    year: int
    method: str
    error: float
    params: int
    macs: int
    epochs: int | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def history(dataset: Dataset, *, quick: bool = False, seed: int = 0, progress: bool = True) -> Iterator[Result]:
    """Train every method on the training images and count its errors on the test images, one after the other.

    quick: a few epochs and small hidden layers, to see that it runs; its errors say little.
    The three ways of descent (all images at once, one by one, small batches) train the same network from the same
    numbers for the same number of epochs. Raises ToolError without scikit-learn.
    """
    shape = dataset.x_train.shape[1:]
    sizes: dict[str, Any] = {"classes": len(dataset.classes), "input_shape": shape}
    epochs = QUICK_EPOCHS if quick else 20
    large = not quick and len(dataset.x_train) >= 5_000
    hidden = 32 if quick else 300
    common: dict[str, Any] = {"seed": seed, "progress": progress, "must_learn": False}

    def trained(graph: Graph, **changes: Any) -> Model:
        return train(graph, dataset, **common | changes)

    def descent(graph: Graph, batch_size: int, rate: float) -> Callable[[], Model]:
        trained_on = len(dataset.x_train) - -(-len(dataset.x_train) // 10)
        size = min(batch_size, trained_on)
        return lambda: trained(graph, epochs=epochs, batch_size=size, learning_rate=rate, **PLAIN)

    perceptron = zoo.perceptron(**sizes)
    two_layer = zoo.two_layer(**sizes, hidden=hidden)
    multilayer = zoo.multilayer(**sizes, hidden=(hidden, hidden // 3))
    methods: list[tuple[int, str, int, Callable[[], Model]]] = [
        (1958, "perceptron, Rosenblatt's rule", epochs, lambda: train_perceptron(perceptron, dataset, epochs, seed)[0]),
        (1986, "two layers, all images a step", epochs, descent(two_layer, len(dataset.x_train), 1.0)),
        (1986, "two layers, one image a step", epochs, descent(two_layer, 1, 0.02)),
        (1986, "two layers, 64 images a step", epochs, descent(two_layer, 64, 0.2)),
        (1986, "three layers, 64 images a step", epochs, descent(multilayer, 64, 0.2)),
    ]
    for year, method, passes, make in methods:
        yield _measured(year, method, passes, make, dataset)
    yield _baseline(1995, "support vector machine, RBF kernel", _support_vectors, dataset, seed)
    if len(dataset.classes) == 10:  # the codes of its output are digits
        yield _measured(
            1998,
            "LeNet-5 as published",
            epochs,
            lambda: trained(zoo.lenet5_1998(), epochs=epochs),
            dataset,
        )
    yield _baseline(2001, "random forest, 100 trees", _forest, dataset, seed)
    belief = zoo.deep_belief(**sizes, hidden=(500, 500, 2000) if large else (64, 64))
    yield _measured(
        2006, "deep belief network, fine-tuned", epochs, lambda: _belief(belief, dataset, epochs, common), dataset
    )
    modern = zoo.lenet5(classes=len(dataset.classes))
    yield _measured(2012, "LeNet-5, modern form", epochs, lambda: trained(modern, epochs=epochs), dataset)


def _belief(graph: Graph, dataset: Dataset, epochs: int, common: Mapping[str, Any]) -> Model:
    """Greedily pretrained, a quarter as often as then with labels, but so often that the machines come to learn."""
    shape = graph.inputs[0].shape
    preprocess = measure_preprocess(fit(dataset.x_train, shape), shape)
    greedy = max(epochs // 4, -(-LEAST_UPDATES * BATCH // len(dataset.x_train)))
    start = pretrain(graph, dataset.x_train, preprocess, greedy, common["seed"])
    return train(graph, dataset, epochs=epochs, learning_rate=0.05, shift=0, start=start.weights, **common)


def _measured(year: int, method: str, epochs: int | None, make: Callable[[], Model], dataset: Dataset) -> Result:
    start = time.monotonic()
    model = make()
    error = 1 - accuracy(model, dataset.x_test, dataset.y_test)
    graph = model.graph
    return Result(
        year=year,
        method=method,
        error=error,
        params=sum(param.count for param in graph.params().values() if param.trainable),
        macs=sum(node.op.cost(*graph.input_shapes(node)).macs for node in graph.nodes),
        epochs=epochs,
        seconds=time.monotonic() - start,
    )


Counted = tuple[Any, Callable[[Any], tuple[int, int]]]


def _baseline(year: int, method: str, make: Callable[[int], Counted], dataset: Dataset, seed: int) -> Result:
    start = time.monotonic()
    classifier, count = make(seed)
    x_train, x_test = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in (dataset.x_train, dataset.x_test))
    classifier.fit(x_train, dataset.y_train)
    error = float(np.mean(classifier.predict(x_test) != dataset.y_test))
    params, macs = count(classifier)
    return Result(year, method, error, params, macs, None, time.monotonic() - start)


def _support_vectors(seed: int) -> Counted:
    """Cortes and Vapnik 1995. An answer takes the distance to every support vector, and the pairs' sums over them."""
    svm = _sklearn("svm")

    def count(fitted: Any) -> tuple[int, int]:
        vectors, pairs = fitted.support_vectors_, fitted.dual_coef_
        return vectors.size + pairs.size + fitted.intercept_.size, vectors.size + pairs.size

    return svm.SVC(C=5, gamma="scale", random_state=seed), count


def _forest(seed: int) -> Counted:
    """Breiman 2001. An answer takes comparisons, no MACs."""
    ensemble = _sklearn("ensemble")

    def count(fitted: Any) -> tuple[int, int]:
        return sum(tree.tree_.node_count for tree in fitted.estimators_), 0

    return ensemble.RandomForestClassifier(100, random_state=seed), count


def _sklearn(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"sklearn.{name}")
    except ImportError:
        raise ToolError(
            "support vector machines and forests are scikit-learn's, which is missing: pip install 'millijoule[train]'"
        ) from None
