"""Placement as tables: (first step, last step, bytes) of each item, and the smallest total."""

import subprocess
import sys
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millijoule.plan import placement
from millijoule.plan.placement import greedy_orders, most_live, place, place_in_order, total_bytes

# name: (items, alignment, the smallest total)
CASES = {
    "nothing": ([], 1, 0),
    "one": ([(0, 0, 7)], 1, 7),
    "one after the other share": ([(0, 0, 7), (1, 1, 9), (2, 2, 5)], 1, 9),
    "a chain": ([(0, 1, 4), (1, 2, 6), (2, 3, 3), (3, 4, 5)], 1, 10),
    "all at once": ([(0, 5, 4), (0, 5, 6), (0, 5, 3)], 1, 13),
    "one step in common is a conflict": ([(0, 2, 4), (2, 4, 4)], 1, 8),
    "a residual under a branch": ([(0, 4, 10), (1, 2, 6), (2, 3, 8), (3, 4, 6)], 1, 24),
    "gaps of alignment": ([(0, 3, 5), (0, 3, 5)], 4, 13),
    "the last item leaves no gap": ([(0, 3, 5), (0, 3, 8)], 4, 13),
    "an alignment of 16": ([(0, 1, 1), (1, 2, 1), (1, 1, 1)], 16, 33),
    "no greedy order finds it": ([(1, 2, 4), (4, 6, 2), (6, 6, 3), (5, 5, 4), (0, 4, 3)], 1, 7),
    "no greedy order finds it either": ([(6, 6, 4), (2, 6, 1), (2, 5, 2), (2, 2, 3), (3, 7, 2)], 1, 7),
    "the bound of live bytes cannot be met": (
        [(3, 6, 1), (6, 7, 5), (1, 6, 3), (0, 2, 5), (7, 8, 2), (0, 0, 4), (7, 8, 2), (5, 8, 1), (2, 4, 2)],
        1,
        11,
    ),
}
NEED_THE_SOLVER = [name for name in CASES if name.startswith(("no greedy", "the bound"))]

item_lists = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 9)).map(lambda t: (t[0], t[0] + t[1], t[2])),
    min_size=1,
    max_size=6,
)


def overlaps(items, offsets):
    """Pairs of items that share a step and an address."""
    return [
        (one, two)
        for two in range(len(items))
        for one in range(two)
        if items[one][0] <= items[two][1]
        and items[two][0] <= items[one][1]
        and offsets[one] < offsets[two] + items[two][2]
        and offsets[two] < offsets[one] + items[one][2]
    ]


def smallest_by_trying_everything(items):
    """Some order of placing each item as low as possible is optimal: an optimal placement, sorted by address, sinks."""

    def total(order):
        placed = []
        for first, last, size in order:
            tops = [0, *(at + other for f, e, other, at in placed if f <= last and first <= e)]
            at = min(
                top
                for top in tops
                if all(e < first or last < f or at + other <= top or top + size <= at for f, e, other, at in placed)
            )
            placed.append((first, last, size, at))
        return max(at + size for _, _, size, at in placed)

    return min(total(order) for order in permutations(items))


@pytest.mark.parametrize("name", CASES)
def test_the_arena_is_the_smallest(name):
    items, alignment, total = CASES[name]
    placed = place(items, alignment)
    assert placed.total == total_bytes(items, placed.offsets) == total
    assert placed.lower_bound == total
    assert placed.note == ""
    assert not overlaps(items, placed.offsets)
    assert all(offset % alignment == 0 for offset in placed.offsets)


@pytest.mark.parametrize("name", NEED_THE_SOLVER)
def test_the_hard_cases_are_hard(name):
    items, alignment, total = CASES[name]
    for order in greedy_orders(items):
        greedy = total_bytes(items, place_in_order(items, order, alignment))
        assert greedy > most_live(items, alignment)
        assert greedy > total or total > most_live(items)


def test_the_bound_rises_where_the_solver_proves_more():
    items, _, total = CASES["the bound of live bytes cannot be met"]
    assert most_live(items) == 10
    assert place(items).lower_bound == total == 11


@pytest.mark.parametrize("name", NEED_THE_SOLVER)
def test_the_same_answer_every_time(name):
    items, alignment, _ = CASES[name]
    assert place(items, alignment) == place(items, alignment)


def test_without_ortools_the_greedy_result_is_kept_and_noted(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ortools.sat.python", None)
    items, _, total = CASES["no greedy order finds it"]
    placed = place(items)
    assert placed.total > total
    assert placed.lower_bound == total
    assert "ortools" in placed.note
    assert not overlaps(items, placed.offsets)


def test_a_search_that_runs_out_of_time_keeps_the_greedy_result(monkeypatch):
    monkeypatch.setattr(placement, "SOLVER_EFFORT", 0.0)
    items, _, total = CASES["no greedy order finds it"]
    placed = place(items)
    assert total <= placed.total <= 9
    assert placed.lower_bound <= total
    assert not overlaps(items, placed.offsets)


@settings(deadline=None, max_examples=60)
@given(item_lists)
def test_equals_brute_force(items):
    placed = place(items)
    assert not overlaps(items, placed.offsets)
    assert placed.total == smallest_by_trying_everything(items)
    assert most_live(items) <= placed.lower_bound == placed.total


@settings(deadline=None, max_examples=60)
@given(item_lists, st.sampled_from([1, 2, 4, 16]))
def test_aligned_placements_hold(items, alignment):
    placed = place(items, alignment)
    assert not overlaps(items, placed.offsets)
    assert all(offset % alignment == 0 for offset in placed.offsets)
    assert most_live(items) <= most_live(items, alignment) <= placed.lower_bound == placed.total
    assert placed.total <= total_bytes(
        items, [sum(-(-s // 16) * 16 for _, _, s in items[:i]) for i in range(len(items))]
    )


def test_ctrl_c_works_after_a_search():
    items, _, _ = CASES["no greedy order finds it"]
    code = (
        "import os, signal, time\n"
        "from millijoule.plan.placement import place\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"place({items!r})\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(10)\n"
        "except KeyboardInterrupt:\n"
        "    print('cleaned up')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "cleaned up\n"
