"""How much boxes overlap."""

from __future__ import annotations

import numpy as np


def areas(corners: np.ndarray) -> np.ndarray:
    """(n,) float64, pixels², of corners (n, 4)."""
    left, top, right, bottom = corners.astype(np.float64).T
    return (right - left) * (bottom - top)


def overlaps(found: np.ndarray, truth: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """(n, m) float64 of corners (n, 4) and (m, 4): intersection over union.

    crowd: (m,) bool, boxes around many objects, of which a part is enough: there, intersection over the found box's
    area, as COCO counts it.
    """
    a, b = found.astype(np.float64)[:, None], truth.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.prod(np.maximum(sides, 0), axis=-1)
    area = areas(found)[:, None]
    union = area + areas(truth)[None] - common
    if crowd is not None:
        union = np.where(crowd[None], area, union)
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
