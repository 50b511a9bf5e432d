"""The least memory of any order of execution, by looking at all of them. Shares no code with the planner."""

import heapq

from millijoule.graph import Graph
from millijoule.ops import AveragePool2d, Conv2d, Dense, GlobalAveragePool, MaxPool2d


def least_bytes(graph: Graph, contract: str, states: int = 200_000) -> int | None:
    """The least peak of live rows over all orders of computing them once, top to bottom; None if there are too many.

    What a firing writes is there beside all that it reads, unless it replaces a row of its size that dies with it.
    Only for graphs without reshapes whose nodes are convolutions, pools, sums and concatenations.
    """
    values = [graph.inputs[0].name, *(node.name for node in graph.nodes)]
    rows = {v: graph.shapes[v][0] if len(graph.shapes[v]) == 3 else 1 for v in values}
    size = {v: _product(graph.shapes[v]) // rows[v] for v in values}
    if contract == "read":
        size[values[0]] = 0  # it lies elsewhere
    nodes = {node.name: node for node in graph.nodes}
    summed = {
        name: isinstance(node.op, GlobalAveragePool | Dense) and rows[node.inputs[0]] > 1
        for name, node in nodes.items()
    }
    firings = {v: rows[nodes[v].inputs[0]] if v in nodes and summed[v] else rows[v] for v in values}
    readers = {v: [name for name, node in nodes.items() if v in node.inputs] for v in values}

    def window(name: str, at: int) -> tuple[int, int]:
        """First and last row of its inputs that firing `at` reads; firings beyond the last read nothing."""
        node = nodes[name]
        height = rows[node.inputs[0]]
        if at >= firings[name]:
            return height, height - 1
        if isinstance(node.op, Conv2d | MaxPool2d | AveragePool2d):
            view = node.op.window(graph.shapes[node.inputs[0]])
            top = at * view.stride[0] - view.padding[0][0]
            bottom = top + (view.kernel[0] - 1) * view.dilation[0]
            return min(max(top, 0), height), min(bottom, height - 1)
        return at, at

    def produced(state: dict[str, int], v: str) -> int:
        if v in nodes and summed[v]:
            return int(state[v] == firings[v])
        return state[v]

    def low(state: dict[str, int], v: str) -> int:
        if v in graph.outputs or (v == values[0] and contract == "keep"):
            return 0
        wanted = [min(window(name, at)[0] for at in range(state[name], firings[name] + 1)) for name in readers[v]]
        return min([*wanted, produced(state, v)])

    def live(state: dict[str, int]) -> int:
        total = sum((produced(state, v) - low(state, v)) * size[v] for v in values)
        return total + sum(4 * size[v] for v in nodes if summed[v] and 0 < state[v] < firings[v])

    def key(state: dict[str, int]) -> tuple[int, ...]:
        return tuple(state[v] for v in values)

    start = dict.fromkeys(values, 0)
    if contract != "push":
        start[values[0]] = rows[values[0]]
    heap = [(live(start), 0, key(start))]
    best = {key(start): live(start)}
    count = 0
    while heap:
        peak, _, numbers = heapq.heappop(heap)
        state = dict(zip(values, numbers, strict=True))
        if all(state[v] == firings[v] for v in values):
            return peak
        if peak > best[numbers]:
            continue
        count += 1
        if count > states:
            return None
        before = live(state)
        for v in values:
            if state[v] == firings[v]:
                continue
            if v in nodes and any(produced(state, x) <= window(v, state[v])[1] for x in nodes[v].inputs):
                continue
            after = state | {v: state[v] + 1}
            written = size[v] if produced(after, v) > produced(state, v) else 0
            if v in nodes:
                if nodes[v].op.in_place and any(
                    size[x] == size[v] and low(after, x) > low(state, x) for x in nodes[v].inputs
                ):
                    written = 0
                if summed[v]:
                    # The sums stay until the result is written.
                    written += 4 * size[v] if state[v] == 0 else 0
            most = max(peak, before + written, live(after))
            if most < best.get(key(after), 1 << 62):
                best[key(after)] = most
                heapq.heappush(heap, (most, count, key(after)))
    return None


def _product(shape: tuple[int, ...]) -> int:
    result = 1
    for each in shape:
        result *= each
    return result
