"""Detectors in the graph: backbones without their classifier, a feature pyramid, and the heads that find boxes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from millijoule.detect.heads.detector import HEADS, Detector, centre, ssdlite
from millijoule.graph import Graph
from millijoule.zoo import Entry

__all__ = ["HEADS", "Detector", "centre", "entries", "ssdlite"]


def entries() -> tuple[Entry, ...]:
    """The heads as the zoo lists networks, each on its default backbone."""
    return (
        Entry(
            _graph_of(ssdlite),
            "SSD-lite: detection",
            "Liu et al., SSD: Single Shot MultiBox Detector, ECCV; Sandler et al., MobileNetV2, CVPR",
            2018,
        ),
        Entry(_graph_of(centre), "Centre points: detection", "Zhou et al., Objects as points", 2019),
    )


def _graph_of(head: Callable[..., Detector]) -> Callable[..., Graph]:
    @wraps(head)
    def graph(**arguments: Any) -> Graph:
        return head(**arguments).graph

    return graph
