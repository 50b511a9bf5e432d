"""LeNet-5 exactly as published in 1998."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millijoule.graph import Builder, Graph
from millijoule.ops import Conv2d, Dense, RadialBasis, Subsample2d, TableConv2d, Tanh

if TYPE_CHECKING:
    import numpy as np

# Table I: row = map of S2, column = map of C3, X = connected.
TABLE_I = (
    "X . . . X X X . . X X X X . X X",
    "X X . . . X X X . . X X X X . X",
    "X X X . . . X X X . . X . X X X",
    ". X X X . . X X X X . . X . X X",
    ". . X X X . . X X X X . X X . X",
    ". . . X X X . . X X X X . X X X",
)

# The targets of F6, section II.B: digits drawn on a bitmap 7 wide and 12 high. The drawings here are our own.
DIGITS = """
    .#####.   ...##..   .#####.   .#####.   .....#.
    ##...##   ..###..   ##...##   ##...##   ....##.
    #.....#   .####..   #.....#   #.....#   ...###.
    #.....#   ##.##..   ......#   ......#   ..##.#.
    #.....#   ...##..   .....##   .....##   .##..#.
    #.....#   ...##..   ....##.   ..####.   ##...#.
    #.....#   ...##..   ...##..   .....##   #....#.
    #.....#   ...##..   ..##...   ......#   #######
    #.....#   ...##..   .##....   ......#   .....#.
    #.....#   ...##..   ##.....   #.....#   .....#.
    ##...##   ...##..   #......   ##...##   .....#.
    .#####.   .######   #######   .#####.   .....#.

    #######   ..####.   #######   .#####.   .#####.
    #......   .##....   ......#   ##...##   ##...##
    #......   ##.....   .....##   #.....#   #.....#
    #......   #......   .....#.   #.....#   #.....#
    ######.   #......   ....##.   ##...##   #.....#
    .....##   ######.   ....#..   .#####.   ##...##
    ......#   ##...##   ...##..   ##...##   .######
    ......#   #.....#   ...#...   #.....#   ......#
    ......#   #.....#   ..##...   #.....#   ......#
    #.....#   #.....#   ..#....   #.....#   .....##
    ##...##   ##...##   .##....   ##...##   ....##.
    .#####.   .#####.   .#.....   .#####.   .####..
"""


def lenet5_1998() -> Graph:
    """LeNet-5 as in the paper: partial connections in C3, trainable sub-sampling, scaled tanh, radial basis output.

    60,000 trainable parameters, 340,908 connections. The output is the squared distance of F6 to the code of each
    digit (`codes`): the least names the class. Every unit up to F6 squashes its sum with 1.7159 tanh(2/3 x).

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 1998, section II.B and appendix A.
    """
    squash = Tanh(amplitude=1.7159, slope=2 / 3)
    build = Builder("lenet5_1998", (32, 32, 1))
    build("c1", Conv2d(channels=6, kernel=5))  # 28x28x6
    build("c1_tanh", squash)
    build("s2", Subsample2d(kernel=2))  # 14x14x6
    build("s2_tanh", squash)
    build("c3", TableConv2d(table=connections(), kernel=5))  # 10x10x16
    build("c3_tanh", squash)
    build("s4", Subsample2d(kernel=2))  # 5x5x16
    build("s4_tanh", squash)
    build("c5", Conv2d(channels=120, kernel=5))  # 1x1x120
    build("c5_tanh", squash)
    build("f6", Dense(features=84))
    build("f6_tanh", squash)
    build("output", RadialBasis(classes=10))
    return build.graph()


def connections() -> tuple[tuple[int, ...], ...]:
    """For each of the 16 maps of C3, the maps of S2 that it reads (Table I)."""
    columns = zip(*(row.split() for row in TABLE_I), strict=True)
    return tuple(tuple(index for index, mark in enumerate(column) if mark == "X") for column in columns)


def codes() -> dict[str, np.ndarray]:
    """The fixed numbers of `lenet5_1998`: {"output.weight": float32 (10, 84)}, +1 for ink, -1 for paper."""
    import numpy as np

    rows = [line.split() for line in DIGITS.split("\n") if line.strip()]
    drawings = ["".join(row[column] for row in half) for half in (rows[:12], rows[12:]) for column in range(5)]
    return {"output.weight": np.array([[1 if pixel == "#" else -1 for pixel in one] for one in drawings], np.float32)}
