"""When kernels/armv6m may be used, and how their numbers are laid out."""

import numpy as np
import pytest

from millijoule.model import OperatorQuantization, Quantization
from millijoule.ops import Dense, armv6m
from millijoule.target import Target
from tests.ops.cases import CASES, A
from tests.ops.test_dsp import calls

PORTABLE = {"shift_left", "weight_zero_point", "wraps", "depthwise_dilated"}
"""Parts of the names of cases for which a proof may fail, or that have no kernel there."""

LAYERS = [name for name, case in CASES.items() if type(case.op).__name__ in ("Conv2d", "Dense")]


@pytest.mark.parametrize("name", [name for name in LAYERS if not any(part in name for part in PORTABLE)])
def test_the_kernel_for_thumb_1_is_chosen(name):
    (chosen,) = calls(name, Target("armv6m"))
    assert chosen.function.startswith("mj_armv6m_")


@pytest.mark.parametrize("name", ["conv2d_shift_left", "dense_shift_left", "dense_weight_zero_point"])
def test_what_is_not_proven_stays_portable(name):
    (chosen,) = calls(name, Target("armv6m"))
    assert not chosen.function.startswith("mj_armv6m_")


def test_weights_lie_by_eights_of_channels_then_by_four():
    weight = np.arange(-60, -60 + 9 * 5, dtype=np.int8).reshape(9, 5)
    packed = armv6m.pack(weight)
    assert packed.dtype == np.uint8
    assert len(packed) == 8 * (8 + 4)
    eight, four = packed[:64].reshape(8, 8).astype(int) - 128, packed[64:].reshape(8, 4).astype(int) - 128
    assert eight[:5].T.tolist() == weight[:8].tolist()
    assert four[:5, 0].tolist() == weight[8].tolist()
    assert not eight[5:].any()


@pytest.mark.parametrize(("channels", "stored"), [(1, 4), (4, 4), (5, 8), (8, 8), (12, 12), (13, 16)])
def test_channels_are_filled_up_as_little_as_possible(channels, stored):
    assert len(armv6m.pack(np.ones((channels, 4), np.int8))) == 4 * stored


@pytest.mark.parametrize(("activation", "numbers"), [((-128, 127), 5), ((-20, 127), 4)])
def test_a_channel_has_a_line_or_two_roundings(activation, numbers):
    """Results from -20 on lie at both sides of the zero point, 0."""
    bounds = np.array([-40000]), np.array([40000])
    zero_point = activation[0] if numbers == 5 else 0
    found = armv6m.channel_table(np.array([7]), bounds, (np.array([2**30 + 1]), np.array([-7])), zero_point, activation)
    table, by_line = found
    assert by_line == (numbers == 5)
    assert table.shape == (1, numbers)


def test_a_window_too_large_stays_portable():
    op = Dense(features=1)
    wide = armv6m.LARGEST_COUNT + 1
    quantization = OperatorQuantization((A,), {"weight": Quantization.of(0.001, 0)}, A)
    weights = {"weight": np.zeros((1, wide), np.int8), "bias": np.zeros(1, np.int32)}
    assert armv6m.dense(op, (wide,), weights, quantization, Target("armv6m")) is None
