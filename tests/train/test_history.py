"""The history: rules against numbers worked out by hand, and all of it on digits."""

from dataclasses import replace

import numpy as np
import pytest

from millijoule import zoo
from millijoule.errors import DataError, OptionError
from millijoule.train import Dataset, load_data, predict
from millijoule.train.history import history, methods, xor
from millijoule.train.history.belief import boltzmann, pretrain
from millijoule.train.history.rosenblatt import train_perceptron
from millijoule.train.loop import train
from millijoule.train.prepare import prepare
from tests.train.cases import stripes


def test_no_perceptron_learns_exclusive_or_and_two_layers_do():
    found = xor()
    assert found.perceptron < 4
    assert found.passes == 100, "it never stops being wrong"
    assert found.two_layer == 4


def test_rosenblatts_rule_adds_and_subtracts_what_was_wrong():
    x = np.array([[0, 255]], np.uint8).reshape(1, 1, 2, 1)
    both = np.concatenate([x, x[:, :, ::-1]])
    dataset = Dataset("two", both, np.array([1, 0]), both, np.array([1, 0]), ("a", "b"))
    model, wrong = train_perceptron(zoo.perceptron(classes=2, input_shape=(1, 2, 1)), dataset, 9, seed=0)
    inputs = prepare(both, (1, 2, 1), model.preprocess).reshape(2, 2)
    # With weights of 0 the answer is class 0: only the image of class 1 is wrong, once, and then nothing is.
    assert wrong == [1, 0]
    np.testing.assert_array_equal(model.weights["output.weight"], [-inputs[0], inputs[0]])
    np.testing.assert_array_equal(model.weights["output.bias"], [-1, 1])


def test_a_perceptron_learns_what_one_layer_can():
    dataset = stripes()
    model, wrong = train_perceptron(zoo.perceptron(classes=2, input_shape=(6, 6, 1)), dataset, 50, seed=0)
    assert wrong[-1] == 0
    assert len(wrong) < 50
    outputs = predict(model, prepare(dataset.x_test, (6, 6, 1), model.preprocess))
    assert np.array_equal(outputs.argmax(axis=1), dataset.y_test)


def test_a_boltzmann_machine_learns_to_give_back_what_it_saw():
    random = np.random.default_rng(0)
    patterns = random.integers(0, 2, (4, 20)).astype(np.float32)
    visible = patterns[random.integers(0, 4, 400)]

    def error(weight, bias):
        shares = np.clip(visible.mean(axis=0), 0.01, 0.99)
        hidden = 1 / (1 + np.exp(-(visible @ weight.T + bias)))
        dreamt = 1 / (1 + np.exp(-(hidden @ weight + np.log(shares / (1 - shares)))))
        return np.mean((visible - dreamt) ** 2)

    untrained = error(*boltzmann(visible, 16, 0, np.random.default_rng(0)))
    trained = error(*boltzmann(visible, 16, 100, np.random.default_rng(0)))
    assert trained < untrained / 3


def test_pretraining_is_adjusted_to_how_inputs_are_normalised():
    dataset = stripes(80)
    graph = zoo.deep_belief(classes=2, input_shape=(6, 6, 1), hidden=(8, 4))
    plain, normalised = (
        pretrain(graph, dataset.x_train, preprocess, 2, seed=0)
        for preprocess in ({"mean": [0.0], "std": [1.0]}, {"mean": [0.4], "std": [0.3]})
    )
    answers = [predict(model, prepare(dataset.x_test, (6, 6, 1), model.preprocess)) for model in (plain, normalised)]
    np.testing.assert_allclose(answers[0], answers[1], rtol=0, atol=1e-5)
    tuned = train(graph, dataset, epochs=1, learning_rate=1e-9, warm_up=0, start=plain.weights, must_learn=False)
    np.testing.assert_allclose(tuned.weights["hidden1.weight"], plain.weights["hidden1.weight"], rtol=0, atol=1e-6)


def test_all_of_it_on_digits(monkeypatch):
    monkeypatch.setattr(methods, "QUICK_EPOCHS", 2)
    digits = load_data("digits")
    some = replace(digits, x_train=digits.x_train[:500], y_train=digits.y_train[:500])
    results = list(history(some, quick=True, progress=False))
    errors = {result.method: result.error for result in results}
    assert [result.year for result in results] == sorted(result.year for result in results)
    assert len(results) == 10
    assert all(0 <= error <= 0.95 for error in errors.values())
    assert errors["support vector machine, RBF kernel"] < 0.05
    assert errors["random forest, 100 trees"] < 0.08
    assert errors["perceptron, Rosenblatt's rule"] < 0.2
    assert errors["deep belief network, fine-tuned"] < 0.6
    updates = {result.method: (result.epochs, result.updates) for result in results}
    assert updates["two layers, all images a step"] == (2, 2)
    assert updates["two layers, one image a step"] == (2, 2 * 450)
    assert updates["two layers, 64 images a step"] == (2, 2 * 7)
    assert updates["LeNet-5, modern form"] == (2, 2 * 14)
    assert updates["random forest, 100 trees"] == (None, None)
    costs = {result.method: (result.params, result.macs) for result in results}
    assert costs["LeNet-5, modern form"] == (61_706, 416_520)
    assert costs["perceptron, Rosenblatt's rule"] == (650, 640)
    assert costs["random forest, 100 trees"][1] == 0


def test_a_history_that_was_stopped_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(methods, "QUICK_EPOCHS", 2)
    begun = []
    monkeypatch.setattr(methods, "train", lambda graph, dataset, **changes: begun.append(changes) or stopped(changes))

    def stopped(changes):
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train(zoo.two_layer(classes=2, input_shape=(6, 6, 1), hidden=32), stripes(), **changes)

    options = {"quick": True, "progress": False, "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        list(history(stripes(), **options))
    monkeypatch.setattr(methods, "train", train)
    monkeypatch.setattr(methods, "train_perceptron", None)  # it is done
    results = list(history(stripes(), **options))
    assert len(results) == 9
    assert list(history(stripes(), **options)) == results
    assert (tmp_path / "two-layers-one-image-a-step" / "checkpoint.npz").exists()
    with pytest.raises(OptionError, match=r"history\.json' is of a history with another seed: choose another --out"):
        list(history(stripes(), seed=1, **options))
    (tmp_path / "history.json").write_text("{")
    with pytest.raises(DataError, match=r"history\.json' cannot be read .*: remove it"):
        list(history(stripes(), **options))


@pytest.mark.parametrize("package", ["sklearn.svm"])
def test_without_scikit_learn_it_says_what_to_install(monkeypatch, package):
    import sys

    from millijoule.errors import ToolError

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ToolError, match=r"pip install 'millijoule\[train\]'"):
        methods._support_vectors(0)
