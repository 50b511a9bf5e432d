"""Which channels to take out, so that a budget is met and the network loses least."""

from __future__ import annotations

from math import gcd

import numpy as np

from millijoule.errors import OptionError
from millijoule.graph import Graph
from millijoule.shrink.pruning.budget import Budget
from millijoule.shrink.pruning.channels import Channels, Layer
from millijoule.shrink.pruning.narrow import narrow_graph

STEPS_PER_LAYER = 16
"""At most so many steps take a layer's channels out; each step weighs all layers anew."""


def choose_channels(
    graph: Graph, channels: Channels, importance: np.ndarray, budget: Budget, multiple: int
) -> np.ndarray:
    """bool (units,): the channels that stay.

    Greedy: of all layers, the next channels go where the sum of their importance, for what they bring towards the
    budget, is least; what they bring is counted on the narrowed graph. A layer's width stays a multiple of `multiple`,
    which kernels read at once, or all of a narrower one.

    Raises OptionError, with the least that can be reached, if the budget is below it.
    """
    kept = np.ones(len(channels.fixed), bool)
    widths = [_Width(layer, importance, multiple) for layer in channels.layers]
    _check_reachable(graph, channels, widths, budget)
    excess = budget.excess(graph)
    while excess > 0:
        best = None
        for width in widths:
            going = width.next()
            if not len(going):
                continue
            tried = kept.copy()
            tried[going] = False
            left = budget.excess(narrow_graph(graph, channels, tried))
            price = importance[going].sum() / (excess - left) if left < excess else np.inf
            # Where nothing brings anything by itself, as at two equal peaks, the least important go.
            rank = (price, importance[going].sum() / len(going))
            if best is None or rank < best[0]:
                best = rank, width, tried, left
        assert best is not None
        _, width, kept, excess = best
        width.take()
    return kept


class _Width:
    """What of one layer is left, the least important to go first."""

    def __init__(self, layer: Layer, importance: np.ndarray, multiple: int) -> None:
        self.units, self.gone = layer.units[np.argsort(importance[layer.units], kind="stable")], 0
        multiple //= gcd(multiple, layer.copies)
        self.least = min(multiple, len(self.units))
        self.step = multiple * -(-len(self.units) // (multiple * STEPS_PER_LAYER))

    def next(self) -> np.ndarray:
        width = len(self.units) - self.gone
        # The first step brings the width to a multiple of the step, so that all later ones are.
        size = min(width % self.step or self.step, width - self.least)
        return self.units[self.gone : self.gone + size]

    def take(self) -> None:
        self.gone += len(self.next())


def _check_reachable(graph: Graph, channels: Channels, widths: list[_Width], budget: Budget) -> None:
    kept = np.ones(len(channels.fixed), bool)
    for width in widths:
        kept[width.units[: len(width.units) - width.least]] = False
    least = budget.cost(narrow_graph(graph, channels, kept))
    if least > budget.most:
        raise OptionError(
            f"network '{graph.name}' cannot be pruned to {budget.text(budget.most)}: the least possible is "
            f"{budget.text(least)}, of {budget.text(budget.cost(graph))} now"
        )
