"""Every network's parameters and MACs beside what its source states."""

from itertools import pairwise

import pytest

from millijoule import zoo
from millijoule.cost import cost
from millijoule.graph import Builder
from millijoule.ops import GlobalAveragePool, Relu
from millijoule.passes import simplify
from millijoule.zoo import Entry

STATED = [entry for entry in zoo.entries() if entry.published]

# network: value → shape, from the tables of the papers.
SHAPES = {
    "alexnet": {
        "conv1": (55, 55, 96),
        "conv2": (27, 27, 256),
        "conv3": (13, 13, 384),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
    },
    "vgg16": {"pool1": (112, 112, 64), "pool3": (28, 28, 256), "pool5": (7, 7, 512)},
    "googlenet": {
        "conv1": (112, 112, 64),
        "pool1": (56, 56, 64),
        "conv2": (56, 56, 192),
        "pool2": (28, 28, 192),
        "3a_concat": (28, 28, 256),
        "3b_concat": (28, 28, 480),
        "4a_concat": (14, 14, 512),
        "4d_concat": (14, 14, 528),
        "4e_concat": (14, 14, 832),
        "5b_concat": (7, 7, 1024),
        "average": (1024,),
    },
    "resnet50": {
        "stem": (112, 112, 64),
        "stage1_block3_relu": (56, 56, 256),
        "stage2_block4_relu": (28, 28, 512),
        "stage3_block6_relu": (14, 14, 1024),
        "stage4_block3_relu": (7, 7, 2048),
    },
    "resnet152": {"stage2_block8_relu": (28, 28, 512), "stage3_block36_relu": (14, 14, 1024)},
    "inception_v3": {
        "pool2": (35, 35, 192),
        "5d_concat": (35, 35, 288),
        "6e_concat": (17, 17, 768),
        "7c_concat": (8, 8, 2048),
    },
    "mobilenet_v1": {"stem": (112, 112, 32), "block5_pointwise": (28, 28, 256), "block13_pointwise": (7, 7, 1024)},
    "mobilenet_v2": {"block3_add": (56, 56, 24), "block13_add": (14, 14, 96), "last": (7, 7, 1280)},
    "shufflenet_v1": {"pool": (56, 56, 24), "stage2_unit4_relu": (28, 28, 240), "stage4_unit4_relu": (7, 7, 960)},
    "shufflenet_v2": {"stage2_unit4_shuffle": (28, 28, 116), "stage4_unit4_shuffle": (7, 7, 464), "last": (7, 7, 1024)},
    "densenet121": {"block1_concat": (56, 56, 256), "block3_concat": (14, 14, 1024)},
    "squeezenet1_0": {"conv1": (109, 109, 96), "fire9_concat": (13, 13, 512)},
    "xception": {"block4_add": (19, 19, 728), "block14_relu2": (10, 10, 2048)},
}


def agrees(counted: int, published: int) -> bool:
    """Equal, where the published number ends in zeros after rounding to its last digit."""
    unit = 1
    while published % (10 * unit) == 0:
        unit *= 10
    return abs(counted - published) <= (unit / 2 if unit > 100 else 0)


@pytest.mark.parametrize("entry", STATED, ids=lambda entry: entry.name)
def test_counts_are_those_of_the_source(entry: Entry):
    counted, published = cost(entry.function()), entry.published
    if published.params is not None:
        assert agrees(counted.params, published.params), published.source
    if published.macs is not None:
        assert agrees(counted.macs, published.macs), published.source


def test_mcunet_as_it_is_deployed():
    """mit-han-lab/tinyengine, vww.tflite, where batch-norm is folded."""
    assert cost(simplify(zoo.mcunet_vww())).params == 426_634


@pytest.mark.parametrize(
    ("name", "arguments", "params", "macs"),
    [
        # BVLC Caffe, bvlc_googlenet/train_val.prototxt
        ("googlenet", {"auxiliary": True}, 13_378_280, 1_591_044_096),
        # torchvision 0.29: its modules counted; metadata of its weights
        ("googlenet_torchvision", {"auxiliary": True}, 13_004_888, None),
        ("inception_v3", {"auxiliary": True}, 27_161_264, None),
        # He et al. 2016, Table 1: 11.3e9; dgschwend/netscope, presets/resnet-152.prototxt
        ("resnet152", {"stride_in": "1x1"}, 60_192_808, 11_282_415_616),
        ("resnet50", {"stride_in": "1x1"}, 25_557_032, 3_857_973_248),
        # megvii-model/ShuffleNet-Series
        ("shufflenet_v1", {"width": 2.0}, 5_448_208, None),
        ("shufflenet_v2", {"width": 0.5}, 1_366_792, None),
        ("shufflenet_v2", {"width": 1.5}, 3_503_624, None),
        ("shufflenet_v2", {"width": 2.0}, 7_393_996, None),
        # Zhang et al. 2018, Table 1
        ("shufflenet_v1", {"groups": 1}, None, 143_000_000),
        ("shufflenet_v1", {"groups": 2}, None, 140_000_000),
    ],
)
def test_variants(name, arguments, params, macs):
    counted = cost(zoo.get(name, **arguments))
    assert params is None or counted.params == params
    assert macs is None or agrees(counted.macs, macs)


@pytest.mark.parametrize(
    ("width", "size", "macs", "params"),
    [
        # Howard et al. 2017, Tables 6 and 7: in millions, some rounded, some cut
        (1.0, 224, 569, 4.2),
        (0.75, 224, 325, 2.6),
        (0.5, 224, 149, 1.3),
        (0.25, 224, 41, 0.5),
        (1.0, 192, 418, 4.2),
        (1.0, 160, 290, 4.2),
        (1.0, 128, 186, 4.2),
    ],
)
def test_widths_and_sizes_of_mobilenet_v1(width, size, macs, params):
    counted = cost(zoo.mobilenet_v1(width=width, input_shape=(size, size, 3)))
    assert macs in (counted.macs // 1_000_000, round(counted.macs / 1e6))
    assert round(counted.params / 1e6, 1) == params


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_of_the_papers_tables(name):
    shapes = zoo.get(name).shapes
    assert {value: shapes[value] for value in SHAPES[name]} == SHAPES[name]


def test_neurons_of_alexnet():
    """Krizhevsky et al. 2012, figure 2; its caption's 253,440 for layer 1 contradicts 55 x 55 x 96."""
    shapes = zoo.alexnet().shapes
    sizes = [shapes[layer] for layer in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")]
    neurons = [size[0] * (size[1] * size[2] if len(size) == 3 else 1) for size in sizes]
    assert neurons == [290_400, 186_624, 64_896, 64_896, 43_264, 4_096, 4_096, 1_000]
    assert sum(neurons) == 659_272  # "650,000 neurons"


@pytest.mark.parametrize("entry", zoo.entries(), ids=lambda entry: entry.name)
def test_classes_change_the_last_layer_only(entry: Entry):
    if "classes" not in entry.arguments:
        pytest.skip("the number of outputs is fixed")
    few, many = cost(entry.function(classes=7)), cost(entry.function(classes=8))
    assert few.layers[-1].output_shape == (7,)
    changed = [a.name for a, b in zip(few.layers, many.layers, strict=True) if a.params != b.params]
    assert len(changed) == 1
    assert many.params > few.params


POOLED = [
    entry
    for entry in zoo.entries()
    if entry.function().inputs[0].shape[0] >= 32
    and any(isinstance(node.op, GlobalAveragePool) for node in entry.function().nodes)
]


@pytest.mark.parametrize("entry", POOLED, ids=lambda entry: entry.name)
def test_a_larger_image_costs_macs_but_no_parameters(entry: Entry):
    height, width, channels = entry.function().inputs[0].shape
    default = cost(entry.function())
    larger = cost(entry.function(input_shape=(2 * height, 2 * width, channels)))
    assert larger.params == default.params
    # Four times as many positions everywhere, but for the borders that unpadded windows leave out.
    assert larger.macs == pytest.approx(4 * default.macs, rel=0.25)


@pytest.mark.parametrize("entry", POOLED, ids=lambda entry: entry.name)
def test_grey_images_change_the_first_layer_only(entry: Entry):
    *size, channels = entry.function().inputs[0].shape
    more, grey = cost(entry.function(input_shape=(*size, channels + 2))), cost(entry.function(input_shape=(*size, 1)))
    changed = [a.name for a, b in zip(more.layers, grey.layers, strict=True) if a.params != b.params]
    assert len(changed) == 1
    assert more.layers[0].name == changed[0]
    # Each weight of it reads as many positions as the map has.
    positions = grey.layers[0].output_shape[0] * grey.layers[0].output_shape[1]
    assert more.macs - grey.macs == (more.params - grey.params) * positions


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("mobilenet_v1", (0.25, 0.5, 1.0)),
        ("mobilenet_v2", (0.35, 0.5, 1.4)),
        ("mobilenet_v3_large", (0.75, 1.0)),
        ("mobilenet_v3_small", (0.75, 1.0)),
        ("shufflenet_v1", (0.5, 1.0, 1.5)),
        ("shufflenet_v2", (0.5, 1.0, 1.5, 2.0)),
    ],
)
def test_a_wider_network_costs_more(name, widths):
    counted = [cost(zoo.get(name, width=width)) for width in widths]
    for narrow, wide in pairwise(counted):
        assert narrow.params < wide.params
        assert narrow.macs < wide.macs


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("resnet50", {"stride_in": "2x2"}, ["stride_in", "'2x2'", "'3x3'"]),
        ("shufflenet_v1", {"groups": 5}, ["groups is 5", "8"]),
        ("shufflenet_v2", {"width": 0.7}, ["width is 0.7", "1.5"]),
        ("mobilenet_v1", {"width": 0.0}, ["channels", "0"]),
        ("mobilenet_v2", {"width": 0}, ["width=0", "0 channels", "more than 0"]),
        ("mobilenet_v3_small", {"width": -1.0}, ["width=-1.0", "-16 channels", "more than 0"]),
        ("googlenet", {"classes": 0, "auxiliary": True}, ["classes=0", "features is 0"]),
        ("vgg16", {"classes": 0}, ["features", "0"]),
        ("alexnet", {"input_shape": (60, 60, 3)}, ["pool5", "3"]),
        ("inception_v3", {"input_shape": (60, 60, 3)}, ["7a_"]),
        ("resnet18", {"depth": 3}, ["depth", "input_shape"]),
    ],
)
def test_arguments_that_make_no_sense(name, arguments, words):
    with pytest.raises(zoo.ModelError) as error:
        zoo.get(name, **arguments)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def calls_per_node(monkeypatch: pytest.MonkeyPatch, nodes: int) -> float:
    """How often building and counting a chain asks an operator for its shape."""
    calls = 0
    shape = Relu.shape

    def counted(self, x):
        nonlocal calls
        calls += 1
        return shape(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(Relu, "shape", counted)
        build = Builder("chain", (4, 4, 2))
        for index in range(nodes):
            build(f"relu{index}", Relu())
            assert build.shape == (4, 4, 2)
        cost(build.graph())
    return calls / nodes


def test_the_work_grows_with_the_nodes_alone(monkeypatch):
    assert calls_per_node(monkeypatch, 100) == calls_per_node(monkeypatch, 1000) >= 2
