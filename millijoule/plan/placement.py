"""Offsets for memory with lifetimes, so that the arena is smallest.

This is dynamic storage allocation (M. Garey and D. Johnson, Computers and Intractability, 1979, problem SR2):
NP-hard, but no arena can be smaller than the most bytes live at one step, and most networks reach that bound with a
greedy order. Where none does, CP-SAT searches on, and proves a higher bound or a better placement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Item = tuple[int, int, int]
"""(first step, last step, bytes); both steps included."""

SOLVER_EFFORT = 10.0
"""CP-SAT's deterministic time, about seconds: the same work, so the same result, on every computer."""


@dataclass(frozen=True)
class Placement:
    """offsets: in the order of the items. lower_bound: no total is smaller. note: what the search lacked."""

    offsets: tuple[int, ...]
    total: int
    lower_bound: int
    note: str = ""


def place(items: Sequence[Item], alignment: int = 1) -> Placement:
    """Offsets, multiples of `alignment`, for `items`; two that are live at one step do not overlap."""
    bound = most_live(items, alignment)
    best: tuple[int, ...] = ()
    total = -1
    for order in greedy_orders(items):
        offsets = place_in_order(items, order, alignment)
        size = total_bytes(items, offsets)
        if total < 0 or size < total:
            best, total = offsets, size
        if total == bound:
            return Placement(best, total, bound)
    return _search(items, alignment, best, bound)


def most_live(items: Sequence[Item], alignment: int = 1) -> int:
    """The most bytes live at one step, with the gaps that alignment leaves; the last item of a step leaves none."""
    most = 0
    for step in {first for first, _, _ in items}:
        sizes = [size for first, last, size in items if first <= step <= last]
        gaps = [-size % alignment for size in sizes]
        most = max(most, sum(sizes) + sum(gaps) - max(gaps))
    return most


def total_bytes(items: Sequence[Item], offsets: Sequence[int]) -> int:
    return max((offset + size for offset, (_, _, size) in zip(offsets, items, strict=True)), default=0)


def greedy_orders(items: Sequence[Item]) -> Iterator[list[int]]:
    """Orders in which placing one item after the other often ends small: largest first, longest first, …

    Fullest step first is `greedy by breadth` of Y. Pisarchyk and J. Lee, Efficient memory management for deep neural
    net inference, 2020; largest first is their `greedy by size`.
    """
    indices = range(len(items))
    live = {step: sum(b for f, e, b in items if f <= step <= e) for first, last, _ in items for step in (first, last)}
    fullest = [max(bytes for step, bytes in live.items() if first <= step <= last) for first, last, _ in items]

    def life(index: int) -> int:
        first, last, _ = items[index]
        return last - first + 1

    yield sorted(indices, key=lambda i: (-items[i][2], items[i][0]))
    yield sorted(indices, key=lambda i: (-fullest[i], -items[i][2], items[i][0]))
    yield sorted(indices, key=lambda i: (-items[i][2] * life(i), items[i][0]))
    yield sorted(indices, key=lambda i: (-life(i), -items[i][2]))
    yield sorted(indices, key=lambda i: (items[i][0], -items[i][2]))
    yield sorted(indices, key=lambda i: (-items[i][1], -items[i][2]))


def place_in_order(items: Sequence[Item], order: Sequence[int], alignment: int = 1) -> tuple[int, ...]:
    """Each item, in `order`, at the lowest offset that is free for its whole life."""
    offsets: dict[int, int] = {}
    for index in order:
        first, last, size = items[index]
        taken = sorted(
            (offset, offset + items[other][2])
            for other, offset in offsets.items()
            if items[other][0] <= last and first <= items[other][1]
        )
        at = 0
        for begin, end in taken:
            if begin >= at + size:
                break
            at = max(at, end + -end % alignment)
        offsets[index] = at
    return tuple(offsets[index] for index in range(len(items)))


def _search(items: Sequence[Item], alignment: int, hint: tuple[int, ...], bound: int) -> Placement:
    """The best placement that CP-SAT finds, and the bound that it proves; `hint` if there is nothing better."""
    limit = total_bytes(items, hint)
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        note = "ortools is not installed: the arena is the best of the greedy orders and may not be the smallest"
        return Placement(hint, limit, bound, note)
    # Rectangles of steps by addresses, the addresses in units of the alignment.
    model = cp_model.CpModel()
    total = model.new_int_var(bound, limit, "total")
    offsets, steps, addresses = [], [], []
    for index, (first, last, size) in enumerate(items):
        offset = model.new_int_var(0, (limit - size) // alignment, f"offset_{index}")
        model.add(alignment * offset + size <= total)
        model.add_hint(offset, hint[index] // alignment)
        units = -(-size // alignment)
        offsets.append(offset)
        addresses.append(model.new_fixed_size_interval_var(offset, units, f"address_{index}"))
        steps.append(model.new_fixed_size_interval_var(first, last - first + 1, f"steps_{index}"))
    model.add_no_overlap_2d(steps, addresses)
    model.minimize(total)
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = SOLVER_EFFORT
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    # Its own handler would leave Ctrl-C killing the process for good, whatever was being cleaned up.
    solver.parameters.catch_sigint_signal = False
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Placement(hint, limit, bound)
    found = tuple(alignment * solver.value(offset) for offset in offsets)
    return Placement(found, total_bytes(items, found), max(bound, round(solver.best_objective_bound)))
