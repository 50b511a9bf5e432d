"""What no order of execution can go below."""

from __future__ import annotations

import numpy as np

from millijoule.plan.streaming.network.rows import Step
from millijoule.plan.streaming.search.schedule import Network


def floor_bytes(network: Network) -> int:
    """Bytes below which the network cannot be executed, by rows or by pixels, without computing anything twice.

    When a step fires, the rows that this firing or a later one reads must be there, up to the last one that this one
    reads, the working memory of its kernel, and the row it writes, unless that replaces one of its size. A stored
    input is all there when the first step fires; one that is kept is always there. All outputs are there at the end.
    """
    rows, grains = network.rows, (network, network.pixels)
    inputs = sum(rows.size(value) for value in rows.inputs)
    floor = sum(rows.size(value) for value in rows.outputs)
    written = []
    for index, step in enumerate(rows.steps):
        kept = 0
        if network.contract == "keep":
            kept = sum(rows.size(value) for value in rows.inputs if all(value != read.value for read in step.reads))
        floor = max(floor, kept + min(_most_at_once(each, each.rows.steps[index]) for each in grains))
        if all(read.value in rows.inputs for read in step.reads):
            written.append(min(_written(each, each.rows.steps[index]) for each in grains))
    return floor + rows.state_bytes if network.contract == "push" else max(floor, inputs + min(written, default=0))


def _most_at_once(network: Network, step: Step) -> int:
    rows = network.rows
    live = np.zeros(step.firings, np.int64)
    for read in step.reads:
        if network.contract == "keep" and read.value in rows.inputs:
            live += rows.size(read.value)
        else:
            kept = np.array((0, *read.kept[:-1]))
            live += np.maximum(np.array(read.last) + 1 - kept, 0) * rows.bytes[read.value]
    return int(live.max()) + _written(network, step)


def _written(network: Network, step: Step) -> int:
    """Bytes that a firing writes beside what it reads."""
    size = network.rows.bytes
    if step.accumulator_bytes:
        return step.accumulator_bytes + step.own_bytes
    replaced = any(size[value] == size[step.value] for value in step.in_place)
    return step.own_bytes + (0 if replaced else size[step.value])
