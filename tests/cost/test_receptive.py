"""Receptive fields and strides against published ones."""

import pytest

from millijoule import zoo
from millijoule.cost.receptive import receptive_fields
from millijoule.graph import Builder
from millijoule.ops import Add, Conv2d, ConvTranspose2d, Dense, Flatten, GlobalAveragePool, MaxPool2d


def test_alexnet_as_araujo_et_al_published():
    """Araujo et al., Distill 2019, table of receptive fields: AlexNet (v2) at its last pool: 195, stride 32."""
    build = Builder("alexnet_v2", (224, 224, 3))
    build("conv1", Conv2d(channels=1, kernel=11, stride=4))
    build("pool1", MaxPool2d(kernel=3, stride=2))
    build("conv2", Conv2d(channels=1, kernel=5, padding="same"))
    build("pool2", MaxPool2d(kernel=3, stride=2))
    for name in ("conv3", "conv4", "conv5"):
        build(name, Conv2d(channels=1, kernel=3, padding="same"))
    build("pool5", MaxPool2d(kernel=3, stride=2))
    field = receptive_fields(build.graph())["pool5"]
    assert (field.size, field.stride) == ((195, 195), (32, 32))


def test_lenet5_sees_the_whole_image():
    fields = receptive_fields(zoo.lenet5())
    assert [fields[name].size for name in list(fields)[1:2]] == [(5, 5)]
    assert fields[zoo.lenet5().outputs[0]].size == (32, 32)


def test_the_longest_path_counts():
    build = Builder("paths", (16, 16, 2))
    short = build("short", Conv2d(channels=2, kernel=1))
    build("long", Conv2d(channels=2, kernel=3, dilation=2, padding=((2, 2), (2, 2))), build.input)
    build("sum", Add(), short, build.last)
    build("mean", GlobalAveragePool())
    fields = receptive_fields(build.graph())
    assert fields["short"].size == (1, 1)
    assert fields["sum"].size == fields["long"].size == (5, 5)
    assert fields["mean"].size == (5 + 15, 5 + 15)


def test_upsampling_divides_the_stride():
    build = Builder("up", (8, 8, 1))
    build("down", Conv2d(channels=1, kernel=2, stride=2))
    build("up", ConvTranspose2d(channels=1, kernel=4, stride=2, padding=((1, 1), (1, 1))))
    field = receptive_fields(build.graph())["up"]
    assert (field.size, field.stride) == ((2 + 2, 2 + 2), (1, 1))


@pytest.mark.parametrize("layers", [[], [Flatten()]])
def test_a_dense_layer_on_a_map_sees_all_of_it(layers):
    build = Builder("dense", (9, 7, 2))
    build("conv", Conv2d(channels=2, kernel=3))
    for index, op in enumerate(layers):
        build(f"flat{index}", op)
    build("fc", Dense(features=3))
    assert receptive_fields(build.graph())["fc"].size == (9, 7)


def test_a_flat_input_has_none():
    build = Builder("flat", (9,))
    build("fc", Dense(features=3))
    assert receptive_fields(build.graph()) == {"input": None, "fc": None}
