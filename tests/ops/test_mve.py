"""When kernels/mve may be used: what has to hold, the packing, and the choice."""

import numpy as np
import pytest

from millijoule.fixedpoint import (
    multiply_by_quantized_multiplier,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from millijoule.ops import Conv2d, mve
from millijoule.ops.base import Window
from millijoule.target import SCALAR, Target
from tests.ops.cases import CASES, int8_model
from tests.ops.test_dsp import calls

PORTABLE = {
    "conv2d_weight_zero_point",
    "conv2d_depthwise_weight_zero_point",
    "conv2d_shift_left",
    "conv2d_shift_left_depthwise",
    "dense_weight_zero_point",
    "dense_shift_left",
}
"""Cases for which something does not hold."""

LAYERS = [name for name, case in CASES.items() if type(case.op).__name__ in ("Conv2d", "Dense")]


@pytest.mark.parametrize("name", LAYERS)
def test_the_kernel_is_chosen_by_what_holds(name):
    (chosen,) = calls(name, Target("mve"))
    assert chosen.function.startswith("mj_mve_") == (name not in PORTABLE)
    assert calls(name, SCALAR)[0].scratch_bytes == 0


def rescaled(accumulator: np.ndarray, multiplier: int, shift: int, ties_away: int) -> np.ndarray:
    """mj_mve_rescale in Python: VQRDMULH, one less for negative numbers, VRSHL."""
    product = (2 * accumulator * multiplier + 2**31) >> 32
    product = product + (product >> 31) * ties_away
    return (product + (1 << (-shift) >> 1)) >> -shift


ACCUMULATORS = np.concatenate(
    [np.arange(-5000, 5000), np.arange(-(2**31), 2**31, 1_000_003), [-(2**31), -(2**31) + 1, 2**31 - 1]]
)
MULTIPLIERS = (2**30, 2**30 + 1, 1_518_500_250, 2**31 - 1, 3, 0)


@pytest.mark.parametrize("shift", [-1, -2, -7, -13, -22, -30, -31])
def test_ties_away_is_the_double_rounding_of_tflite(shift):
    """Every sum around ties and zero and at the ends of int32: nothing need be proven of sums."""
    for multiplier in MULTIPLIERS:
        expected = multiply_by_quantized_multiplier(ACCUMULATORS, multiplier, shift)
        np.testing.assert_array_equal(rescaled(ACCUMULATORS, multiplier, shift, 1), expected)


@pytest.mark.parametrize("shift", [0, -1, -2, -7, -13, -22, -30, -31])
def test_ties_upwards_differ_only_where_a_result_is_not_positive(shift):
    for multiplier in MULTIPLIERS:
        expected = multiply_by_quantized_multiplier(ACCUMULATORS, multiplier, shift)
        found = rescaled(ACCUMULATORS, multiplier, shift, 0)
        np.testing.assert_array_equal(np.maximum(found, 0), np.maximum(expected, 0))
    tie = np.array([-(2**3)])
    assert rescaled(tie, 2**30, -3, 0) != rounding_divide_by_pot(saturating_rounding_doubling_high_mul(tie, 2**30), 3)


def test_ties_matter_unless_negative_results_are_clamped():
    right, none, left = np.array([-3, -1]), np.array([-3, 0]), np.array([-3, 1])
    assert mve.ties_away(-128, -127, right) == 1
    assert mve.ties_away(-128, -128, right) == mve.ties_away(4, 3, none) == 0
    assert mve.ties_away(-128, 0, none) is mve.ties_away(-128, -128, left) is None


def test_channels_lie_in_the_order_that_narrowing_undoes():
    assert mve.slots(8).tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert mve.slots(11).tolist() == [0, 2, 4, 6, 1, 3, 5, 7, 8, 9, 10, 10]
    assert mve.slots(5).tolist() == [0, 2, 4, 4, 1, 3, 4, 4]


def test_weights_lie_by_pairs_of_channels_and_steps():
    weight = np.arange(1, 41, dtype=np.int8).reshape(2, 20)
    words, table = mve.pack(weight, np.array([5, -6]), -2, (np.array([7, 8]), np.array([-9, -10])))
    assert words.shape == (2, 2, 2, 16)
    assert words[0, 0].tolist() == [weight[0, :16].tolist(), weight[1, :16].tolist()]
    assert words[0, 1, :, :4].tolist() == [weight[0, 16:].tolist(), weight[1, 16:].tolist()]
    assert not words[0, 1, :, 4:].any()
    assert table.shape == (1, 3, 8)
    assert table[0, 0, :2].tolist() == [5 + 2 * sum(range(1, 21)), -6 + 2 * sum(range(21, 41))]
    assert table[0, 1:, :2].tolist() == [[7, 8], [-9, -10]]


def test_a_bias_wraps_as_every_sum_does():
    _, table = mve.pack(np.full((1, 4), 127, np.int8), np.array([2**31 - 1]), -128, (np.array([1]), np.array([-1])))
    assert table[0, 0, 0] == -(2**31) - 1 + 4 * 127 * 128


def test_a_turn_takes_as_many_steps_as_divide_all():
    assert [mve.unroll(steps) for steps in (1, 2, 9, 18, 36, 40, 7)] == [1, 2, 3, 3, 4, 5, 1]


@pytest.mark.parametrize(
    ("name", "function", "squares"),
    [
        ("conv2d_depthwise", "mj_mve_depthwise_conv2d", 1),
        ("conv2d_depthwise_strided", "mj_mve_depthwise_conv2d", 0),
        ("conv2d_depthwise_dilated", "mj_mve_depthwise_any", None),
    ],
)
def test_depthwise_kernels_are_chosen_by_size(name, function, squares):
    (chosen,) = calls(name, Target("mve"))
    assert (chosen.function, chosen.parameters.get("squares")) == (function, squares)
    (by_row,) = calls(name, Target("mve", by_row=True))
    assert by_row.parameters.get("squares") in (0, None)
    (frugal,) = calls(name, Target("mve", frugal=True))
    assert (frugal.function, frugal.scratch_bytes) == ("mj_mve_depthwise_any", 0)


@pytest.mark.parametrize(
    ("x", "kernel", "padding", "by", "copied"),
    [
        ((4, 2, 3), 3, "same", "row", 2),
        ((4, 5, 3), 3, "same", "row", 3),
        ((4, 5, 3), 3, "same", "pixel", 1),
        ((2, 1, 3), (2, 1), "valid", "map", 1),
        ((2, 2, 3), (1, 2), "valid", "map", 2),
        # Of pixels of 12 channels, a vector of 16 reaches behind the last one only.
        ((4, 5, 12), 1, "valid", "row", 2),
        ((4, 6, 12), 1, "valid", "row", 3),
        ((4, 4, 12), 1, "valid", "map", 1),
        ((4, 5, 12), 1, "valid", "pixel", 1),
        ((4, 5, 32), 1, "valid", "row", 0),
        ((4, 5, 32), 1, "valid", "pixel", 0),
        ((4, 5, 32), 1, "same", "map", 0),
        ((4, 5, 32), 1, ((0, 1), (0, 0)), "row", 3),
        ((4, 5, 32), 1, ((0, 0), (1, 0)), "pixel", 1),
    ],
)
def test_working_memory_is_for_the_windows_that_are_copied(x, kernel, padding, by, copied):
    window = Conv2d(channels=4, kernel=kernel, padding=padding).window(x)
    target = Target("mve", by_row=by != "map", by_pixel=by == "pixel")
    assert mve.windows_copied(window, 1, x[2], target) == copied


def test_taps_lie_column_by_column_between_zeros():
    """Five zeros before each channel: from 1, 4 and 5 bytes before its taps the kernel lies a row or column further."""
    model = int8_model("conv2d_depthwise")
    (node,) = model.graph.nodes
    weight = model.node_weights(node)["weight"]
    (chosen,) = calls("conv2d_depthwise", Target("mve"))
    taps = chosen.data["taps"]
    assert taps.size == 8 + 16 * len(weight)
    for channel in range(len(weight)):
        at = 8 + 16 * channel
        assert taps[at : at + 12].reshape(3, 4)[:, :3].T.tolist() == weight[channel, ..., 0].tolist()
        assert not taps[at - 5 : at].any()


def test_a_table_begins_with_the_output_for_zero():
    table = np.arange(-128, 128, dtype=np.int8)
    (call,) = mve.look_up((3,), table)
    assert call.data["table"].tolist() == [*range(128), *range(-128, 0)]


@pytest.mark.parametrize("kernel", [(1, 1), (1, 2), (3, 3), (2, 3), (8, 8), (25, 5), (49, 49)])
def test_means_are_exact_for_all_sums(kernel):
    """The multiplication that stands for a division, against the division."""
    window = Window.over((*kernel, 4), kernel, kernel, (1, 1), "valid")
    (call,) = mve.average_pool(window, window.parameters())
    p, count = call.parameters, kernel[0] * kernel[1]
    sums = np.arange(-128 * count, 127 * count + 1, dtype=np.int64)
    found = rescaled(sums << p["left"], p["multiplier"], p["shift"], p["ties_away"])
    np.testing.assert_array_equal(found, np.sign(sums) * ((2 * np.abs(sums) + count) // (2 * count)))


def test_means_of_windows_with_padding_stay_portable():
    window = Window.over((5, 5, 4), (2, 2), (2, 2), (1, 1), "same")
    assert mve.average_pool(window, window.parameters()) is None
