"""What training makes small, on numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from millijoule import zoo
from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.ops import Conv2d, Dense, RadialBasis, Sigmoid, Softmax, Tanh
from millijoule.train.loop import Settings
from millijoule.train.loss import balanced, make_loss, mixed
from tests.train.cases import graph_of, linear

OUTPUTS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 3.0]])
LABELS = torch.tensor([0, 1])


def loss_of(graph, name, **changes):
    settings = Settings(epochs=1, batch_size=1, learning_rate=0.1, loss=name, **changes)
    return make_loss(graph, settings, np.array([0, 0, 0, 1, 2, 2]))


def flat(*operators):
    return graph_of(*operators, shape=(4,))


def test_squared_error_is_half_the_sum_over_the_classes_and_the_mean_over_the_batch():
    loss = loss_of(flat(Dense(features=3)), "squared_error")
    # Image 1: (0² + 2² + 0.5²) / 2 = 2.125; image 2: (0² + 1² + 3²) / 2 = 5.
    assert loss.of(OUTPUTS, LABELS).item() == pytest.approx((2.125 + 5) / 2)


@pytest.mark.parametrize(("amplitude", "target"), [(1.7159, 1.0), (1.0, 1 / 1.7159)])
def test_targets_of_a_final_tanh_lie_where_its_curvature_is_greatest(amplitude, target):
    loss = loss_of(flat(Dense(features=2), Tanh(amplitude=amplitude, slope=2 / 3)), "squared_error")
    assert loss.of(torch.tensor([[target, -target]]), torch.tensor([0])).item() == pytest.approx(0, abs=1e-6)
    assert loss.of(torch.tensor([[0.0, 0.0]]), torch.tensor([0])).item() == pytest.approx(target**2)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes():
    loss = loss_of(flat(Dense(features=3)), "cross_entropy")
    assert loss.of(torch.zeros(2, 3), LABELS).item() == pytest.approx(math.log(3))
    right = math.log(1 + math.exp(-3) + math.exp(-0.5))  # logits 1, -2, 0.5: over the right one
    assert loss.of(OUTPUTS[:1], LABELS[:1]).item() == pytest.approx(right)


@pytest.mark.parametrize("last", [Softmax(), Sigmoid()])
def test_cross_entropy_reads_the_value_in_front_of_softmax_and_sigmoid(last):
    graph = flat(Dense(features=3), last)
    assert loss_of(graph, "cross_entropy").value == "n0"
    assert loss_of(graph, "squared_error").value == "n1"
    assert loss_of(flat(Dense(features=3)), "cross_entropy").value == "n0"


def test_distances_to_codes():
    graph = flat(RadialBasis(classes=3))
    distances = torch.tensor([[1.0, 4.0, 2.0]])
    right = torch.tensor([2])
    assert loss_of(graph, "squared_error").of(distances, right).item() == 2
    expected = 2 + math.log(math.exp(-1) + math.exp(-4) + math.exp(-2))
    assert loss_of(graph, "cross_entropy").of(distances, right).item() == pytest.approx(expected)


def test_networks_that_are_no_classifiers():
    with pytest.raises(ModelError, match=r"network 'net' has 1 inputs and outputs of shapes \(4, 4, 2\); a classifier"):
        loss_of(graph_of(Conv2d(channels=2, kernel=3)), "cross_entropy")
    build = Builder("two", (4,))
    with pytest.raises(ModelError, match=r"outputs of shapes \(2,\), \(3,\)"):
        loss_of(build.graph(build("a", Dense(features=2)), build("b", Dense(features=3), "input")), "cross_entropy")


@pytest.mark.parametrize("name", ["cross_entropy", "squared_error"])
def test_losses_have_gradients_for_every_network_that_is_trained(name):
    for graph in (linear(), zoo.lenet5_1998()):
        outputs = torch.tensor(np.random.default_rng(0).normal(size=(2, 10)), requires_grad=True)
        loss_of(graph, name).of(outputs, LABELS).backward()
        assert bool(torch.any(outputs.grad != 0))


def test_label_smoothing_spreads_a_share_of_the_target_over_all_classes():
    loss = loss_of(flat(Dense(features=3)), "cross_entropy", label_smoothing=0.3)
    logs = torch.log_softmax(OUTPUTS, dim=1)
    expected = -(0.7 * logs[0, 0] + 0.1 * logs[0].sum() + 0.7 * logs[1, 1] + 0.1 * logs[1].sum()) / 2
    assert loss.of(OUTPUTS, LABELS).item() == pytest.approx(expected.item())
    assert loss.plain(OUTPUTS, LABELS).item() == pytest.approx(-(logs[0, 0] + logs[1, 1]).item() / 2)


def test_balanced_classes_weigh_alike():
    assert balanced(np.array([0, 0, 0, 1, 2, 2]), 3).tolist() == pytest.approx([6 / 9, 2, 1])
    loss = loss_of(flat(Dense(features=3)), "cross_entropy", class_weights="balanced")
    logs = torch.log_softmax(OUTPUTS, dim=1)
    expected = -(2 / 3 * logs[0, 0] + 2 * logs[1, 1]) / (2 / 3 + 2)
    assert loss.of(OUTPUTS, LABELS).item() == pytest.approx(expected.item())
    assert loss.plain(OUTPUTS, LABELS).item() == pytest.approx(-(logs[0, 0] + logs[1, 1]).item() / 2)


def test_mixed_images_have_both_labels():
    of = loss_of(flat(Dense(features=3)), "cross_entropy").of
    others = torch.tensor([2, 0])
    expected = 0.75 * of(OUTPUTS, LABELS) + 0.25 * of(OUTPUTS, others)
    assert mixed(of, others, 0.75)(OUTPUTS, LABELS).item() == pytest.approx(expected.item())
