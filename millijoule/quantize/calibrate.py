"""Post-training quantization to TFLite's int8 rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from millijoule.errors import ModelError, OptionError
from millijoule.graph import Operator
from millijoule.model import Model, Quantization
from millijoule.ops import Dense, PRelu
from millijoule.ops.conv import Convolution
from millijoule.ops.opaque import check_known
from millijoule.passes import simplify
from millijoule.quantize.bias import corrected_biases
from millijoule.quantize.equalize import equalize_layers
from millijoule.quantize.faults import calibration_faults
from millijoule.quantize.images import Images, check_enough, prepared
from millijoule.quantize.ranges import RANGE_CHOICES, Range, RangeChoice, observe_ranges
from millijoule.quantize.scales import fixed_input, separate_shared_scales, value_quantization
from millijoule.train.data import evenly_spaced

SMALLEST_SCALE = 2.0**-30
LARGEST_BIAS = 2**30
BIAS_SAMPLES = 128
"""On which biases are corrected: a mean needs fewer images than a range."""


def quantize(
    model: Model,
    images: np.ndarray,
    *,
    ranges: RangeChoice = "minmax",
    samples: int = 512,
    dense_per_channel: bool = False,
    equalize: bool = False,
    correct_bias: bool = False,
) -> Model:
    """The int8 form of a float model, by TFLite's rules, so that TFLM and CMSIS-NN would compute the same.

    images: what the ranges of the values are measured on: uint8 (n, height, width, channels) as in the data set, or
        float32 (n, *input shape), prepared. At most `samples` of them are used, evenly spaced. If they are all the
        same, or do not match the training's preprocessing, the notes of the int8 model say so.
    ranges: `minmax`, `percentile` or `mse`, the mean square error; see `observe_ranges`.
    dense_per_channel: one scale for each output of dense layers. Default: one for the layer, as TFLite's converter
        has it, which saves 5 bytes of flash per output.
    equalize: first bring the channels of layers that follow each other to like ranges (`equalize_layers`).
    correct_bias: then take the mean error of each channel out of the biases (`corrected_biases`).

    The graph is simplified first. Weights: int8, -127…127, symmetric, one scale for each output channel of
    convolutions. Biases: int32, scale of the input times that of the weights. Values: int8, asymmetric, 0 always
    exact. Softmax and sigmoid have scale 1/256 and zero point -128, tanh 1/128 and 0. Pooling, padding, reshapes and
    concatenation keep the scale of their input. The input of a model with one mean and standard deviation for all
    channels is pixel - 128 exactly. No scale is below 2**-30, and none so small that a bias would leave ±2**30.

    Source: Jacob et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference"; TFLite's 8-bit quantization specification.
    Raises ModelError if the model is int8 already, has an operator without int8 form, or answers the same to all
    images; OptionError for fewer than 32 images or samples; DataError for images that do not fit; ToolError without
    torch.
    """
    model = ready_for_int8(model)
    faults = calibration_faults(model, Images(evenly_spaced(samples, images), None, ""))
    model = replace(model, notes=(*model.notes, *faults))
    if equalize:
        model = equalize_layers(model)
    observed = calibrate(model, images, ranges, samples)
    given = fixed_input(model.preprocess) if images.dtype == np.uint8 else None
    int8 = integer_model(model, observed, given, dense_per_channel)
    if correct_bias:
        chosen = evenly_spaced(samples, images)
        int8 = corrected_biases(model, int8, prepared(model, evenly_spaced(BIAS_SAMPLES, chosen)))
    return int8


def ready_for_int8(model: Model) -> Model:
    """The float model as it is quantized: simplified, and no two uses of a value ask for different scales of it.

    Raises ModelError if the model is int8 already or has an operator without int8 form.
    """
    if model.is_int8:
        raise ModelError(f"model '{model.graph.name}' is int8 already")
    check_known(model.graph)
    model = simplify(model)
    for node in model.graph.nodes:
        if type(node.op).int8 is Operator.int8:
            raise ModelError(
                f"node '{node.name}' ({type(node.op).__name__}) has no int8 form and no rule that rewrites it: "
                "use another operator, or run the model in float"
            )
    return separate_shared_scales(model)


def calibrate(model: Model, images: np.ndarray, ranges: RangeChoice, samples: int) -> dict[str, Range]:
    """The range of every value of a model that is ready for int8; arguments and errors as `quantize` has them."""
    if ranges not in RANGE_CHOICES:
        raise OptionError(f"ranges is '{ranges}'; it must be one of {', '.join(RANGE_CHOICES)}")
    check_enough(samples, f"samples is {samples}")
    inputs = prepared(model, evenly_spaced(samples, images))
    check_enough(len(images), f"there are {len(images)} images")
    return observe_ranges(model, inputs, ranges)


def integer_model(
    model: Model, ranges: Mapping[str, Range], given: Quantization | None, dense_per_channel: bool
) -> Model:
    """The int8 form of a model that is ready for it, whose values lie in `ranges`. given: the input's quantization."""
    values = value_quantization(model.graph, ranges, given, SMALLEST_SCALE)
    weights: dict[str, np.ndarray] = {}
    quantization = dict(values)
    for node in model.graph.nodes:
        arrays = model.node_weights(node)
        if not arrays:
            continue
        input_scale = float(values[node.inputs[0]].scale)
        name = "slope" if isinstance(node.op, PRelu) else "weight"
        weight, bias = arrays[name], arrays.get("bias")
        per_channel = isinstance(node.op, Convolution) or (dense_per_channel and isinstance(node.op, Dense))
        scales = _weight_scales(weight, bias, input_scale, per_channel)
        quantization[f"{node.name}.{name}"] = Quantization(scales)
        columns = scales.astype(np.float64).reshape(-1, *(1 for _ in weight.shape[1:]))
        weights[f"{node.name}.{name}"] = np.clip(_round(weight / columns), -127, 127).astype(np.int8)
        if bias is not None:
            weights[f"{node.name}.bias"] = _round(bias / (input_scale * scales.astype(np.float64))).astype(np.int32)
    return replace(model, weights=weights, quantization=quantization)


def _weight_scales(weight: np.ndarray, bias: np.ndarray | None, input_scale: float, per_channel: bool) -> np.ndarray:
    """float32 scales, one for each output channel or one in all; never 0, and biases stay within ±2**30."""
    scales = np.abs(weight.reshape(len(weight), -1)).max(axis=1).astype(np.float64) / 127
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (input_scale * LARGEST_BIAS))
    scales = np.maximum(scales, SMALLEST_SCALE)
    return (scales if per_channel else scales.max(keepdims=True)).astype(np.float32)


def _round(x: np.ndarray) -> np.ndarray:
    """Nearest whole number, ties away from zero."""
    return np.trunc(x + np.copysign(0.5, x))
