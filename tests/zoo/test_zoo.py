"""The architectures against the figures of their papers and of the published model files."""

import subprocess
import sys

import numpy as np
import pytest

import millijoule
from millijoule import zoo
from millijoule.cost import cost
from millijoule.errors import ModelError
from millijoule.graph import Builder, Graph
from millijoule.ops import Conv2d, Dense, RadialBasis
from millijoule.passes import simplify
from millijoule.zoo.history.lenet5_1998 import codes, connections

NAMES = [entry.name for entry in zoo.entries()]

# Keras counts statistics too: 4 numbers for each channel of batch-norm. Folded parameters and MACs are those of the
# .tflite files of mlcommons/tiny, counted there operator by operator.
PUBLISHED = {
    # name: (params, trainable params, params folded, MACs folded)
    "perceptron": (7_850, 7_850, 7_850, 7_840),
    "two_layer": (238_510, 238_510, 238_510, 238_200),
    "multilayer": (266_610, 266_610, 266_610, 266_200),
    "lenet5": (61_706, 61_706, 61_706, 416_520),
    "resnet8": (78_666, 78_186, 77_706, 12_501_632),
    "mobilenet_v1_025": (221_794, 216_322, 210_850, 7_489_664),
    "ds_cnn": (24_908, 23_756, 22_604, 2_656_768),
    "autoencoder": (269_992, 267_928, 265_864, 264_192),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_macs_are_the_published_ones(name):
    params, trainable, folded_params, folded_macs = PUBLISHED[name]
    trained = cost(zoo.get(name))
    deployed = cost(simplify(zoo.get(name)))
    assert (trained.params + trained.statistics, trained.params) == (params, trainable)
    assert (deployed.params, deployed.statistics) == (folded_params, 0)
    assert deployed.macs == folded_macs


LENET5_1998 = [
    # LeCun et al. 1998, section II.B: layer, trainable parameters, connections.
    ("c1", 156, 122_304),
    ("s2", 12, 5_880),
    ("c3", 1_516, 151_600),
    ("s4", 32, 2_000),
    ("c5", 48_120, 48_120),
    ("f6", 10_164, 10_164),
    ("output", 0, 840),
]


@pytest.mark.parametrize(("layer", "params", "connections"), LENET5_1998)
def test_lenet5_1998_layer(layer, params, connections):
    found = next(each for each in cost(zoo.lenet5_1998()).layers if each.name == layer)
    assert (found.params, found.macs + found.additions) == (params, connections)


def test_lenet5_1998_in_all():
    found = cost(zoo.lenet5_1998())
    assert (found.params, found.statistics, found.connections) == (60_000, 0, 340_908)
    assert sum(layer.macs + layer.additions for layer in found.layers) == 340_908


def test_c3_reads_what_table_1_says():
    table = connections()
    assert [len(maps) for maps in table] == [3] * 6 + [4] * 9 + [6]
    # "every contiguous subset of three", then of four, "some discontinuous subsets of four", and all.
    assert {frozenset(maps) for maps in table[:6]} == {frozenset((i + j) % 6 for j in range(3)) for i in range(6)}
    assert {frozenset(maps) for maps in table[6:12]} == {frozenset((i + j) % 6 for j in range(4)) for i in range(6)}
    assert table[12:15] == ((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5))
    assert table[15] == (0, 1, 2, 3, 4, 5)


def test_codes_are_ten_different_drawings():
    array = codes()["output.weight"]
    assert array.shape == (10, 84)
    assert array.dtype == np.float32
    assert set(np.unique(array)) == {-1.0, 1.0}
    apart = [int(np.sum(array[i] != array[j])) for i in range(10) for j in range(i)]
    assert min(apart) >= 6
    # Row by row, 7 wide: the 0 is the same in a mirror, and the 7 begins with a full line.
    drawings = array.reshape(10, 12, 7)
    assert np.array_equal(drawings[0], drawings[0][:, ::-1])
    assert np.all(drawings[7, 0] == 1)


def test_constants_belong_to_the_graph():
    assert zoo.constants("lenet5_1998").keys() == zoo.constants(zoo.lenet5_1998()).keys() == {"output.weight"}
    assert zoo.constants(zoo.lenet5()) == zoo.constants("lenet5") == {}
    other = Builder("lenet5_1998", (4,))
    other("output", RadialBasis(classes=3))
    assert zoo.constants(other.graph()) == {}


@pytest.mark.parametrize("entry", zoo.entries(), ids=lambda entry: entry.name)
def test_entries_name_their_functions(entry):
    graph = entry.function()
    assert isinstance(graph, Graph)
    assert graph.name == entry.name == entry.function.__name__
    assert getattr(zoo, entry.name) is entry.function
    assert getattr(millijoule.zoo, entry.name) is entry.function
    assert entry.name in zoo.__all__
    assert entry.title
    assert entry.paper
    assert entry.year >= 1958


@pytest.mark.parametrize("entry", zoo.entries(), ids=lambda entry: entry.name)
def test_numbers_that_the_architecture_fixes_are_all_there(entry):
    constant = {name for name, param in entry.function().params().items() if param.kind == "constant"}
    assert zoo.constants(entry.name).keys() == constant


def test_arguments_change_the_network():
    assert zoo.get("lenet5", classes=3).shapes["output"] == (3,)
    assert zoo.get("multilayer", hidden=(5, 4, 3)).shapes["hidden3"] == (3,)
    assert zoo.get("resnet8", input_shape=(48, 64, 1), classes=4).shapes["softmax"] == (4,)
    assert cost(zoo.mobilenet_v1_025(width=0.5)).macs > 3 * cost(zoo.mobilenet_v1_025()).macs


def test_the_wider_resnet8_of_the_same_repository():
    found = cost(simplify(zoo.resnet8(filters=40)))
    assert (found.params, found.macs) == (480_330, 76_473_920)


def test_uneven_same_padding_of_ds_cnn():
    graph = zoo.ds_cnn()
    stem = graph.by_name["stem"].op
    assert isinstance(stem, Conv2d)
    assert stem.window(graph.inputs[0].shape).padding == ((4, 5), (1, 1))
    assert graph.shapes["stem"] == (25, 5, 64)


def test_autoencoder_returns_what_it_takes():
    graph = zoo.autoencoder()
    sizes = [node.op.features for node in graph.nodes if isinstance(node.op, Dense)]
    assert sizes == [128, 128, 128, 128, 8, 128, 128, 128, 128, 640]


def test_unknown_name_lists_near_matches_or_all():
    with pytest.raises(ModelError, match="lenet6") as error:
        zoo.get("lenet6")
    assert "did you mean lenet5" in str(error.value)
    assert "deep_belief" not in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="known are perceptron") as error:
        zoo.get("zzz")
    assert all(name in str(error.value) for name in NAMES)


def test_bad_arguments_are_one_line():
    with pytest.raises(ModelError, match="no argument 'clases'; it takes classes, input_shape"):
        zoo.get("lenet5", clases=10)
    with pytest.raises(ModelError, match="it takes none"):
        zoo.get("lenet5_1998", classes=5)
    with pytest.raises(ModelError, match=r"network 'lenet5' with classes=0: features is 0"):
        zoo.get("lenet5", classes=0)
    with pytest.raises(ModelError, match="node 'c3'"):
        zoo.get("lenet5", input_shape=(8, 8, 1))


def test_building_and_costing_need_no_torch():
    code = (
        "import sys; from millijoule import zoo; from millijoule.cost import cost; "
        "from millijoule.passes import simplify; "
        "[cost(simplify(entry.function())).to_json() for entry in zoo.entries()]; sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
