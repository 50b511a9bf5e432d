"""The beginning of a network in strips of its width: the same outputs, from overlapping columns."""

import numpy as np
import pytest

from millijoule.cost import cost
from millijoule.errors import OptionError
from millijoule.graph import Builder, Graph
from millijoule.ops import Add, Conv2d, Dense, Flatten, GlobalAveragePool, MaxPool2d
from millijoule.passes.strips import in_strips, strip_ends
from tests.networks import random_int8
from tests.random_models import random_model


def blocks() -> Graph:
    """A strided convolution, a residual block and a pool; then what no strip can hold."""
    build = Builder("blocks", (9, 13, 2))
    build("stem", Conv2d(channels=4, kernel=3, stride=2, padding="same", activation="relu"))
    build("dw", Conv2d(channels=4, kernel=(3, 5), padding="same", groups=4))
    build("sum", Add(), "dw", "stem")
    build("pool", MaxPool2d(kernel=2, stride=2, padding="same"))
    build("mean", GlobalAveragePool())
    build("out", Dense(features=3))
    return build.graph()


@pytest.mark.parametrize("end", ["stem", "sum", "pool"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_outputs_are_equal_bit_for_bit(end, count):
    model = random_int8(blocks())
    x = np.random.default_rng(0).integers(-128, 128, (3, 9, 13, 2), dtype=np.int8)
    found = in_strips(model, end, count).run(x)
    for value, expected in model.run(x).items():
        if value in found:
            np.testing.assert_array_equal(found[value], expected, err_msg=value)
    assert end in found


@pytest.mark.parametrize("seed", range(60))
def test_random_networks(seed):
    """Windows of all sizes at all edges, gates and joins behind them; every end, also in strips of one column."""
    model = random_model(seed)
    x = np.random.default_rng(seed).integers(-128, 128, (2, *model.graph.inputs[0].shape), dtype=np.int8)
    for end in strip_ends(model.graph):
        width = model.graph.shapes[end][1]
        for count in {2, width} - {1}:
            if count <= width:
                found, expected = in_strips(model, end, count).run(x), model.run(x)
                for output in model.graph.outputs:
                    np.testing.assert_array_equal(found[output], expected[output], err_msg=f"{end}, {count} strips")


def test_some_random_networks_have_ends():
    assert sum(len(strip_ends(random_model(seed).graph)) > 1 for seed in range(60)) > 10


def test_ends_are_read_alone_and_made_of_columns():
    # Behind `dw`, `stem` is still read; a mean is no map.
    assert strip_ends(blocks()) == ("stem", "sum", "pool")
    build = Builder("flat", (4, 4, 1))
    build("flatten", Flatten())
    build("out", Dense(features=2))
    assert strip_ends(build.graph()) == ()


def test_columns_under_two_strips_are_computed_twice_and_weights_counted_once():
    graph = blocks()
    split = in_strips(graph, "sum", 2)
    # `dw` makes columns 0 to 2 and 3 to 6 of 7, from columns 0 to 4 and 1 to 6 of `stem`: 11 in place of 7.
    assert split.shapes["stem.strip0"] == (5, 5, 4)
    assert split.shapes["stem.strip1"] == (5, 6, 4)
    assert cost(split).macs - cost(graph).macs == 4 * 5 * 4 * (3 * 3 * 2)
    assert cost(split).params == cost(graph).params


def test_what_is_no_end_is_refused():
    with pytest.raises(OptionError, match="'dw' does not end a beginning of 'blocks'"):
        in_strips(blocks(), "dw", 2)
    with pytest.raises(OptionError, match="'pool' has 4 columns; 5 strips cannot be made of it"):
        in_strips(blocks(), "pool", 5)
