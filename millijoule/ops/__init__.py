"""Operators: one file for each family, one frozen dataclass for each operator."""

from millijoule.ops.activation import Relu, Relu6, Requantize, Sigmoid, Softmax, Tanh
from millijoule.ops.conv import Conv2d, TableConv2d
from millijoule.ops.dense import Dense, RadialBasis
from millijoule.ops.elementwise import Add, Multiply
from millijoule.ops.norm import BatchNorm, Dropout, LocalResponseNorm
from millijoule.ops.pool import AveragePool2d, GlobalAveragePool, MaxPool2d, Subsample2d
from millijoule.ops.shape import Concat, Flatten, Pad, Reshape

__all__ = [
    "Add",
    "AveragePool2d",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "LocalResponseNorm",
    "MaxPool2d",
    "Multiply",
    "Pad",
    "RadialBasis",
    "Relu",
    "Relu6",
    "Requantize",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Subsample2d",
    "TableConv2d",
    "Tanh",
]
