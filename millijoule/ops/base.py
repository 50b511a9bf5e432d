"""What several operator families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, copysign, floor, prod
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from millijoule.fixedpoint import quantize_multiplier
from millijoule.graph import Param, Shape
from millijoule.model import OperatorQuantization, Quantization

if TYPE_CHECKING:
    import torch

Pair = tuple[int, int]
Activation = Literal["none", "relu", "relu6"]
Padding = Literal["same", "valid"] | tuple[Pair, Pair]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a C function of kernels/.

    function: its name, `mj_…`; its first argument is a `struct <function>` of `parameters`.
    header: the file in kernels/ that defines it.
    inputs: which of the operator's inputs it reads, in the order of its pointer arguments.
    data: constant arrays, in the order of its pointer arguments after the inputs (int8, uint8, int16 or int32).
    scratch_bytes: working memory, passed as the last pointer before the output; 0: no such argument.
    only_read_bytes: of the end of it; nothing is written there, and what is read there is multiplied by zero.
    without_scratch: the function has that argument, but with these parameters no use for it.
    by_pixel: there is `<function>_pixel`, which computes one pixel from a pointer to each pixel under the window.
    """

    function: str
    header: str
    parameters: Mapping[str, int]
    inputs: tuple[int, ...] = (0,)
    data: Mapping[str, np.ndarray] = field(default_factory=dict)
    scratch_bytes: int = 0
    only_read_bytes: int = 0
    without_scratch: bool = False
    by_pixel: bool = False


def pair(value: int | Pair) -> Pair:
    """`value` for height and width."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def check_choice(what: str, value: object, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(f"{what} is {value!r}; it must be one of {', '.join(map(repr, get_args(choices)))}")


def check_positive(**values: int | Shape) -> None:
    for name, value in values.items():
        if any(size < 1 for size in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{name} is {value}; it must be 1 or more")


def check_padding(padding: object, *words: str) -> None:
    """padding: one of `words`, or ((top, bottom), (left, right))."""
    if padding in words:
        return
    match padding:
        case ((int(top), int(bottom)), (int(left), int(right))) if min(top, bottom, left, right) >= 0:
            return
    choices = " or ".join([*map(repr, words), "((top, bottom), (left, right))"])
    raise ValueError(f"padding is {padding!r}; it must be {choices}, every size 0 or more")


def check_rank(x: Shape, rank: int, what: str) -> None:
    if len(x) != rank:
        raise ValueError(f"the input has shape {x}; {what} of {rank} sizes is needed")


@dataclass(frozen=True)
class Window:
    """A window moved over a map: sizes along height and width, padding resolved."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]
    input: Pair
    output: Pair

    @classmethod
    def over(cls, x: Shape, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding) -> Window:
        """The window over a map of shape x = (height, width, channels). ValueError if it does not fit.

        `same` pads as TensorFlow does: the output has ceil(input / stride) rows, the odd row of padding at the end.
        """
        check_rank(x, 3, "a map (height, width, channels)")
        sizes, pads = [], []
        for axis, side in enumerate(("height", "width")):
            reach = (kernel[axis] - 1) * dilation[axis] + 1
            if padding == "same":
                size = ceil(x[axis] / stride[axis])
                total = max((size - 1) * stride[axis] + reach - x[axis], 0)
                before, after = total // 2, total - total // 2
            else:
                before, after = (0, 0) if padding == "valid" else padding[axis]
                padded = x[axis] + before + after
                if padded < reach:
                    raise ValueError(
                        f"the window reaches over {reach} rows of {side}, the padded input has {padded}: "
                        "use a smaller kernel, more padding or a larger input"
                    )
                size = (padded - reach) // stride[axis] + 1
            sizes.append(size)
            pads.append((before, after))
        return cls(kernel, stride, dilation, (pads[0], pads[1]), (x[0], x[1]), (sizes[0], sizes[1]))

    @property
    def pads_nothing(self) -> bool:
        """No window position reads padding."""
        return all(
            self.padding[axis][0] == 0
            and (self.output[axis] - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
            < self.input[axis]
            for axis in (0, 1)
        )

    def parameters(self) -> dict[str, int]:
        """The members of the C structs in kernels/."""
        return {
            "input_height": self.input[0],
            "input_width": self.input[1],
            "output_height": self.output[0],
            "output_width": self.output[1],
            "kernel_height": self.kernel[0],
            "kernel_width": self.kernel[1],
            "stride_height": self.stride[0],
            "stride_width": self.stride[1],
            "dilation_height": self.dilation[0],
            "dilation_width": self.dilation[1],
            "padding_top": self.padding[0][0],
            "padding_left": self.padding[1][0],
        }

    def padded(self, x: np.ndarray, value: int) -> np.ndarray:
        """x (batch, height, width, channels) with every position a window can reach, `value` outside."""
        pads = [
            (before, max((size - 1) * stride + (kernel - 1) * dilation + 1 - before - length, 0))
            for (before, _), size, stride, kernel, dilation, length in zip(
                self.padding, self.output, self.stride, self.kernel, self.dilation, self.input, strict=True
            )
        ]
        return np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)

    def tap(self, padded: np.ndarray, row: int, column: int) -> np.ndarray:
        """What kernel position (row, column) sees at every output position."""
        top, left = row * self.dilation[0], column * self.dilation[1]
        return padded[
            :,
            top : top + (self.output[0] - 1) * self.stride[0] + 1 : self.stride[0],
            left : left + (self.output[1] - 1) * self.stride[1] + 1 : self.stride[1],
        ]

    def patches(self, padded: np.ndarray) -> np.ndarray:
        """(batch, height, width, kernel rows, kernel columns, channels): what each output position sees; a view."""
        reach = [(size - 1) * dilation + 1 for size, dilation in zip(self.kernel, self.dilation, strict=True)]
        seen = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(1, 2))
        rows, columns = (
            slice(None, (n - 1) * step + 1, step) for n, step in zip(self.output, self.stride, strict=True)
        )
        seen = seen[:, rows, columns, :, :: self.dilation[0], :: self.dilation[1]]
        return seen.transpose(0, 1, 2, 4, 5, 3)

    def torch_pad(self, x: torch.Tensor, value: float = 0.0) -> torch.Tensor:
        """x (batch, channels, height, width) padded, for windows that torch then moves without padding."""
        import torch.nn.functional as F

        (top, bottom), (left, right) = self.padding
        return F.pad(x, (left, right, top, bottom), value=value) if top or bottom or left or right else x


def run(x: Shape) -> dict[str, int]:
    """The members of a C struct for a kernel that goes from pixel to pixel: x as (positions, channels)."""
    return {"positions": prod(x[:-1]), "channels": x[-1], "input_pixel": x[-1], "output_pixel": x[-1]}


def make_module(params: Mapping[str, Param], forward: Callable[..., torch.Tensor]) -> torch.nn.Module:
    """A torch module with `params` as parameters (statistics and constants as buffers).

    forward(module, *tensors) computes the output; it reads `module.<param>`, None for one that does not exist, and
    `module.training`. What reads a parameter as a tensor declares `module: Any`: torch types every attribute of a
    module as a tensor or a module.
    """
    import torch

    class OperatorModule(torch.nn.Module):
        bias: torch.Tensor | None

        def forward(self, *x: torch.Tensor) -> torch.Tensor:
            return forward(self, *x)

    module = OperatorModule()
    for name, param in params.items():
        if param.trainable:
            module.register_parameter(name, torch.nn.Parameter(torch.zeros(param.shape)))
        else:
            module.register_buffer(name, torch.zeros(param.shape))
    if "bias" not in params:
        module.register_parameter("bias", None)
    return module


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """A value in torch's layout as (batch, height, width, channels); flat values and sequences stay."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def channels_first(x: torch.Tensor) -> torch.Tensor:
    """The inverse of channels_last."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def channel_axis(x: torch.Tensor) -> int:
    """Where torch keeps the channels of (batch, channels, height, width), or the features of (batch, …, features)."""
    return 1 if x.ndim == 4 else -1


def torch_activation(activation: Activation, x: torch.Tensor) -> torch.Tensor:
    return {"none": lambda: x, "relu": lambda: x.relu(), "relu6": lambda: x.clamp(0.0, 6.0)}[activation]()


def activation_range(activation: Activation, output: Quantization) -> Pair:
    """The int8 range that a fused activation leaves (TFLite CalculateActivationRangeQuantized)."""

    def quantize(real: float) -> int:
        scaled = float(np.float32(real) / output.scale)
        return output.zero_point + int(copysign(floor(abs(scaled) + 0.5), scaled))

    low = -128 if activation == "none" else max(-128, quantize(0.0))
    high = min(127, quantize(6.0)) if activation == "relu6" else 127
    return low, high


def weight_multipliers(quantization: OperatorQuantization, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """(multiplier int32, shift int32) for each output channel, of sums of products of inputs with `weight`."""
    product = np.float64(quantization.inputs[0].scale) * quantization.weights["weight"].scales.astype(np.float64)
    ratios = np.broadcast_to(product / np.float64(quantization.output.scale), (channels,))
    multiplier, shift = zip(*map(quantize_multiplier, ratios.tolist()), strict=True)
    return np.array(multiplier, np.int32), np.array(shift, np.int32)


def fold_input_zero_point(
    bias: np.ndarray, weight: np.ndarray, input_zero_point: int, weight_zero_point: int
) -> np.ndarray | None:
    """bias - zero point * sum of weights per output channel, so that kernels read inputs as they are.

    Only right where no window reads padding. None if a bias would leave int32.
    """
    sums = (weight.astype(np.int64) - weight_zero_point).reshape(len(weight), -1).sum(axis=1)
    folded = bias.astype(np.int64) - input_zero_point * sums
    return folded.astype(np.int32) if np.all(np.abs(folded) < 2**31) else None


def same_quantization(quantization: OperatorQuantization) -> None:
    """ValueError unless every input has the output's quantization: the kernel moves bytes as they are."""
    for index, value in enumerate(quantization.inputs):
        if value != quantization.output:
            raise ValueError(
                f"input {index} has scale {value.scale:g} and zero point {value.zero_point}, the output "
                f"{quantization.output.scale:g} and {quantization.output.zero_point}; they must be equal: "
                "put Requantize between"
            )
