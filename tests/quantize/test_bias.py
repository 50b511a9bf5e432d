"""Bias correction: mean errors of channels vanish."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from millijoule.quantize import quantize
from millijoule.quantize.bias import corrected_biases
from millijoule.quantize.calibrate import ready_for_int8
from millijoule.quantize.images import prepared
from millijoule.train.network import activations
from tests.quantize.broken import digits_network

pytest.importorskip("torch")


def mean_errors(model, int8, inputs, name) -> np.ndarray:
    """Of each channel of a value, int8 less float, in steps."""
    quantization = int8.quantization[name]
    real = np.concatenate([values[name] for values in activations(model, inputs)])
    found = quantization.dequantize(int8.run(int8.quantization["input"].quantize(inputs))[name])
    return (found - real).reshape(-1, real.shape[-1]).mean(axis=0) / float(quantization.scale)


def test_a_shift_of_every_channel_is_taken_out():
    model, data = digits_network()
    model = ready_for_int8(model)
    inputs = prepared(model, data.x_train[:128])
    int8 = quantize(model, data.x_train)
    rng = np.random.default_rng(0)
    shifted = {
        key: array + rng.integers(-3000, 3000, array.shape, dtype=np.int32) if key == "fc.bias" else array
        for key, array in int8.weights.items()
    }
    shifted = replace(int8, weights=shifted)
    assert np.abs(mean_errors(model, shifted, inputs, "fc")).max() > 2
    corrected = corrected_biases(model, shifted, inputs)
    # Half a step of rounding at the most, where nothing saturates.
    assert np.abs(mean_errors(model, corrected, inputs, "fc")).max() < 0.3
    assert corrected.weights["c1.weight"] is int8.weights["c1.weight"]


def test_layers_are_corrected_for_what_those_before_leave():
    """Weights of two bits in the first layer shift all that follows."""
    model, data = digits_network()
    model = ready_for_int8(model)
    inputs = prepared(model, data.x_train[:128])
    int8 = quantize(model, data.x_train)
    coarse = dict(int8.weights)
    for key in ("c1.weight", "c2.weight"):
        coarse[key] = (np.round(coarse[key] / 64) * 64).clip(-127, 127).astype(np.int8)
    coarse = replace(int8, weights=coarse)
    before = np.abs(mean_errors(model, coarse, inputs, "fc")).mean()
    after = np.abs(mean_errors(model, corrected_biases(model, coarse, inputs), inputs, "fc")).mean()
    assert after < before / 5
    assert after < 0.3


def test_quantize_corrects_on_request():
    model, data = digits_network()
    plain, corrected = (quantize(model, data.x_train, correct_bias=flag) for flag in (False, True))
    assert any(np.any(plain.weights[key] != corrected.weights[key]) for key in plain.weights if key.endswith("bias"))
    for key in plain.weights:
        if key.endswith("weight"):
            np.testing.assert_array_equal(plain.weights[key], corrected.weights[key])
