"""When kernels/armv6m may be used, and how their numbers are laid out."""

import numpy as np
import pytest

from millijoule.ops import armv6m
from millijoule.target import Target
from tests.ops.cases import CASES
from tests.ops.test_dsp import calls

PORTABLE = {"shift_left", "weight_zero_point", "depthwise", "wraps"}
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


def test_weights_lie_by_fours_of_channels():
    weight = np.array([[1, -128], [2, 127], [3, 0], [4, 5], [6, 7]], np.int8)
    bias = np.array([10, 20, 30, 40, 50], np.int32)
    multipliers = np.full(5, 2**30, np.int32), np.full(5, -3, np.int32)
    words, table = armv6m.pack(weight, bias, -2, 5, multipliers)
    assert words.dtype == np.uint8
    assert words[0].tolist() == [[129, 130, 131, 132], [0, 255, 128, 133]]
    assert words[1].tolist() == [[134, 0, 0, 0], [135, 0, 0, 0]]
    assert table.shape == (8, 4)
    assert table[0].tolist() == [10 + 2 * (1 - 128), 2**30, (5 << 3) + 4, 3]
    assert table[5:].tolist() == [[0, 0, 0, 0]] * 3


def test_a_window_too_large_is_refused():
    wide = np.zeros((1, armv6m.LARGEST_COUNT + 1), np.int8)
    assert armv6m.pack(wide, np.zeros(1, np.int32), 0, 0, (np.array([2**30]), np.array([-3]))) is None
