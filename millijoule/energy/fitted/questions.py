"""How far off predictions are: every kind of prediction, made again without what it should predict.

Whole submissions, whole (stack, board) pairs, whole boards or whole networks are left out, never single rows of them:
re-runs of another's code would tell the answer. `QUESTIONS` is what `benchmarks/energy.py` prints; the ranges of
predictions rest on the same errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Literal

from millijoule.energy.fitted import linux
from millijoule.energy.fitted.instructions import benchmark_mix, own_instructions
from millijoule.energy.fitted.intervals import Error, of
from millijoule.energy.fitted.similar import (
    alike,
    cycles_per_instruction,
    drawn,
    predicted_cycles,
    predicted_draw,
    runs_cmsis_nn,
    system,
    weighted_mean,
)
from millijoule.energy.fitted.tables import CONVOLUTIONAL, Submission, counted, submissions
from millijoule.energy.hierarchy import array

CMSIS_NN_CORES = ("cortex-m4", "cortex-m33")
ROUNDS = ("v0.5", "v0.7", "v1.0", "v1.1", "v1.2", "v1.3")


def pair(row: Submission) -> tuple[str, str]:
    return (row.stack, row.board)


def _energies() -> list[Submission]:
    return [row for row in submissions() if row.power_mw is not None]


def _without(row: Submission, rows: Iterable[Submission]) -> list[Submission]:
    """`rows` without the submission of `row`, and without other runs of its stack on its board."""
    return [
        each for each in rows if (each.round, each.submitter) != (row.round, row.submitter) and pair(each) != pair(row)
    ]


def _before(row: Submission, rows: Iterable[Submission]) -> list[Submission]:
    """`rows` of earlier rounds, without other runs of its stack on its board."""
    return [each for each in rows if ROUNDS.index(each.round) < ROUNDS.index(row.round) and pair(each) != pair(row)]


def _not_after(row: Submission, rows: Iterable[Submission]) -> list[Submission]:
    """`rows` of the same and of earlier rounds."""
    return [each for each in rows if ROUNDS.index(each.round) <= ROUNDS.index(row.round)]


Split = Callable[[Submission, Iterable[Submission]], list[Submission]]


@lru_cache
def power(split: Split = _without, os: bool = False) -> list[Error]:
    """Energy of a Cortex-M given its latency: the power of the board in other submissions. os: told apart."""
    errors = []
    for row in _energies():
        known = split(row, _energies())
        draw = predicted_draw(known, row.board, row.stack, row.os if os else None)
        if draw is not None:
            errors.append(of(draw, drawn(row), pair(row)))
    return errors


def _representatives() -> list[Submission]:
    """One row for each stack, board and benchmark: re-runs of others' code tell nothing new."""
    found: dict[tuple[str, ...], Submission] = {}
    for row in submissions():
        found.setdefault((*pair(row), row.benchmark), row)
    return list(found.values())


@lru_cache
def stack_on_board(split: Split | None = None) -> list[Error]:
    """Latency of a stack that is known from other boards. Default split: the stack on this board is not known."""
    errors = []
    for row in _representatives():
        known = [each for each in submissions() if pair(each) != pair(row)]
        cycles = predicted_cycles(split(row, known) if split else known, row.stack, row.board, row.benchmark)
        if cycles is not None:
            errors.append(of(cycles, row.cycles, pair(row)))
    return errors


@lru_cache
def new_network(basis: Literal["CMSIS-NN", "ours", "MACs"] = "CMSIS-NN") -> list[Error]:
    """Latency of a convolutional network on a system that ran two others; one with a like mix of layers weighs more.

    basis: exact instructions of CMSIS-NN, those of our own firmware, which run other kernels, or MACs.
    """
    systems: dict[tuple[str, ...], dict[str, Submission]] = defaultdict(dict)
    for row in submissions():
        if row.benchmark in CONVOLUTIONAL:
            systems[row.stack, row.board, row.os].setdefault(row.benchmark, row)

    def work(row: Submission) -> int | None:
        if basis == "ours":
            return own_instructions(row.core, row.benchmark, row.folded)
        return counted(row).macs if basis == "MACs" else counted(row).instructions

    errors = []
    for rows in systems.values():
        for name, row in rows.items():
            done = work(row)
            scale = weighted_mean(
                (each.cycles / it, alike(benchmark_mix(name), benchmark_mix(other)))
                for other, each in rows.items()
                if other != name and (it := work(each))
            )
            if done and scale:
                errors.append(of(scale * done, row.cycles, pair(row)))
    return errors


@lru_cache
def unseen_board() -> list[Error]:
    """Latency of CMSIS-NN on a Cortex-M4 or M33 without any reading, from exact instruction counts."""
    rows = [row for row in submissions() if runs_cmsis_nn(row) and row.core in CMSIS_NN_CORES]
    errors, seen = [], set()
    for row in rows:
        key = (row.board, row.stack, row.os, row.benchmark)
        if row.benchmark in CONVOLUTIONAL and key not in seen:
            seen.add(key)
            scale = cycles_per_instruction([each for each in rows if each.board != row.board])
            assert scale is not None
            errors.append(of(scale * counted(row).instructions, row.cycles, row.board))
    return errors


@lru_cache
def after_one_reading() -> list[Error]:
    """Of a convolutional network's latency on a system that one other was measured on, from exact instructions."""
    return _from_one(lambda row: row.cycles / counted(row).instructions, CONVOLUTIONAL)


@lru_cache
def power_after_one_reading() -> list[Error]:
    """Of a network's power on a system that one other was measured on."""
    return _from_one(lambda row: None if row.power_mw is None else drawn(row), ("ad", *CONVOLUTIONAL))


def _from_one(value: Callable[[Submission], float | None], benchmarks: Sequence[str]) -> list[Error]:
    """Of every network on a system, as if it took what one other took there."""
    systems: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in submissions():
        found = value(row)
        if row.benchmark in benchmarks and found is not None:
            systems[system(row)].append(found)
    return [
        of(one, other, (key[3], key[2])) for key, values in systems.items() for one, other in permutations(values, 2)
    ]


@lru_cache
def end_to_end(os: bool = False, whole: bool = False) -> list[Error]:
    """Energy of a stack that is known from other boards, on a board that is known from other submissions.

    whole: nothing of the row's submission is known, not even its results on other boards.
    """
    errors = []
    for row in _energies():
        known = _without(row, submissions()) if whole else [each for each in submissions() if pair(each) != pair(row)]
        cycles = predicted_cycles(known, row.stack, row.board, row.benchmark)
        draw = predicted_draw(_without(row, _energies()), row.board, row.stack, row.os if os else None)
        if cycles is not None and draw is not None:
            errors.append(of(cycles * draw, row.cycles * drawn(row), pair(row)))
    return errors


@lru_cache
def linux_network(quantity: linux.Quantity = "energy_mj", whole_width: bool = False) -> list[Error]:
    """A MobileNet on a Linux board on which others were measured: without it, or without any of its width."""
    errors = []
    for runs in linux.groups().values():
        for run in runs:
            known = [
                each
                for each in runs
                if each.network != run.network and not (whole_width and linux.width(each) == linux.width(run))
            ]
            found = linux.evaluate(linux.fit(known, quantity), linux.terms(run))
            errors.append(of(found, getattr(run, quantity), linux.width(run)))
    return errors


@lru_cache
def linux_other_family() -> list[Error]:
    """ResNet-50 from the MobileNets of the same board: what happens far from the family."""
    from millijoule.energy.fitted.tables import board_runs

    known = linux.groups()
    return [
        of(linux.evaluate(linux.fit(known[key], "energy_mj"), linux.terms(run)), run.energy_mj, run.system)
        for run in board_runs()
        if run.network == "resnet50" and (key := (run.round, run.system, run.precision)) in known
    ]


READ = ("mobilenet-v2-0.35-96", "mobilenet-v2-1.0-224")


@lru_cache
def linux_new_board(quantity: linux.Quantity = "energy_mj", read: tuple[str, ...] = READ) -> list[Error]:
    """A board that no prediction knew, after the networks `read` were measured on it."""
    known = linux.groups()
    fits = {key: linux.fit(runs, quantity) for key, runs in known.items()}
    errors = []
    for (round, name, precision), runs in known.items():
        others = [fits[key] for key in known if linux.board(key[1]) != linux.board(name) and key[2] == precision]
        readings = [(linux.terms(run), getattr(run, quantity)) for run in runs if run.network in read]
        for run in runs:
            if run.network not in read:
                found = linux.tilted(others, readings, linux.terms(run))
                errors.append(of(found, getattr(run, quantity), (round, name, precision)))
    return errors


@dataclass(frozen=True)
class Question:
    """What is asked, what is left out, and the errors. target: of mean, median, 90th percentile; None where not set."""

    text: str
    left_out: str
    errors: Callable[[], list[Error]]
    target: tuple[float | None, float | None, float | None] = (None, None, None)


V1 = ("mobilenet-v1-0.25-128", "mobilenet-v1-1.0-224")
WITHOUT_SUBMISSION = "submission, and its stack on that board"
WITHOUT_PAIR = "(stack, board) pair"

QUESTIONS = (
    Question("Cortex-M: energy, given the latency", WITHOUT_SUBMISSION, lambda: power(os=True), (0.07, None, 0.15)),
    Question("  the same, operating systems not told apart", WITHOUT_SUBMISSION, power),
    Question("  the same, forward in time", "the pair, this round and later", lambda: power(_before, os=True)),
    Question("Cortex-M: latency, stack known elsewhere", WITHOUT_PAIR, stack_on_board, (None, 0.06, 0.15)),
    Question("  the same, forward in time", "the pair, and later rounds", lambda: stack_on_board(_not_after)),
    Question("Cortex-M: latency, new network, by instructions", "network", new_network, (None, 0.08, 0.22)),
    Question("  the same, by MACs", "network", lambda: new_network("MACs")),
    Question("  the same, by instructions of our own kernels", "network", lambda: new_network("ours")),
    Question("Cortex-M4, M33: CMSIS-NN, board never seen", "board", unseen_board, (0.10, None, None)),
    Question("Cortex-M: latency, one network was read", "network", after_one_reading),
    Question("Cortex-M: power, one network was read", "network", power_after_one_reading),
    Question("Cortex-M: energy end to end", WITHOUT_PAIR, lambda: end_to_end(os=True), (0.08, 0.06, 0.16)),
    Question("  the same, operating systems not told apart", WITHOUT_PAIR, end_to_end),
    Question("  the same, nothing of the submission known", WITHOUT_SUBMISSION, lambda: end_to_end(whole=True)),
    Question("Linux board: energy, new MobileNet", "network", linux_network, (None, 0.035, 0.10)),
    Question("  the same, latency", "network", lambda: linux_network("latency_ms")),
    Question("  energy, none of its width known", "networks of one width", lambda: linux_network(whole_width=True)),
    Question("  energy, ResNet-50 from MobileNets", "family", linux_other_family),
    Question("Linux board, two networks read: energy", "board", linux_new_board, (None, 0.05, 0.15)),
    Question("  the same, two other networks read", "board", lambda: linux_new_board(read=V1)),
    Question("  the same, latency", "board", lambda: linux_new_board("latency_ms")),
    Question("Eyeriss: energy of a layer", "network", array.errors),
    Question("  bytes to and from its buffer", "nothing: its mapping is chosen here", array.buffer_errors),
    Question("  bytes to and from DRAM, zeros known", "nothing: its mapping is chosen here", array.dram_errors),
)
