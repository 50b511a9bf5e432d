"""Operators: one file for each family, one frozen dataclass for each operator."""

from millijoule.ops.activation import (
    Elu,
    Factor,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    PRelu,
    Relu,
    Relu6,
    Requantize,
    Sigmoid,
    Softmax,
    Swish,
    Tanh,
)
from millijoule.ops.constant import Constant
from millijoule.ops.conv import Conv2d, TableConv2d
from millijoule.ops.conv_transpose import ConvTranspose2d
from millijoule.ops.dense import Dense, RadialBasis
from millijoule.ops.elementwise import Add, AddNumber, Multiply, MultiplyNumber, Subtract
from millijoule.ops.norm import BatchNorm, Dropout, LayerNorm, LocalResponseNorm, Scale
from millijoule.ops.opaque import Opaque
from millijoule.ops.pool import AveragePool2d, GlobalAveragePool, GlobalMaxPool, MaxPool2d, Mean, Subsample2d
from millijoule.ops.rearrange import ChannelShuffle, DepthToSpace, Slice, SpaceToDepth, Transpose
from millijoule.ops.resize import Resize2d
from millijoule.ops.sequence import Attention, MatMul
from millijoule.ops.shape import Concat, Flatten, Pad, Reshape

__all__ = [
    "Add",
    "AddNumber",
    "Attention",
    "AveragePool2d",
    "BatchNorm",
    "ChannelShuffle",
    "Concat",
    "Constant",
    "Conv2d",
    "ConvTranspose2d",
    "Dense",
    "DepthToSpace",
    "Dropout",
    "Elu",
    "Factor",
    "Flatten",
    "Gelu",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "LayerNorm",
    "LeakyRelu",
    "LocalResponseNorm",
    "MatMul",
    "MaxPool2d",
    "Mean",
    "Multiply",
    "MultiplyNumber",
    "Opaque",
    "PRelu",
    "Pad",
    "RadialBasis",
    "Relu",
    "Relu6",
    "Requantize",
    "Reshape",
    "Resize2d",
    "Scale",
    "Sigmoid",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Subsample2d",
    "Subtract",
    "Swish",
    "TableConv2d",
    "Tanh",
    "Transpose",
]
