"""Operators that pick numbers or put them into another order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

import numpy as np

from millijoule.graph import Operator, OperatorCost, Shape
from millijoule.model import OperatorQuantization
from millijoule.ops.base import (
    Call,
    channels_first,
    channels_last,
    check_choice,
    check_positive,
    check_rank,
    make_module,
    same_quantization,
)
from millijoule.target import SCALAR, Target

if TYPE_CHECKING:
    import torch

DepthOrder = Literal["depth", "channel"]
LARGEST_RANK = 5


@dataclass(frozen=True)
class Walk:
    """Where the output's numbers lie in the input: output element (i, j, …) is input[offset + i*stride + j*stride …].

    sizes, strides: at most five, outermost first, in elements of the input in the order height, width, channels.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Rearrangement(Operator):
    """What the operators of this family share: a walk over the input. int8: bytes are copied as they are."""

    @abstractmethod
    def walk(self, x: Shape) -> Walk: ...

    def cost(self, x: Shape) -> OperatorCost:
        return OperatorCost()

    def module(self, x: Shape) -> torch.nn.Module:
        walk, target = self.walk(x), self.shape(x)

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            flat = channels_last(x).contiguous()
            # The offset counts from the start of the storage, in which the input may be a part itself.
            offset = flat.storage_offset() + walk.offset
            picked = flat.as_strided((len(x), *walk.sizes), (flat[0].numel(), *walk.strides), offset)
            return channels_first(picked.reshape(len(x), *target))

        return make_module({}, forward)

    def int8(self, x: np.ndarray, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization) -> np.ndarray:
        same_quantization(quantization)
        walk, size = self.walk(x.shape[1:]), prod(x.shape[1:])
        flat = np.ascontiguousarray(x).reshape(-1)[walk.offset :]
        picked = np.lib.stride_tricks.as_strided(flat, (len(x), *walk.sizes), (size, *walk.strides))
        return picked.reshape(len(x), *self.shape(x.shape[1:]))

    def call(
        self, x: Shape, weights: Mapping[str, np.ndarray], quantization: OperatorQuantization, target: Target = SCALAR
    ) -> tuple[Call, ...]:
        same_quantization(quantization)
        walk = self.walk(x)
        missing = LARGEST_RANK - len(walk.sizes)
        sizes, strides = (*[1] * missing, *walk.sizes), (*[0] * missing, *walk.strides)
        parameters = {f"size{axis}": size for axis, size in enumerate(sizes)}
        parameters |= {f"stride{axis}": stride for axis, stride in enumerate(strides)}
        return (Call("mj_strided_copy", "shape.h", parameters | {"offset": walk.offset}),)


def _strides(x: Shape) -> tuple[int, ...]:
    """Of an array of shape x that lies in one piece."""
    return tuple(prod(x[axis + 1 :]) for axis in range(len(x)))


@dataclass(frozen=True, kw_only=True)
class Slice(Rearrangement):
    """A part of the input: `size` numbers along each axis from `begin` on, `step` apart (default: 1).

    int8: bytes are copied; equal to TFLM's SLICE and STRIDED_SLICE.
    """

    begin: Shape
    size: Shape
    step: Shape | None = None

    def __post_init__(self) -> None:
        check_positive(size=self.size, step=self._step)

    def shape(self, x: Shape) -> Shape:
        fits = len(x) == len(self.begin) == len(self.size) == len(self._step) and all(
            begin >= 0 and begin + (size - 1) * step < length
            for begin, size, step, length in zip(self.begin, self.size, self._step, x, strict=True)
        )
        if not fits:
            raise ValueError(f"the input has shape {x}; a slice of {self.size} from {self.begin} does not lie in it")
        return self.size

    def walk(self, x: Shape) -> Walk:
        strides = _strides(x)
        offset = sum(begin * stride for begin, stride in zip(self.begin, strides, strict=True))
        return Walk(self.size, tuple(a * b for a, b in zip(strides, self._step, strict=True)), offset)

    def takes_columns(self, x: Shape) -> bool:
        """Whether it takes columns of a map that lie side by side, with all rows and channels."""
        return len(x) == 3 and self._step == (1, 1, 1) and self.begin[::2] == (0, 0) and self.size[::2] == (x[0], x[2])

    @property
    def _step(self) -> Shape:
        return self.step or (1,) * len(self.size)


@dataclass(frozen=True, kw_only=True)
class ChannelShuffle(Rearrangement):
    """Channels of `groups` groups dealt out in turn: first of each group, then second … (Zhang et al. 2018, figure 1).

    The channels as a matrix of `groups` rows are transposed.
    """

    groups: int

    def __post_init__(self) -> None:
        check_positive(groups=self.groups)

    def shape(self, x: Shape) -> Shape:
        if x[-1] % self.groups:
            raise ValueError(f"{x[-1]} channels cannot be split into {self.groups} groups")
        return x

    def walk(self, x: Shape) -> Walk:
        group = x[-1] // self.groups
        return Walk((prod(x[:-1]), group, self.groups), (x[-1], 1, group))


@dataclass(frozen=True, kw_only=True)
class DepthToSpace(Rearrangement):
    """Channels into a `block` x `block` square of positions: (h, w, c * block²) becomes (h * block, w * block, c).

    order `depth`: the square's position counts slowest in the input channel (TensorFlow; ONNX's DCR); `channel`: the
    output channel does (torch's PixelShuffle, Shi et al. 2016; ONNX's CRD).
    """

    block: int
    order: DepthOrder = "depth"

    def __post_init__(self) -> None:
        check_positive(block=self.block)
        check_choice("order", self.order, DepthOrder)

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        if x[2] % self.block**2:
            raise ValueError(f"{x[2]} channels cannot fill squares of {self.block} x {self.block} positions")
        return (x[0] * self.block, x[1] * self.block, x[2] // self.block**2)

    def walk(self, x: Shape) -> Walk:
        block, channels = self.block, x[2] // self.block**2
        row, column, channel = (block * channels, channels, 1) if self.order == "depth" else (block, 1, block**2)
        return Walk((x[0], block, x[1], block, channels), (x[1] * x[2], row, x[2], column, channel))


@dataclass(frozen=True, kw_only=True)
class SpaceToDepth(Rearrangement):
    """A `block` x `block` square of positions into channels: (h * block, w * block, c) becomes (h, w, c * block²).

    The square's position counts slowest in the output channel, as in TensorFlow and ONNX.
    """

    block: int

    def __post_init__(self) -> None:
        check_positive(block=self.block)

    def shape(self, x: Shape) -> Shape:
        check_rank(x, 3, "a map (height, width, channels)")
        if x[0] % self.block or x[1] % self.block:
            raise ValueError(f"a map of {x[0]} x {x[1]} cannot be cut into squares of {self.block} x {self.block}")
        return (x[0] // self.block, x[1] // self.block, x[2] * self.block**2)

    def walk(self, x: Shape) -> Walk:
        height, width, channels = x
        block, row = self.block, width * channels
        sizes = (height // block, width // block, block, block, channels)
        return Walk(sizes, (block * row, block * channels, row, channels, 1))


@dataclass(frozen=True, kw_only=True)
class Transpose(Rearrangement):
    """The axes in another order: output axis i is input axis `order[i]`."""

    order: tuple[int, ...]

    def shape(self, x: Shape) -> Shape:
        if sorted(self.order) != list(range(len(x))) or len(x) > LARGEST_RANK:
            raise ValueError(f"the input has shape {x}; order {self.order} does not name each of its axes once")
        return tuple(x[axis] for axis in self.order)

    def walk(self, x: Shape) -> Walk:
        strides = _strides(x)
        return Walk(self.shape(x), tuple(strides[axis] for axis in self.order))
