"""Every operator in the ways in which it can be set: the table that the tests of this folder run over.

A new operator needs its entries in CASES, and nothing else here; operators with an int8 form take part in every test,
the others in those of the float semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal
from zlib import crc32

import numpy as np

from millijoule.graph import Operator, Shape
from millijoule.model import Model, Quantization
from millijoule.ops import (
    Add,
    AddNumber,
    Attention,
    AveragePool2d,
    BatchNorm,
    ChannelShuffle,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Dense,
    DepthToSpace,
    Dropout,
    Elu,
    Factor,
    Flatten,
    Gelu,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    LocalResponseNorm,
    MatMul,
    MaxPool2d,
    Mean,
    Multiply,
    MultiplyNumber,
    Pad,
    PRelu,
    RadialBasis,
    Relu,
    Relu6,
    Requantize,
    Reshape,
    Resize2d,
    Scale,
    Sigmoid,
    Slice,
    Softmax,
    SpaceToDepth,
    Subsample2d,
    Subtract,
    Swish,
    TableConv2d,
    Tanh,
    Transpose,
)
from millijoule.ops.quantization import SAME_SCALE, prescribed_output
from millijoule.quantize.scales import quantization_of_range
from tests.ops.torch_run import run_module
from tests.tflite_writer import one_node

SAMPLES = 8
A, B = Quantization.of(0.05, 3), Quantization.of(0.02, -7)
LOWEST, HIGHEST = Quantization.of(0.03, -128), Quantization.of(0.03, 127)
COARSE, FINE = Quantization.of(8.0, 1), Quantization.of(2.0**-12, -1)
MAP: Shape = (7, 6, 4)
SMALL_MAP: Shape = (3, 4, 4)
PIXEL: Shape = (1, 1, 4)
SEQUENCE: Shape = (5, 6)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An operator, the shapes that it reads, and, for int8, its numbers.

    quantization: of the inputs; A and then B if none is given, one for all where the operator asks for that.
    output: the output's quantization; if none is given, one that fits the outputs.
    weights: `random`; `extreme`, all of one output channel 127 or -127, so that sums are the largest; `few`, -1, 0, 1;
    `lowest`, -128, which the importers of other tools' models let through.
    weight_scale: one scale for the whole weight; if none is given, one for each output channel.
    wraps: sums leave int32, so that they mean nothing in real numbers.
    tflm_lacks: what of this case TFLite or TFLM cannot express or does not define.
    no_int8: why this case has no integer form, though the operator has.
    """

    op: Operator
    inputs: tuple[Shape, ...]
    quantization: tuple[Quantization, ...] = ()
    output: Quantization | None = None
    weights: Literal["random", "extreme", "few", "lowest"] = "random"
    weight_scale: float | None = None
    weight_zero_point: int = 0
    largest_bias: int = 3000
    wraps: bool = False
    tflm_lacks: str = ""
    no_int8: str = ""


def case(op: Operator, *inputs: Shape, **settings: object) -> Case:
    return Case(op=op, inputs=inputs, **settings)  # type: ignore[arg-type]


ZERO_POINT = "a weight zero point: it comes from uint8 models, which TFLM does not run"
PADDED_POOL = "explicit padding of a pool"
ROUNDED_REAL = "this rounding: TFLM computes the function in fixed point, or not at all"
ALIGNED_LEFT = "numbers for each channel beside a batch: its shapes are aligned at the last axis"
OVERFLOW = "a defined result of an int32 sum that overflows"

CASES: dict[str, Case] = {
    "conv2d": case(Conv2d(channels=5, kernel=3), MAP),
    "conv2d_same_strided": case(Conv2d(channels=5, kernel=(3, 2), stride=(2, 1), padding="same"), MAP),
    "conv2d_same_even": case(Conv2d(channels=3, kernel=4, stride=3, padding="same", activation="relu"), MAP),
    "conv2d_explicit": case(Conv2d(channels=3, kernel=3, padding=((0, 1), (2, 1)), stride=2), MAP),
    "conv2d_padding_beyond_kernel": case(Conv2d(channels=3, kernel=2, padding=((3, 0), (0, 4))), SMALL_MAP),
    "conv2d_dilated": case(Conv2d(channels=3, kernel=2, dilation=(3, 2), activation="relu"), MAP),
    "conv2d_dilated_same": case(Conv2d(channels=3, kernel=3, dilation=2, padding="same", bias=False), MAP),
    "conv2d_kernel_beyond_map": case(Conv2d(channels=3, kernel=(7, 5), padding="same"), SMALL_MAP),
    "conv2d_kernel_is_map": case(Conv2d(channels=3, kernel=(3, 4)), SMALL_MAP),
    "conv2d_stride_beyond_kernel": case(Conv2d(channels=3, kernel=1, stride=3), MAP),
    "conv2d_pointwise": case(Conv2d(channels=9, kernel=1, bias=False, activation="relu6"), MAP),
    "conv2d_pixel": case(Conv2d(channels=7, kernel=1), PIXEL),
    "conv2d_pixel_same": case(Conv2d(channels=7, kernel=3, padding="same"), PIXEL),
    "conv2d_row": case(Conv2d(channels=2, kernel=(1, 5), stride=(1, 2)), (1, 11, 3)),
    "conv2d_one_channel": case(Conv2d(channels=1, kernel=3, padding="same"), (5, 5, 1)),
    "conv2d_many_channels": case(Conv2d(channels=17, kernel=1), (2, 3, 33)),
    "conv2d_groups": case(Conv2d(channels=6, kernel=3, groups=2, padding="same"), MAP),
    "conv2d_groups_dilated": case(Conv2d(channels=6, kernel=2, groups=2, dilation=2), MAP),
    "conv2d_depthwise": case(Conv2d(channels=4, kernel=3, groups=4, padding="same", activation="relu6"), MAP),
    "conv2d_depthwise_valid": case(Conv2d(channels=4, kernel=3, groups=4, bias=False), MAP),
    "conv2d_depthwise_strided": case(Conv2d(channels=4, kernel=3, groups=4, stride=2, padding="same"), MAP),
    "conv2d_depthwise_dilated": case(Conv2d(channels=4, kernel=3, groups=4, dilation=2, padding="same"), MAP),
    "conv2d_depthwise_asymmetric": case(
        Conv2d(channels=4, kernel=(3, 2), groups=4, padding=((2, 0), (0, 3)), stride=(1, 2)), MAP
    ),
    "conv2d_depthwise_multiplier": case(Conv2d(channels=12, kernel=(2, 3), groups=4, stride=2), MAP),
    "conv2d_depthwise_multiplier_same": case(Conv2d(channels=8, kernel=3, groups=4, padding="same"), MAP),
    "conv2d_depthwise_beyond_map": case(Conv2d(channels=4, kernel=7, groups=4, padding="same"), SMALL_MAP),
    "conv2d_depthwise_far_padding": case(
        Conv2d(channels=4, kernel=1, groups=4, stride=8, padding=((31, 0), (31, 0))), PIXEL
    ),
    "conv2d_depthwise_pixel": case(Conv2d(channels=4, kernel=3, groups=4, padding="same"), PIXEL),
    "conv2d_depthwise_many": case(Conv2d(channels=19, kernel=3, groups=19), (4, 5, 19)),
    "conv2d_per_tensor": case(Conv2d(channels=5, kernel=3, padding="same"), MAP, weight_scale=0.004),
    "conv2d_weight_zero_point": case(
        Conv2d(channels=5, kernel=3, padding="same"),
        MAP,
        weight_scale=0.004,
        weight_zero_point=-9,
        tflm_lacks=ZERO_POINT,
    ),
    "conv2d_depthwise_weight_zero_point": case(
        Conv2d(channels=4, kernel=3, groups=4), MAP, weight_scale=0.004, weight_zero_point=90, tflm_lacks=ZERO_POINT
    ),
    "conv2d_extreme": case(
        Conv2d(channels=4, kernel=3, padding="same"), MAP, quantization=(LOWEST,), weights="extreme"
    ),
    "conv2d_extreme_depthwise": case(
        Conv2d(channels=4, kernel=3, groups=4), MAP, quantization=(HIGHEST,), weights="extreme"
    ),
    "conv2d_zero_points": case(
        Conv2d(channels=4, kernel=3, padding="same"), MAP, quantization=(HIGHEST,), output=LOWEST
    ),
    "conv2d_shift_left": case(
        Conv2d(channels=4, kernel=3), MAP, output=A, weights="few", weight_scale=3.0, largest_bias=20
    ),
    "conv2d_shift_left_depthwise": case(
        Conv2d(channels=4, kernel=3, groups=4), MAP, output=A, weights="few", weight_scale=9.0, largest_bias=20
    ),
    "conv2d_shift_far_right": case(
        Conv2d(channels=4, kernel=3), MAP, output=A, weight_scale=2.0**-24, largest_bias=2**30
    ),
    "conv2d_multiplier_of_zero": case(Conv2d(channels=4, kernel=3), MAP, output=COARSE, weight_scale=2.0**-60),
    "conv2d_wraps": case(
        Conv2d(channels=4, kernel=3),
        MAP,
        output=A,
        weights="extreme",
        weight_scale=2.0**-24,
        largest_bias=2**31 - 1,
        wraps=True,
        tflm_lacks=OVERFLOW,
    ),
    "conv2d_four_channels_wide": case(Conv2d(channels=6, kernel=3, padding="same"), (5, 11, 8)),
    "conv2d_four_channels_odd": case(Conv2d(channels=5, kernel=(2, 3), stride=2, activation="relu"), (6, 9, 4)),
    "conv2d_pointwise_long": case(Conv2d(channels=8, kernel=1, activation="relu"), (3, 7, 20)),
    "conv2d_pointwise_strided": case(Conv2d(channels=3, kernel=1, stride=2), (7, 9, 16)),
    "conv2d_first_layer": case(Conv2d(channels=8, kernel=3, stride=2, padding="same"), (9, 12, 3)),
    "conv2d_tall_kernel": case(Conv2d(channels=4, kernel=(10, 4), stride=2, padding="same"), (13, 10, 1)),
    "conv2d_groups_of_four": case(Conv2d(channels=6, kernel=3, groups=2, padding="same"), (4, 6, 8)),
    "conv2d_lowest_weights": case(Conv2d(channels=4, kernel=3), MAP, weights="lowest"),
    "conv2d_depthwise_wide": case(Conv2d(channels=8, kernel=3, groups=8, padding="same"), (4, 11, 8)),
    "conv2d_depthwise_tall": case(Conv2d(channels=8, kernel=3, groups=8, padding="same"), (11, 5, 8)),
    "conv2d_depthwise_tall_strided": case(
        Conv2d(channels=4, kernel=3, groups=4, stride=(2, 1), padding=((1, 0), (0, 1)), activation="relu"), (19, 5, 4)
    ),
    "conv2d_depthwise_strided_wide": case(Conv2d(channels=4, kernel=3, groups=4, stride=2, padding="same"), (5, 21, 4)),
    "conv2d_depthwise_stride_3": case(Conv2d(channels=4, kernel=3, groups=4, stride=3), (10, 13, 4)),
    "conv2d_depthwise_5x5": case(Conv2d(channels=4, kernel=5, groups=4, padding="same"), (6, 9, 4)),
    "conv2d_depthwise_tall_kernel": case(Conv2d(channels=4, kernel=(2, 7), groups=4, stride=(1, 2)), (6, 12, 4)),
    "conv2d_depthwise_lowest_weights": case(Conv2d(channels=4, kernel=3, groups=4), MAP, weights="lowest"),
    "conv2d_depthwise_relu": case(
        Conv2d(channels=6, kernel=3, groups=6, padding="same", activation="relu"), (5, 14, 6)
    ),
    "conv2d_depthwise_relu_strided": case(
        Conv2d(channels=7, kernel=3, groups=7, stride=2, padding="same", activation="relu"), (9, 12, 7)
    ),
    "conv2d_depthwise_relu_5x5": case(
        Conv2d(channels=5, kernel=5, groups=5, padding="same", activation="relu"), (6, 9, 5)
    ),
    "conv2d_depthwise_three_channels": case(Conv2d(channels=3, kernel=3, groups=3, padding="same"), (5, 6, 3)),
    "conv2d_relu_odd": case(Conv2d(channels=7, kernel=3, padding="same", activation="relu"), (5, 7, 5)),
    "conv2d_relu_strided": case(Conv2d(channels=8, kernel=3, stride=2, padding="same", activation="relu"), (9, 12, 3)),
    "table_conv2d": case(TableConv2d(table=((0, 1), (2,), (0, 2, 3)), kernel=(3, 2)), MAP),
    "table_conv2d_no_bias": case(TableConv2d(table=((3,), (0, 1, 2, 3)), kernel=5, bias=False), MAP),
    "dense": case(Dense(features=5), (9,)),
    "dense_of_map": case(Dense(features=5, activation="relu"), (3, 2, 4)),
    "dense_no_bias": case(Dense(features=5, bias=False, activation="relu6"), (9,)),
    "dense_per_tensor": case(Dense(features=5), (16,), weight_scale=0.004),
    "dense_one_to_one": case(Dense(features=1), (1,)),
    "dense_wide": case(Dense(features=3), (259,)),
    "dense_weight_zero_point": case(
        Dense(features=5), (9,), weight_scale=0.004, weight_zero_point=17, tflm_lacks=ZERO_POINT
    ),
    "dense_extreme": case(Dense(features=4), (40,), quantization=(HIGHEST,), weights="extreme"),
    "dense_shift_left": case(Dense(features=4), (9,), output=A, weights="few", weight_scale=5.0, largest_bias=20),
    "dense_shift_far_right": case(Dense(features=4), (9,), output=A, weight_scale=2.0**-24, largest_bias=2**30),
    "dense_wraps": case(
        Dense(features=4),
        (40,),
        output=A,
        weights="extreme",
        weight_scale=2.0**-24,
        largest_bias=2**31 - 1,
        wraps=True,
        tflm_lacks=OVERFLOW,
    ),
    "dense_unrolled": case(Dense(features=6, activation="relu"), (48,)),
    "dense_unrolled_per_tensor": case(Dense(features=9), (24,), weight_scale=0.004),
    "dense_lowest_weights": case(Dense(features=4), (16,), weights="lowest"),
    "radial_basis": case(RadialBasis(classes=3), (7,)),
    "max_pool": case(MaxPool2d(kernel=2), MAP),
    "max_pool_same": case(MaxPool2d(kernel=(3, 2), stride=(1, 2), padding="same", activation="relu"), MAP),
    "max_pool_explicit": case(MaxPool2d(kernel=3, stride=2, padding=((1, 2), (0, 1))), MAP, tflm_lacks=PADDED_POOL),
    "max_pool_relu6": case(MaxPool2d(kernel=2, stride=1, activation="relu6"), MAP, quantization=(A,)),
    "max_pool_gaps": case(MaxPool2d(kernel=1, stride=3), MAP),
    "max_pool_beyond_map": case(MaxPool2d(kernel=7, padding="same"), SMALL_MAP),
    "max_pool_pixel": case(MaxPool2d(kernel=1), PIXEL),
    "average_pool": case(AveragePool2d(kernel=3, stride=2), MAP),
    "average_pool_same": case(AveragePool2d(kernel=3, stride=1, padding="same", activation="relu6"), MAP),
    "average_pool_explicit": case(
        AveragePool2d(kernel=3, stride=2, padding=((2, 0), (1, 2)), activation="relu"), MAP, tflm_lacks=PADDED_POOL
    ),
    "average_pool_beyond_map": case(AveragePool2d(kernel=7, padding="same"), SMALL_MAP),
    "average_pool_zero_point": case(AveragePool2d(kernel=2), MAP, quantization=(HIGHEST,)),
    "average_pool_pixel": case(AveragePool2d(kernel=1), PIXEL),
    "global_average_pool": case(GlobalAveragePool(), MAP),
    "global_average_pool_kept": case(GlobalAveragePool(keep_dims=True), MAP, output=A),
    "global_average_pool_finer": case(GlobalAveragePool(), MAP, output=FINE),
    "global_average_pool_coarser": case(GlobalAveragePool(), MAP, output=COARSE),
    "global_average_pool_pixel": case(GlobalAveragePool(), PIXEL, output=A),
    "global_average_pool_wide": case(GlobalAveragePool(), (32, 32, 1), quantization=(LOWEST,)),
    "mean_of_rows": case(Mean(axes=(0,), keep_dims=True), MAP),
    "mean_of_columns": case(Mean(axes=(1,)), MAP, output=FINE),
    "mean_of_channels": case(Mean(axes=(2,), keep_dims=True), MAP, quantization=(HIGHEST,), output=COARSE),
    "mean_of_columns_and_channels": case(Mean(axes=(1, 2)), MAP),
    "mean_of_sequence": case(Mean(axes=(1,)), SEQUENCE, output=A),
    "mean_of_everything": case(Mean(axes=(0,)), (9,)),
    "subsample": case(Subsample2d(kernel=2), MAP),
    "subsample_uneven": case(Subsample2d(kernel=(3, 2)), MAP),
    "add": case(Add(), SMALL_MAP, SMALL_MAP),
    "add_relu": case(Add(activation="relu"), SMALL_MAP, SMALL_MAP, quantization=(B, B)),
    "add_relu6": case(Add(activation="relu6"), (9,), (9,), quantization=(A, COARSE)),
    "add_saturates": case(Add(), (9,), (9,), output=FINE),
    "add_far_scales": case(Add(), (9,), (9,), quantization=(COARSE, FINE)),
    "add_zero_points": case(Add(), (9,), (9,), quantization=(LOWEST, HIGHEST)),
    "add_number": case(AddNumber(scale=0.04, steps=-31), MAP),
    "add_number_relu6": case(AddNumber(scale=3.0, activation="relu6"), MAP),
    "add_number_nothing": case(AddNumber(scale=0.5, steps=0, activation="relu"), (9,)),
    "add_number_finer": case(AddNumber(scale=0.001, steps=255), (9,), quantization=(LOWEST,), output=FINE),
    "multiply_number": case(MultiplyNumber(scale=1 / 6), MAP),
    "multiply_number_relu": case(MultiplyNumber(scale=0.01, steps=-120, activation="relu"), MAP),
    "multiply_number_coarser": case(MultiplyNumber(scale=20.0, steps=3), (9,), output=COARSE),
    "multiply": case(Multiply(), SMALL_MAP, SMALL_MAP),
    "multiply_relu6": case(Multiply(activation="relu6"), SMALL_MAP, SMALL_MAP),
    "multiply_relu": case(Multiply(activation="relu"), (9,), (9,), quantization=(LOWEST, HIGHEST)),
    "multiply_shift_left": case(Multiply(), (9,), (9,), quantization=(COARSE, A), output=B),
    "relu": case(Relu(), MAP, output=B),
    "relu_coarser": case(Relu(), (11,), output=COARSE),
    "relu_ties": case(Relu(), (64,), output=Quantization.of(0.1)),
    "relu_finer": case(Relu(), (11,), output=FINE),
    "relu6": case(Relu6(), MAP),
    "relu6_narrow": case(Relu6(), (11,), quantization=(B,)),
    "sigmoid": case(Sigmoid(), MAP),
    "sigmoid_coarse": case(Sigmoid(), (11,), quantization=(COARSE,)),
    "sigmoid_fine": case(Sigmoid(), (11,), quantization=(FINE,)),
    "tanh": case(Tanh(), MAP),
    "tanh_coarse": case(Tanh(), (11,), quantization=(COARSE,)),
    "tanh_of_lecun": case(
        Tanh(amplitude=1.7159, slope=2 / 3), (11,), tflm_lacks="a tanh with another amplitude and slope"
    ),
    "softmax": case(Softmax(), (11,)),
    "softmax_of_map": case(Softmax(), SMALL_MAP),
    "softmax_coarse": case(Softmax(), (11,), quantization=(COARSE,)),
    "softmax_fine": case(Softmax(), (11,), quantization=(FINE,)),
    "softmax_of_one": case(Softmax(), (1,)),
    "softmax_of_many": case(Softmax(), (300,)),
    "requantize": case(Requantize(), MAP, output=B),
    "requantize_coarser": case(Requantize(), (11,), output=COARSE),
    "requantize_finer": case(Requantize(), (11,), output=FINE),
    "flatten": case(Flatten(), MAP),
    "reshape": case(Reshape(target=(6, 4, 7)), MAP),
    "reshape_to_map": case(Reshape(target=(2, 3, 4)), (24,)),
    "pad": case(Pad(padding=((1, 2), (0, 3))), MAP),
    "pad_channels": case(Pad(channels=(2, 3)), MAP),
    "pad_nothing": case(Pad(padding=((0, 0), (0, 0))), SMALL_MAP),
    "pad_zero_point": case(Pad(padding=((0, 1), (2, 0))), SMALL_MAP, quantization=(HIGHEST,)),
    "concat": case(Concat(), SMALL_MAP, (3, 4, 2), SMALL_MAP),
    "concat_of_features": case(Concat(), (5,), (3,)),
    "batch_norm": case(BatchNorm(), MAP),
    "batch_norm_of_features": case(BatchNorm(epsilon=1e-5), (9,)),
    "local_response_norm": case(LocalResponseNorm(), (4, 3, 9)),
    "local_response_norm_strong": case(LocalResponseNorm(size=3, alpha=0.5, beta=0.6, k=1.0), MAP),
    "dropout": case(Dropout(rate=0.5), MAP),
    "constant": case(Constant(output=(5, 3), learned=True, sources=(("source0", (4,)),)), MAP),
    "constant_map": case(Constant(output=(2, 3, 4)), MAP),
    "scale": case(Scale(), MAP),
    "scale_of_sequence": case(Scale(bias=False), SEQUENCE),
    "layer_norm": case(LayerNorm(), SEQUENCE),
    "layer_norm_of_map": case(LayerNorm(epsilon=0.1), MAP),
    "leaky_relu": case(LeakyRelu(), MAP),
    "leaky_relu_ties": case(LeakyRelu(slope=0.25), (64,), output=B),
    "leaky_relu_steep": case(LeakyRelu(slope=1.5), (11,), output=B),
    "leaky_relu_negative": case(LeakyRelu(slope=-0.3), (11,), output=COARSE),
    "prelu": case(PRelu(), MAP),
    "prelu_of_features": case(PRelu(), (9,), quantization=(HIGHEST,)),
    "prelu_zero_point": case(PRelu(), SMALL_MAP, weight_zero_point=-100, output=COARSE),
    "prelu_shift_left": case(PRelu(), (9,), quantization=(COARSE,), output=B),
    "hard_sigmoid": case(HardSigmoid(), MAP, tflm_lacks=ROUNDED_REAL),
    "factor": case(Factor(factor=0.17), MAP, tflm_lacks=ROUNDED_REAL),
    "hard_swish": case(HardSwish(), MAP),
    "hard_swish_coarse": case(HardSwish(), (11,), quantization=(COARSE,)),
    "hard_swish_fine": case(HardSwish(), (11,), quantization=(FINE,)),
    "hard_swish_zero_point": case(HardSwish(), (11,), quantization=(LOWEST,), output=B),
    "hard_swish_tie": case(
        HardSwish(), (64,), quantization=(Quantization.of(0.10670596, 55),), output=Quantization.of(0.095511, -64)
    ),
    "swish": case(Swish(), MAP, tflm_lacks=ROUNDED_REAL),
    "swish_coarse": case(Swish(), (11,), quantization=(COARSE,), tflm_lacks=ROUNDED_REAL),
    "elu": case(Elu(), MAP),
    "elu_coarse": case(Elu(), (11,), quantization=(COARSE,), output=B),
    "elu_almost_tie": case(Elu(), (64,), quantization=(Quantization.of(0.02, -13),), output=Quantization.of(0.4, -31)),
    "elu_alpha": case(Elu(alpha=0.3), (11,), quantization=(LOWEST,), tflm_lacks="an alpha"),
    "gelu": case(Gelu(), MAP, tflm_lacks=ROUNDED_REAL),
    "subtract": case(Subtract(), SMALL_MAP, SMALL_MAP),
    "subtract_relu": case(Subtract(activation="relu"), (9,), (9,)),
    "subtract_relu6": case(Subtract(activation="relu6"), (9,), (9,), quantization=(A, COARSE)),
    "subtract_saturates": case(Subtract(), (9,), (9,), output=FINE),
    "subtract_far_scales": case(Subtract(), (9,), (9,), quantization=(COARSE, FINE)),
    "subtract_zero_points": case(Subtract(), (9,), (9,), quantization=(LOWEST, HIGHEST)),
    "add_of_channels": case(Add(), SMALL_MAP, (4,), tflm_lacks=ALIGNED_LEFT),
    "add_of_pixel": case(Add(activation="relu"), SMALL_MAP, PIXEL),
    "multiply_of_pixel": case(Multiply(), SMALL_MAP, PIXEL),
    "multiply_of_channels": case(Multiply(), (4,), SMALL_MAP, tflm_lacks=ALIGNED_LEFT),
    "subtract_of_pixel": case(Subtract(), PIXEL, SMALL_MAP),
    "average_pool_counts_padding": case(
        AveragePool2d(kernel=3, stride=2, padding=((2, 0), (1, 2)), count_padding=True), MAP, no_int8="counts padding"
    ),
    "average_pool_counts_no_padding": case(
        AveragePool2d(kernel=2, stride=2, count_padding=True), MAP, tflm_lacks="a flag for it"
    ),
    "global_max_pool": case(GlobalMaxPool(), MAP),
    "global_max_pool_kept": case(GlobalMaxPool(keep_dims=True), MAP),
    "slice": case(Slice(begin=(1, 0, 2), size=(3, 6, 2)), MAP),
    "slice_strided": case(Slice(begin=(0, 1, 1), size=(3, 2, 3), step=(3, 4, 1)), MAP),
    "slice_halves": case(Slice(begin=(0, 0, 0), size=(1, 1, 4), step=(2, 2, 2)), (2, 1, 8)),
    "slice_of_features": case(Slice(begin=(3,), size=(5,)), (9,)),
    "slice_of_sequence": case(Slice(begin=(2, 1), size=(1, 4)), SEQUENCE),
    "channel_shuffle": case(ChannelShuffle(groups=3), (3, 4, 12)),
    "channel_shuffle_of_features": case(ChannelShuffle(groups=2), (8,)),
    "depth_to_space": case(DepthToSpace(block=2), (3, 4, 12)),
    "depth_to_space_channel": case(DepthToSpace(block=3, order="channel"), (2, 3, 18), tflm_lacks="this order"),
    "space_to_depth": case(SpaceToDepth(block=2), (4, 6, 3)),
    "transpose": case(Transpose(order=(2, 0, 1)), MAP),
    "transpose_of_sequence": case(Transpose(order=(1, 0)), SEQUENCE),
    "resize_nearest_asymmetric": case(Resize2d(size=(6, 12), align="asymmetric"), SMALL_MAP),
    "resize_nearest_uneven": case(Resize2d(size=(5, 3), align="asymmetric"), SMALL_MAP),
    "resize_nearest_half_pixel": case(Resize2d(size=(5, 9)), SMALL_MAP),
    "resize_nearest_corners": case(Resize2d(size=(5, 9), align="corners"), SMALL_MAP),
    "resize_bilinear": case(Resize2d(size=(5, 9), mode="bilinear"), SMALL_MAP),
    "resize_bilinear_smaller": case(Resize2d(size=(3, 4), mode="bilinear"), MAP),
    "resize_bilinear_corners": case(Resize2d(size=(5, 9), mode="bilinear", align="corners"), SMALL_MAP),
    "resize_bilinear_asymmetric": case(Resize2d(size=(8, 3), mode="bilinear", align="asymmetric"), SMALL_MAP),
    "resize_bilinear_to_pixel": case(Resize2d(size=(1, 1), mode="bilinear", align="corners"), SMALL_MAP),
    "resize_bilinear_of_pixel": case(Resize2d(size=(3, 2), mode="bilinear"), PIXEL),
    "conv_transpose2d": case(ConvTranspose2d(channels=3, kernel=3, stride=2), SMALL_MAP),
    "conv_transpose2d_same": case(
        ConvTranspose2d(channels=3, kernel=4, stride=2, padding=((1, 1), (1, 1)), activation="relu"), SMALL_MAP
    ),
    "conv_transpose2d_padded": case(
        ConvTranspose2d(channels=3, kernel=(3, 4), stride=2, padding=((1, 1), (0, 2)), output_padding=(1, 0)),
        SMALL_MAP,
        tflm_lacks="more padding after than before",
    ),
    "conv_transpose2d_uneven": case(
        ConvTranspose2d(channels=5, kernel=(2, 3), stride=(1, 2), padding=((0, 1), (0, 1))), MAP, weight_scale=0.004
    ),
    "conv_transpose2d_gaps": case(
        ConvTranspose2d(channels=2, kernel=2, stride=3, output_padding=(1, 1), bias=False, activation="relu6"),
        SMALL_MAP,
    ),
    "conv_transpose2d_groups": case(
        ConvTranspose2d(channels=6, kernel=2, stride=(1, 3), groups=2, dilation=2, bias=False),
        SMALL_MAP,
        tflm_lacks="groups and dilation",
    ),
    "conv_transpose2d_extreme": case(
        ConvTranspose2d(channels=4, kernel=3, stride=2), MAP, quantization=(HIGHEST,), weights="extreme"
    ),
    "conv_transpose2d_shift_left": case(
        ConvTranspose2d(channels=4, kernel=2), MAP, output=A, weights="few", weight_scale=3.0, largest_bias=20
    ),
    "mat_mul": case(MatMul(), (5, 3), (3, 7)),
    "mat_mul_transposed": case(MatMul(transpose_b=True), (2, 5, 3), (2, 7, 3)),
    "attention": case(Attention(heads=1), (5, 4), (6, 4), (6, 3)),
    "attention_heads": case(Attention(heads=2), (5, 8), (5, 8), (5, 8)),
}


def has_int8(op: Operator | type[Operator]) -> bool:
    return (op if isinstance(op, type) else type(op)).int8 is not Operator.int8


INT8_CASES = [name for name, entry in CASES.items() if has_int8(entry.op) and not entry.no_int8]


@cache
def float_model(name: str) -> Model:
    """The case with random float numbers."""
    entry = CASES[name]
    rng = np.random.default_rng(crc32(name.encode()))
    weights = {}
    for key, param in entry.op.params(*entry.inputs).items():
        values = rng.standard_normal(param.shape, np.float32)
        weights[key] = np.abs(values) + 0.5 if param.kind == "statistic" else values
    return one_node(entry.op, *entry.inputs, **weights)


@cache
def int8_model(name: str) -> Model:
    """The case with random int8 numbers."""
    entry = CASES[name]
    rng = np.random.default_rng(crc32(name.encode()))
    quantization = dict(zip((f"input{i}" for i in range(len(entry.inputs))), _inputs(entry), strict=True))
    weights = {}
    params = entry.op.params(*entry.inputs)
    for key in params.keys() & {"weight", "slope"}:
        shape = params[key].shape
        weights[key] = _weight(rng, shape, entry.weights)
        per_channel = entry.weight_scale is None and key == "weight"
        scales = rng.uniform(0.002, 0.01, shape[0]) if per_channel else [entry.weight_scale or 0.01]
        quantization[f"op.{key}"] = Quantization(np.array(scales, np.float32), entry.weight_zero_point)
    if "bias" in params:
        largest = entry.largest_bias
        weights["bias"] = rng.integers(-largest, largest, params["bias"].shape, np.int32, endpoint=True)
    quantization["op"] = Quantization.of(1.0)
    model = one_node(entry.op, *entry.inputs, quantization=quantization, **weights)
    return one_node(
        entry.op,
        *entry.inputs,
        quantization=quantization | {"op": _output(entry, model, name)},
        **weights,
    )


@cache
def int8_inputs(name: str) -> tuple[np.ndarray, ...]:
    """SAMPLES int8 inputs: all lowest, all highest, both mixed, and random ones."""
    rng = np.random.default_rng(crc32(name.encode()) + 1)
    arrays = []
    for shape in CASES[name].inputs:
        array = rng.integers(-128, 128, (SAMPLES, *shape), dtype=np.int8)
        array[0], array[1] = -128, 127
        array[2] = rng.choice(np.array([-128, 127], np.int8), shape)
        arrays.append(array)
    return tuple(arrays)


def dequantized(model: Model) -> dict[str, np.ndarray]:
    """The real numbers, float64, that an int8 model's arrays stand for."""
    assert model.quantization is not None
    node = model.graph.nodes[0]
    reals = {}
    for key, array in model.node_weights(node).items():
        weight = model.quantization[f"{node.name}.{'weight' if key == 'bias' else key}"]
        scales, zero_point = weight.scales.astype(np.float64), weight.zero_point
        if key == "bias":
            scales, zero_point = scales * np.float64(model.quantization[node.inputs[0]].scale), 0
        reals[key] = (array - float(zero_point)) * scales.reshape(-1, *(1 for _ in array.shape[1:]))
    return reals


def real_inputs(model: Model, inputs: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """What int8 inputs stand for, float64."""
    assert model.quantization is not None
    quantizations = (model.quantization[entry.name] for entry in model.graph.inputs)
    return [(x - float(q.zero_point)) * np.float64(q.scale) for x, q in zip(inputs, quantizations, strict=True)]


def _inputs(entry: Case) -> tuple[Quantization, ...]:
    if entry.quantization:
        given = entry.quantization
        return given if len(given) == len(entry.inputs) else given * len(entry.inputs)
    one_for_all = isinstance(entry.op, SAME_SCALE)
    return tuple(B if index == 1 and not one_for_all else A for index in range(len(entry.inputs)))


def _weight(rng: np.random.Generator, shape: Shape, kind: str) -> np.ndarray:
    if kind == "random":
        return rng.integers(-127, 128, shape, dtype=np.int8)
    if kind == "few":
        return rng.integers(-1, 2, shape, dtype=np.int8)
    if kind == "lowest":
        return np.full(shape, -128, np.int8)
    signs = np.where(np.arange(shape[0]) % 2, -127, 127).reshape(-1, *(1 for _ in shape[1:]))
    return np.broadcast_to(signs, shape).astype(np.int8)


def _output(entry: Case, model: Model, name: str) -> Quantization:
    if entry.output is not None:
        return entry.output
    if isinstance(entry.op, SAME_SCALE):
        return _inputs(entry)[0]
    if prescribed := prescribed_output(entry.op):
        return prescribed
    reals = run_module(model, real_inputs(model, int8_inputs(name)), dequantized(model))
    return quantization_of_range(float(reals.min()), float(reals.max()), 2.0**-30)
