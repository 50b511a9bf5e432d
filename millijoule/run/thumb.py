"""What kinds of Thumb instructions a firmware executed, from how often each halfword of its code ran.

Encodings: Arm, Armv8-M Architecture Reference Manual (DDI 0553), chapter C2. Instructions are told apart as far as
Arm's tables of cycles do (millijoule.cost.core_cycles), not further.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

WIDE = 0xE800
"""First halfwords from here on begin an instruction of 4 bytes."""


@dataclass(frozen=True)
class Instruction:
    """kind: a name of `KINDS` in millijoule.cost.core_cycles. words: that a multiple transfer moves. bytes: 2 or 4."""

    kind: str
    words: int = 0
    bytes: int = 4


def instruction_mix(code: np.ndarray, flow: np.ndarray, left: np.ndarray) -> dict[str, int]:
    """Kind → how many were executed. code: uint8. flow, left: of each halfword, as in native/counter.h.

    Beside kinds: `words` that multiple transfers moved; `taken` branches, without the ends of low-overhead loops; a
    `load_after_load` follows another load in the code, a `vector_overlap` a vector instruction of the other kind, and
    `second` may be issued with the instruction before it (see `_pairs`).
    """
    import numpy as np

    halves = code[: len(code) // 2 * 2].view("<u2")
    runs = np.cumsum(flow)
    mix: Counter[str] = Counter()
    before, first = Instruction("none"), False
    for at, instruction in _executed(halves, runs):
        count = int(runs[at])
        behind = at + instruction.bytes // 2
        # A block that begins here was jumped to or was split: what stands before it in the code came before it too,
        # unless the code before ran another number of times.
        follows = at > 0 and runs[at - 1] == count and before.kind not in ("branch", "none")
        mix[instruction.kind] += count
        mix["words"] += instruction.words * count
        if instruction.kind != "loop":
            mix["taken"] += int(left[behind])
        if follows and before.kind == instruction.kind == "load":
            mix["load_after_load"] += count
        if follows and {before.kind, instruction.kind} == {"vector_memory", "vector_compute"}:
            mix["vector_overlap"] += count
        first = not (follows and first and _pairs(before, instruction))
        if not first:
            mix["second"] += count
        before = instruction
    return dict(mix)


def _executed(halves: np.ndarray, runs: np.ndarray) -> Iterator[tuple[int, Instruction]]:
    """Every instruction that ran, with the index of its first halfword, in the order of the code."""
    at, end = 0, len(halves)
    while at < end:
        if runs[at] == 0:
            at += 1
            continue
        instruction = decode(int(halves[at]), int(halves[at + 1]) if at + 1 < end else 0)
        yield at, instruction
        at += instruction.bytes // 2


def _pairs(first: Instruction, second: Instruction) -> bool:
    """Whether a core with two pipelines may issue both at once: one store, one multiplication, no multiple transfer or
    division. Whether the second reads what the first writes is not looked at."""
    alone = ("multiple", "divide", "long_multiply")
    once = ("store", "multiply", "branch")
    if first.kind in alone or second.kind in alone:
        return False
    return not (first.kind == second.kind and first.kind in once)


def decode(half: int, next_half: int) -> Instruction:
    """The instruction that begins with these two halfwords."""
    return _wide(half, next_half) if half >= WIDE else _narrow(half)


def _narrow(half: int) -> Instruction:
    top = half >> 12
    if half >> 11 == 0b01001 or (top in (6, 7, 8, 9) and half & 0x800):
        return Instruction("load", bytes=2)
    if top == 5:
        return Instruction("load" if half >> 9 & 7 >= 3 else "store", bytes=2)
    if top in (6, 7, 8, 9):
        return Instruction("store", bytes=2)
    if half & 0xF600 == 0xB400:  # PUSH, POP
        return Instruction("multiple", _ones(half & 0x1FF), bytes=2)
    if top == 0xC:
        return Instruction("multiple", _ones(half & 0xFF), bytes=2)
    is_branch = top == 0xD or half >> 11 == 0b11100 or half >> 8 == 0x47 or half & 0xF500 == 0xB100
    if is_branch:
        return Instruction("branch", bytes=2)
    return Instruction("multiply" if half >> 6 == 0b0100001101 else "other", bytes=2)


def _wide(half: int, next_half: int) -> Instruction:
    if half >> 9 == 0b1110100:
        if not half & 0x40:
            return Instruction("multiple", _ones(next_half))
        if half & 0xFFF0 == 0xE8D0 and next_half & 0xFFE0 == 0xF000:  # TBB, TBH
            return Instruction("branch")
        return Instruction("multiple", 2)
    if half >> 9 == 0b1111100:
        return Instruction("load" if half & 0x10 else "store")
    if half >> 8 == 0xFB:
        if half & 0x80 == 0:
            return Instruction("multiply")
        return Instruction("divide" if half >> 4 & 7 in (1, 3) else "long_multiply")
    if half >> 11 == 0b11110 and next_half & 0x8000:
        if half & 0xFF80 == 0xF000 and next_half & 0xD001 == 0xC001:  # DLS, WLS, LE; VCTP
            return Instruction("vector_compute" if next_half == 0xE801 else "loop")
        is_other = next_half & 0x5000 == 0 and half >> 6 & 0xE == 0xE  # MSR, MRS, hints, barriers
        return Instruction("other" if is_other else "branch")
    if half & 0xEC00 == 0xEC00:
        return _vector(half, next_half)
    return Instruction("other")


def _vector(half: int, next_half: int) -> Instruction:
    """Coprocessors 8, 9, 14 and 15 are Helium; 10 and 11 are the registers that it shares with floating point."""
    unit, is_transfer = next_half >> 8 & 0xF, half & 0xEE00 == 0xEC00
    if is_transfer and unit in (10, 11):
        return Instruction("multiple", next_half & 0xFF)
    moves_lanes = half & 0xFFA0 == 0xEC00
    return Instruction("vector_memory" if is_transfer and unit in (14, 15) and not moves_lanes else "vector_compute")


def _ones(bits: int) -> int:
    return bits.bit_count()
