"""What a detector's training makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millijoule.train.network import import_torch

if TYPE_CHECKING:
    from torch import Tensor

ALPHA, GAMMA = 0.25, 2.0
"""Of the focal loss: Lin et al. 2017, table 1b."""
PEAK_GAMMA, NEAR_GAMMA = 2.0, 4.0
"""Of the focal loss of centre points, alpha and beta there: Zhou et al. 2019, section 3."""
NEGATIVES = 3
SMOOTH_BELOW = 1.0


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """-alpha_t (1 - p_t)^gamma log p_t, elementwise, of targets 0 or 1.

    Source: Lin et al. 2017, "Focal loss for dense object detection", equation 5.
    """
    functional = import_torch().nn.functional
    entropy: Tensor = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p = logits.sigmoid()
    missing = targets * (1 - p) + (1 - targets) * p
    weight = targets * ALPHA + (1 - targets) * (1 - ALPHA)
    return weight * missing**GAMMA * entropy


def peak_focal(logits: Tensor, heat: Tensor) -> Tensor:
    """-(1 - p)^alpha log p where heat is 1, else -(1 - heat)^beta p^alpha log(1 - p), elementwise.

    Source: Zhou et al. 2019, "Objects as Points", equation 1.
    """
    functional = import_torch().nn.functional
    p = logits.sigmoid()
    at_peak = (1 - p) ** PEAK_GAMMA * functional.logsigmoid(logits)
    elsewhere = (1 - heat) ** NEAR_GAMMA * p**PEAK_GAMMA * functional.logsigmoid(-logits)
    loss: Tensor = -import_torch().where(heat == 1, at_peak, elsewhere)
    return loss


def hard_negatives(logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """The cross entropy of positive anchors and, in each image, of the three times as many worst negatives; else 0.

    logits, targets: (batch, anchors, classes). counts: (batch, anchors), False where nothing is learnt. An image
    without a positive anchor has one hard negative of every hundred anchors, at least one.

    Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2, Hard negative mining.
    """
    torch = import_torch()
    functional = torch.nn.functional
    entropy: Tensor = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    positive = (targets > 0).any(dim=2)
    of_anchor = entropy.detach().sum(dim=2).masked_fill(positive | ~counts, -1.0)
    rank = of_anchor.argsort(dim=1, descending=True).argsort(dim=1)
    positives = positive.sum(dim=1)
    most = torch.where(positives > 0, NEGATIVES * positives, max(1, logits.shape[1] // 100))
    used = positive | ((rank < most[:, None]) & (of_anchor >= 0))
    return entropy * used[..., None]


def giou(corners: Tensor, others: Tensor) -> Tensor:
    """(n,): generalised intersection over union, -1…1, of boxes (n, 4) of left, top, right, bottom.

    Intersection over union, less the share of the smallest box around both that neither covers.
    Source: Rezatofighi et al. 2019, "Generalized intersection over union", algorithm 1.
    """
    torch = import_torch()
    common = (torch.minimum(corners[:, 2:], others[:, 2:]) - torch.maximum(corners[:, :2], others[:, :2])).clamp(min=0)
    around = torch.maximum(corners[:, 2:], others[:, 2:]) - torch.minimum(corners[:, :2], others[:, :2])
    areas = [(each[:, 2:] - each[:, :2]).prod(dim=1) for each in (corners, others)]
    intersection, hull = common.prod(dim=1), around.prod(dim=1)
    union = areas[0] + areas[1] - intersection
    value: Tensor = intersection / union - (hull - union) / hull
    return value


def smooth_l1(offsets: Tensor, targets: Tensor) -> Tensor:
    """(n,): summed over the last axis, half the square of differences below 1, else the difference less a half.

    Source: Girshick 2015, "Fast R-CNN", equations 2 and 3.
    """
    functional = import_torch().nn.functional
    loss: Tensor = functional.smooth_l1_loss(offsets, targets, reduction="none", beta=SMOOTH_BELOW)
    return loss.sum(dim=-1)
