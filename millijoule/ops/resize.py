"""Maps brought to another height and width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from millijoule.graph import OperatorCost, Shape
from millijoule.ops.base import Pair, check_choice, check_positive, check_rank, make_module
from millijoule.ops.rearrange import Rearrangement, Walk

if TYPE_CHECKING:
    import torch

ResizeMode = Literal["nearest", "bilinear"]
Align = Literal["half_pixel", "corners", "asymmetric"]
TORCH_MODES = {
    ("nearest", "asymmetric"): ("nearest", None),
    ("nearest", "half_pixel"): ("nearest-exact", None),
    ("bilinear", "half_pixel"): ("bilinear", False),
    ("bilinear", "corners"): ("bilinear", True),
}


@dataclass(frozen=True, kw_only=True)
class Resize2d(Rearrangement):
    """A map at another `size` (height, width), each channel by itself.

    mode `nearest` copies a number, `bilinear` weighs four. align: where output position i looks in the input, with
    scale = input / output: `asymmetric` scale * i (nearest: rounded down), `half_pixel` scale * (i + 1/2) - 1/2,
    `corners` (input - 1) / (output - 1) * i. Names as in ONNX's Resize.
    int8: nearest and asymmetric by a whole factor only; bytes are copied.
    """

    size: Pair
    mode: ResizeMode = "nearest"
    align: Align = "half_pixel"

    def __post_init__(self) -> None:
        check_positive(size=self.size)
        check_choice("mode", self.mode, ResizeMode)
        check_choice("align", self.align, Align)
        if (self.mode, self.align) not in TORCH_MODES:
            known = ", ".join(" ".join(pair) for pair in TORCH_MODES)
            raise ValueError(f"mode {self.mode} with align {self.align} is not known; there is {known}")

    def shape(self, x: Shape) -> Shape:  # type: ignore[override]
        check_rank(x, 3, "a map (height, width, channels)")
        return (*self.size, x[2])

    def cost(self, x: Shape) -> OperatorCost:  # type: ignore[override]
        outputs = self.size[0] * self.size[1] * x[2]
        return OperatorCost(operations=7 * outputs if self.mode == "bilinear" else 0)

    def module(self, x: Shape) -> torch.nn.Module:  # type: ignore[override]
        import torch.nn.functional as F

        mode, align_corners = TORCH_MODES[self.mode, self.align]

        def forward(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
            return F.interpolate(x, self.size, mode=mode, align_corners=align_corners)

        return make_module({}, forward)

    def walk(self, x: Shape) -> Walk:
        height, width, channels = x
        rows, columns = self.size[0] // height, self.size[1] // width
        by_whole_factor = (rows * height, columns * width) == self.size
        if (self.mode, self.align) != ("nearest", "asymmetric") or not by_whole_factor:
            raise ValueError(
                f"{self.mode} {self.align} from {x[:2]} to {self.size} has no int8 form; nearest asymmetric by a whole "
                "factor has one"
            )
        return Walk((height, rows, width, columns, channels), (width * channels, 0, channels, 0, 1))
