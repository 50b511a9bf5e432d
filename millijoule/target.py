"""What kernels are written for, what a plan is to save, and how an input is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Instructions = Literal["scalar", "armv6m", "dsp", "mve", "host"]
Objective = Literal["speed", "ram"]
Contract = Literal["overwrite", "keep", "push", "read"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
"""`speed`: the fewest instructions that fit; `ram`: the least RAM."""
CONTRACTS: tuple[Contract, ...] = get_args(Contract)
"""The input lies in the arena and may be overwritten; stays as it was; arrives row by row and is never whole; or lies
outside of the arena, where it is only read, as often as it takes."""


@dataclass(frozen=True)
class Target:
    """The instructions that an operator's `call` may count on.

    instructions: `scalar`, portable C11; `armv6m`, C for Thumb-1 (Cortex-M0+: no 64-bit product, eight low registers);
    `dsp`, the dual 16-bit multiplications of Armv7E-M and Armv8-M Mainline (Cortex-M4, M7, M33); `mve`, the vectors of
    Armv8.1-M, called Helium (Cortex-M55, M85); `host`, vectors of sixteen sums, for computers. Code for every target
    also compiles on a host and computes the same there. by_row: a kernel with a window is called for one row of the
    output at a time, and finds the rows of its input anywhere; by_pixel: for one pixel. frugal: of several kernels, the
    one with the least working memory. wide_weights: weights are kept as int16 where `dsp` has a kernel for it, which
    takes twice the flash and fewer instructions.
    """

    instructions: Instructions = "scalar"
    by_row: bool = False
    by_pixel: bool = False
    frugal: bool = False
    wide_weights: bool = False

    def __post_init__(self) -> None:
        known = get_args(Instructions)
        if self.instructions not in known:
            raise ValueError(f"instructions is '{self.instructions}'; it must be one of {', '.join(known)}")


SCALAR = Target()
