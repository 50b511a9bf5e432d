"""Microcontrollers: instructions x cycles per instruction / clock, x power.

Cycles for each instruction are those of CMSIS-NN on the board, or on a board of the same core; where only other stacks
ran on a board, it is compared by them with boards on which CMSIS-NN ran too. On Cortex-M4 and M33 they are multiplied
by how much dearer our instructions are than CMSIS-NN's for the core alone, by their kinds. Weights of dense layers are
read from flash once each, which costs further cycles. Power is that of the board in all its submissions: a current
behind a linear regulator, a power behind a switching one. What a user measured on the board goes before all of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from statistics import geometric_mean, mean

from millijoule.cost.cycles import estimate_cycles
from millijoule.cost.device import Device, Reading
from millijoule.energy.fitted import questions
from millijoule.energy.fitted.instructions import benchmark_mix, own_instructions
from millijoule.energy.fitted.intervals import spread
from millijoule.energy.fitted.similar import (
    alike,
    cycles_per_instruction,
    predicted_cycles,
    predicted_draw,
    runs_cmsis_nn,
    similarity,
    weighted_mean,
)
from millijoule.energy.fitted.tables import CONVOLUTIONAL, Submission, counted, submissions
from millijoule.energy.prediction import Prediction, sentence, together, within
from millijoule.errors import OptionError

OUR_KERNELS = (
    "our own kernels have run on no board yet: that their instructions take the cycles that CMSIS-NN's take is an "
    "assumption"
)
OUR_MIX = (
    "our own kernels have run on no board yet: that memories slow their instructions, counted by kind, as they slow "
    "CMSIS-NN's is an assumption"
)
CMSIS_NN_CORE_CYCLES = 1.205
"""Cycles of a Cortex-M4 alone (cost/core_cycles.py) for each instruction of CMSIS-NN: ResNet-8 1.221, DS-CNN 1.190,
MobileNetV1-0.25 1.204, with gcc 12.2 -O2."""
OUR_CORE_CYCLES = 1.406
"""The same of our firmware, with zig -O2: 1.408, 1.406 and 1.403; taken where instructions were not counted by kind."""
LEAST = 0.1
"""Cycles for each instruction below which no core goes: what a reading of a dense network may leave for them."""
FIT = "one reading on it (`millijoule fit`) brings this into range"


@dataclass(frozen=True)
class Work:
    """What one inference executes.

    instructions: of our firmware. factor: within which they are right, 1 if they were counted. dense_weights: bytes of
    weights of dense layers, each read once. core_cycles: of the core alone, where instructions were counted by kind.
    mix: fitted.instructions.windowed_share of the network, by which it is compared with others; None: not known.
    """

    instructions: float
    factor: float = 1.0
    dense_weights: int = 0
    core_cycles: int | None = None
    mix: float | None = None

    def dearer(self, core: str) -> float:
        """By how much our instructions are dearer than CMSIS-NN's for the core alone; 1 where it is not known."""
        if core not in questions.CMSIS_NN_CORES:
            return 1.0
        ours = self.core_cycles / self.instructions if self.core_cycles else OUR_CORE_CYCLES
        return ours / CMSIS_NN_CORE_CYCLES


@dataclass(frozen=True)
class Scale:
    """A factor to multiply with, within which factor it is right, and what it rests on.

    tested: whether it was right in 90 % of the cases whose truth is known.
    """

    value: float
    factor: float
    rests_on: str
    tested: bool = True


def predict(network: str, device: Device, work: Work, stack: str | None = None) -> Prediction:
    """Latency and energy of our firmware, or of the same network with another stack; what cannot be said is refused.

    Raises OptionError for a stack that was not submitted to MLPerf Tiny.
    """
    assert device.clock_hz is not None
    if stack:
        scale = _stack_scale(stack, device.name, device.core, work.mix)
        reason = f"{stack} was submitted neither on this board nor on one that others compare it with; {FIT}"
    else:
        scale = _read_scale(device, work.mix) or _board_scale(device.name, device.core) or _core_scale(device)
        reason = f"no cycles of an int8 network are published for {device.core} without an accelerator; {FIT}"
    if scale is None:
        return Prediction(network, device.name, None, None, refused=(("latency", reason), ("energy", reason)))
    by_mix = 1.0 if device.readings or stack else work.dearer(device.core)
    cycles = work.instructions * scale.value * by_mix + work.dense_weights * cycles_per_dense_weight()
    latency = within(1000 * cycles / device.clock_hz, together(scale.factor, work.factor))
    power = power_mw(device, stack)
    energy = None
    if isinstance(power, Scale):
        factor = together(scale.factor, work.factor, power.factor)
        energy = within(1000 * cycles / device.clock_hz * power.value / 1000, factor)
    text = scale.rests_on if by_mix == 1 else f"{scale.rests_on}; ours take {by_mix:.2f} times theirs by their kinds"
    return Prediction(
        network=network,
        device=device.name,
        latency_ms=latency,
        energy_mj=energy,
        instructions=round(work.instructions),
        rests_on=(text, power.rests_on) if isinstance(power, Scale) else (text,),
        assumptions=() if device.readings or stack else (OUR_KERNELS if by_mix == 1 else OUR_MIX,),
        refused=() if isinstance(power, Scale) else (("energy", power),),
        tested=scale.tested,
    )


def _read_scale(device: Device, mix: float | None) -> Scale | None:
    """Cycles for each instruction by the user's readings of the board."""
    if not device.readings or device.clock_hz is None:
        return None
    values = []
    for each in device.readings:
        cycles = each.latency_ms * device.clock_hz / 1000 - each.dense_weights * cycles_per_dense_weight()
        values.append((max(cycles / each.instructions, LEAST), alike(mix, mix_of(each))))
    factor = spread(questions.new_network() if len(values) > 1 else questions.after_one_reading())
    value = weighted_mean(values)
    assert value is not None
    return Scale(value, factor, _readings(device, "latency", len(values)))


def mix_of(reading: Reading) -> float | None:
    """As Work.mix, of a network that was measured."""
    return reading.windowed_macs / reading.macs if reading.macs else None


@lru_cache
def _stack_scale(stack: str, board: str, core: str, mix: float | None) -> Scale | None:
    """Cycles of another stack for each instruction of ours, by the networks of MLPerf Tiny; None: not known there."""
    known = list(dict.fromkeys(row.stack for row in submissions()))
    if stack not in known:
        raise OptionError(f"stack '{stack}' is not known; there are {', '.join(known)}; of another, {FIT}")
    values, factors, boards = [], [spread(questions.new_network("ours"))], {board}
    for benchmark in CONVOLUTIONAL:
        rows = [row for row in submissions() if (row.stack, row.benchmark) == (stack, benchmark)]
        ours = own_instructions(core, benchmark, any(row.folded for row in rows))
        here = [row.cycles for row in rows if row.board == board]
        cycles = geometric_mean(here) if here else predicted_cycles(submissions(), stack, board, benchmark)
        if ours is None or cycles is None:
            continue
        values.append((cycles / ours, alike(mix, benchmark_mix(benchmark))))
        if not here:
            boards = {row.board for row in rows}
            factors = [factors[0], spread(questions.stack_on_board())]
    value = weighted_mean(values)
    if value is None:
        return None
    text = f"{value:.2f} cycles for each instruction of our firmware: {stack} on {sentence(sorted(boards))}"
    return Scale(value, together(*factors), f"{text} (MLPerf Tiny)")


@lru_cache
def _board_scale(board: str, core: str) -> Scale | None:
    """Cycles for each instruction on a board by what ran CMSIS-NN, there or on boards that compare; None: not known."""
    here = [row for row in submissions() if row.board == board]
    cmsis_nn = [row for row in submissions() if runs_cmsis_nn(row)]
    own = [row for row in cmsis_nn if row.board == board]
    unseen = spread(questions.unseen_board())
    if own:
        value = cycles_per_instruction(own)
        assert value is not None
        return Scale(value, unseen, f"{value:.2f} cycles for each instruction: {_named(own)} on this board")
    known = cycles_per_instruction([row for row in cmsis_nn if row.core in questions.CMSIS_NN_CORES])
    assert known is not None
    ratio = _ratio_to_cmsis_nn(here, cmsis_nn)
    if ratio is not None:
        factor = together(unseen, spread(questions.stack_on_board()))
        text = f"{ratio:.2f} cycles for each instruction: CMSIS-NN on other boards, compared by {_named(here)}"
        return Scale(ratio, factor, text)
    if core in questions.CMSIS_NN_CORES:
        boards = sorted({row.board for row in cmsis_nn if row.core in questions.CMSIS_NN_CORES})
        text = f"{known:.2f} cycles for each instruction: CMSIS-NN on {sentence(boards)}; nothing ran on this board"
        return Scale(known, unseen, text)
    return None


def _core_scale(device: Device) -> Scale | None:
    """Cycles for each instruction in the range that was seen on boards of the same core; None: nothing was."""
    count = 1_000_000
    seen = estimate_cycles(device, count)
    if seen is None:
        return None
    factor = max(seen.cycles_high / seen.cycles, seen.cycles / seen.cycles_low)
    text = f"{seen.cycles / count:.2f} cycles for each instruction, as seen on other boards of its core: {seen.source}"
    return Scale(seen.cycles / count, factor, text, tested=False)


def _ratio_to_cmsis_nn(here: list[Submission], cmsis_nn: list[Submission]) -> float | None:
    """Cycles for each instruction that CMSIS-NN would take here, by stacks that ran here and where CMSIS-NN did."""
    weights, logs = [], []
    for row in here:
        for other in submissions():
            if other.benchmark != row.benchmark or other.benchmark not in CONVOLUTIONAL:
                continue
            there = cycles_per_instruction([each for each in cmsis_nn if each.board == other.board])
            if there is None or other.board == row.board:
                continue
            like = similarity(row.stack, other.stack)
            if like < 0.25:  # another stack, or releases far apart, compare no boards
                continue
            ours, theirs = (each.cycles / counted(each).instructions for each in (row, other))
            weights.append(like)
            logs.append(log(there * ours / theirs))
    if not weights:
        return None
    return exp(sum(weight * each for weight, each in zip(weights, logs, strict=True)) / sum(weights))


@lru_cache
def cycles_per_dense_weight() -> float:
    """Cycles that a byte of a dense layer's weights takes beyond its instructions': the mean over boards.

    By the autoencoder of MLPerf Tiny (anomaly detection) against the convolutional networks on the same board.
    """
    found = []
    for board in sorted({row.board for row in submissions() if runs_cmsis_nn(row)}):
        rows = [row for row in submissions() if row.board == board and runs_cmsis_nn(row)]
        scale = cycles_per_instruction(rows)
        dense = cycles_per_instruction(rows, ("ad",))
        if scale and dense:
            work = counted(next(row for row in rows if row.benchmark == "ad"))
            found.append((dense - scale) * work.instructions / work.dense_weights)
    return mean(found)


def power_mw(device: Device, stack: str | None = None) -> Scale | str:
    """Power of an inference at the device's supply; a text says why it is not known."""
    read = [each for each in device.readings if each.energy_mj is not None]
    if read:
        value = geometric_mean(each.energy_mj / each.latency_ms * 1000 for each in read if each.energy_mj)
        return Scale(value, spread(questions.power_after_one_reading()), _readings(device, "power", len(read)))
    rows = [row for row in submissions() if row.board == device.name and row.power_mw is not None]
    if not rows:
        if device.core in ("cortex-m55", "cortex-m85"):
            return f"none with Helium is published; {FIT}"
        return f"no power was published for this board, and that of others is 45 to 70 % off; {FIT}"
    if device.supply_v is None:
        return f"device '{device.name}' has no supply_v"
    draw = predicted_draw(rows, device.name, stack, os="none")
    assert draw is not None
    linear = rows[0].regulator == "ldo"
    single = len({(row.round, row.submitter) for row in rows}) == 1
    text = f"{draw:.1f} {'mA' if linear else 'mW'} at {device.supply_v:g} V: {_named(rows)} on this board"
    if single:
        text += " (one submission, so that no other tests it)"
    return Scale(draw * device.supply_v if linear else draw, spread(questions.power(os=True)), text)


def _named(rows: list[Submission]) -> str:
    """`microTVM and ONNC (MLPerf Tiny v1.0)`: the stacks, or how many, and the rounds that they are from."""
    stacks = list(dict.fromkeys(row.stack for row in rows))
    named = sentence(stacks) if len(stacks) <= 3 else f"{len(stacks)} stacks"
    rounds = sorted({row.round for row in rows})
    when = rounds[0] if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]}"
    return f"{named} (MLPerf Tiny {when})"


def _readings(device: Device, what: str, count: int) -> str:
    source = device.sources.get("reading", "its device file")
    return f"{what} of {count} reading{'s' if count > 1 else ''} on this board ({source})"
