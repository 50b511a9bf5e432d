"""Images that grow while a network trains."""

import re

import numpy as np
import pytest
import torch

from millijoule.errors import MillijouleError, OptionError
from millijoule.ops import BatchNorm, Conv2d, Dense, GlobalAveragePool, MaxPool2d, Relu, Resize2d
from millijoule.train import accuracy, train
from millijoule.train.initial import initial_weights
from millijoule.train.loop import Trainer, choose
from millijoule.train.loop.sizes import for_sizes, resized, with_shape
from millijoule.train.network import arrays_of, build_network, write_weights
from millijoule.train.prepare import resize
from tests.train.cases import graph_of, linear, of_any_size, stripes
from tests.train.test_loop import assert_same, interrupt_in_epoch

GROWING = {"first_size": 0.5, "learning_rate": 0.1, "batch_size": 8, "seed": 1}


def normed():
    return graph_of(
        Conv2d(channels=6, kernel=3, stride=2), BatchNorm(), Relu(), GlobalAveragePool(), Dense(features=2)
    )  # fmt: skip


def sides(first_size: float, epochs: int, side: int = 32) -> list[int]:
    settings = choose("sgd", 1000, side, {"first_size": first_size, "epochs": epochs})
    return [settings.shape_at(epoch, (side, side, 3))[0] for epoch in range(epochs)]


def test_images_grow_by_eighths_and_end_at_full_size():
    assert sides(0.5, 10) == [16, 16, 16, 20, 20, 24, 24, 28, 28, 32]
    assert sides(0.75, 5, side=28) == [21, 21, 25, 25, 28]
    assert sides(0.5, 1) == [32]
    assert sides(1, 3) == [32, 32, 32]


def test_a_form_for_small_images_computes_and_learns_with_the_numbers_of_the_network():
    graph, small = normed(), with_shape(normed(), (3, 5, 1))
    networks = {name: build_network(each) for name, each in (("whole", graph), ("small", small))}
    for each in networks.values():
        write_weights(graph, each, initial_weights(graph, 0))
    x, values = torch.rand(4, 3, 5, 1), graph.outputs
    sized = for_sizes(graph, networks["whole"], [(6, 6, 1), (3, 5, 1)])
    expected = networks["small"](x, values=values)[values[0]]
    expected.square().sum().backward()
    got = sized(x, values=values)[values[0]]
    got.square().sum().backward()
    assert torch.equal(got, expected)
    of_whole, of_small = (arrays_of(graph, networks[name]) for name in ("whole", "small"))
    for name, array in of_small.items():
        assert torch.equal(of_whole[name], array), name  # batch-norm's statistics have moved alike
        if array.requires_grad:
            assert torch.equal(of_whole[name].grad, array.grad), name
    assert not torch.equal(of_whole["n1.mean"], torch.zeros(6))
    assert for_sizes(graph, networks["whole"], [(6, 6, 1)]) is networks["whole"]


def test_layers_that_name_sizes_follow_the_images():
    graph = graph_of(
        Conv2d(channels=4, kernel=3, padding="same"), Resize2d(size=(12, 12)), GlobalAveragePool(), Dense(features=2)
    )  # fmt: skip
    assert with_shape(graph, (3, 5, 1)).shapes["n1"] == (6, 10, 4)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_resized_as_pillow_does(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 12, channels), dtype=np.uint8)
    for size in [(8, 6), (10, 6), (14, 11)]:
        got, expected = resized(images, (*size, channels)), resize(images, size)
        assert np.abs(got.astype(int) - expected).max() <= 1  # weights are rounded otherwise


def test_each_step_gets_images_of_its_epoch(monkeypatch):
    seen, forward = [], torch.nn.Module.__call__

    def watched(module, *inputs, **options):
        if module.training and "values" in options:
            seen.append(tuple(inputs[0].shape[1:]))
        return forward(module, *inputs, **options)

    monkeypatch.setattr(torch.nn.Module, "__call__", watched)
    train(of_any_size(), stripes(), epochs=3, must_learn=False, **GROWING)
    assert list(dict.fromkeys(seen)) == [(3, 3, 1), (5, 5, 1), (6, 6, 1)]


def test_it_learns_with_growing_images_and_the_model_takes_those_of_full_size():
    dataset = stripes(200, side=16)
    graph = graph_of(Conv2d(channels=6, kernel=3), BatchNorm(), Relu(), GlobalAveragePool(), Dense(features=2),
                     shape=(16, 16, 1))  # fmt: skip
    model = train(graph, dataset, epochs=12, **GROWING)
    assert model.graph == graph
    assert accuracy(model, dataset.x_test, dataset.y_test) == 1


def test_a_resumed_training_goes_on_with_the_same_sizes(tmp_path, monkeypatch):
    arguments = {"epochs": 5, "must_learn": False, **GROWING}
    whole = train(normed(), stripes(), **arguments)
    with monkeypatch.context() as patch:
        interrupt_in_epoch(patch, 2)
        with pytest.raises(MillijouleError, match="interrupted in epoch 3 of 5"):
            train(normed(), stripes(), checkpoint=tmp_path, **arguments)
    assert_same(train(normed(), stripes(), checkpoint=tmp_path, **arguments), whole)
    with pytest.raises(OptionError, match=r"another first_size \(0\.5 there, 1\.0 asked for\)"):
        train(normed(), stripes(), checkpoint=tmp_path, **arguments | {"first_size": 1.0})


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            linear(),
            "images cannot grow, since network 'net' takes none of 3×3: 'n1' would have 18 numbers in 'weight' "
            "instead of 72; leave first_size at 1",
        ),
        (
            graph_of(Conv2d(channels=2, kernel=4, padding="valid"), MaxPool2d(kernel=2), GlobalAveragePool()),
            "images cannot grow, since network 'net' takes none of 3×3: ",
        ),
        (graph_of(Dense(features=2), shape=(36,)), "first_size is 0.5, but the network takes 36 numbers, not maps"),
    ],
)
def test_networks_made_for_one_size_are_refused_before_training(monkeypatch, graph, message):
    monkeypatch.setattr(Trainer, "steps_of", lambda *_: pytest.fail("has begun to train"))
    with pytest.raises(OptionError, match=re.escape(message)):
        train(graph, stripes(), first_size=0.5)
