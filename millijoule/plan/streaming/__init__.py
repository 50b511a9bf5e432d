"""Execution row by row through rings, so that no large map is ever stored: planned, placed, proven, executed."""

from __future__ import annotations

from millijoule.plan.streaming.check.execute import execute
from millijoule.plan.streaming.check.verify import verify_stream
from millijoule.plan.streaming.memories import two_memories
from millijoule.plan.streaming.picture import stream_picture
from millijoule.plan.streaming.plan import RowBuffer, StreamPlan
from millijoule.plan.streaming.planner import frontier, stream_plan
from millijoule.plan.streaming.strips import strip_frontier, strip_plan

__all__ = [
    "RowBuffer",
    "StreamPlan",
    "execute",
    "frontier",
    "stream_picture",
    "stream_plan",
    "strip_frontier",
    "strip_plan",
    "two_memories",
    "verify_stream",
]
