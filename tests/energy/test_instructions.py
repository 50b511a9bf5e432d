"""Instructions from shapes: kinds of layers, and that the table still says what the firmware executes."""

import pytest

from millijoule import deploy, zoo
from millijoule.energy.fitted import least_squares
from millijoule.energy.fitted.instructions import counted_layers, estimate_instructions, layer_of
from millijoule.errors import DeviceError
from millijoule.passes import simplify
from tests.networks import random_int8


def test_kinds_of_layers():
    graph = zoo.ds_cnn()
    layers = [layer_of(graph, node) for node in graph.nodes]
    kinds = [layer.kind for layer in layers]
    assert kinds.count("depthwise") == 4
    assert kinds.count("pointwise") == 4
    assert kinds.count("conv") == kinds.count("dense") == 1
    first = layers[kinds.index("conv")]
    assert (first.macs, first.outputs, first.positions, first.patches) == (320_000, 8_000, 125, 125 * 40)


def test_the_table_says_what_the_firmware_executes(tmp_path):
    model = random_int8(simplify(zoo.ds_cnn()))
    made = deploy(model, "nucleo-l4r5zi", folder=tmp_path / "out", samples=1, keep_dead_channels=True)
    assert made.bit_exact
    rows = [row for row in counted_layers() if (row.core, row.network) == ("cortex-m4", "ds_cnn")]
    counted = sum(row.instructions for row in rows)
    # Other weights, so other shifts and other ways of requantization: 3 % at most.
    assert made.mean_instructions == pytest.approx(counted, rel=0.03), "run: benchmarks/layer_instructions.py --write"
    estimated, factor = estimate_instructions(made.model.graph, "cortex-m4")
    assert counted / factor < estimated < counted * factor


def test_cores_that_were_not_counted_are_refused():
    with pytest.raises(DeviceError, match="instructions on cortex-m55 are only known by executing them"):
        estimate_instructions(zoo.ds_cnn(), "cortex-m55")


def test_least_squares_finds_terms_and_leaves_out_what_would_be_negative():
    rows = [[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]]
    assert least_squares.fit(rows, [8.0, 7.0, 21.0]) == pytest.approx([2.0, 3.0])
    assert least_squares.fit([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]], [3.0, 2.0, 1.0])[1] == 0.0
