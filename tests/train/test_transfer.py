"""What a network takes over from a trained one."""

import numpy as np
import pytest

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.model import Model
from millijoule.ops import BatchNorm, Conv2d, Dense, Flatten, GlobalAveragePool, Reshape, Softmax
from millijoule.quantize import quantize
from millijoule.train.initial import initial_weights
from millijoule.train.transfer import last_layers, taken_over, with_classes
from tests.train.cases import graph_of, stripes


def network(channels: int = 4, classes: int = 2, *more) -> Graph:
    return graph_of(Conv2d(channels=channels, kernel=3), BatchNorm(), Flatten(), Dense(features=classes), *more)


def trained(graph: Graph) -> Model:
    return Model(graph, initial_weights(graph, seed=1))


def test_all_is_taken_over_but_a_last_layer_of_other_classes():
    model = trained(network())
    same = taken_over(model, network(), "run")
    assert same.keys() == model.weights.keys()
    assert all(np.array_equal(same[name], array) for name, array in model.weights.items())
    assert same.keys() - taken_over(model, network(classes=3), "run").keys() == {"n3.weight", "n3.bias"}


def test_the_last_layers_are_those_before_what_has_no_arrays():
    assert last_layers(network(4, 2, Softmax())) == {"n3"}
    assert last_layers(graph_of(Flatten())) == set()


def test_a_classifier_gets_as_many_outputs_as_there_are_classes():
    assert with_classes(network(4, 2, Softmax()), 7) == network(4, 7, Softmax())

    def fully_convolutional(classes: int) -> Graph:
        return graph_of(
            *(Conv2d(channels=4, kernel=3), Conv2d(channels=classes, kernel=1), GlobalAveragePool()),
            *(Reshape(target=(classes,)), Softmax()),
        )

    assert with_classes(fully_convolutional(10), 3) == fully_convolutional(3)


def test_what_is_no_such_classifier_stays_as_it_is():
    same = network()
    assert with_classes(same, 2) is same
    for operators in (
        (Dense(features=8), Reshape(target=(2, 2, 2))),
        (Flatten(),),
        (Dense(features=2), BatchNorm()),
    ):
        graph = graph_of(*operators)
        assert with_classes(graph, 3) is graph


def test_another_structure_is_refused_unless_a_part_is_enough():
    model, deeper = trained(network()), network(4, 2, Dense(features=2))
    with pytest.raises(OptionError, match=r"'net' in 'run' lacks 2 arrays of 'net', first 'n5.weight': give"):
        taken_over(model, network(4, 2, Softmax(), Dense(features=2), Dense(features=2)), "run")
    with pytest.raises(OptionError, match=r"array 'n0.weight' of 'net' in 'run' has shape \(4, 3, 3, 1\); 'net' needs"):
        taken_over(model, network(channels=8), "run", part=True)
    with pytest.raises(OptionError, match="'net' in 'run' has no array in common with 'other'"):
        taken_over(model, graph_of(Flatten(), Dense(features=2), name="other"), "run", part=True)
    assert taken_over(model, deeper, "run", part=True).keys() == model.weights.keys()


def test_an_int8_model_is_refused():
    model = quantize(trained(network()), stripes().x_train)
    with pytest.raises(OptionError, match=r"'x\.tflite' is int8; training begins with the numbers of a float model"):
        taken_over(model, network(), "x.tflite")
