"""ONNX's Resize and Upsample: many ways to say where an output position looks in the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from millijoule.load.channels_first import Value
from millijoule.load.onnx.network import OnnxNetwork
from millijoule.ops.resize import Align, ResizeMode


def resize(network: OnnxNetwork) -> None:
    """Height and width: nearest or linear, where the positions are those of Resize2d."""
    x = network.value()
    rank = len(x.axes)
    old = network.opset < 11 or network.node.op_type == "Upsample"
    slots = {"scales": 1} if old else {"scales": 2, "sizes": 3}
    scales = network.attribute("scales") if old else None
    sizes: Sequence[float] | None = None
    axes = network.ints("axes") or list(range(rank))
    for what, slot in slots.items():
        if network.has(slot) and network.constant(slot).size:
            numbers = network.constant(slot).reshape(-1).tolist()
            scales, sizes = (numbers, sizes) if what == "scales" else (scales, numbers)
    if sizes is not None and network.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        network.unknown("it keeps the aspect ratio")
    given = sizes if sizes is not None else scales
    if given is None or len(given) != len(axes):
        network.fail("names neither scales nor sizes for each of its axes")
    target = list(x.shape)
    factors = [1.0] * rank
    for axis, number in zip(axes, given, strict=True):
        axis = network.axis(axis, rank)
        target[axis] = int(number) if sizes is not None else int(np.floor(x.shape[axis] * np.float32(number)))
        factors[axis] = float(number) if sizes is None else target[axis] / x.shape[axis]
    if rank not in (3, 4) or target[:2] != list(x.shape[:2]):
        network.unknown(f"it makes {tuple(target)} of {x.shape}; height and width are known")
    if min(target) < 1:
        network.fail(f"makes shape {tuple(target)} of {x.shape}")
    mode, align = _resize_mode(network, x, target, factors, old)
    network.give(network.build.resize(network.name, x, target[2:], mode, align))


def _resize_mode(
    network: OnnxNetwork, x: Value, target: list[int], factors: list[float], old: bool
) -> tuple[ResizeMode, Align]:
    """The mode of Resize2d that looks at the positions that ONNX looks at (its documentation of Resize)."""
    mode = network.attribute("mode", "nearest")
    transform = "asymmetric" if old else network.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else network.attribute("nearest_mode", "round_prefer_floor")
    shrinks = any(new < size for new, size in zip(target[2:], x.shape[2:], strict=True))
    if mode not in ("nearest", "linear") or (network.attribute("antialias", 0) and shrinks):
        network.unknown(f"its mode is '{mode}'; nearest and linear without antialiasing are known")
    known: dict[str, tuple[Align, ...]]
    known = {"nearest": ("asymmetric", "half_pixel", "corners"), "linear": ("half_pixel", "corners", "asymmetric")}
    nearest = mode == "nearest"
    axes = list(zip(x.shape[2:], target[2:], factors[2:], strict=True))
    theirs = [_positions(transform, old, new, factor, rounding if nearest else None) for old, new, factor in axes]
    for align in known[mode]:
        ours = [_ours(align, old, new, nearest) for old, new, _ in axes]
        if all(np.allclose(a, b, atol=1e-4) for a, b in zip(theirs, ours, strict=True)):
            return ("nearest" if nearest else "bilinear"), align
    return network.unknown(f"it looks at positions by '{transform}' and '{rounding}'")


def _positions(transform: str, size: int, new: int, scale: float, rounding: str | None) -> np.ndarray:
    """Where in the input each output position looks, by ONNX's formulas; nan if they are not known."""
    i = np.arange(new, dtype=np.float64)
    if transform in ("half_pixel", "half_pixel_symmetric") or (transform == "pytorch_half_pixel" and new > 1):
        x = (i + 0.5) / scale - 0.5
        if transform == "half_pixel_symmetric":
            x = size / 2 * (1 - new / (scale * size)) + (i + 0.5) / scale - 0.5
    elif transform in ("pytorch_half_pixel",) or (transform == "align_corners" and new == 1):
        x = np.zeros(new)
    elif transform == "align_corners":
        x = i * (size - 1) / (new - 1)
    elif transform == "asymmetric":
        x = i / scale
    else:
        x = np.full(new, np.nan)
    if rounding == "floor":
        x = np.floor(x)
    elif rounding == "ceil":
        x = np.ceil(x)
    elif rounding == "round_prefer_floor":
        x = np.ceil(x - 0.5)
    elif rounding == "round_prefer_ceil":
        x = np.floor(x + 0.5)
    return np.clip(x, 0, size - 1)


def _ours(align: Align, size: int, new: int, nearest: bool) -> np.ndarray:
    """Where Resize2d looks."""
    i = np.arange(new, dtype=np.float64)
    if align == "corners":
        x = i * (size - 1) / (new - 1) if new > 1 else i
        return np.floor(x + 0.5 + 1e-9) if nearest else x
    x = i * size / new if align == "asymmetric" else (i + 0.5) * size / new - (0 if nearest else 0.5)
    return np.clip(np.floor(x + 1e-9) if nearest else x, 0, size - 1)
