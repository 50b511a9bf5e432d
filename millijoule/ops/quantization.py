"""What TFLite's int8 specification prescribes of the quantization of an operator's output."""

from __future__ import annotations

from millijoule.graph import Operator
from millijoule.model import Quantization
from millijoule.ops.activation import Relu6, Sigmoid, Softmax, Tanh
from millijoule.ops.pool import AveragePool2d, GlobalMaxPool, MaxPool2d
from millijoule.ops.rearrange import Rearrangement
from millijoule.ops.resize import Resize2d
from millijoule.ops.shape import Concat, Flatten, Pad, Reshape

# Operators whose inputs and output share one scale and zero point in TFLite.
SAME_SCALE = (MaxPool2d, AveragePool2d, GlobalMaxPool, Relu6, Pad, Flatten, Reshape, Concat, Rearrangement, Resize2d)


def prescribed_output(op: Operator) -> Quantization | None:
    """The output quantization that TFLite prescribes: of what lies in 0…1 and in -1…1 (times a tanh's amplitude)."""
    if isinstance(op, Softmax | Sigmoid):
        return Quantization.of(1 / 256, -128)
    if isinstance(op, Tanh):
        return Quantization.of(op.amplitude / 128, 0)
    return None
