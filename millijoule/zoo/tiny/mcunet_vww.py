"""MCUNet's person detector."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, GlobalAveragePool
from millijoule.zoo.blocks import around
from millijoule.zoo.compact.mobilenet_v2 import convolve_relu6, inverted_residual

# What the search found for visual wake words at 80x80: expansion, kernel, channels and stride of each block.
BLOCKS = (
    (1, 3, 8, 1),
    (6, 3, 16, 2),
    (3, 3, 16, 1),
    (3, 3, 16, 1),
    (3, 7, 24, 2),
    (6, 3, 24, 1),
    (5, 5, 24, 1),
    (6, 7, 40, 2),
    (6, 7, 40, 1),
    (6, 3, 48, 1),
    (4, 3, 48, 1),
    (5, 5, 96, 2),
    (5, 3, 96, 1),
    (4, 3, 96, 1),
    (3, 7, 160, 1),
)


def mcunet_vww(*, classes: int = 2, input_shape: Shape = (80, 80, 3)) -> Graph:
    """Inverted residuals searched for a microcontroller's memory: 11,578,816 MACs.

    432,746 parameters; 426,634 once batch-norm is folded, as it is deployed.

    Source: J. Lin, W. Chen, Y. Lin, J. Cohn, C. Gan, S. Han, "MCUNet: tiny deep learning on IoT devices", NeurIPS 2020;
    the blocks as in the authors' repository, mit-han-lab/tinyengine (the visual wake words model, vww.tflite).
    """
    build = Builder("mcunet_vww", input_shape)
    convolve_relu6(build, "stem", Conv2d(channels=16, kernel=3, stride=2, padding=around(1), bias=False))
    for number, (expansion, kernel, channels, stride) in enumerate(BLOCKS, start=1):
        with build.block(f"block{number}"):
            inverted_residual(build, f"block{number}", expansion, kernel, channels, stride)
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()
