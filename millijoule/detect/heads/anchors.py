"""The sizes that boxes are told relative to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Sizes = tuple[tuple[float, float], ...]
MOST_ROUNDS = 100


def fit_anchors(sizes: np.ndarray, count: int, seed: int = 0) -> Sizes:
    """`count` anchors (width, height), smallest area first, that stand for the sizes (n, 2) of annotated boxes.

    k-means with the distance 1 - intersection over union of boxes that share their centre, begun with sizes that are
    drawn far from each other (k-means++); a cluster's anchor is its median width and height.

    Source: Redmon and Farhadi 2017, "YOLO9000: better, faster, stronger", section 2, Dimension clusters; Arthur and
    Vassilvitskii 2007, "k-means++: the advantages of careful seeding".
    Raises ValueError if there are fewer different sizes than anchors.
    """
    sizes = np.asarray(sizes, np.float64)
    if len(different := np.unique(sizes, axis=0)) < count:
        raise ValueError(f"there are {len(different)} different sizes of boxes for {count} anchors")
    random = np.random.default_rng(seed)
    anchors = sizes[random.integers(len(sizes))][None]
    while len(anchors) < count:
        squared = (1 - overlaps(sizes, anchors).max(axis=1)) ** 2
        anchors = np.vstack([anchors, sizes[random.choice(len(sizes), p=squared / squared.sum())]])
    nearest = np.full(len(sizes), -1)
    for _ in range(MOST_ROUNDS):
        before, nearest = nearest, overlaps(sizes, anchors).argmax(axis=1)
        if np.array_equal(before, nearest):
            break
        members = [sizes[nearest == index] for index in range(count)]
        anchors = np.array(
            [np.median(each, axis=0) if len(each) else old for each, old in zip(members, anchors, strict=True)]
        )
    order = np.argsort(anchors.prod(axis=1), kind="stable")
    return tuple((float(width), float(height)) for width, height in anchors[order].round(2))


def overlaps(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m): intersection over union of boxes of sizes (n, 2) and (m, 2) that share their centre."""
    common = np.minimum(sizes[:, None], others[None]).prod(axis=2)
    union: np.ndarray = sizes.prod(axis=1)[:, None] + others.prod(axis=1)[None] - common
    return common / union


def spread(steps: Sequence[int], count: int) -> Sizes:
    """`count` squares for each level, of 2 to 4 of its steps: anchors where no boxes are known."""
    return tuple(
        (step * side, step * side) for step in steps for side in np.linspace(2.0, 4.0, count).round(2).tolist()
    )
