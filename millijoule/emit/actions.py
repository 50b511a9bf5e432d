"""The actions of a plan that streams as numbers in the order in which emitted C does them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from millijoule.errors import ModelError
from millijoule.plan.streaming import StreamPlan
from millijoule.plan.streaming.loops import Loop, Program, loops, shallow
from millijoule.plan.streaming.network.kernels import LEVELS, Firing, count_bytes
from millijoule.plan.streaming.network.rows import Rows
from millijoule.plan.verify import PlanError


@dataclass(frozen=True)
class Code:
    """What an action does, its row left out: every step counts its own.

    fresh: of `fire`, bit 0 where the written row lies apart from its ring, bit 1 + n where the last row that is read of
    the n-th value does; of `arrive`, bit 0.
    """

    do: Literal["arrive", "fire", "rest"]
    name: str
    fresh: int = 0


@dataclass(frozen=True)
class Actions:
    """codes: what can be done, arrivals first. numbers: the program of kernels/loops.h whose actions are indices of
    codes. counters: inputs and steps that are counted. counter_type: of C, in which every count fits.
    """

    codes: tuple[Code, ...]
    numbers: tuple[int, ...]
    counters: tuple[str, ...]
    counter_type: str

    @classmethod
    def of(cls, plan: StreamPlan, rows: Rows, counts: Mapping[str, int], firings: Mapping[str, Firing]) -> Actions:
        """The actions of `plan`. counts: of `counted`.

        Raises PlanError where C, which counts rows, would find one elsewhere; ModelError if they are too many.
        """
        done = _Follower(plan, rows, firings).codes()
        order = {"arrive": 0, "fire": 1, "rest": 2}
        names = list(counts)
        codes = sorted(dict.fromkeys(done), key=lambda code: (order[code.do], names.index(code.name), code.fresh))
        numbers = {code: number for number, code in enumerate(codes)}
        return cls(
            tuple(codes),
            _program([numbers[code] for code in done], len(codes), plan.model),
            tuple(names),
            f"uint{8 * count_bytes(counts.values())}_t",
        )


def _program(sequence: Sequence[int], begin: int, model: str) -> tuple[int, ...]:
    """The numbers of kernels/loops.h. The first action lies in no loop, so that a state of zeros is before it."""
    looped = shallow(loops(sequence[1:]), LEVELS)
    numbers = [*sequence[:1], *_numbers(looped, begin)]
    if max(len(numbers), *numbers) >= 1 << 16:
        raise ModelError(f"model '{model}' streams by a program of {len(numbers):,} numbers; there is room for 65,535")
    return tuple(numbers)


def _numbers(program: Program, begin: int) -> Iterator[int]:
    for part in program:
        if isinstance(part, Loop):
            body = list(_numbers(part.body, begin))
            yield from (begin, part.times, *body, begin + 1, len(body))
        else:
            yield part


class _Follower:
    """Follows where rows are, as the emitted C does, and holds it against the plan."""

    def __init__(self, plan: StreamPlan, rows: Rows, firings: Mapping[str, Firing]) -> None:
        self.plan, self.rows, self.firings = plan, rows, firings
        self.steps = {step.name: step for step in rows.steps}
        self.fired = dict.fromkeys([*rows.inputs, *self.steps], 0)
        self.fresh: dict[str, int] = {}
        grains = zip(plan.segments, plan.grains, strict=True)
        self.by_pixel = {name for names, grain in grains for name in names if grain == "pixel"}

    def codes(self) -> list[Code]:
        found = []
        for action in self.plan.actions:
            name, row = action.name, action.row
            if action.do == "rest":
                if self.fresh.pop(name, None) != row:
                    raise self.error(f"row {row} of '{name}' comes to rest, which is not its newest")
                found.append(Code("rest", name))
                continue
            if row != self.fired[name]:
                raise self.error(f"row {row} of '{name}' comes after {self.fired[name]}")
            self.fired[name] += 1
            by_row = action.do == "fire" and name not in self.by_pixel
            bits = self._read(name, row) if by_row else 0
            if name not in self.by_pixel and self._writes(name, row):
                self.fresh.pop(name, None)
                if action.fresh:
                    bits |= 1
                    self.fresh[name] = 0 if name in self.steps and self.steps[name].accumulator_bytes else row
            if not (action.do == "fire" and self._is_done(name, row)):
                found.append(Code(action.do, name, bits))
        return found

    def _is_done(self, name: str, row: int) -> bool:
        """Whether a firing has nothing to do: its inputs lie where the result has them, or the first one did it all."""
        return name in self.plan.joined or (self.firings[name].kind == "whole" and row > 0)

    def _writes(self, name: str, row: int) -> bool:
        step = self.steps.get(name)
        return step is None or not step.accumulator_bytes or row + 1 == step.firings

    def _read(self, name: str, row: int) -> int:
        """Bits of the values whose last row that is read is fresh."""
        bits = 0
        for index, read in enumerate(self.steps[name].reads):
            newest, taps = self.fresh.get(read.value), self._taps(name, read.value, row)
            if self.firings[name].kind == "whole" and self._is_scattered(read.value):
                raise self.error(f"'{name}' reads all rows of '{read.value}', which do not lie side by side")
            if newest in taps:
                if newest != taps[-1]:
                    raise self.error(f"'{name}' ({row}) reads beyond row {newest} of '{read.value}', which is fresh")
                bits |= 1 << 1 + index
        return bits

    def _is_scattered(self, value: str) -> bool:
        ring = self.plan.places.get(("ring", value))
        return value in self.fresh or (ring is not None and ring.rows < self.rows.count[value])

    def _taps(self, name: str, value: str, row: int) -> Sequence[int]:
        """The rows of a value that a firing reads, in order."""
        window = self.firings[name].window
        if self.firings[name].kind == "whole":
            return range(self.rows.count[value])
        if window is None:
            return (row if self.rows.count[value] > 1 else 0,)
        first = row * window.stride[0] - window.padding[0][0]
        taps = (first + at * window.dilation[0] for at in range(window.kernel[0]))
        return tuple(tap for tap in taps if 0 <= tap < window.input[0])

    def error(self, what: str) -> PlanError:
        return PlanError(f"plan of '{self.plan.model}': {what}")
