"""Decoding and suppression in torch: the boxes of millijoule.boxes, to the last bit where outputs are int8.

A sigmoid or an exponential of a real number may differ in its last bit from numpy's; tables, which int8 outputs are
read from, do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from millijoule.boxes import LARGEST_GROWTH, BoxCoding, Boxes, Level, Tables

if TYPE_CHECKING:
    import torch

    from millijoule.model import Quantization


def detect(
    coding: BoxCoding,
    outputs: Mapping[str, torch.Tensor],
    quantization: Mapping[str, Quantization] | None = None,
    threshold: float | None = None,
) -> list[Boxes]:
    """What a network finds in each image of a batch, computed where the outputs lie.

    outputs: name → (batch, …) with channels last, float32; or int8 with the `quantization` of the outputs. The other
    arguments are those of millijoule.boxes.detect.
    """
    import torch

    least = torch.tensor(coding.threshold if threshold is None else threshold, dtype=torch.float32)
    levels = [_read(coding, level, outputs, quantization) for level in coding.levels]
    scores = torch.cat([each[0].flatten(1) for each in levels], dim=1)
    offsets, growths = (torch.cat([each[part] for each in levels], dim=1) for part in (1, 2))
    middles, sizes = (part.to(scores.device) for part in _anchors(coding))
    found = []
    for image in range(len(scores)):
        places = (scores[image] >= least.to(scores.device)).nonzero().flatten()
        order = torch.sort(scores[image, places], descending=True, stable=True).indices[: coding.candidates]
        best = places[order]
        at = best // coding.classes
        middle = middles[at] + offsets[image, at] * sizes[at]
        reach = growths[image, at] * sizes[at] * 0.5
        ends = torch.tensor([coding.size[1], coding.size[0]], dtype=torch.float32, device=scores.device)
        edges = [torch.where(edge > 0, edge, torch.zeros_like(edge)) for edge in (middle - reach, middle + reach)]
        corners = torch.cat([torch.where(edge < ends, edge, ends) for edge in edges], dim=1)
        kept = _stay(corners, best % coding.classes, coding.overlap, coding.most)
        labels, corners = (best % coding.classes)[kept], corners[kept]
        found.append(Boxes.of(corners.cpu().numpy(), labels.cpu().numpy(), scores[image, best[kept]].cpu().numpy()))
    return found


def _read(
    coding: BoxCoding,
    level: Level,
    outputs: Mapping[str, torch.Tensor],
    quantization: Mapping[str, Quantization] | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a level: scores (batch, anchors of cells, classes), offsets and growths (batch, anchors of cells, 2)."""
    import torch

    raw: dict[str, torch.Tensor] = {name: coding.part(level, name, outputs[name]) for name in level.outputs}
    if quantization is None:
        scores = _score(coding, level, raw[level.scores])
        objectness = _score(coding, level, raw[level.objectness]) if level.objectness else None
        offsets: torch.Tensor = raw[level.boxes][..., :2] * coding.variances[0]
        growths = (raw[level.boxes][..., 2:] * coding.variances[1]).clamp(max=LARGEST_GROWTH).exp()
    else:
        tables = Tables.of(coding, level, quantization)
        device = raw[level.scores].device

        def look_up(table: np.ndarray, integers: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(table).to(device)[integers.long() + 128]

        scores = look_up(tables.scores, raw[level.scores])
        objectness = look_up(tables.objectness, raw[level.objectness]) if tables.objectness is not None else None
        offsets = look_up(tables.offsets, raw[level.boxes][..., :2])
        growths = look_up(tables.growths, raw[level.boxes][..., 2:])
    if objectness is not None:
        scores = scores * objectness
    if coding.peaks:
        scores = torch.where(_peaks(level, raw[level.scores]), scores, -torch.ones_like(scores))
    return scores[..., int(coding.background) :], offsets, growths


def _score(coding: BoxCoding, level: Level, real: torch.Tensor) -> torch.Tensor:
    probability = (real.sigmoid() if coding.logits else real).clamp(0, 1)
    return probability.sqrt() if level.objectness else probability


def _peaks(level: Level, raw: torch.Tensor) -> torch.Tensor:
    import torch

    grid = raw.reshape(len(raw), level.rows, level.columns, -1).float()
    padded = torch.nn.functional.pad(grid, (0, 0, 1, 1, 1, 1), value=-torch.inf)
    is_peak = torch.ones_like(grid, dtype=torch.bool)
    for index in range(9):
        down, right = divmod(index, 3)
        other = padded[:, down : down + level.rows, right : right + level.columns]
        if index < 4:
            is_peak &= grid > other
        elif index > 4:
            is_peak &= grid >= other
    return is_peak.reshape(raw.shape)


def _anchors(coding: BoxCoding) -> tuple[torch.Tensor, torch.Tensor]:
    """(middles, sizes), each (anchors of all cells, 2) float32: x before y, width before height."""
    import torch

    middles, sizes = [], []
    for level in coding.levels:
        rows, columns = torch.meshgrid(torch.arange(level.rows), torch.arange(level.columns), indexing="ij")
        cells = torch.stack([columns, rows], dim=-1).reshape(-1, 1, 2).float()
        step = torch.tensor(level.step, dtype=torch.float32)
        middle = (cells + torch.tensor(coding.centre, dtype=torch.float32)) * step
        middles.append(middle.expand(-1, len(level.anchors), 2).reshape(-1, 2))
        sizes.append(torch.tensor(level.anchors, dtype=torch.float32).repeat(level.rows * level.columns, 1))
    return torch.cat(middles), torch.cat(sizes)


def _stay(corners: torch.Tensor, labels: torch.Tensor, overlap: float, most: int) -> torch.Tensor:
    """Indices of the boxes, best first, that are not empty and overlap no better one of their class by more."""
    import torch

    starts, ends = corners[:, :2], corners[:, 2:]
    areas = (ends - starts).prod(dim=1)
    stays = (starts < ends).all(dim=1)
    kept = list[int]()
    for index in range(len(corners)):
        if len(kept) < most and stays[index]:
            kept.append(index)
            sides = (torch.minimum(ends, ends[index]) - torch.maximum(starts, starts[index])).clamp(min=0)
            common = sides[:, 0] * sides[:, 1]
            union = (areas + areas[index]) - common
            stays &= (common <= torch.tensor(overlap, dtype=torch.float32) * union) | (labels != labels[index])
    return torch.tensor(kept, dtype=torch.long, device=corners.device)
