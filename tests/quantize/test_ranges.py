"""The ranges that values take over a set of images."""

import numpy as np
import pytest

from millijoule.errors import ModelError
from millijoule.graph import Builder
from millijoule.model import Model
from millijoule.ops import Dense, Relu
from millijoule.quantize.ranges import BINS, KEPT, observe_ranges


def identity(*more) -> Model:
    """A network of one feature whose first value is its input."""
    build = Builder("identity", (1,))
    build("dense", Dense(features=1))
    for index, op in enumerate(more):
        build(f"n{index}", op)
    return Model(build.graph(), {"dense.weight": np.ones((1, 1), np.float32), "dense.bias": np.zeros(1, np.float32)})


def column(numbers) -> np.ndarray:
    return np.asarray(numbers, np.float32)[:, None]


def test_minmax_is_all_that_was_seen_over_all_batches():
    numbers = np.concatenate([np.zeros(100), [-3.0], np.zeros(100), [5.0]])
    ranges = observe_ranges(identity(Relu()), column(numbers), "minmax")
    assert ranges == {"input": (-3.0, 5.0), "dense": (-3.0, 5.0), "n0": (0.0, 5.0)}


def test_percentile_leaves_out_a_ten_thousandth_half_at_each_end():
    numbers = np.linspace(-1, 1, 200_000)
    numbers[:8], numbers[-8:] = -50, 90
    low, high = observe_ranges(identity(), column(numbers), "percentile")["dense"]
    step = (90 + 50) / BINS
    cut = (1 - KEPT) / 2
    assert np.mean(numbers < low) <= cut
    assert np.mean(numbers > high) <= cut
    assert -1 - step <= low <= -1 + step
    assert 1 - step <= high <= 1 + step


def test_percentile_keeps_what_has_no_tail():
    numbers = np.repeat([-2.0, 7.0], 50)
    assert observe_ranges(identity(), column(numbers), "percentile")["dense"] == (-2.0, 7.0)


def expected_error(numbers: np.ndarray, low: float, high: float) -> float:
    """The mean square of what int8 with that range changes."""
    step = (high - low) / 255
    return float(np.mean((np.clip(np.round(numbers / step) * step, low, high) - numbers) ** 2))


def test_mean_square_error_gives_up_a_thin_tail_for_finer_steps():
    numbers = np.concatenate([np.random.default_rng(0).normal(size=500_000), [40.0, -40.0]])
    low, high = observe_ranges(identity(), column(numbers), "mse")["dense"]
    assert low == -high
    assert 8 <= high < 30
    best = expected_error(numbers, low, high)
    assert best < 0.7 * expected_error(numbers, -40, 40)
    for factor in (0.8, 1.25):
        assert best < expected_error(numbers, low * factor, high * factor)


def test_mean_square_error_keeps_a_flat_distribution():
    low, high = observe_ranges(identity(), column(np.linspace(0, 6, 5000)), "mse")["dense"]
    assert low == 0
    assert high > 5.8


@pytest.mark.parametrize("choice", ["minmax", "percentile", "mse"])
def test_a_value_that_never_moves_keeps_its_one_number(choice):
    model = identity(Relu())
    ranges = observe_ranges(model, column(np.full(5, -2.0)), choice)
    assert ranges == {"input": (-2.0, -2.0), "dense": (-2.0, -2.0), "n0": (0.0, 0.0)}


def test_a_network_that_answers_the_same_to_all_has_not_learnt():
    with pytest.raises(ModelError, match=r"output 'n0' of model 'identity' is the same for all 3 calibration images"):
        observe_ranges(identity(Relu()), column([-1.0, -2.0, -3.0]), "minmax")


def test_numbers_that_are_none():
    model = identity()
    broken = Model(model.graph, {**model.weights, "dense.bias": np.array([np.inf], np.float32)})
    with pytest.raises(ModelError, match="value 'dense' of model 'identity' is infinite or not a number"):
        observe_ranges(broken, column([1.0]), "minmax")
