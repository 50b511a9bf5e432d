"""Colours that mean different things can be told apart, with any kind of colour blindness too."""

import re
from itertools import combinations

import numpy as np
import pytest

from millijoule.report.files import read_part
from millijoule.report.page import plotting
from millijoule.report.survey.charts import FAMILIES, OTHER

# Of linear RGB: how it looks to people with no long, medium or short cones. G. Machado, M. Oliveira, L. Fernandes,
# "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15(6), 2009, severity 1.
VISION = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LEAST = 15
"""Of a difference in CIELAB; 2.3 can just be seen where two colours touch."""


def lab(colour: str, vision: str) -> np.ndarray:
    """CIELAB of `#rrggbb` as someone with that vision sees it."""
    coded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    x, y, z = XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1) / XYZ.sum(axis=1)
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def of_the_style(*names: str) -> list[list[str]]:
    """The colours so called, once for each place that sets them: light, dark, print."""
    found = [re.findall(rf"--{name}: (#[0-9a-f]{{6}})", read_part("page/style.css")) for name in names]
    assert len({len(each) for each in found}) == 1
    return [list(colours) for colours in zip(*found, strict=True)]


MEANINGS = [
    *of_the_style("input", "value", "output", "scratch"),
    *of_the_style("computed", "measured"),
    [*(colour for _, _, colour in FAMILIES), OTHER[1]],
    [plotting.SKY, plotting.RED],
    [plotting.ORANGE, plotting.BLUE],
]


@pytest.mark.parametrize("vision", VISION)
def test_colours_that_mean_different_things_differ(vision):
    assert len(MEANINGS) >= 7
    for colours in MEANINGS:
        for one, other in combinations(colours, 2):
            assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > LEAST, (one, other)
