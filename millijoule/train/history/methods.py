"""Every method of the history on one data set."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from millijoule import zoo
from millijoule.errors import ToolError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.train.data import Dataset, stratified_split
from millijoule.train.history.belief import BATCH, pretrain
from millijoule.train.history.record import Record, Result
from millijoule.train.history.rosenblatt import train_perceptron
from millijoule.train.loop import choose, train
from millijoule.train.network import accuracy
from millijoule.train.prepare import fit, measure_preprocess

EPOCHS = 20
QUICK_EPOCHS = 3
ALL_IMAGES_EPOCHS, ONE_IMAGE_EPOCHS = 300, 5
"""With all images in each step, and with one, of a large set: passes that take about the same time."""
LARGE = 5_000
LEAST_UPDATES = 1000
"""Of each restricted Boltzmann machine: after fewer, weights are too small for what is built on them to learn."""
PLAIN: Mapping[str, Any] = {
    "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "warm_up": 0.0, "loss": "squared_error", "shift": 0,
    "validation": 0.1,
}  # fmt: skip
"""Gradient descent as in 1986: nothing but the gradient of the squared error."""


def history(
    dataset: Dataset, *, quick: bool = False, seed: int = 0, progress: bool = True, folder: Path | str | None = None
) -> Iterator[Result]:
    """Train every method on the training images and count its errors on the test images, one after the other.

    quick: a few epochs and small hidden layers, to see that it runs; its errors say little.
    folder: keeps results and checkpoints; a history that was stopped goes on from there.
    The three ways of descent (all images at once, one by one, small batches) train the same network from the same
    numbers, each at the rate that suits it; in as many passes, all images at once would change the weights 20 times.
    Raises ToolError without scikit-learn.
    """
    place = Path(folder) if folder else None
    data = hashlib.sha256(dataset.x_train.tobytes() + dataset.y_train.tobytes()).hexdigest()
    record = Record(place, {"data": dataset.name, "digest": data, "quick": quick, "seed": seed}) if place else None
    for name, attempt in _attempts(dataset, quick, seed, progress, place):
        result = record.results.get(name) if record else None
        if result is None:
            result = attempt(name)
            if record:
                record.add(result)
        yield result


Attempt = Callable[[str], Result]
Start = Callable[[], Mapping[str, np.ndarray]]
Trained = tuple[Model, int, int]
"""A model, passes over the training images, changes of the weights."""


def _attempts(
    dataset: Dataset, quick: bool, seed: int, progress: bool, folder: Path | None
) -> Iterator[tuple[str, Attempt]]:
    """Every method by name, with a function from its name to its result."""
    sizes: dict[str, Any] = {"classes": len(dataset.classes), "input_shape": dataset.x_train.shape[1:]}
    epochs = QUICK_EPOCHS if quick else EPOCHS
    large = not quick and len(dataset.x_train) >= LARGE
    hidden = 32 if quick else 300

    def trained(year: int, graph: Graph, start: Start | None = None, **changes: Any) -> Attempt:
        def attempt(name: str) -> Result:
            settings = {"epochs": epochs, "seed": seed} | changes
            checkpoint = folder and folder / re.sub(r"[^a-z0-9]+", "-", name.lower())

            def make() -> Trained:
                begin = start() if start else None
                model = train(
                    graph, dataset, start=begin, checkpoint=checkpoint, progress=progress, must_learn=False, **settings
                )
                return model, settings["epochs"], _updates(graph, dataset, settings)

            return _measured(year, name, make, dataset)

        return attempt

    def descent(graph: Graph, batch_size: int, rate: float, epochs: int = epochs) -> Attempt:
        trained_on = len(stratified_split(dataset.y_train, PLAIN["validation"], seed)[0])
        size = min(batch_size, trained_on)
        return trained(1986, graph, batch_size=size, learning_rate=rate, epochs=epochs, **PLAIN)

    perceptron = zoo.perceptron(**sizes)
    two_layer = zoo.two_layer(**sizes, hidden=hidden)
    multilayer = zoo.multilayer(**sizes, hidden=(hidden, hidden // 3))
    belief = zoo.deep_belief(**sizes, hidden=(500, 500, 2000) if large else (64, 64))

    def rosenblatt(name: str) -> Result:
        def make() -> Trained:
            model, wrong = train_perceptron(perceptron, dataset, epochs, seed)
            return model, len(wrong), sum(wrong)

        return _measured(1958, name, make, dataset)

    yield "perceptron, Rosenblatt's rule", rosenblatt
    many, few = epochs if quick else ALL_IMAGES_EPOCHS, ONE_IMAGE_EPOCHS if large else epochs
    yield "two layers, all images a step", descent(two_layer, len(dataset.x_train), 0.5, many)
    yield "two layers, one image a step", descent(two_layer, 1, 0.02, few)
    yield "two layers, 64 images a step", descent(two_layer, 64, 0.2)
    yield "three layers, 64 images a step", descent(multilayer, 64, 0.2)
    yield "support vector machine, RBF kernel", lambda name: _baseline(1995, name, _support_vectors, dataset, seed)
    if len(dataset.classes) == 10:  # the codes of its output are digits
        # Distances to codes have steeper gradients than a softmax's scores, so steps are smaller.
        yield "LeNet-5 as published", trained(1998, zoo.lenet5_1998(), learning_rate=0.003)
    yield "random forest, 100 trees", lambda name: _baseline(2001, name, _forest, dataset, seed)
    pretrained = partial(_pretrained, belief, dataset, epochs, seed)
    yield "deep belief network, fine-tuned", trained(2006, belief, pretrained, learning_rate=0.05, shift=0)
    yield "LeNet-5, modern form", trained(2012, zoo.lenet5(classes=len(dataset.classes)))


def _pretrained(graph: Graph, dataset: Dataset, epochs: int, seed: int) -> Mapping[str, np.ndarray]:
    """Greedily pretrained, a quarter as often as then with labels, but so often that the machines come to learn."""
    shape = graph.inputs[0].shape
    preprocess = measure_preprocess(fit(dataset.x_train, shape), shape)
    greedy = max(epochs // 4, -(-LEAST_UPDATES * BATCH // len(dataset.x_train)))
    return pretrain(graph, dataset.x_train, preprocess, greedy, seed).weights


def _updates(graph: Graph, dataset: Dataset, changes: Mapping[str, Any]) -> int:
    """Steps of a whole training."""
    settings = choose("auto", len(dataset.x_train), graph.inputs[0].shape[0], changes)
    trained_on = len(stratified_split(dataset.y_train, settings.validation, settings.seed)[0])
    return settings.epochs * settings.steps(trained_on)


def _measured(year: int, method: str, make: Callable[[], Trained], dataset: Dataset) -> Result:
    start, cpu_start = time.monotonic(), time.process_time()
    model, epochs, updates = make()
    error = 1 - accuracy(model, dataset.x_test, dataset.y_test)
    graph = model.graph
    return Result(
        year=year,
        method=method,
        error=error,
        params=sum(param.count for param in graph.params().values() if param.trainable),
        macs=sum(node.op.cost(*graph.input_shapes(node)).macs for node in graph.nodes),
        epochs=epochs,
        updates=updates,
        seconds=time.monotonic() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


Counted = tuple[Any, Callable[[Any], tuple[int, int]]]


def _baseline(year: int, method: str, make: Callable[[int], Counted], dataset: Dataset, seed: int) -> Result:
    start, cpu_start = time.monotonic(), time.process_time()
    classifier, count = make(seed)
    x_train, x_test = (x.reshape(len(x), -1).astype(np.float32) / 255 for x in (dataset.x_train, dataset.x_test))
    classifier.fit(x_train, dataset.y_train)
    error = float(np.mean(classifier.predict(x_test) != dataset.y_test))
    params, macs = count(classifier)
    seconds, cpu_seconds = time.monotonic() - start, time.process_time() - cpu_start
    return Result(year, method, error, params, macs, None, None, seconds, cpu_seconds)


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
