"""When kernels/dsp may be used: the proofs, the packing, and the choice."""

import numpy as np
import pytest

from millijoule.fixedpoint import multiply_by_quantized_multiplier
from millijoule.ops import Conv2d, dsp
from millijoule.target import SCALAR, Target
from tests.ops.cases import CASES, int8_model

PORTABLE = {
    "conv2d_weight_zero_point",
    "conv2d_depthwise_weight_zero_point",
    "conv2d_shift_left",
    "conv2d_shift_left_depthwise",
    "conv2d_depthwise_dilated",
    "conv2d_depthwise_three_channels",
    "dense",
    "dense_no_bias",
    "dense_one_to_one",
    "dense_wide",
    "dense_weight_zero_point",
    "dense_shift_far_right",
    "dense_shift_left",
}
"""Cases for which a proof fails, or whose sizes kernels/dsp does not take."""

LAYERS = [name for name, case in CASES.items() if type(case.op).__name__ in ("Conv2d", "Dense")]


def calls(name: str, target: Target):
    model = int8_model(name)
    (node,) = model.graph.nodes
    shapes = model.graph.input_shapes(node)
    return node.op.call(
        *shapes, weights=model.node_weights(node), quantization=model.node_quantization(node), target=target
    )


@pytest.mark.parametrize("name", LAYERS)
def test_the_kernel_is_chosen_by_what_can_be_proven(name):
    (chosen,) = calls(name, Target("dsp"))
    assert chosen.function.startswith("mj_dsp_") == (name not in PORTABLE)
    assert calls(name, SCALAR)[0].scratch_bytes == 0


@pytest.mark.parametrize("name", LAYERS)
def test_least_working_memory_is_none_for_whole_fours_of_channels(name):
    (chosen,) = calls(name, Target("dsp", by_row=True, frugal=True))
    op, channels = CASES[name].op, CASES[name].inputs[0][-1]
    if chosen.function.startswith("mj_dsp_taps_"):
        assert (chosen.scratch_bytes, chosen.by_pixel) == (0, True)
    elif chosen.function.startswith("mj_dsp_") and isinstance(op, Conv2d):
        assert channels % 4 or op.groups > 1


def test_bounds_of_an_accumulator_are_reached():
    weight, bias = np.array([[3, -2], [0, 0]]), np.array([10, -7])
    low, high = dsp.accumulator_bounds(weight, bias, zero_point=-128)
    assert low.tolist() == [10 - 2 * 255, -7]
    assert high.tolist() == [10 + 3 * 255, -7]


def test_packed_fours_are_halves_of_two_weights():
    packed = dsp.pack_fours(np.array([[1, -2, -3, 127, 5]], np.int8), 2)
    assert packed.shape == (1, 2, 4)
    assert packed.view("<i2").ravel().tolist() == [1 - 2 * 256, -3 + 127 * 256, 5, 0]
    assert dsp.pack_fours(np.array([[-1, -128]], np.int8), 1) is None


def test_wide_fours_are_of_every_weight_256_times():
    wide = dsp.widen_fours(np.array([[1, -2, -3, 127, -128]], np.int8), 2)
    assert wide.shape == (1, 2, 8)
    assert (wide.view("<i2") // 256).tolist() == [[[1, -3, -2, 127], [-128, 0, 0, 0]]]


@pytest.mark.parametrize("name", ["conv2d_lowest_weights", "dense_lowest_weights"])
def test_weights_that_cannot_be_packed_are_int16(name):
    for target in (Target("dsp"), Target("dsp", wide_weights=True), Target("dsp", by_row=True, frugal=True)):
        (call,) = calls(name, target)
        assert (call.function[:7], call.parameters["wide"]) == ("mj_dsp_", 1)


def test_packed_pairs():
    three = np.arange(-120, -111, dtype=np.int8).reshape(1, 3, 3)
    assert (dsp.pack_pairs(three, 1)[0, 1] // 256).tolist() == [[-117, -116], [-116, -115]]
    assert (dsp.pack_pairs(three, 3)[0, 1] // 256).tolist() == [[-117, -116], [-115, 0]]


def test_packed_places_are_pairs_of_each_turn():
    places = dsp.pack_places(np.arange(-128, -110, dtype=np.int8).reshape(2, 9), 3)
    assert (places[0] // 256).tolist() == [
        [[-128, -127], [-126, 0]],
        [[-125, -124], [-123, 0]],
        [[-122, -121], [-120, 0]],
    ]
    assert dsp.pack_places(np.zeros((1, 8), np.int8), 8).shape == (1, 1, 4, 2)


def test_a_turn_is_the_longest_that_divides():
    assert [dsp.longest_turn(count, range(1, 10)) for count in (1, 9, 25, 49, 11, 16)] == [1, 9, 5, 7, 1, 8]


def test_a_window_is_read_by_fours_of_each_row_first():
    assert dsp.fours_first((2, 3), 2).tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 4, 5, 10, 11]
    assert dsp.fours_first((3, 1), 4).tolist() == list(range(12))
    assert dsp.fours_first((2, 3), 1).tolist() == list(range(6))


def test_a_loop_takes_as_many_fours_as_cost_the_least():
    assert [dsp.fours_in_a_turn(fours) for fours in (1, 7, 36, 144)] == [1, 7, 9, 9]
    assert dsp.fours_in_a_turn(16) == 8


def test_six_instructions_equal_two_roundings():
    """Every accumulator around ties and zero, for multipliers and shifts at their ends."""
    accumulator = np.concatenate([np.arange(-3000, 3000), np.arange(-(2**23) + 1, 2**23, 4099)])
    for multiplier in (2**30, 2**30 + 1, 1518500250, 2**31 - 1):
        for shift in (1, 2, 7, 13, dsp.LARGEST_SHIFT):
            for zero_point in (-128, -1, 0, 127):
                ends = np.array([accumulator.min()]), np.array([accumulator.max()])
                pair = np.array([multiplier]), np.array([-shift])
                ((factor, offset, right),) = dsp.scaling_table(*ends, *pair, zero_point, 2**23).tolist()
                first = (2 * accumulator * factor + 2**31) >> 32
                found = np.clip((first + offset + (accumulator >> 31)) >> right, -128, 127)
                expected = multiply_by_quantized_multiplier(accumulator, multiplier, -shift) + zero_point
                if factor:
                    np.testing.assert_array_equal(found, np.clip(expected, -128, 127))
                else:
                    assert np.all(np.clip(expected, -128, 127) == found)


@pytest.mark.parametrize(("shift", "limit"), [(0, 2**23), (1, 2**23), (-4, 100), (-23, 2**23)])
def test_without_proof_there_is_no_table(shift, limit):
    bounds = np.array([1 - 2**23]), np.array([2**23 - 1])
    assert dsp.scaling_table(*bounds, np.array([2**31 - 1]), np.array([shift]), 0, limit) is None


def test_a_stream_holds_starts_then_weights_by_turns_then_scalings():
    words = dsp.pack_fours(np.arange(24, dtype=np.int8).reshape(3, 8), 2)
    table = np.array([[10, 1, 2], [20, 3, 4], [30, 5, 6]])
    stream = dsp.stream(words, table)
    halves = words.view("<i4")[..., 0]
    assert stream.dtype == np.int32
    assert stream[0].tolist() == [10, 20, halves[0, 0], halves[1, 0], halves[0, 1], halves[1, 1], 1, 2, 3, 4]
    assert stream[1].tolist() == [30, 0, halves[2, 0], 0, halves[2, 1], 0, 5, 6, 0, 0]
    wide = dsp.widen_fours(np.arange(8, dtype=np.int8).reshape(2, 4), 1)
    (first, second), (third, fourth) = wide.view("<i4")[:, 0].tolist()
    assert dsp.stream(wide, table[:2])[0].tolist() == [10, 20, first, third, second, fourth, 1, 2, 3, 4]
    assert dsp.stream(wide, table[:2], 3)[0].tolist() == [
        *(10, 20, 0, first, third, 0, second, fourth, 0),
        *(1, 2, 3, 4, 0, 0),
    ]
