"""A long sequence of actions as loops: rows repeat, and pixels in them, so the code for them is short.

Bottom up: runs of one token, then of two, and so on become a loop, which is a token from then on; what a loop makes
equal repeats in its turn. Equal loops are one token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LONGEST = 400
"""Tokens in the body of a loop: a period of streaming is a few firings of each step."""


@dataclass(frozen=True)
class Loop:
    """`body`, `times` over."""

    times: int
    body: tuple[int | Loop, ...]


Program = tuple[int | Loop, ...]


def loops(sequence: Sequence[int]) -> Program:
    """The sequence of numbers as nested loops; `unrolled` gives it back."""
    tokens = list(sequence)
    made: dict[tuple[int, tuple[int, ...]], int] = {}
    meaning: dict[int, tuple[int, tuple[int, ...]]] = {}
    free = max(tokens, default=0) + 1
    period = 1
    while period <= min(LONGEST, len(tokens) // 2):
        found: list[int] = []
        at = 0
        while at < len(tokens):
            times = _repeats(tokens, at, period)
            if times > 1:
                key = times, tuple(tokens[at : at + period])
                if key not in made:
                    made[key], meaning[free] = free, key
                    free += 1
                found.append(made[key])
                at += times * period
            else:
                found.append(tokens[at])
                at += 1
        # Loops in place of runs may have made shorter periods than this one.
        period = 1 if len(found) < len(tokens) and period > 1 else period + 1
        tokens = found
    return tuple(_meant(token, meaning) for token in tokens)


def unrolled(program: Program) -> Iterator[int]:
    for part in program:
        if isinstance(part, Loop):
            for _ in range(part.times):
                yield from unrolled(part.body)
        else:
            yield part


def shallow(program: Program, levels: int) -> Program:
    """The same with loops in `levels` levels at most: those further inside are written out."""
    if levels == 0:
        return tuple(unrolled(program))
    return tuple(
        Loop(part.times, shallow(part.body, levels - 1)) if isinstance(part, Loop) else part for part in program
    )


def length(program: Program) -> int:
    """How many numbers are written in the program."""
    return sum(length(part.body) if isinstance(part, Loop) else 1 for part in program)


def _repeats(tokens: list[int], at: int, period: int) -> int:
    if tokens[at] != (tokens[at + period] if at + period < len(tokens) else None):
        return 1
    body = tokens[at : at + period]
    times = 1
    while tokens[at + times * period : at + (times + 1) * period] == body:
        times += 1
    return times


def _meant(token: int, meaning: dict[int, tuple[int, tuple[int, ...]]]) -> int | Loop:
    if token not in meaning:
        return token
    times, body = meaning[token]
    return Loop(times, tuple(_meant(each, meaning) for each in body))
