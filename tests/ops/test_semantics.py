"""Every operator: the float semantics against the integer semantics, and those against TFLM."""

from __future__ import annotations

import numpy as np
import pytest

from millijoule import ops
from millijoule.errors import ModelError
from millijoule.export.tflite import to_tflite
from millijoule.export.tflite.operators import OPERATORS
from millijoule.graph import Operator
from millijoule.model import OperatorQuantization, Quantization
from millijoule.ops import (
    Concat,
    Dense,
    Flatten,
    GlobalMaxPool,
    MaxPool2d,
    Opaque,
    Pad,
    Relu6,
    Reshape,
    Resize2d,
    Softmax,
)
from millijoule.ops.rearrange import Rearrangement
from tests.load.cases import A, run_tflm
from tests.ops.cases import CASES, INT8_CASES, dequantized, float_model, has_int8, int8_inputs, int8_model, real_inputs
from tests.ops.torch_run import run_module
from tests.tflite_writer import one_node

# How far, in steps of the output, the integer result may lie from the real one: half a step for the rounding to int8;
# a quarter for the rounding before it, which is at least one bit finer; and a hundredth for the rest, which is far
# smaller: multipliers have 31 bits, fixed-point curves and sums of exponentials 20 or more.
BOUND = 0.5 + 0.25 + 0.01
# These choose or move numbers, and rounding them once more changes nothing.
EXACT = (Concat, Flatten, GlobalMaxPool, MaxPool2d, Pad, Rearrangement, Relu6, Reshape)
TFLM_CASES = [name for name in INT8_CASES if not CASES[name].tflm_lacks]


def test_every_operator_has_a_case():
    operators = {getattr(ops, name) for name in ops.__all__} - {Opaque}
    assert all(issubclass(operator, Operator) for operator in operators)
    assert {type(entry.op) for entry in CASES.values()} == operators


def test_every_operator_of_tflite_is_compared_with_tflm():
    assert {type(CASES[name].op) for name in TFLM_CASES} == set(OPERATORS)


@pytest.mark.parametrize("name", [name for name in INT8_CASES if not CASES[name].wraps])
def test_int8_is_the_float_semantics_within_its_steps(name):
    model = int8_model(name)
    inputs = int8_inputs(name)
    integers = model.run(*inputs)["op"]
    reals = run_module(model, real_inputs(model, inputs), dequantized(model))
    output = model.quantization["op"]
    steps = np.clip(reals / np.float64(output.scale) + output.zero_point, -128, 127)
    assert integers.shape == reals.shape
    assert np.abs(integers - steps).max() <= bound(CASES[name].op)


def test_the_product_of_two_scales_is_not_rounded_to_float32():
    """A number of MLPerf Tiny's autoencoder: rounded, the product moves it by one step."""
    model = one_node(
        Dense(features=1),
        (1,),
        quantization={
            "input0": Quantization.of(0.02479089),
            "op": Quantization.of(0.36449847, 96),
            "op.weight": Quantization.of(0.01955668),
        },
        weight=np.zeros((1, 1), np.int8),
        bias=np.array([-88337], np.int32),
    )
    inputs = np.zeros((1, 1), np.int8)
    assert model.run(inputs)["op"].tolist() == run_tflm(to_tflite(model), [inputs]).tolist() == [[-21]]


def bound(op: Operator) -> float:
    """How many steps of the output the integer result may lie from the real one."""
    if isinstance(op, Resize2d) and op.mode == "bilinear":
        # The scale is rounded to 1/1024: output row i looks up to (i + 1) / 2048 of a row beside the right position,
        # where there is a number at most 255 steps away.
        return 0.5 + 255 * sum(op.size) / 2048
    return 1e-5 if isinstance(op, (*EXACT, Resize2d)) else BOUND


@pytest.mark.parametrize("name", TFLM_CASES)
def test_int8_equals_tflm(name):
    model = int8_model(name)
    inputs = int8_inputs(name)
    outputs = model.run(*inputs)["op"]
    np.testing.assert_array_equal(outputs, run_tflm(to_tflite(model), list(inputs)).reshape(outputs.shape))


@pytest.mark.parametrize("name", [name for name, entry in CASES.items() if not has_int8(entry.op)])
def test_an_operator_without_int8_form_says_so(name):
    entry = CASES[name]
    for method in (entry.op.int8, entry.op.call):
        with pytest.raises(Exception, match=f"{type(entry.op).__name__} has no int8"):
            method(*entry.inputs, weights={}, quantization=None)


@pytest.mark.parametrize("name", [name for name, entry in CASES.items() if entry.no_int8])
def test_a_case_without_integer_form_is_refused_with_the_reason(name):
    """So that a case does not stay out of the tests once it has one."""
    entry = CASES[name]
    model = float_model(name)
    scale = Quantization.of(0.05)
    quantization = OperatorQuantization((scale,) * len(entry.inputs), {}, scale)
    weights = {key: np.zeros(array.shape, np.int8) for key, array in model.weights.items()}
    with pytest.raises(ValueError, match="has no int8 form"):
        entry.op.int8(*int8_inputs(name), weights=weights, quantization=quantization)
    with pytest.raises(ValueError, match="has no int8 form"):
        entry.op.call(*entry.inputs, weights=weights, quantization=quantization)


def test_softmax_refuses_more_classes_than_its_sums_hold():
    quantization = OperatorQuantization((A,), {}, Quantization.of(1 / 256, -128))
    equal = np.zeros((1, 4095), np.int8)
    assert np.all(Softmax().int8(equal, weights={}, quantization=quantization) == -128)
    for use in (
        lambda: Softmax().int8(np.zeros((1, 4096), np.int8), weights={}, quantization=quantization),
        lambda: Softmax().call((4096,), weights={}, quantization=quantization),
    ):
        with pytest.raises(ValueError, match="4096 classes; int8 softmax sums at most 4095"):
            use()


def test_an_unknown_operator_has_a_shape_and_numbers_but_no_semantics():
    op = Opaque(operator="TopK", output=(3,), arrays=(("weight", (2, 5)),))
    assert op.shape((9, 9, 2)) == (3,)
    assert op.params((9, 9, 2))["weight"].count == 10
    assert not op.cost((9, 9, 2)).counted
    with pytest.raises(ModelError, match="TopK"):
        op.module((9, 9, 2))
