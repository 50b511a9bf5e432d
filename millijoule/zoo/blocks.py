"""Lines of a table that several architectures share."""

from __future__ import annotations

from millijoule.graph import Builder, Operator
from millijoule.ops import BatchNorm, Relu


def normalised(build: Builder, name: str, op: Operator, *inputs: str) -> str:
    """`op`, then batch-norm; the last value's name."""
    build(name, op, *inputs)
    return build(f"{name}_norm", BatchNorm())


def normalised_relu(build: Builder, name: str, op: Operator, *inputs: str) -> str:
    """`op`, then batch-norm and ReLU; the last value's name."""
    normalised(build, name, op, *inputs)
    return build(f"{name}_relu", Relu())
