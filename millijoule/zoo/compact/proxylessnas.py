"""ProxylessNAS."""

from __future__ import annotations

from millijoule.graph import Builder, Graph, Shape
from millijoule.ops import Conv2d, Dense, GlobalAveragePool
from millijoule.zoo.blocks import around
from millijoule.zoo.compact.mobilenet_v2 import convolve_relu6, inverted_residual

# What the search found for a phone, figure 4c: channels of a stage, stride of its first block, and of each block
# (expansion, kernel). Blocks that the search left out are not there.
STAGES = (
    (16, 1, ((1, 3),)),
    (32, 2, ((3, 5), (3, 3))),
    (40, 2, ((3, 7), (3, 3), (3, 5), (3, 5))),
    (80, 2, ((6, 7), (3, 5), (3, 5), (3, 5))),
    (96, 1, ((6, 5), (3, 5), (3, 5), (3, 5))),
    (192, 2, ((6, 7), (6, 7), (3, 7), (3, 7))),
    (320, 1, ((6, 7),)),
)
EPSILON = 1e-3


def proxylessnas_mobile(*, classes: int = 1000, input_shape: Shape = (224, 224, 3)) -> Graph:
    """Inverted residuals whose expansions and kernels were searched with a phone's latency in the loss.

    4,080,512 parameters, 320,427,584 MACs.

    Source: H. Cai, L. Zhu, S. Han, "ProxylessNAS: direct neural architecture search on target task and hardware",
    ICLR 2019, figure 4c; blocks as in the authors' repository, mit-han-lab/proxylessnas (logs/
    proxyless_mobile_10_latency.txt).
    """
    build = Builder("proxylessnas_mobile", input_shape)
    convolve_relu6(build, "stem", Conv2d(channels=32, kernel=3, stride=2, padding=around(1), bias=False), EPSILON)
    number = 0
    for channels, stride, blocks in STAGES:
        for index, (expansion, kernel) in enumerate(blocks):
            number += 1
            first = stride if index == 0 else 1
            inverted_residual(build, f"block{number}", expansion, kernel, channels, first, epsilon=EPSILON)
    convolve_relu6(build, "last", Conv2d(channels=1280, kernel=1, bias=False), EPSILON)
    build("average", GlobalAveragePool())
    build("output", Dense(features=classes))
    return build.graph()
