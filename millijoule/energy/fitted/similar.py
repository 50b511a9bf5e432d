"""What is known of boards and stacks that are like the one asked for, weighted by how like they are.

Means are geometric, as errors are ratios. Five constants say how like; they were chosen on the published rows
themselves, and are the same in every question: releases of one stack that are n apart weigh 1/2^n; another stack, a
system with another operating system and a board with another core 1/10; a network whose mix of layers is 0.1 apart 1/2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import exp, log
from statistics import geometric_mean

from millijoule.energy.fitted.tables import CONVOLUTIONAL, Submission, counted

RELEASES = (
    ("X-CUBE-AI 7.1", "X-CUBE-AI 7.3", "X-CUBE-AI 8.0", "X-CUBE-AI 8.1", "X-CUBE-AI 9.0", "X-CUBE-AI 10.2"),
    ("Plumerai v0.7", "Plumerai v1.0", "Plumerai 2023.05"),
    ("HALE v1.1", "HALE 1.0.175"),
)
"""Stacks of which several releases were submitted, in their order."""
RELEASE, OTHER_STACK, OTHER_OS, OTHER_CORE = 0.5, 0.1, 0.1, 0.1
MIX = 0.1

Rows = Sequence[Submission]


def similarity(stack: str, other: str) -> float:
    """1 for the same stack."""
    if stack == other:
        return 1.0
    for releases in RELEASES:
        if stack in releases and other in releases:
            return RELEASE ** abs(releases.index(stack) - releases.index(other))
    return OTHER_STACK


def alike(mix: float | None, other: float | None) -> float:
    """How like two networks are by their mix of layers (instructions.windowed_share); 1 if either is not known."""
    return 1.0 if mix is None or other is None else MIX / (MIX + abs(mix - other))


def drawn(row: Submission) -> float:
    """What a board draws whatever its supply: mA behind a linear regulator (ldo), else mW."""
    assert row.power_mw is not None
    assert row.supply_v is not None
    return row.power_mw / row.supply_v if row.regulator == "ldo" else row.power_mw


def predicted_draw(rows: Rows, board: str, stack: str | None = None, os: str | None = None) -> float | None:
    """What the board draws during an inference, as `drawn`: the mean over the systems in `rows`; None without any.

    stack: releases near it weigh more. os: systems with another weigh less; None: all the same.
    """
    systems = _systems(rows, lambda row: row.board == board and row.power_mw is not None)
    values = [(geometric_mean(map(drawn, system)), system[0]) for system in systems]
    return weighted_mean(
        (value, (similarity(stack, row.stack) if stack else 1) * (1 if os in (None, row.os) else OTHER_OS))
        for value, row in values
    )


def predicted_cycles(rows: Rows, stack: str, board: str, benchmark: str) -> float | None:
    """Cycles of a known stack on another board: what it takes elsewhere, times how the two boards compare.

    They are compared by every stack that ran the same network on both, each of these comparisons weighted by how like
    the stack and the board's core are. None if nothing connects the two boards.
    """
    cells = cells_of(rows)
    cores = {row.board: row.core for row in rows}
    like = {there: 1.0 if core == cores.get(board) else OTHER_CORE for there, core in cores.items()}
    return weighted_mean(
        (cycles * here / cells[there, benchmark, each], similarity(stack, each) * like[there])
        for (there, name, other), cycles in cells.items()
        if name == benchmark and other == stack and there != board
        for (place, name_here, each), here in cells.items()
        if place == board and name_here == benchmark and (there, benchmark, each) in cells
    )


def cycles_per_instruction(rows: Rows, benchmarks: Iterable[str] = CONVOLUTIONAL) -> float | None:
    """Cycles of each instruction that CMSIS-NN executes for the same network: the mean over boards, then systems."""
    by_board = defaultdict(list)
    for row in rows:
        if row.benchmark in benchmarks:
            by_board[row.board].append((system(row), row.cycles / counted(row).instructions))
    boards = []
    for found in by_board.values():
        by_system = defaultdict(list)
        for key, value in found:
            by_system[key].append(value)
        boards.append(geometric_mean(geometric_mean(values) for values in by_system.values()))
    return geometric_mean(boards) if boards else None


def runs_cmsis_nn(row: Submission) -> bool:
    """Whether it is CMSIS-NN as of 2022 or later; the kernels of TFLM 2.3.1 (v0.5) took twice the cycles."""
    return "CMSIS-NN" in row.stack and row.round != "v0.5"


def cells_of(rows: Rows) -> dict[tuple[str, str, str], float]:
    """(board, benchmark, stack) → cycles, the mean where several systems ran it."""
    found = defaultdict(list)
    for row in rows:
        found[row.board, row.benchmark, row.stack].append(row.cycles)
    return {key: geometric_mean(values) for key, values in found.items()}


def system(row: Submission) -> tuple[str, ...]:
    """What a row is a result of: one stack on one board, by one submitter in one round."""
    return (row.round, row.submitter, row.board, row.stack, row.os)


def _systems(rows: Rows, wanted: Callable[[Submission], bool]) -> list[list[Submission]]:
    found = defaultdict(list)
    for row in rows:
        if wanted(row):
            found[system(row)].append(row)
    return list(found.values())


def weighted_mean(values: Iterable[tuple[float, float]]) -> float | None:
    """The geometric mean of (value, weight)."""
    pairs = list(values)
    if not pairs:
        return None
    return exp(sum(weight * log(value) for value, weight in pairs) / sum(weight for _, weight in pairs))
